"""Cells: one instruction for a call, what is inside of it, and what is refused. Numerics are in the conformance kit."""

from __future__ import annotations

import numpy as np
import pytest

import weft_core as w
from weft_core import Cell, Expression, ParameterCollection, cell
from weft_core.cell import MAX_PROGRAMS
from weft_core.compound import inners
from weft_core.errors import WeftError
from weft_core.gated import Gated
from weft_core.graph import current
from weft_core.signature import COMPOUND, signatures


@pytest.fixture(autouse=True)
def new_graph() -> None:
    w.renew_cg()


def only_signature(c: Cell) -> object:
    ((template,),) = c.templates.values()
    return template.signature


def test_a_call_records_one_instruction_whatever_is_inside() -> None:
    W = ParameterCollection().add_parameters((4, 4))
    c = cell(lambda x, y: w.log_softmax(W * w.tanh(w.cmult(x, y) + x)) * 2.0)
    x, y = w.inputVector([1, 2, 3, 4]), w.inputVector([4, 3, 2, 1])
    c(x, y)
    before = len(current().code)
    result = c(x, y)
    recorded = current().code[before:]
    assert signatures[recorded[0]].length == len(recorded)
    assert result.index == before


def test_a_call_after_the_first_does_not_run_the_function() -> None:
    calls = []

    def function(x: Expression) -> Expression:
        calls.append(x.shape)
        return w.tanh(x)

    c = cell(function)
    small, large = w.inputVector([1, 2]), w.inputVector([1, 2, 3])
    for _ in range(5):
        c(small)
        c(large)
    assert calls == [small.shape] * 2 + [large.shape] * 2


def test_gates_products_and_slices_become_one_gated_operation() -> None:
    m = ParameterCollection()
    W, b, U = m.add_parameters((12, 8)), m.add_parameters(12), m.add_parameters((4, 4))

    def compose(left: Expression, memory: Expression, right: Expression) -> tuple[Expression, ...]:
        a = b + W * w.concatenate([left, right])
        i, o = w.logistic(a[:4]), w.logistic(a[4:8] + 1.0)
        c = w.cmult(i, w.tanh(a[8:])) + w.cmult(w.logistic(U * left), memory)
        return w.cmult(o, w.tanh(c)), c

    c = cell(compose)
    c(*[w.inputVector([1, 2, 3, 4])] * 3)
    signature = only_signature(c)
    operation = signature.operation
    assert isinstance(operation, Gated) and len(operation.gates) == 4
    # W reads two operands, left and right are not copied into one; U reads left.
    assert len(operation.layout(signature).products) == 3
    # The activations of the gates are kept; the others are computed again, tanh of c among them.
    assert operation.gradient_program.count("logistic") == 0
    assert operation.gradient_program.count("tanh") == 1


def test_what_cannot_be_fused_stays_an_inner_instruction() -> None:
    W = ParameterCollection().add_parameters((3, 4))
    c = cell(lambda x, tag: w.pickneglogsoftmax(W * w.tanh(w.square(x)), tag))
    c(w.inputVector([1, 2, 3, 4]), 2)
    signature = only_signature(c)
    assert signature.flags & COMPOUND
    names = [inner.signature.operation.name for inner in inners(signature)]
    assert names[1:] == ["softmax_loss"] and names[0].startswith("cell_")


def test_settings_that_change_numbers_only_share_the_instruction() -> None:
    W = ParameterCollection().add_parameters((3, 4))
    c = cell(lambda x, tag: w.pickneglogsoftmax(W * x, tag))
    x = w.inputVector([1, 2, 3, 4])
    losses = [c(x, tag) for tag in (0, 1, 2, 1)]
    assert len({current().code[loss.index] for loss in losses}) == 1
    scores = np.exp((W * x).npvalue())
    np.testing.assert_allclose([loss.value() for loss in losses], -np.log(scores / scores.sum())[[0, 1, 2, 1]], 1e-5)


def test_settings_that_change_the_structure_do_not() -> None:
    c = cell(lambda x, kind: w.tanh(x) if kind == "tanh" else w.exp(x))
    x = w.inputVector([1, 2])
    np.testing.assert_allclose(c(x, "tanh").npvalue(), np.tanh([1, 2]), 1e-6)
    np.testing.assert_allclose(c(x, "exp").npvalue(), np.exp([1, 2]), 1e-6)
    np.testing.assert_allclose(c(x, kind="tanh").npvalue(), np.tanh([1, 2]), 1e-6)


def test_an_int_and_a_bool_are_two_settings() -> None:
    c = cell(lambda x, n: w.tanh(x) if n is True else x * float(n))
    x = w.inputVector([1, 2])
    np.testing.assert_allclose(c(x, 1).npvalue(), [1, 2])
    np.testing.assert_allclose(c(x, True).npvalue(), np.tanh([1, 2]), 1e-6)


def test_any_number_of_arguments() -> None:
    c = cell(lambda *xs: w.tanh(w.esum(list(xs))))
    xs = [w.inputVector([k, 2 * k]) for k in range(1, 4)]
    for n in (1, 2, 3, 2, 1, 3):
        np.testing.assert_allclose(c(*xs[:n]).npvalue(), np.tanh(sum(x.npvalue() for x in xs[:n])), 1e-6)


def test_a_method_is_a_cell_for_each_object() -> None:
    class Model:
        def __init__(self, seed: int) -> None:
            self.W = ParameterCollection().parameters_from_numpy(np.full((2, 2), seed, float))

        @cell
        def scores(self, x: Expression) -> Expression:
            return w.square(self.W * x)

    first, second = Model(1), Model(2)
    x = w.inputVector([1, 2])
    for _ in range(2):
        np.testing.assert_allclose(first.scores(x).npvalue(), [9, 9])
        np.testing.assert_allclose(second.scores(x).npvalue(), [36, 36])
    assert first.scores is first.scores is not second.scores
    assert isinstance(Model.scores, Cell)


def test_parameters_may_be_given() -> None:
    m = ParameterCollection()
    ones, twos = (m.parameters_from_numpy(np.full((2, 2), k, float)) for k in (1, 2))
    c = cell(lambda p, x: w.tanh(p * x))
    x = w.inputVector([0.1, 0.2])
    np.testing.assert_allclose(c(ones, x).npvalue(), np.tanh([0.3, 0.3]), 1e-6)
    np.testing.assert_allclose(c(twos, x).npvalue(), np.tanh([0.6, 0.6]), 1e-6)


def test_results_may_be_operands_parameters_and_the_same_value_twice() -> None:
    p = ParameterCollection().parameters_from_numpy(np.array([5.0, 6.0]))

    def function(x: Expression) -> tuple[Expression, ...]:
        y = w.exp(x)
        return x, y, p, y

    x = w.inputVector([1, 2])
    same, y, parameter, again = cell(function)(x)
    assert same.index == x.index and again.index == y.index
    np.testing.assert_allclose(parameter.npvalue(), [5, 6])
    np.testing.assert_allclose(y.npvalue(), np.exp([1, 2]), 1e-6)


def test_a_column_among_vectors_does_not_stop_fusing() -> None:
    W = ParameterCollection().add_parameters((4, 4))

    def function(x: Expression) -> Expression:
        column = w.reshape(w.exp(x), (4, 1))
        return w.cmult(w.tanh(W * x), w.square(column)) + column

    x = w.inputVector([0.1, 0.2, 0.3, 0.4])
    result = cell(function)(x)
    assert result.dim() == function(x).dim()
    np.testing.assert_allclose(result.npvalue(), function(x).npvalue(), 1e-5)


def test_map_records_what_calls_record() -> None:
    W = ParameterCollection().add_parameters((3, 4))
    c = cell(lambda x, tag: w.pickneglogsoftmax(W * x, tag))
    tapes = []
    for mapped in (True, False):
        w.renew_cg()
        xs = [w.inputVector([k, 2, 3, 4]) for k in range(5)]
        tags = [0, 2, 1, 1, 0]
        losses = c.map(xs, tags) if mapped else [c(x, tag) for x, tag in zip(xs, tags, strict=True)]
        tapes.append((list(current().code), w.esum(losses).value()))
    assert tapes[0] == tapes[1]


def test_map_of_operands_of_several_shapes() -> None:
    c = cell(lambda x: w.sum_elems(w.square(x)))
    xs = [w.inputVector([1.0] * n) for n in (2, 3, 2)]
    assert [y.value() for y in c.map(xs)] == [2, 3, 2]


def test_map_needs_sequences_of_one_length() -> None:
    c = cell(lambda x, y: x + y)
    x = w.inputVector([1, 2])
    with pytest.raises(ValueError, match="sequences of one length"):
        c.map([x, x], [x])
    with pytest.raises(ValueError, match="sequences of one length"):
        c.map(x, x)
    with pytest.raises(ValueError, match="empty"):
        c.map([], [])


def test_structure_that_depends_on_more_is_refused() -> None:
    state = {"count": 0}

    def function(x: Expression) -> Expression:
        state["count"] += 1
        return x * float(state["count"])

    with pytest.raises(WeftError, match="traced twice and recorded different instructions"):
        cell(function)(w.inputVector([1, 2]))


def test_looking_at_values_is_refused() -> None:
    with pytest.raises(WeftError, match="must not look at values"):
        cell(lambda x: x * x.npvalue()[0])(w.inputVector([1, 2]))


def test_an_expression_from_outside_is_refused_with_what_to_do() -> None:
    other = w.inputVector([1, 2])
    with pytest.raises(WeftError, match="pass every other expression as an operand"):
        cell(lambda x: w.tanh(other))(w.inputVector([1, 2]))
    with pytest.raises(WeftError, match="pass this expression as an operand"):
        cell(lambda x: x + other)(w.inputVector([1, 2]))


def test_what_is_no_expression_is_refused() -> None:
    x = w.inputVector([1, 2])
    with pytest.raises(WeftError, match="must return an expression"):
        cell(lambda x: 3)(x)
    with pytest.raises(TypeError, match="hashable settings"):
        cell(lambda x, y: x)(x, {})
    with pytest.raises(TypeError, match="takes a function"):
        cell(3)  # type: ignore[arg-type]


def test_a_stale_operand_is_refused() -> None:
    c = cell(lambda x: w.tanh(x))
    x = w.inputVector([1, 2])
    c(x)
    w.renew_cg()
    with pytest.raises(w.StaleExpression):
        c(x)


def test_tracing_leaves_the_graph_alone() -> None:
    x = w.inputVector([1, 2])
    before = list(current().code)
    with pytest.raises(WeftError):
        cell(lambda x: x.value())(x)
    assert current().code == before
    assert w.tanh(x).graph is current()


def test_ever_new_structures_are_not_compiled_for_ever() -> None:
    c = cell(lambda xs: w.tanh(w.esum([w.square(x) for x in xs])))
    x = w.inputVector([0.1, 0.2])
    for n in range(1, 30):
        np.testing.assert_allclose(c([x] * n).npvalue(), np.tanh(n * np.square([0.1, 0.2])), 1e-5)
    assert len({name for (template,) in c.templates.values() for name in template.generated()}) == MAX_PROGRAMS
