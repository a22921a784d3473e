"""The tree builders of DyNet's C++ against their equations in NumPy, gradients against differences."""

from typing import Any

import numpy as np
import pytest

from weft_builders import (
    BidirectionalTreeLSTMBuilder,
    PeepholeTreeLSTMBuilder,
    StackedTreeState,
    UnidirectionalTreeLSTMBuilder,
    VanillaLSTMBuilder,
)
from weft_core import (
    Expression,
    ParameterCollection,
    ShapeError,
    concatenate,
    esum,
    inputTensor,
    inputVector,
    renew_cg,
    squared_norm,
)
from weft_core.graph import current

INPUT, H = 3, 4
WORDS = np.random.default_rng(0).normal(size=(9, INPUT))
# A node: its word and its children. Nodes with none, one, two and more children than matrices.
TREES: list[Any] = [
    (0, []),
    (1, [(2, [])]),
    (3, [(4, []), (5, [(6, [])])]),
    (7, [(0, []), (8, [(1, []), (2, [])]), (3, []), (4, [])]),
]


def logistic(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


def values(builder: PeepholeTreeLSTMBuilder) -> list[dict[str, Any]]:
    """The parameters of each layer by name; tables have the matrix first."""
    dense = [p.as_array() for p in builder.get_parameters()]
    tables = [t.as_array() for t in builder.get_lookup_parameters()]
    names = ["Wi", "bi", "Wf", "bf", "Wo", "bo", "Wc", "bc"], ["Hi", "Ci", "Hf", "Cf", "Ho", "Co", "Hc"]
    return [
        dict(zip(names[0], dense[8 * k : 8 * k + 8], strict=True))
        | dict(zip(names[1], tables[7 * k : 7 * k + 7], strict=True))
        for k in range(builder.layers)
    ]


def reference(layers: list[dict[str, Any]], n: int, tree: Any) -> list[tuple[Any, Any]]:
    """h and c of every layer."""
    word, children = tree
    below = [reference(layers, n, child) for child in children]
    x, made = WORDS[word], []
    for k, p in enumerate(layers):
        states = [child[k] for child in below]

        def total(gate: str, peepholes: bool = True, p: Any = p, x: Any = x, states: Any = states) -> Any:
            a = p["W" + gate] @ x + p["b" + gate]
            for j, (h, c) in enumerate(states):
                a = a + p["H" + gate][min(j, n - 1)] @ h
                a = a + (p["C" + gate][min(j, n - 1)] @ c if peepholes else 0)
            return a

        i, o, g = logistic(total("i")), logistic(total("o")), np.tanh(total("c", False))
        new = i * g
        for m, (_, kept) in enumerate(states):
            a = p["Wf"] @ x + p["bf"] + 1
            for j, (h, c) in enumerate(states):
                place = min(j, n - 1) * n + min(m, n - 1)
                a = a + p["Hf"][place] @ h + p["Cf"][place] @ c
            new = new + logistic(a) * kept
        x = o * np.tanh(new)
        made.append((x, new))
    return made


def build(builder: PeepholeTreeLSTMBuilder, tree: Any) -> StackedTreeState:
    word, children = tree
    return builder.node(inputVector(WORDS[word]), [build(builder, child) for child in children])


def randomized(model: ParameterCollection) -> None:
    numbers = np.random.default_rng(1)
    for p in model.parameters_list():
        p.set_value(numbers.normal(size=p.shape()) * 0.4)
    for table in model.lookup_parameters_list():
        table.init_from_array(numbers.normal(size=table.shape()) * 0.3)


@pytest.mark.parametrize(("n", "layers"), [(1, 1), (2, 1), (2, 2), (3, 1)])
def test_peepholes(n: int, layers: int) -> None:
    model = ParameterCollection()
    builder = PeepholeTreeLSTMBuilder(n, layers, INPUT, H, model)
    randomized(model)

    def loss() -> float:
        return float(sum((h**2).sum() + (c**2).sum() for t in TREES for h, c in reference(values(builder), n, t)[-1:]))

    everything = [*builder.get_parameters(), *builder.get_lookup_parameters()]
    found = {}
    for autobatch in (True, False):
        renew_cg(autobatching=autobatch)
        states = [build(builder, tree) for tree in TREES]
        total = esum([squared_norm(e) for state in states for e in (state.h, state.c)])
        total.backward()
        for state, tree in zip(states, TREES):
            expected = reference(values(builder), n, tree)
            np.testing.assert_allclose([[e.npvalue() for e in s] for s in state.layers], expected, atol=1e-5)
        found[autobatch] = [p.grad_as_array() for p in everything]
        for p in everything:
            p.gradients[...] = 0
    for a, b in zip(found[True], found[False]):
        np.testing.assert_allclose(a, b, atol=1e-5)
    for p, gradient in zip(everything, found[True]):
        exact, direction = p.values.copy(), np.random.default_rng(2).normal(size=gradient.shape)
        p.values[...] = exact + 1e-3 * direction
        above = loss()
        p.values[...] = exact - 1e-3 * direction
        difference = (above - loss()) / 2e-3
        p.values[...] = exact
        assert abs(difference) > 1e-3, p.name()
        assert (gradient * direction).sum() == pytest.approx(difference, rel=5e-3, abs=5e-3), p.name()


def test_a_batch_is_its_examples() -> None:
    model = ParameterCollection()
    builder = PeepholeTreeLSTMBuilder(2, 2, INPUT, H, model)
    randomized(model)
    words = np.random.default_rng(3).normal(size=(3, INPUT, 2))

    def top(xs: list[Expression]) -> Any:
        return builder.node(xs[0], [builder.node(x) for x in xs[1:]]).h.npvalue()

    batched = top([inputTensor(x, batched=True) for x in words])
    for k in range(2):
        np.testing.assert_allclose(batched[:, k], top([inputVector(x) for x in words[:, :, k]]), atol=1e-6)


def test_a_node_is_one_instruction_per_layer() -> None:
    builder = PeepholeTreeLSTMBuilder(2, 2, INPUT, H, ParameterCollection())
    x = inputVector(WORDS[0])
    leaves = [builder.node(x), builder.node(x)]
    before = len(current().code)
    builder.node(x, leaves)
    # A signature, the input, h and c of two children, and c once more as what is kept.
    assert len(current().code) - before == 2 * 8


def test_parameters_are_those_of_dynet() -> None:
    model = ParameterCollection()
    builder = PeepholeTreeLSTMBuilder(2, 2, INPUT, H, model)
    for layer, rows in enumerate((INPUT, H)):
        dense = builder.get_parameters()[8 * layer : 8 * layer + 8]
        tables = builder.get_lookup_parameters()[7 * layer : 7 * layer + 7]
        assert [p.shape() for p in dense] == [(H, rows), (H,)] * 4
        assert [t.shape() for t in tables] == [(rows_of, H, H) for rows_of in (2, 2, 4, 4, 2, 2, 2)]
        assert all((p.values != 0).any() == (len(p.shape()) == 2) for p in dense)
        # Each matrix is Glorot by itself.
        assert all(np.abs(t.values).max() <= np.sqrt(6 / (2 * H)) for t in tables)
        assert all(np.abs(t.values).max() > 0.7 * np.sqrt(6 / (2 * H)) for t in tables)
        numbers = [[int(p.name().rpartition("_")[2]) - 15 * layer for p in ps] for ps in (dense, tables)]
        assert numbers == [[0, 3, 4, 7, 8, 11, 12, 14], [1, 2, 5, 6, 9, 10, 13]]
    assert builder.param_collection().name() == "/nary-tree-lstm-builder/"
    assert builder.get_parameters() == model.parameters_list()
    assert builder.get_lookup_parameters() == model.lookup_parameters_list()
    again = PeepholeTreeLSTMBuilder.from_spec(builder.spec, model)
    assert again.spec == builder.spec == (2, 2, INPUT, H)


def sequential(builder: Any, tree: Any, directions: list[VanillaLSTMBuilder]) -> tuple[Expression, Expression]:
    """The output of a node by the builder, and by steps of LSTMs with the same parameters."""
    word, children = tree
    pairs = [sequential(builder, child, directions) for child in children]
    x = inputVector(WORDS_OF_H[word])
    ends = []
    for k, lstm in enumerate(directions):
        state = lstm.initial_state().add_input(x)
        for _, child in pairs[:: -1 if k else 1]:
            state = state.add_input(child)
        ends.append(state.output())
    expected: Expression = concatenate(ends) if len(ends) > 1 else ends[0]  # type: ignore[arg-type,assignment]
    return builder.node(x, [child for child, _ in pairs]), expected


WORDS_OF_H = np.random.default_rng(5).normal(size=(9, H))


@pytest.mark.parametrize("autobatch", [True, False])
@pytest.mark.parametrize(
    ("kind", "directions"), [(UnidirectionalTreeLSTMBuilder, 1), (BidirectionalTreeLSTMBuilder, 2)]
)
def test_sequences_of_children(kind: Any, directions: int, autobatch: bool) -> None:
    model = ParameterCollection()
    builder = kind(2, H, H, model)
    folder = f"/{kind.collection_name}/vanilla-lstm-builder"
    names = [f"{folder}{suffix}/_{k}" for suffix in ("", "_1")[:directions] for k in range(6)]
    assert [p.name() for p in builder.get_parameters()] == names == [p.name() for p in model.parameters_list()]
    own = ParameterCollection()
    lstms = [VanillaLSTMBuilder(2, H, H // directions, own) for _ in range(directions)]
    for p, copy in zip(model.parameters_list(), own.parameters_list(), strict=True):
        copy.set_value(p.as_array())
    renew_cg(autobatching=autobatch)
    pairs = [sequential(builder, tree, lstms) for tree in TREES]
    for found, expected in pairs:
        assert found.dim() == ((H,), 1)
        np.testing.assert_allclose(found.npvalue(), expected.npvalue(), atol=1e-6)
    esum([squared_norm(e) for pair in pairs for e in pair]).backward()
    for p, copy in zip(model.parameters_list(), own.parameters_list(), strict=True):
        assert p.grad_as_array().any()
        np.testing.assert_allclose(p.grad_as_array(), copy.grad_as_array(), atol=1e-5)
    again = kind.from_spec(builder.spec, model)
    assert again.spec == (2, H, H) and again.param_collection().name() == f"/{kind.collection_name}_1/"


def test_dropout_of_sequences_of_children() -> None:
    builder = BidirectionalTreeLSTMBuilder(1, H, H, ParameterCollection())
    x = inputVector(WORDS_OF_H[0])
    plain = builder.node(x, [x]).npvalue()
    builder.set_dropout(0.5)
    assert np.abs(builder.node(x, [x]).npvalue() - plain).max() > 1e-4
    builder.disable_dropout()
    np.testing.assert_array_equal(builder.node(x, [x]).npvalue(), plain)


def test_errors_are_sentences() -> None:
    model = ParameterCollection()
    builder, other = PeepholeTreeLSTMBuilder(2, 1, INPUT, H, model), PeepholeTreeLSTMBuilder(2, 2, INPUT, H, model)
    x, wrong = inputVector(WORDS[0]), inputVector([1.0])
    for sizes in ((0, 1), (2, 0)):
        with pytest.raises(ValueError, match="needs N and layers of at least 1"):
            PeepholeTreeLSTMBuilder(*sizes, INPUT, H, model)
    with pytest.raises(ShapeError, match=r"expected an input or a state of shape \{3\}, got \{1\}"):
        builder.node(wrong)
    with pytest.raises(ValueError, match="a child has 2 layers, this builder has 1"):
        builder.node(x, [other.node(x)])
    with pytest.raises(TypeError, match="a child is a state that node"):
        builder.node(x, [x])  # type: ignore[list-item]
    with pytest.raises(TypeError, match="operands must be expressions, got NoneType"):
        builder.node(None)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="must be equal, got 3 and 4"):
        UnidirectionalTreeLSTMBuilder(1, INPUT, H, model)
    with pytest.raises(ValueError, match="must be even, got 3"):
        BidirectionalTreeLSTMBuilder(1, 3, 3, model)
    with pytest.raises(ShapeError, match=r"takes inputs of shape \{4\}, got \{3\}"):
        UnidirectionalTreeLSTMBuilder(1, H, H, model).node(x)
