"""Formulas as Triton source: its text, and what it computes, against the NumPy meaning of each formula."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from weft_core.formula import numpy_function
from weft_triton.formulas import Source

Answers = Callable[[str, list[dict[str, Any]]], list[Any]]

RENDERED = [
    ("x * y + 1", "v_x * v_y + 1.0"),
    ("x ** 2 + y ** 3", "v_x * v_x + v_y * v_y * v_y"),
    ("x ** y", "pow_(v_x, v_y)"),
    ("x ** 0.5", "pow_(v_x, tl.full([], 0.5, tl.float32))"),
    ("exp(x)", "tl.exp(v_x)"),
    ("tanh(x)", "tanh_(v_x)"),
    ("maximum(x, 0)", "tl.maximum(v_x, 0.0, propagate_nan=tl.PropagateNan.ALL)"),
    ("x if x > 0 else 0", "tl.where(v_x > 0.0, v_x, 0.0)"),
    ("x if y else 0", "tl.where(v_y != 0.0, v_x, 0.0)"),
    ("x if 0 < x < y or y == 1 else 0", "tl.where((0.0 < v_x) & (v_x < v_y) | (v_y == 1.0), v_x, 0.0)"),
    ("x if x > 0 and y else 0", "tl.where((v_x > 0.0) & (v_y != 0.0), v_x, 0.0)"),
    ("+x - -y", "v_x - -v_y"),
    ("x * sqrt(2 / 8)", "v_x * 0.5"),
    ("x if 2 > 1 else y", "v_x"),
    ("2 > 1", "1.0"),
    ("0", "0.0"),
    ("x + 1e-60", "v_x + 0.0"),
    ("x + 1e60", "v_x + 1e309"),
]


@pytest.mark.parametrize(("formula", "text"), RENDERED)
def test_text(formula: str, text: str) -> None:
    assert Source().expression(formula) == text


def test_a_program_is_a_line_for_each_assignment_and_imports_what_it_calls() -> None:
    source = Source()
    assert source.lines("a = tanh(x)\nb = a * expm1(x) + exp(x)", "    ") == [
        "    v_a = tanh_(v_x)",
        "    v_b = v_a * expm1_(v_x) + tl.exp(v_x)",
    ]
    assert source.header() == "from weft_triton.mathematics import (\n    expm1 as expm1_,\n    tanh as tanh_,\n)\n"


def test_a_program_that_calls_nothing_imports_nothing() -> None:
    source = Source()
    source.expression("exp(x) + 1")
    assert source.header() == ""


# In float32 alone; -1 to 2 in steps that hit 0 and 1, NaN and infinities among them.
COMPUTED = [
    "x * y - x / (1 + y * y)",
    "x ** 2 - y ** 3",
    "-x + +y",
    "(x > 0) * y",
    "x if x > 0 else y",
    "x if y else 3",
    "1 if 0 < x < y <= 1 else -1",
    "1 if x > 0 and y > 0 or y == -1 else 0",
    "1 if (x > 0 or y > 0) and x != y else 0",
    "x if x > 0 and 1 else 0",
    "(1 if x >= y else 2) if x == x else 4",
    "maximum(x, y)",
    "minimum(x, y)",
    "maximum(0, minimum(x, 1))",
    "log(maximum(x, 1.17549435e-38))",
    "minimum(maximum(x, -3.4028235e38), 3.4028235e38)",
    "where(x > 1e-40, 1e-40, 2e-42) * 1e38",
    "minimum(x, 1e60)",
    "1 / 3",
]
AXIS = np.array([-1, -0.75, -0.5, 0, 0.25, 1, 1.5, 2, np.nan, np.inf, -np.inf, 1e-30], np.float32)
X, Y = (np.resize(a.ravel(), 256) for a in np.meshgrid(AXIS, AXIS))


@pytest.fixture(scope="module")
def request_of_all() -> dict[str, Any]:
    source = Source()
    rows = source.lines("\n".join(f"r{k} = {formula}" for k, formula in enumerate(COMPUTED)), "    ")
    lines = [
        "@triton.jit",
        "def kernel(x, y, N: tl.constexpr):",
        "    i = tl.arange(0, N)",
        "    x = x.to(tl.pointer_type(tl.float32)) + i",
        "    y = y.to(tl.pointer_type(tl.float32)) + i",
        "    v_x = tl.load(x)",
        "    v_y = tl.load(x + N)",
        *rows,
        *(f"    tl.store(y + {k} * N, v_r{k})" for k in range(len(COMPUTED))),
    ]
    return {
        "text": source.header() + "\n".join(lines) + "\n",
        "x": [*X.tolist(), *Y.tolist()], "type": "float32", "size": 256 * len(COMPUTED), "N": 256,
    }  # fmt: skip


@pytest.fixture(scope="module")
def computed(kernel_answers: Answers, request_of_all: dict[str, Any]) -> NDArray[np.float64]:
    return np.array(kernel_answers("interpreted", [request_of_all])[0]).reshape(-1, 256)


@pytest.mark.parametrize("place", range(len(COMPUTED)), ids=COMPUTED)
def test_numbers(computed: NDArray[np.float64], place: int) -> None:
    # One element at a time: the reference of `and` and of chains is that of Python.
    function = numpy_function(("x", "y"), f"r = {COMPUTED[place]}", ("r",))
    with np.errstate(all="ignore"):
        wanted = [float(function(np.float64(x), np.float64(y))[0]) for x, y in zip(X, Y, strict=True)]
        # What overflows float32 is infinite in it.
        np.testing.assert_allclose(computed[place], np.array(wanted).astype(np.float32), rtol=1e-6, atol=1e-6)


def test_nothing_is_widened_to_float64(kernel_answers: Answers, request_of_all: dict[str, Any]) -> None:
    (resources,) = kernel_answers("resources", [request_of_all])
    for capability in ("80", "90"):
        assert not resources[capability]["doubles"]
        assert resources[capability]["spills"] == 0
