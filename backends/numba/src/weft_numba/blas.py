"""Matrix products on raw addresses: BLAS through SciPy's exported pointers, tiles where these are faster.

Matrices are column-major: element (i, j) of A stands at `A + 4 * (i + j * lda)`, as in BLAS.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import get_cython_function_address

from .cache import cached_njit
from .pointers import intrinsic
from .tiles import LANES, dots_add, multiply_add, same_cache_lines

_BYTE, _INT, _FLOAT, _LONG = ir.IntType(8), ir.IntType(32), ir.FloatType(), ir.IntType(64)
_FLOAT_POINTER = _FLOAT.as_pointer()
_KINDS: dict[str, tuple[Any, Any]] = {
    "trans": (_BYTE, types.int64),
    "int": (_INT, types.int64),
    "float": (_FLOAT, types.float32),
    "array": (_FLOAT_POINTER, types.int64),
}


@functools.cache
def blas_address(routine: str) -> int:
    """Address of a BLAS routine, such as `"sgemm"`, in this process."""
    return int(get_cython_function_address("scipy.linalg.cython_blas", routine))


def limit_threads(n: int) -> None:
    """Let the BLAS that SciPy exports use at most `n` threads from now on; that of NumPy keeps its own."""
    from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]

    blas_address("sgemm")
    libraries = [library for library in ThreadpoolController().lib_controllers if library.user_api == "blas"]
    # Where both packages share one library, it is the only one there is.
    for library in [one for one in libraries if "scipy.libs" in one.filepath] or libraries:
        library.set_num_threads(n)


def blas_info() -> list[dict[str, Any]]:
    """Name, version and number of threads of each BLAS library that this process has loaded."""
    from threadpoolctl import threadpool_info

    blas_address("sgemm")
    return [
        {"name": library["internal_api"], "version": library["version"], "threads": library["num_threads"]}
        for library in threadpool_info()
        if library["user_api"] == "blas"
    ]


def _by_reference(builder: Any, kind: str, value: Any) -> Any:
    """Fortran takes everything by address; the slot is made once, in the entry block, even for a loop."""
    if kind == "array":
        return builder.inttoptr(value, _FLOAT_POINTER)
    slot = cgutils.alloca_once(builder, _KINDS[kind][0])
    if kind == "trans":
        transposed = builder.icmp_signed("!=", value, ir.Constant(_LONG, 0))
        value = builder.select(transposed, ir.Constant(_BYTE, ord("T")), ir.Constant(_BYTE, ord("N")))
    elif kind == "int":
        value = builder.trunc(value, _INT)
    builder.store(value, slot)
    return slot


def _emit(arguments_in_order: str) -> tuple[Any, Any]:
    """Numba signature and code generator of a Fortran subroutine whose address is the first argument."""
    kinds = arguments_in_order.split()

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        parameters = [_FLOAT_POINTER if kind == "array" else _KINDS[kind][0].as_pointer() for kind in kinds]
        function_type = ir.FunctionType(ir.VoidType(), parameters)
        pointer = builder.inttoptr(arguments[0], function_type.as_pointer())
        values = zip(kinds, arguments[1:], strict=True)
        references = [_by_reference(builder, kind, value) for kind, value in values]
        builder.call(pointer, references)
        return context.get_dummy_value()

    return types.void(types.int64, *[_KINDS[kind][1] for kind in kinds]), generate


@intrinsic
def sgemm(
    typingctx: Any, address: Any, transa: Any, transb: Any, m: Any, n: Any, k: Any, alpha: Any,
    a_address: Any, lda: Any, b_address: Any, ldb: Any, beta: Any, c_address: Any, ldc: Any,
) -> Any:  # fmt: skip
    """C (m x n) = alpha op(A) (m x k) op(B) (k x n) + beta C; `transa`, `transb` are 0 or 1."""
    return _emit("trans trans int int int float array int array int float array int")


_ONE = np.float32(1.0)

# When a product is made of tiles (tiles.py) instead of sgemm. Measured with OpenBLAS 0.3.31 on an AVX-512 processor
# with 1 MB of second cache, one thread, GF/s of sgemm / tiles; n are the columns of X, and of dY:
#
#               A X                               A^T X                             dY X^T
# m x k       n=1      n=8      n=22     n=256   n=1      n=8      n=22     n=256   n=1      n=8      n=22     n=256
# 200 x 50    92/126   230/249  229/247  226/252  73/110   210/230  205/216  194/218  37/59    162/200  224/255  162/258
# 384 x 128   53/59    258/270  105/273  242/270  64/70    227/223  99/249   232/241  44/43    216/241  197/263  208/262
# 64 x 64     106/107  263/271  264/280  232/282  60/97    163/202  96/180   220/179  85/77    203/209  245/263  150/270
# 32 x 100    75/52    221/274  238/247  276/276  43/84    122/139  93/129   209/130  59/49    203/198  249/249  269/259
# 5 x 32      8/14     42/35    62/40    96/40    4/16     21/23    40/24    107/24   4/2      28/14    57/32    144/50
# 1024 x 256  31/59    62/192   107/207  248/197  61/58    40/221   80/212   227/242  8/32     76/164   169/217  236/178
# 7596 x 256  9/49     68/220   121/267  252/269  8/44     52/198   99/245   241/245  41/50    170/188  210/241  244/242
#
# sgemm packs A, unless the product is small. Tiles leave lanes idle where A has few rows, and do worse where all of its
# columns compete for one place in the caches (1024 x 256). With AVX2 only, tiles do up to 130 and sgemm up to 131:
# tiles are 1.2 to 12 times faster below 64 columns, and level with it or a little slower above.
FEW_COLUMNS, FEW_DOTS, FEW_OUTER_COLUMNS = 64, 256, 256
FEW_ON_SAME_LINES, FEW_DOTS_ON_SAME_LINES, FEW_OUTER_ON_SAME_LINES = 32, 64, 16
FEW_OF_SHORT, SHORT_DOTS, NARROW = 4, 128, 32
SMALL_MATRIX, SMALL_OUTER_MATRIX = 1 << 16, 1 << 17


@cached_njit
def unit(lead: int) -> int:
    """1, the distance of rows. It is computed because LLVM would compile all tiles once more for a constant."""
    return min(1, lead)


@cached_njit
def product_add(
    blas_address: Any,
    m: Any,
    n: Any,
    k: Any,
    a_address: Any,
    lda: Any,
    x_address: Any,
    ldx: Any,
    y_address: Any,
    ldy: Any,
) -> Any:
    """Y (m x n) += A (m x k) X (k x n); `blas_address` is that of sgemm."""
    few = FEW_ON_SAME_LINES if same_cache_lines(lda) else FEW_COLUMNS
    if n <= FEW_OF_SHORT or (m >= LANES and (n <= few or m * k <= SMALL_MATRIX)):
        multiply_add(m, n, k, a_address, lda, x_address, unit(ldx), ldx, y_address, ldy)
    else:
        sgemm(blas_address, 0, 0, m, n, k, _ONE, a_address, lda, x_address, ldx, _ONE, y_address, ldy)


@cached_njit
def product_transposed_add(
    blas_address: Any,
    m: Any,
    n: Any,
    k: Any,
    a_address: Any,
    lda: Any,
    x_address: Any,
    ldx: Any,
    y_address: Any,
    ldy: Any,
) -> Any:
    """Y (k x n) += A^T X with A (m x k), X (m x n)."""
    few = FEW_DOTS_ON_SAME_LINES if m <= SHORT_DOTS or same_cache_lines(lda) else FEW_DOTS
    if n <= FEW_OF_SHORT or (m >= LANES and (n <= few or k <= NARROW)):
        dots_add(m, n, k, a_address, lda, x_address, ldx, y_address, ldy)
    else:
        sgemm(blas_address, 1, 0, k, n, m, _ONE, a_address, lda, x_address, ldx, _ONE, y_address, ldy)


@cached_njit
def outer_add(
    blas_address: Any,
    m: Any,
    n: Any,
    k: Any,
    dy_address: Any,
    lddy: Any,
    x_address: Any,
    ldx: Any,
    da_address: Any,
    ldda: Any,
) -> Any:
    """dA (m x k) += dY (m x n) X^T with X (k x n)."""
    few = FEW_OUTER_ON_SAME_LINES if same_cache_lines(lddy) else FEW_OUTER_COLUMNS
    if m >= LANES and (n <= few or m * k <= SMALL_OUTER_MATRIX):
        multiply_add(m, k, n, dy_address, lddy, x_address, ldx, unit(ldx), da_address, ldda)
    else:
        sgemm(blas_address, 0, 1, m, k, n, _ONE, dy_address, lddy, x_address, ldx, _ONE, da_address, ldda)
