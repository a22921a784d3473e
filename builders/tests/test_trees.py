"""Tree LSTMs against the equations of Tai, Socher & Manning (2015) in NumPy, gradients against differences."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from weft_builders import ChildSumTreeLSTMBuilder, NaryTreeLSTMBuilder, TreeState
from weft_core.collection import ParameterCollection
from weft_core.errors import ShapeError
from weft_core.expression import Expression
from weft_core.graph import current, renew_cg
from weft_core.ops.arithmetic import cmult
from weft_core.ops.inputs import inputVector
from weft_core.ops.list_reductions import esum
from weft_core.ops.reductions import sum_elems

INPUT, H = 3, 4
WORDS = np.random.default_rng(0).normal(size=(8, INPUT))
# Inner nodes: (children, word or None).
TREES: list[Any] = [
    ((0, 1), None),
    ((((0, 1), None), 2), None),
    ((((3, ((4, 5), None)), None), 6), None),
    ((None, 2), 3),
]


def logistic(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


def nary_reference(parameters: list[Any], tree: Any, forget_bias: float) -> tuple[Any, Any]:
    """h and c of a tree: a word id, or (children, word or None)."""
    leaf_w, leaf_b, *us, b, wx = parameters
    if isinstance(tree, int):
        i, o, u = np.split(leaf_w @ WORDS[tree] + leaf_b, 3)
        c = logistic(i) * np.tanh(u)
        return logistic(o) * np.tanh(c), c
    children, word = tree
    states = [(np.zeros(H), np.zeros(H)) if t is None else nary_reference(parameters, t, forget_bias) for t in children]
    a = b + sum(u @ h for u, (h, _) in zip(us, states)) + (wx @ WORDS[word] if word is not None else 0)
    i, o, u, *fs = np.split(a, 3 + len(children))
    c = logistic(i) * np.tanh(u) + sum(logistic(f + forget_bias) * c for f, (_, c) in zip(fs, states))
    return logistic(o) * np.tanh(c), c


def nary_build(builder: NaryTreeLSTMBuilder, tree: Any) -> TreeState:
    if isinstance(tree, int):
        return builder.leaf(inputVector(WORDS[tree]))
    children, word = tree
    states = [None if t is None else nary_build(builder, t) for t in children]
    return builder.compose(states, inputVector(WORDS[word]) if word is not None else None)


def sum_reference(parameters: list[Any], tree: Any, forget_bias: float) -> tuple[Any, Any]:
    """h and c of a tree: (word or None, children)."""
    w, u, b, wf, uf, bf = parameters
    word, children = tree
    states = [sum_reference(parameters, t, forget_bias) for t in children]
    x = WORDS[word] if word is not None else np.zeros(INPUT)
    i, o, g = np.split(w @ x + u @ sum((h for h, _ in states), np.zeros(H)) + b, 3)
    kept = [logistic(wf @ x + uf @ h + bf + forget_bias) * c for h, c in states]
    c = logistic(i) * np.tanh(g) + sum(kept, np.zeros(H))
    return logistic(o) * np.tanh(c), c


def sum_build(builder: ChildSumTreeLSTMBuilder, tree: Any) -> TreeState:
    word, children = tree
    states = [sum_build(builder, t) for t in children]
    return builder.node(inputVector(WORDS[word]) if word is not None else None, states)


SUM_TREES: list[Any] = [
    (0, []),
    (1, [(2, [])]),
    (3, [(4, []), (5, [(6, []), (7, []), (0, [])]), (1, [])]),
    (None, [(2, []), (None, [(3, [])])]),
]


def randomized(builder: Any) -> None:
    """Biases are zero at first; here they are numbers that a test can see."""
    numbers = np.random.default_rng(1)
    for p in builder.get_parameters():
        p.set_value(numbers.normal(size=p.shape()) * 0.4)


def check(
    model: ParameterCollection, builder: Any, build: Callable[..., TreeState], reference: Any, trees: Any
) -> None:
    """Values of all trees, with and without autobatching, and the gradient of the sum of squares of h and c."""

    def loss() -> float:
        values = [p.as_array() for p in builder.get_parameters()]
        return float(sum((v**2).sum() for t in trees for v in reference(values, t, builder.forget_bias)))

    found = {}
    for autobatch in (True, False):
        renew_cg(autobatching=autobatch)
        states = [build(builder, tree) for tree in trees]
        parts: list[Expression] = [sum_elems(cmult(e, e)) for state in states for e in state]
        total = esum(parts)
        total.backward()
        for tree, state in zip(trees, states):
            expected = reference([p.as_array() for p in builder.get_parameters()], tree, builder.forget_bias)
            np.testing.assert_allclose([state.h.npvalue(), state.c.npvalue()], expected, atol=1e-5)
        found[autobatch] = [p.grad_as_array() for p in builder.get_parameters()]
        for p in builder.get_parameters():
            p.gradients[...] = 0
    for a, b in zip(found[True], found[False]):
        np.testing.assert_allclose(a, b, atol=1e-5)
    for p, gradient in zip(builder.get_parameters(), found[True]):
        values = p.as_array()
        direction = np.random.default_rng(2).normal(size=values.shape)
        p.set_value(values + 1e-3 * direction)
        above = loss()
        p.set_value(values - 1e-3 * direction)
        below = loss()
        p.set_value(values)
        assert (gradient != 0).any()
        assert (gradient * direction).sum() == pytest.approx((above - below) / 2e-3, rel=2e-3, abs=2e-3), p.name()


@pytest.mark.parametrize("forget_bias", [1.0, 0.0])
def test_nary(forget_bias: float) -> None:
    model = ParameterCollection()
    builder = NaryTreeLSTMBuilder(2, INPUT, H, model, forget_bias)
    randomized(builder)
    check(model, builder, nary_build, nary_reference, TREES)


def test_nary_of_three_children() -> None:
    model = ParameterCollection()
    builder = NaryTreeLSTMBuilder(3, INPUT, H, model)
    randomized(builder)
    check(model, builder, nary_build, nary_reference, [((0, ((1, None, 2), None), 3), 4)])


@pytest.mark.parametrize("forget_bias", [0.0, 1.0])
def test_child_sum(forget_bias: float) -> None:
    model = ParameterCollection()
    builder = ChildSumTreeLSTMBuilder(INPUT, H, model, forget_bias)
    randomized(builder)
    check(model, builder, sum_build, sum_reference, SUM_TREES)


def test_a_node_is_one_instruction() -> None:
    builder = NaryTreeLSTMBuilder(2, INPUT, H, ParameterCollection(), inner_inputs=False)
    assert len(builder.get_parameters()) == 5
    left, right = (builder.leaf(inputVector(WORDS[k])) for k in (0, 1))
    before = len(current().code)
    builder.compose([left, right])
    # A signature, two outputs and two memories.
    assert len(current().code) - before == 5


def test_names_and_shapes() -> None:
    model = ParameterCollection()
    nary, child_sum = NaryTreeLSTMBuilder(2, INPUT, H, model), ChildSumTreeLSTMBuilder(INPUT, H, model)
    assert [p.shape() for p in nary.get_parameters()] == [(12, 3), (12,), (20, 4), (20, 4), (20,), (20, 3)]
    assert [p.shape() for p in child_sum.get_parameters()] == [(12, 3), (12, 4), (12,), (4, 3), (4, 4), (4,)]
    assert nary.get_parameters()[0].name() == "/nary-tree-lstm-builder/_0"
    assert child_sum.param_collection().name() == "/child-sum-tree-lstm-builder/"
    assert nary.get_parameters() + child_sum.get_parameters() == model.parameters_list()


def test_errors_are_sentences() -> None:
    model = ParameterCollection()
    nary, child_sum = (
        NaryTreeLSTMBuilder(2, INPUT, H, model, inner_inputs=False),
        ChildSumTreeLSTMBuilder(INPUT, H, model),
    )
    x, wrong = inputVector(WORDS[0]), inputVector([1.0])
    leaf = nary.leaf(x)
    with pytest.raises(ValueError, match="a node has 2 children, got 1"):
        nary.compose([leaf])
    with pytest.raises(ValueError, match="needs a child or an input"):
        nary.compose([None, None])
    with pytest.raises(ValueError, match="inner_inputs=False"):
        nary.compose([leaf, leaf], x)
    with pytest.raises(ShapeError, match=r"expected an input or a state of shape \{3\}, got \{1\}"):
        nary.leaf(wrong)
    with pytest.raises(ShapeError, match=r"expected an input or a state of shape \{4\}, got \{3\}"):
        child_sum.node(x, [TreeState(x, x)])
    with pytest.raises(ValueError, match="needs an input or a child"):
        child_sum.node(None)
    with pytest.raises(TypeError, match="wrap arrays"):
        child_sum.node(WORDS[0])  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="at least one child"):
        NaryTreeLSTMBuilder(0, INPUT, H, model)


def test_builders_from_specs() -> None:
    model = ParameterCollection()
    nary = NaryTreeLSTMBuilder(3, INPUT, H, model, 0.5, inner_inputs=False)
    child_sum = ChildSumTreeLSTMBuilder(INPUT, H, model, 2.0)
    assert nary.spec == (3, INPUT, H, 0.5, False) and child_sum.spec == (INPUT, H, 2.0)
    again = NaryTreeLSTMBuilder.from_spec(nary.spec, model)
    other = ChildSumTreeLSTMBuilder.from_spec(child_sum.spec, model)
    assert again.forget_bias == 0.5 and other.forget_bias == 2.0
    assert again.param_collection().name() == "/nary-tree-lstm-builder_1/"
    for made, first in ((again, nary), (other, child_sum)):
        assert made.spec == first.spec
        assert [p.shape() for p in made.get_parameters()] == [p.shape() for p in first.get_parameters()]
