"""Graphs that compute and check each instruction as it is recorded, and the line that an error names."""

import inspect
from collections.abc import Iterator

import numpy as np
import pytest

import weft_core as w


@pytest.fixture(autouse=True)
def fresh_graph() -> Iterator[None]:
    w.renew_cg()
    yield
    w.renew_cg()


def here() -> int:
    """The caller's line."""
    frame = inspect.currentframe()
    assert frame is not None and frame.f_back is not None
    return frame.f_back.f_lineno


def test_immediate_compute_computes_before_the_next_instruction() -> None:
    graph = w.renew_cg(immediate_compute=True)
    x = w.inputVector([1.0, 2.0])
    y = x + 1
    assert graph.execution.value(x.index, x.shape).tolist() == [1, 2]
    z = y * 2
    assert graph.execution.value(y.index, y.shape).tolist() == [2, 3]
    assert z.value() == [4, 6]


def test_values_and_gradients_are_those_of_a_lazy_graph() -> None:
    m = w.ParameterCollection()
    weights, table = (
        m.parameters_from_numpy(np.eye(3) / 2),
        m.lookup_parameters_from_numpy(np.arange(6.0).reshape(2, 3)),
    )

    def loss() -> w.Expression:
        h = w.tanh(weights * table[1] + w.inputVector([1, 0, -1]))
        return w.pickneglogsoftmax(h, 2) + w.squared_norm(h)

    plain = loss()
    plain.backward()
    expected = plain.value(), weights.grad_as_array(), table.grad_as_array()
    weights.scale_gradient(0)
    table.scale_gradient(0)
    w.renew_cg(True, True)
    checked = loss()
    checked.backward()
    assert checked.value() == pytest.approx(expected[0], rel=1e-6)
    np.testing.assert_allclose(weights.grad_as_array(), expected[1], rtol=1e-6)
    np.testing.assert_allclose(table.grad_as_array(), expected[2], rtol=1e-6)


def test_an_undefined_value_names_operation_and_line() -> None:
    w.renew_cg(check_validity=True)
    x = w.inputVector([1.0, -1.0])
    y, line = w.log(x), here()
    with pytest.raises(w.InvalidValue, match=f"NaN or Inf detected in the value .2. of log.*test_checked.py:{line}: "):
        w.exp(y)


def test_the_last_instruction_is_checked_when_its_value_is_asked_for() -> None:
    w.renew_cg(check_validity=True)
    y = w.scalarInput(1.0) / w.scalarInput(0.0)
    with pytest.raises(RuntimeError, match=r"NaN or Inf detected in the value .1. of cdiv"):
        y.value()


def test_an_input_that_was_set_is_checked_again() -> None:
    w.renew_cg(check_validity=True)
    x = w.scalarInput(4.0)
    y = w.sqrt(x)
    assert y.value() == 2
    x.set(-4.0)
    with pytest.raises(w.InvalidValue, match="sqrt"):
        y.value()


def test_without_check_validity_undefined_values_pass() -> None:
    w.renew_cg(immediate_compute=True)
    assert np.isnan(w.exp(w.log(w.scalarInput(-1.0))).value())


def test_sequences_checkpoints_and_stale_expressions() -> None:
    graph = w.renew_cg(immediate_compute=True)
    x = w.scalarInput(1.0)
    graph.checkpoint()
    y = x + 1
    graph.revert()
    with pytest.raises(w.StaleExpression):
        y.value()
    assert (x + 2).value() == 3
    w.renew_cg()
    with pytest.raises(w.StaleExpression):
        x + 1


def test_an_error_names_the_line_of_the_program() -> None:
    x = w.inputVector([1, 2])
    with pytest.raises(w.ShapeError) as caught:
        line = here() + 1
        w.concatenate_cols([x, w.inputVector([1, 2, 3])])
    (note,) = caught.value.__notes__
    assert note.endswith(f"test_checked.py:{line}: w.concatenate_cols([x, w.inputVector([1, 2, 3])])")


def test_what_is_no_expression_is_refused_with_the_line() -> None:
    with pytest.raises(TypeError, match="tanh: operands must be expressions, got NoneType") as caught:
        w.tanh(None)  # type: ignore[arg-type]
    assert "test_checked.py" in caught.value.__notes__[0]
