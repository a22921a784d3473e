"""The native ground of the CPU backend: memory, BLAS, mathematics, random numbers, the kernel cache."""

from __future__ import annotations

import ctypes
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import special

from weft_core import philox as philox_reference
from weft_numba import blas, cache, mathematics, philox
from weft_numba.pointers import (
    KERNEL,
    bits_to_float,
    bytes_at,
    call_kernel,
    compile_kernel,
    copy_floats,
    doubles,
    float_to_bits,
    floats,
    integers,
    zero_floats,
)

Floats = NDArray[np.float32]
KernelFunction = ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * 3)


def address(array: NDArray[Any]) -> int:
    return int(array.ctypes.data)


def run_kernel(kernel: int, job: int, start: int = 0, count: int = 0) -> None:
    KernelFunction(kernel)(job, start, count)


# --- memory ---------------------------------------------------------------------------------------


def double_floats(job, start, count):
    x = floats(job)
    for i in range(start, start + count):
        x[i] *= np.float32(2.0)


def call_another(job, start, count):
    arguments = integers(job)
    call_kernel(arguments[0], arguments[1], start, count)


def divide_by_zero(job, start, count):
    x = floats(job)
    x[2] = x[0] / x[1]


@cache.cached_njit
def read_all_kinds(float_address, integer_address, double_address, byte_address, i):
    single, double = floats(float_address)[i], doubles(double_address)[i]
    return single, integers(integer_address)[i], double, bytes_at(byte_address)[i]


@cache.cached_njit
def cast_there_and_back(value):
    bits = float_to_bits(value)
    return bits, bits_to_float(bits)


@cache.cached_njit
def copy_and_zero(dst, src, n):
    copy_floats(dst, src, n)
    zero_floats(src, n)


def test_typed_pointers_read_at_negative_indices_without_wrapping() -> None:
    arrays = [np.arange(1, 4).astype(t) for t in (np.float32, np.int64, np.float64, np.uint8)]
    ends = [address(a) + a.nbytes for a in arrays]
    assert read_all_kinds(*ends, -1) == (3.0, 3, 3.0, 3)
    assert read_all_kinds(*ends, -3) == (1.0, 1, 1.0, 1)


def test_kernel_calls_kernel_through_its_address() -> None:
    x = np.arange(6, dtype=np.float32)
    job = np.array([compile_kernel(double_floats), address(x)])
    run_kernel(compile_kernel(call_another), address(job), 1, 3)
    assert x.tolist() == [0, 2, 4, 6, 4, 5]


def test_division_by_zero_in_a_kernel_is_infinity() -> None:
    x = np.array([1, 0, 7], np.float32)
    run_kernel(compile_kernel(divide_by_zero), address(x))
    assert x[2] == np.inf


@pytest.mark.parametrize("value", [0.0, -0.0, 1.5, -np.inf, 1e-45])
def test_bit_casts(value: float) -> None:
    bits, back = cast_there_and_back(np.float32(value))
    assert bits == np.float32(value).view(np.int32)
    assert np.float32(back).view(np.int32) == bits


def test_copy_and_zero_touch_exactly_n_floats() -> None:
    source, target = np.arange(1, 11, dtype=np.float32), np.full(10, -1, np.float32)
    copy_and_zero(address(target), address(source), 7)
    assert target.tolist() == [1, 2, 3, 4, 5, 6, 7, -1, -1, -1]
    assert source.tolist() == [0, 0, 0, 0, 0, 0, 0, 8, 9, 10]


# --- matrix products ------------------------------------------------------------------------------


def random_matrix(rows: int, columns: int, seed: int) -> Floats:
    return np.asfortranarray(np.random.default_rng(seed).standard_normal((rows, columns)), np.float32)


SIZES = [(1, 1, 1), (5, 1, 3), (7, 3, 9), (33, 8, 17), (33, 9, 18), (64, 20, 4), (3, 2, 0)]


@pytest.mark.parametrize(("m", "n", "k"), SIZES)
def test_products_accumulate(m: int, n: int, k: int) -> None:
    sgemm = blas.blas_address("sgemm")
    a, x, y = random_matrix(m, k, 0), random_matrix(k, n, 1), random_matrix(m, n, 2)
    # Leading dimensions larger than the matrices: rows beyond them must stay as they are.
    shapes = [(v.shape[0] + 2, v.shape[1]) for v in (a, x, y)]
    wide_a, wide_x, wide_y = (np.full(shape, 9, np.float32, order="F") for shape in shapes)
    for wide, narrow in ((wide_a, a), (wide_x, x), (wide_y, y)):
        wide[: narrow.shape[0]] = narrow

    def leading(wide: Floats) -> tuple[int, int]:
        return address(wide), wide.shape[0]

    blas.product_add(sgemm, m, n, k, *leading(wide_a), *leading(wide_x), *leading(wide_y))
    np.testing.assert_allclose(wide_y[:m], y + a @ x, rtol=1e-4, atol=1e-4)
    blas.product_transposed_add(sgemm, m, n, k, *leading(wide_a), *leading(wide_y), *leading(wide_x))
    np.testing.assert_allclose(wide_x[:k], x + a.T @ wide_y[:m], rtol=1e-4, atol=1e-4)
    blas.outer_add(sgemm, m, n, k, *leading(wide_y), *leading(wide_x), *leading(wide_a))
    np.testing.assert_allclose(wide_a[:m], a + wide_y[:m] @ wide_x[:k].T, rtol=1e-4, atol=1e-4)
    assert all((wide[-2:] == 9).all() for wide in (wide_a, wide_x, wide_y))


HALF, ZERO = np.float32(0.5), np.float32(0.0)


@cache.cached_njit
def many_small_products(sgemm_address, count, a, x, y):
    for _ in range(count):
        blas.sgemm(sgemm_address, 0, 1, 2, 2, 2, HALF, a, 2, x, 2, ZERO, y, 2)


def test_blas_in_a_loop_does_not_grow_the_stack() -> None:
    a, x, y = random_matrix(2, 2, 0), random_matrix(2, 2, 1), random_matrix(2, 2, 2)
    # 13 stack slots a call: a million calls would take more than the usual 8 MB of stack.
    many_small_products(blas.blas_address("sgemm"), 1_000_000, address(a), address(x), address(y))
    np.testing.assert_allclose(y, 0.5 * a @ x.T, rtol=1e-5)


def test_blas_threads_are_limited() -> None:
    blas.limit_threads(2)
    assert 2 in {library["threads"] for library in blas.blas_info()}
    blas.limit_threads(1)
    assert 1 in {library["threads"] for library in blas.blas_info()}


# --- mathematics ----------------------------------------------------------------------------------


def logistic64(x: NDArray[np.float64]) -> NDArray[np.float64]:
    decayed = np.exp(-np.abs(x))
    return np.where(x < 0, decayed, 1) / (1 + decayed)


REFERENCES: dict[str, tuple[Callable[[NDArray[np.float64]], NDArray[np.float64]], float]] = {
    "exp": (np.exp, 2),
    "log": (np.log, 2),
    "tanh": (np.tanh, 2),
    "logistic": (logistic64, 2),
    "expm1": (np.expm1, 4),
    "log1p": (np.log1p, 4),
    "erf": (special.erf, 4),
    "sqrt": (np.sqrt, 0.51),
    "abs": (np.abs, 0),
    "sign": (np.sign, 0),
    "floor": (np.floor, 0),
    "ceil": (np.ceil, 0),
    "round_half_away": (lambda x: np.copysign(np.floor(np.abs(x) + 0.5), x), 0),
    "sin": (np.sin, 1),
    "cos": (np.cos, 1),
    "tan": (np.tan, 1),
    "asin": (np.arcsin, 1),
    "acos": (np.arccos, 1),
    "atan": (np.arctan, 1),
    "sinh": (np.sinh, 1),
    "cosh": (np.cosh, 1),
    "asinh": (np.arcsinh, 1),
    "acosh": (np.arccosh, 1),
    "atanh": (np.arctanh, 1),
    "lgamma": (special.gammaln, 1),
    "digamma": (special.digamma, 1),
}
NAMED = ["minimum", "maximum", "where", "pow"]
LIMITS = [1e-45, -1e-45, 3.4e38, -3.4e38, 88.73, -103.97, -104.1]
SPECIAL = [0.0, -0.0, np.inf, -np.inf, np.nan, 1, -1, 0.5, -2.5, *LIMITS]


def apply_formula(name: str, *operands: Floats) -> Floats:
    arguments = ", ".join(f"x{i}[i]" for i in range(len(operands)))
    lines = [f"    x{i} = floats(addresses[{i + 1}])" for i in range(len(operands))]
    source = "\n".join([
        "from weft_numba.mathematics import FORMULA_FUNCTIONS",
        "from weft_numba.pointers import floats, integers",
        f"function = FORMULA_FUNCTIONS[{name!r}]",
        "def kernel(job, start, count):",
        "    addresses = integers(job)",
        "    y = floats(addresses[0])",
        *lines,
        "    for i in range(start, start + count):",
        f"        y[i] = function({arguments})",
        "",
    ])  # fmt: skip
    module = cache.write_module(f"formula_{name}", source)
    y = np.empty_like(operands[0])
    job = np.array([address(a) for a in (y, *operands)])
    run_kernel(compile_kernel(module.kernel), address(job), 0, len(y))
    return y


def dense_samples(count: int) -> Floats:
    random = np.random.default_rng(3)
    every_exponent = random.integers(0, 2**32, count, dtype=np.uint64).astype(np.uint32).view(np.float32)
    intervals = [random.uniform(-s, s, count).astype(np.float32) for s in (0.05, 0.7, 2, 10, 110)]
    near_one = (1 + random.uniform(-0.4, 0.4, count)).astype(np.float32)
    return np.concatenate([every_exponent, *intervals, near_one, np.array(SPECIAL, np.float32)])


def test_every_formula_function_is_tested() -> None:
    assert sorted([*REFERENCES, *NAMED]) == sorted(mathematics.FORMULA_FUNCTIONS)


@pytest.mark.parametrize("name", REFERENCES)
def test_error_in_ulp(name: str) -> None:
    reference, bound = REFERENCES[name]
    x = dense_samples(200_000 if bound > 1 else 5_000)
    if name == "lgamma":
        # C's lgamma(-infinity) is +infinity, SciPy's -infinity.
        x = x[x != -np.inf]
    y = apply_formula(name, x)
    with np.errstate(all="ignore"):
        exact = reference(x.astype(np.float64))
        rounded = exact.astype(np.float32)
        finite = np.isfinite(rounded) & np.isfinite(y)
        ulp = np.abs(y - exact)[finite] / np.spacing(np.abs(rounded[finite])).astype(np.float64)
        special_values = (y == rounded) | (np.isnan(y) & np.isnan(rounded))
    # Half an ulp is the rounding of any result; exact functions have none.
    assert ulp.max() <= bound, x[finite][ulp.argmax()]
    assert special_values[~finite].all(), x[~finite][~special_values[~finite]][:5]
    zeros = x == 0
    if name not in ("abs", "digamma"):
        assert (np.signbit(y[zeros]) == np.signbit(rounded[zeros])).all() or name == "sign"


def test_functions_of_several_operands() -> None:
    x = np.array([1, 2, np.nan, 3, 0, -2], np.float32)
    y = np.array([2, 1, 1, np.nan, 5, 3], np.float32)
    np.testing.assert_array_equal(apply_formula("minimum", x, y), np.minimum(x, y))
    np.testing.assert_array_equal(apply_formula("maximum", x, y), np.maximum(x, y))
    np.testing.assert_array_equal(apply_formula("where", x, y, -y), np.where(x != 0, y, -y))
    np.testing.assert_allclose(apply_formula("pow", x, y), np.power(x, y), rtol=1e-6)


VECTORISED = ["exp", "log", "tanh", "logistic", "expm1", "log1p", "erf", "sqrt", "floor"]


# The sine of the C library shows that the search does not find vectors everywhere.
@pytest.mark.parametrize(("name", "vectorised"), [*((name, True) for name in VECTORISED), ("sin", False)])
def test_loop_works_on_vectors(name: str, vectorised: bool) -> None:
    source = (
        "from weft_numba.mathematics import FORMULA_FUNCTIONS\nfrom weft_numba.pointers import floats\n"
        f"function = FORMULA_FUNCTIONS[{name!r}]\n"
        "def kernel(job, start, count):\n    x = floats(start)\n    y = floats(job)\n"
        "    for i in range(count):\n        y[i] = function(x[i])\n"
    )
    module = cache.write_module(f"vector_{name}", source)
    # Compiled here and now: code from the cache cannot be inspected.
    compile_now = numba.cfunc(KERNEL, nopython=True, error_model="numpy", fastmath=set(cache.KERNEL_FASTMATH))
    kernel = compile_now(module.kernel)
    on_vectors = re.search(r"(f(mul|div|cmp)|call) [^\n]*<\d+ x float>", kernel._library.get_llvm_str())
    assert (on_vectors is not None) == vectorised


# --- random numbers -------------------------------------------------------------------------------

# Known answers distributed with Random123 (file kat_vectors, philox4x32 10): counter, key, result.
KNOWN_ANSWERS = [
    ([0, 0, 0, 0], [0, 0], [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]),
    ([0xFFFFFFFF] * 4, [0xFFFFFFFF] * 2, [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]),
    (
        [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344],
        [0xA4093822, 0x299F31D0],
        [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1],
    ),
]
STREAMS = [(0, 0, 0), (1, 2, 3), (2**63 + 12345, 7, 100_000), (5, 2**40 + 1, 3)]


@pytest.mark.parametrize(("counter", "key", "expected"), KNOWN_ANSWERS)
def test_philox_known_answers(counter: list[int], key: list[int], expected: list[int]) -> None:
    seed = key[0] | key[1] << 32
    words = [np.uint64(c) for c in counter]
    assert [int(w) for w in philox.philox_uint32(np.uint64(seed), *words)] == expected
    assert [int(w) for w in philox_reference.philox_uint32(seed, *words)] == expected


def filled(fill: Any, stream: tuple[int, int, int], n: int) -> Floats:
    seed, graph, node = stream
    numbers = np.full(n + 1, -7, np.float32)
    fill(np.uint64(seed), graph, node, n, address(numbers))
    assert numbers[n] == -7
    return numbers[:n]


@pytest.mark.parametrize("stream", STREAMS)
@pytest.mark.parametrize("n", [0, 1, 6, 1023])
def test_both_streams_are_one(stream: tuple[int, int, int], n: int) -> None:
    uniforms = philox_reference.uniform(*stream, n)
    np.testing.assert_array_equal(filled(philox.fill_uniform, stream, n), uniforms)
    normals = philox_reference.normal(*stream, n)
    np.testing.assert_allclose(filled(philox.fill_normal, stream, n), normals, rtol=1e-6, atol=1e-6)


def test_one_element_is_that_of_the_fill() -> None:
    for name in ("uniform", "normal"):
        whole = getattr(philox_reference, name)(11, 22, 33, 9)
        single = [getattr(philox, name)(11, 22, 33, element) for element in range(9)]
        np.testing.assert_allclose(single, whole, rtol=1e-6)


def test_signed_and_unsigned_seeds_give_one_stream() -> None:
    signed = np.empty(8, np.float32)
    philox.fill_uniform(-3, 1, 2, 8, address(signed))
    np.testing.assert_array_equal(signed, philox_reference.uniform(2**64 - 3, 1, 2, 8))


def test_moments_and_independence_of_streams() -> None:
    uniform, normal = philox_reference.uniform(1, 1, 1, 100_000), philox_reference.normal(1, 1, 2, 100_000)
    assert uniform.min() >= 0 and uniform.max() < 1
    assert abs(uniform.mean() - 0.5) < 0.005 and abs(uniform.var() - 1 / 12) < 0.002
    assert abs(normal.mean()) < 0.015 and abs(normal.var() - 1) < 0.03
    for other in ((2, 1, 1), (1, 2, 1), (1, 1, 2)):
        assert abs(np.corrcoef(uniform, philox_reference.uniform(*other, 100_000))[0, 1]) < 0.015


# --- the kernel cache -----------------------------------------------------------------------------

CACHE_PROGRAM = """
import sys, numpy as np
from numba.core import event
passes = event.RecordingListener()
event.register("numba:run_pass", passes)
from weft_numba import cache
from weft_numba.pointers import KERNEL
source = '''
import numpy as np
from weft_numba.cache import cached_njit
from weft_numba.mathematics import tanh
from weft_numba.pointers import floats
SCALE = np.float32({scale})
@cached_njit
def inner(x):
    return tanh(x) * SCALE
def kernel(job, start, count):
    x = floats(job)
    for i in range(start, start + count):
        x[i] = inner(x[i])
'''
module = cache.write_module("cached", source)
kernels = [cache.cached_cfunc(module.kernel, KERNEL)]
x = np.ones(4, np.float32)
kernels[0].ctypes(x.ctypes.data, 0, 4)
print(len(passes.buffer), sum(k.cache_hits for k in kernels), float(x[3]), cache.cache_folder())
"""


def start_process(environment: dict[str, str], scale: float = 2.0) -> subprocess.Popen[str]:
    inherited = {k: v for k, v in os.environ.items() if k != "NUMBA_CACHE_DIR"}
    inherited["PYTHONPATH"] = os.pathsep.join(sys.path)
    return subprocess.Popen(
        [sys.executable, "-c", CACHE_PROGRAM.replace("{scale}", str(scale))],
        env={**inherited, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen[str]) -> tuple[int, int, float, str, str]:
    output, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    passes, hits, value, folder = output.split(maxsplit=3)
    return int(passes), int(hits), float(value), folder.strip(), errors


def test_two_processes_fill_one_cache_and_a_third_compiles_nothing(tmp_path: Path) -> None:
    environment = {"NUMBA_CACHE_DIR": str(tmp_path)}
    first, second = (finish(p) for p in [start_process(environment), start_process(environment)])
    expected = 2 * float(np.tanh(np.float32(1)))
    assert first[2] == second[2] == pytest.approx(expected, rel=1e-6)
    passes, hits, value, folder, _ = finish(start_process(environment))
    assert passes == 0 and hits == 1 and folder == str(tmp_path)
    assert value == first[2]
    assert not list(tmp_path.rglob("*.tmp"))


def test_changed_source_is_compiled_anew(tmp_path: Path) -> None:
    environment = {"NUMBA_CACHE_DIR": str(tmp_path)}
    assert finish(start_process(environment))[1] == 0
    passes, hits, value, *_ = finish(start_process(environment, scale=3.0))
    assert passes > 0 and hits == 0 and value == pytest.approx(3 * np.tanh(1), rel=1e-6)


def test_damaged_cache_files_are_compiled_anew(tmp_path: Path) -> None:
    environment = {"NUMBA_CACHE_DIR": str(tmp_path)}
    good = finish(start_process(environment))
    for path in tmp_path.rglob("*.weft"):
        path.write_bytes(path.read_bytes()[:-10])
    passes, hits, value, *_ = finish(start_process(environment))
    assert passes > 0 and hits == 0 and value == good[2]


def test_unwritable_cache_folder_gives_one_warning_and_a_temporary_folder(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    passes, _, _, folder, errors = finish(start_process({"NUMBA_CACHE_DIR": str(blocked / "below")}))
    assert passes > 0
    assert errors.count("Weft cannot write its kernel cache") == 1
    assert folder != str(blocked / "below") and not Path(folder).exists()


@pytest.mark.skipif(sys.platform != "linux", reason="XDG_CACHE_HOME is the rule on Linux")
def test_without_numba_cache_dir_everything_is_in_the_user_cache(tmp_path: Path) -> None:
    *_, folder, _ = finish(start_process({"XDG_CACHE_HOME": str(tmp_path)}))
    assert Path(folder).parent == tmp_path / "weft"
    assert {p.suffix for p in tmp_path.rglob("*") if p.is_file()} >= {".py", ".weft"}


def make_kernel(factor):
    @cache.cached_njit
    def scaled(x):
        return x * factor

    return scaled


def test_functions_of_one_definition_do_not_share_a_cache_entry() -> None:
    assert [make_kernel(factor)(3) for factor in (2, 5, 2)] == [6, 15, 6]


def test_stamp_follows_called_functions(tmp_path: Path) -> None:
    def stamp(constant: int) -> str:
        module = cache.write_module(
            "callee",
            f"from weft_numba.cache import cached_njit\n@cached_njit\ndef f(x):\n    return x + {constant}\n",
        )
        names = {"f": module.f}
        exec("def caller(x):\n    return f(x)", names)
        return cache.source_stamp(names["caller"])

    assert stamp(1) == stamp(1)
    assert stamp(1) != stamp(2)


def test_generated_modules_are_identifiers_and_made_once() -> None:
    assert cache.write_module("same", "x = 1\n") is cache.write_module("same", "x = 1\n")
    with pytest.raises(ValueError, match="identifier"):
        cache.write_module("../escape", "x = 1\n")
