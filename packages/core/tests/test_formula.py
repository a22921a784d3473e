"""Formulas accept what every backend can compile, and say what is wrong with the rest."""

from __future__ import annotations

import math

import numpy as np
import pytest

import weft_core as dy
from weft_core.errors import FormulaError
from weft_core.formula import assignments, check_names, digamma, names, numpy_function, parse


def test_names_in_order_of_appearance_without_functions() -> None:
    assert names("tanh(b) + a * b if c > 0 else d") == ["b", "a", "c", "d"]


def test_conditionals_compute_both_sides() -> None:
    (y,) = numpy_function(("x",), "y = x if x > 0 else -2 * x", ("y",))(np.array([-1.0, 3.0]))
    assert y.tolist() == [2.0, 3.0]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("x +", "is not an expression"),
        ("open('f')", "calls 'open'"),
        ("x.real", "uses Attribute"),
        ("[x]", "uses List"),
        ("x + 'a'", "holds the constant 'a'"),
        ("lambda: x", "uses Lambda"),
    ],
)
def test_what_no_backend_can_compile_is_refused(text: str, sentence: str) -> None:
    with pytest.raises(FormulaError, match=sentence):
        parse(text)


def test_programs_are_assignments_of_known_names() -> None:
    assert assignments("a = x\nb = a * a") == [("a", "x"), ("b", "a * a")]
    with pytest.raises(FormulaError, match="reads `name = formula`"):
        assignments("x * x")
    with pytest.raises(FormulaError, match="uses 'z'; known names here: a, x"):
        check_names("a = x\nb = z", ("x",))


def test_elementwise_and_gated_definitions_are_checked() -> None:
    with pytest.raises(FormulaError, match="give d<operand>="):
        dy.elementwise("test_no_derivative", "x * 2")
    with pytest.raises(FormulaError, match="uses 'q'"):
        dy.elementwise("test_unknown_name", "x * q", dx="dy")
    with pytest.raises(FormulaError, match="uses 'w'"):
        dy.gated("test_gated_unknown", gates="a", results="h", forward="h = tanh(a)", backward="da = dh * w")
    with pytest.raises(dy.WeftError, match="exists already"):
        dy.elementwise("tanh", "x", dx="dy")


def test_digamma_is_the_derivative_of_lgamma() -> None:
    for x in (0.3, 1.0, 2.5, 7.9, 20.0, -0.5, -3.2):
        numeric = (math.lgamma(x + 1e-6) - math.lgamma(x - 1e-6)) / 2e-6
        assert digamma(x) == pytest.approx(numeric, rel=1e-6)
    assert math.isnan(digamma(-2.0))


def test_settings_and_scalars_of_an_elementwise_operation() -> None:
    dy.init(backend="numpy")
    bent = dy.elementwise("test_bent", "c * x / (1 + k * abs(x))", scalars=("c",), dx="dy * c", k=1.0)
    x = dy.inputVector([1.0, -3.0])
    assert bent(x, 2.0).value() == [1.0, -1.5]
    assert bent(x, c=2.0, k=0.0).value() == [2.0, -6.0]
    with pytest.raises(TypeError, match="misses c"):
        bent(x)
    with pytest.raises(TypeError, match="takes"):
        bent(x, 1.0, wrong=3.0)
