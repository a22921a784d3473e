"""Functions of formulas on the device against their NumPy meaning in float64."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from weft_core.formula import FUNCTIONS, numpy_function
from weft_triton.formulas import Source

Answers = Callable[[str, list[dict[str, Any]]], list[Any]]
Doubles = NDArray[np.float64]

N = 512
INFINITY, NAN = math.inf, math.nan

# Where each function of one argument is tested.
DOMAINS: dict[str, tuple[float, float]] = {
    "abs": (-3, 3),
    "acos": (-1, 1),
    "acosh": (1, 1e4),
    "asin": (-1, 1),
    "asinh": (-1e4, 1e4),
    "atan": (-50, 50),
    "atanh": (-1, 1),
    "ceil": (-5, 5),
    "cos": (-1e4, 1e4),
    "cosh": (-20, 20),
    "digamma": (-10.01, 40),
    "erf": (-5, 5),
    "exp": (-100, 20),
    "expm1": (-20, 20),
    "floor": (-5, 5),
    "lgamma": (-10.01, 40),
    "log": (1e-3, 1e4),
    "log1p": (-0.999, 100),
    "logistic": (-100, 100),
    "round_half_away": (-4, 4),
    "sign": (-2, 2),
    "sin": (-1e4, 1e4),
    "sinh": (-20, 20),
    "sqrt": (0, 1e4),
    "tan": (-20, 20),
    "tanh": (-20, 20),
}
OF_SEVERAL = {"maximum", "minimum", "where"}
# Where the reference raises, and what the function is there.
RAISES: dict[str, tuple[Callable[[Doubles], NDArray[np.bool]], float]] = {
    "digamma": (lambda x: x == -INFINITY, NAN),
    "lgamma": (lambda x: (x <= 0) & (x == np.floor(x)), INFINITY),
}
# Borders, halves of integers, and numbers near zero, where a difference of large terms would have no digits left.
SPECIAL = [
    NAN, INFINITY, -INFINITY, 0.0, 1.0, -1.0, 2.0, -2.0, -3.0, 0.5, -0.5, 1.5, -1.5, 2.5, 0.49999997, -0.49999997,
    1e-6, -1e-6, 1e-4, -1e-4, 0.01, -0.01, 0.05, -0.05, 0.08, -0.08, 0.14, -0.14, 0.16, -0.16, 0.3, -0.3, 0.6, -0.6,
    30.0, -30.0, 88.0, -88.0, 1e6, -1e6, 1e30, -1e30,
]  # fmt: skip
# They grow without bound near zero, or wrap: only the numbers of their domain count.
NOT_HUGE = {"cos", "sin", "tan"}
# Whose value is near zero there with all its digits.
THROUGH_ZERO = ["asin", "atan", "erf", "expm1", "log1p", "sin", "sinh", "tan", "tanh"]


def inputs(name: str) -> NDArray[np.float32]:
    low, high = DOMAINS[name]
    special = [v for v in SPECIAL if name not in NOT_HUGE or not 1e5 < abs(v) < INFINITY]
    return np.array([*special, *np.linspace(low, high, N - len(special))], np.float32)


def reference(name: str, x: NDArray[np.float32]) -> Doubles:
    wide = x.astype(np.float64)
    where, value = RAISES.get(name, (np.isnan, NAN))
    raises = where(wide)
    function = numpy_function(("x",), f"y = {name}(x)", ("y",))
    with np.errstate(all="ignore"):
        y: Doubles = function(np.where(raises, 0.7, wide))[0]
        wanted = np.where(raises, value, y)
        # What overflows float32 is infinite in it.
        return np.where(np.isinf(wanted.astype(np.float32)), wanted.astype(np.float32), wanted)


@pytest.fixture(scope="module")
def request_of_all() -> dict[str, Any]:
    source = Source()
    lines = [
        "@triton.jit",
        "def kernel(x, y, N: tl.constexpr):",
        "    i = tl.arange(0, N)",
        "    x = x.to(tl.pointer_type(tl.float32)) + i",
        "    y = y.to(tl.pointer_type(tl.float32)) + i",
    ]
    for k, name in enumerate(DOMAINS):
        lines += [f"    v_x = tl.load(x + {k} * N)", f"    tl.store(y + {k} * N, {source.expression(name + '(x)')})"]
    return {
        "text": source.header() + "\n".join(lines) + "\n",
        "x": np.concatenate([inputs(name) for name in DOMAINS]).tolist(),
        "type": "float32", "size": N * len(DOMAINS), "N": N,
    }  # fmt: skip


@pytest.fixture(scope="module")
def computed(kernel_answers: Answers, request_of_all: dict[str, Any]) -> dict[str, Doubles]:
    (values,) = kernel_answers("interpreted", [request_of_all])
    return dict(zip(DOMAINS, np.array(values).reshape(-1, N), strict=True))


def test_every_function_is_tested() -> None:
    assert DOMAINS.keys() | OF_SEVERAL == FUNCTIONS.keys()


@pytest.mark.parametrize("name", DOMAINS)
def test_numbers_and_borders(computed: dict[str, Doubles], name: str) -> None:
    x = inputs(name)
    wanted = reference(name, x)
    finite = np.isfinite(wanted)
    np.testing.assert_array_equal(computed[name][~finite], wanted[~finite], err_msg=f"at {x[~finite]}")
    error = np.abs(computed[name][finite] - wanted[finite]) / np.maximum(1, np.abs(wanted[finite]))
    assert error.max() < 1.5e-6, (x[finite][error.argmax()], error.max())


@pytest.mark.parametrize("name", THROUGH_ZERO)
def test_digits_near_zero(computed: dict[str, Doubles], name: str) -> None:
    x = inputs(name)
    near = (x != 0) & (np.abs(x) < 0.7)
    np.testing.assert_allclose(computed[name][near], reference(name, x)[near], rtol=3e-6)


@pytest.mark.parametrize("name", ["digamma", "lgamma"])
def test_the_series_have_terms_enough(computed: dict[str, Doubles], name: str) -> None:
    x = inputs(name)
    here = (x > 0.7) & (x < 100)
    np.testing.assert_allclose(computed[name][here], reference(name, x)[here], rtol=1e-7, atol=5e-8)


@pytest.mark.parametrize("name", ["abs", "ceil", "floor", "round_half_away", "sign"])
def test_whole_numbers_are_exact(computed: dict[str, Doubles], name: str) -> None:
    np.testing.assert_array_equal(computed[name], reference(name, inputs(name)))


def test_compiled_functions_keep_to_registers(kernel_answers: Answers, request_of_all: dict[str, Any]) -> None:
    """No stack: Triton's own sine and cosine have one, for arguments that nobody has."""
    (resources,) = kernel_answers("resources", [request_of_all | {"N": 128}])
    for capability in ("80", "90"):
        assert resources[capability]["spills"] == 0
        assert resources[capability]["registers"] <= 64


BASES = np.array([-3, -2, -1, -0.5, 0, 0.25, 0.5, 1, 1.7, 2, 10, 1e-10, 1e10, INFINITY, -INFINITY, NAN], np.float32)
EXPONENTS = np.array([-3, -2, -1.5, -1, -0.5, 0, 0.3, 0.5, 1, 2, 2.5, 3, 8, INFINITY, -INFINITY, NAN], np.float32)


def test_powers(kernel_answers: Answers) -> None:
    source = Source()
    power = source.expression("x ** y")
    text = f"""{source.header()}

@triton.jit
def kernel(x, y, N: tl.constexpr):
    i = tl.arange(0, N)
    x = x.to(tl.pointer_type(tl.float32)) + i
    v_x, v_y = tl.load(x), tl.load(x + N)
    tl.store(y.to(tl.pointer_type(tl.float32)) + i, {power})
"""
    bases, exponents = (a.ravel() for a in np.meshgrid(BASES, EXPONENTS))
    request = {"text": text, "x": [*bases.tolist(), *exponents.tolist()], "type": "float32", "size": 256, "N": 256}
    (values,) = kernel_answers("interpreted", [request])
    with np.errstate(all="ignore"):
        wanted = (bases.astype(np.float64) ** exponents.astype(np.float64)).astype(np.float32)
    np.testing.assert_allclose(values, wanted, rtol=2e-6, atol=1e-30)
