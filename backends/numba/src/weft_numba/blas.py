"""Matrix products on raw addresses: BLAS through SciPy's exported pointers, own loops for single columns.

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
from .pointers import floats, intrinsic

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


_ZERO, _ONE = np.float32(0.0), np.float32(1.0)
_loop = cached_njit(fastmath={"contract", "nsz", "reassoc", "arcp"})


@_loop
def gemv_add(rows: Any, columns: Any, a_address: Any, lda: Any, x_address: Any, y_address: Any) -> Any:
    """y += A x. Four columns are taken together, so that y is read and written once for four."""
    x, y = floats(x_address), floats(y_address)
    whole = columns // 4 * 4
    for j in range(0, whole, 4):
        a0, a1 = floats(a_address + 4 * j * lda), floats(a_address + 4 * (j + 1) * lda)
        a2, a3 = floats(a_address + 4 * (j + 2) * lda), floats(a_address + 4 * (j + 3) * lda)
        x0, x1, x2, x3 = x[j], x[j + 1], x[j + 2], x[j + 3]
        for i in range(rows):
            y[i] += (a0[i] * x0 + a1[i] * x1) + (a2[i] * x2 + a3[i] * x3)
    for j in range(whole, columns):
        a0 = floats(a_address + 4 * j * lda)
        x0 = x[j]
        for i in range(rows):
            y[i] += a0[i] * x0


@_loop
def gemv_transposed_add(rows: Any, columns: Any, a_address: Any, lda: Any, x_address: Any, y_address: Any) -> Any:
    """y += A^T x: one dot product for each column, four at a time so that x is read once for four."""
    x, y = floats(x_address), floats(y_address)
    whole = columns // 4 * 4
    for j in range(0, whole, 4):
        a0, a1 = floats(a_address + 4 * j * lda), floats(a_address + 4 * (j + 1) * lda)
        a2, a3 = floats(a_address + 4 * (j + 2) * lda), floats(a_address + 4 * (j + 3) * lda)
        s0 = s1 = s2 = s3 = _ZERO
        for i in range(rows):
            s0 += a0[i] * x[i]
            s1 += a1[i] * x[i]
            s2 += a2[i] * x[i]
            s3 += a3[i] * x[i]
        y[j] += s0
        y[j + 1] += s1
        y[j + 2] += s2
        y[j + 3] += s3
    for j in range(whole, columns):
        a0 = floats(a_address + 4 * j * lda)
        s0 = _ZERO
        for i in range(rows):
            s0 += a0[i] * x[i]
        y[j] += s0


@_loop
def ger_add(rows: Any, columns: Any, a_address: Any, lda: Any, x_address: Any, y_address: Any) -> Any:
    """A += x y^T with x of `rows` and y of `columns` elements."""
    x, y = floats(x_address), floats(y_address)
    for j in range(columns):
        a = floats(a_address + 4 * j * lda)
        scale = y[j]
        for i in range(rows):
            a[i] += x[i] * scale


# Measured with OpenBLAS 0.3.31 on an AVX-512 processor, one thread, A from 32 x 100 to 7596 x 256, own loops
# against sgemm: with n = 1 they are 7 to 13 times faster, as sgemm packs A first; with n = 8 still 1 to 2.5
# times. A rank-1 update by own loops is 1.2 to 2.5 times faster (0.8 where A leaves the cache); from n = 2 on
# the two are level for small matrices, and sgemm wins for large ones.
PRODUCT_LOOPS_UP_TO = 8
OUTER_LOOPS_UP_TO = 1


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
    if n <= PRODUCT_LOOPS_UP_TO:
        for j in range(n):
            gemv_add(m, k, a_address, lda, x_address + 4 * j * ldx, y_address + 4 * j * ldy)
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
    if n <= PRODUCT_LOOPS_UP_TO:
        for j in range(n):
            gemv_transposed_add(m, k, a_address, lda, x_address + 4 * j * ldx, y_address + 4 * j * ldy)
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
    if n <= OUTER_LOOPS_UP_TO:
        for j in range(n):
            ger_add(m, k, da_address, ldda, dy_address + 4 * j * lddy, x_address + 4 * j * ldx)
    else:
        sgemm(blas_address, 0, 1, m, k, n, _ONE, dy_address, lddy, x_address, ldx, _ONE, da_address, ldda)
