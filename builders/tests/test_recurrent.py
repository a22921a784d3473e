"""What holds for all recurrent builders: ways to run, initial states, batches, errors, nodes recorded."""

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from weft_builders import (
    BiRNNBuilder,
    CompactVanillaLSTMBuilder,
    CoupledLSTMBuilder,
    FastLSTMBuilder,
    GRUBuilder,
    LSTMBuilder,
    RecurrentBuilder,
    SimpleRNNBuilder,
    SparseLSTMBuilder,
    VanillaLSTMBuilder,
)
from weft_core.collection import ParameterCollection
from weft_core.errors import ShapeError, StaleExpression, WeftError
from weft_core.expression import Expression
from weft_core.graph import ComputationGraph, current, renew_cg
from weft_core.ops.arithmetic import cmult
from weft_core.ops.inputs import inputTensor, inputVector
from weft_core.ops.list_reductions import esum
from weft_core.ops.reductions import sum_batches, sum_elems
from weft_core.signature import signatures

KINDS = [
    SimpleRNNBuilder,
    GRUBuilder,
    VanillaLSTMBuilder,
    CompactVanillaLSTMBuilder,
    CoupledLSTMBuilder,
    FastLSTMBuilder,
    SparseLSTMBuilder,
]
NUMBERS = np.random.default_rng(0)
SENTENCES = [NUMBERS.normal(size=(length, 3)) for length in (4, 1, 7, 2)]


def sum_of_squares(xs: Sequence[Expression]) -> Expression:
    return sum_batches(esum([sum_elems(cmult(x, x)) for x in xs]))


def gradients(model: ParameterCollection) -> list[NDArray[np.float64]]:
    """Gradients of all parameters, which are zero afterwards; without masks, and peepholes that nothing reads."""
    found = [p.grad_as_array() for p in model.parameters_list() if p.is_updated() and p.shape()[-1] > 1]
    for p in model.parameters_list():
        p.gradients[...] = 0
    return found


def nodes() -> list[str]:
    """Names of the operations on the current tape."""
    code, position, names = current().code, 1, []
    while position < len(code):
        names.append(signatures[code[position]].operation.name)
        position += signatures[code[position]].length
    return names


@pytest.mark.parametrize("kind", KINDS)
def test_autobatching_over_ragged_sequences_changes_nothing(kind: type[RecurrentBuilder]) -> None:
    model = ParameterCollection()
    builder = kind(2, 3, 4, model)
    numbers = np.random.default_rng(5)
    for p in model.parameters_list():
        p.set_value(numbers.normal(size=p.shape()))
    found = {}
    for autobatch in (True, False):
        renew_cg(autobatching=autobatch)
        outputs = [h for s in SENTENCES for h in builder.initial_state().transduce([inputVector(x) for x in s])]
        loss = sum_of_squares(outputs)
        loss.backward()
        found[autobatch] = [loss.value(), [h.npvalue() for h in outputs], gradients(model)]
    np.testing.assert_allclose(found[True][0], found[False][0], rtol=1e-5)
    np.testing.assert_allclose(found[True][1], found[False][1], atol=1e-6)
    for with_batching, without in zip(found[True][2], found[False][2]):
        assert np.abs(without).max() > 0.01
        np.testing.assert_allclose(with_batching, without, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_is_its_examples(kind: type[RecurrentBuilder]) -> None:
    model = ParameterCollection()
    builder = kind(2, 3, 4, model)
    xs = NUMBERS.normal(size=(5, 3, 6))
    initial = NUMBERS.normal(size=(2 * builder.components, 4))
    renew_cg()
    batched = builder.initial_state([inputVector(v) for v in initial]).transduce(
        [inputTensor(x, batched=True) for x in xs]
    )
    sum_of_squares(batched).backward()
    of_batch = gradients(model)
    single = [
        builder.initial_state([inputVector(v) for v in initial]).transduce([inputVector(x) for x in xs[:, :, b]])
        for b in range(6)
    ]
    sum_of_squares([h for outputs in single for h in outputs]).backward()
    for t in range(5):
        expected = np.stack([outputs[t].npvalue() for outputs in single], axis=-1)
        np.testing.assert_allclose(batched[t].npvalue(), expected, atol=1e-6)
    for a, b in zip(of_batch, gradients(model)):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_a_learned_initial_state(kind: type[RecurrentBuilder]) -> None:
    model = ParameterCollection()
    builder = kind(1, 3, 4, model)
    learned = [model.add_parameters((4,), init="uniform") for _ in range(builder.components)]
    loss = sum_of_squares(builder.initial_state(learned).transduce([inputVector(x) for x in SENTENCES[0]]))
    loss.backward()
    for p in learned:
        expected = np.zeros(4)
        for k in range(4):
            for sign in (1, -1):
                values = p.as_array()
                p.set_value(values + sign * 1e-2 * np.eye(4)[k])
                loss.forward(recalculate=True)
                expected[k] += sign * loss.value() / 2e-2
                p.set_value(values)
        np.testing.assert_allclose(p.grad_as_array(), expected, atol=5e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_ways_to_run_are_equal_from_any_state(kind: type[RecurrentBuilder]) -> None:
    builder = kind(2, 3, 4, ParameterCollection())
    xs = [inputVector(x) for x in SENTENCES[2]]
    middle = builder.initial_state().add_inputs(xs[:3])[-1]
    states = middle.add_inputs(iter(xs[3:]))
    by_step = middle
    for x, state in zip(xs[3:], states):
        by_step = by_step.add_input(x)
        np.testing.assert_allclose([e.npvalue() for e in by_step.s()], [e.npvalue() for e in state.s()], atol=1e-6)
    outputs = middle.transduce(xs[3:])
    np.testing.assert_allclose([h.npvalue() for h in outputs], [s.output().npvalue() for s in states], atol=1e-6)
    assert states[0].prev() is middle and states[1].prev() is states[0] and middle.b() is builder
    assert middle.transduce([]) == middle.add_inputs([]) == []


def test_a_start_has_no_output() -> None:
    start = LSTMBuilder(1, 3, 4, ParameterCollection()).initial_state()
    assert (start.output(), start.h(), start.s(), start.prev()) == (None, (), (), None)


@pytest.mark.parametrize("kind", KINDS)
def test_inputs_of_changing_batch_size(kind: type[RecurrentBuilder]) -> None:
    builder = kind(2, 3, 4, ParameterCollection())
    rows = NUMBERS.normal(size=(4, 3, 2))
    mixed = [inputVector(rows[0, :, 0]), inputVector(rows[1, :, 0]), *(inputTensor(r, batched=True) for r in rows[2:])]
    outputs = builder.initial_state().transduce(mixed)
    for b in range(2):
        plain = [rows[0, :, 0], rows[1, :, 0], rows[2, :, b], rows[3, :, b]]
        alone = builder.initial_state().transduce([inputVector(x) for x in plain])
        np.testing.assert_allclose(outputs[3].npvalue()[:, b], alone[3].npvalue(), atol=1e-6)
    by_step = builder.initial_state()
    for x in mixed:
        by_step = by_step.add_input(x)
    np.testing.assert_allclose(by_step.output().npvalue(), outputs[3].npvalue(), atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_constant_parameters_are_for_one_sequence_only(kind: type[RecurrentBuilder]) -> None:
    model = ParameterCollection()
    builder = kind(2, 3, 4, model)
    table = model.add_lookup_parameters((2, 3))
    xs = [table[0], table[1]]
    constant = builder.initial_state(update=False).transduce(xs)
    stepped = builder.initial_state(update=False).add_input(xs[0]).add_input(xs[1]).output()
    sum_of_squares([*constant, stepped]).backward()
    assert not any(g.any() for g in gradients(model))
    assert table.gradients.any()
    trained = builder.initial_state().transduce(xs)
    np.testing.assert_allclose(trained[1].npvalue(), stepped.npvalue(), atol=1e-6)
    sum_of_squares(trained).backward()
    assert all(g.any() for g in gradients(model))


def test_set_h_and_set_s_take_the_rest_from_this_state() -> None:
    builder = LSTMBuilder(2, 3, 4, ParameterCollection())
    xs = [inputVector(x) for x in SENTENCES[0]]
    early, _, _, late = builder.initial_state().add_inputs(xs)
    new = [inputVector(NUMBERS.normal(size=4)) for _ in range(4)]
    changed = early.set_h(new[:2])
    assert changed.s() == (*early.s()[:2], *new[:2])
    assert changed.output() is new[1] and changed.prev() is early
    assert early.set_s(new[:2]).s() == (*new[:2], *early.s()[2:])
    assert late.set_s(new).s() == tuple(new)
    at_start = builder.initial_state().set_h(new[:2])
    np.testing.assert_array_equal([c.npvalue() for c in at_start.s()[:2]], np.zeros((2, 4)))
    at_start.add_input(xs[0]).output().npvalue()
    with pytest.raises(ShapeError, match="set_h: needs 2 expressions"):
        early.set_h(new)
    with pytest.raises(ShapeError, match="set_s: needs 2 or 4 expressions"):
        early.set_s(new[:3])
    with pytest.raises(ShapeError, match=r"a state has shape \{4\}"):
        early.set_h(xs[:2])
    with pytest.raises(ShapeError, match="set_s: needs 2 or 4 expressions for 2 layers, got 0"):
        early.set_s()
    with pytest.raises(TypeError, match="set_h: operands must be expressions, got float"):
        early.set_h([1.0, 2.0])  # type: ignore[list-item]


def test_set_s_of_a_builder_without_memory() -> None:
    builder = GRUBuilder(2, 3, 4, ParameterCollection())
    new = [inputVector(NUMBERS.normal(size=4)) for _ in range(2)]
    state = builder.initial_state(new)
    assert state.s() == state.h() == tuple(new)
    vectors = [e.vec_value() for e in new]
    raw = builder.initial_state_from_raw_vectors(vectors)
    np.testing.assert_array_equal([e.npvalue() for e in raw.h()], [e.npvalue() for e in new])


@pytest.mark.parametrize(
    ("kind", "name", "dims"),
    [
        (SimpleRNNBuilder, "simple-rnn-builder", [(4, "I"), (4, 4), (4,)]),
        (GRUBuilder, "gru-builder", [(4, "I"), (4, 4), (4,)] * 3),
        (VanillaLSTMBuilder, "vanilla-lstm-builder", [(16, "I"), (16, 4), (16,)]),
        (CompactVanillaLSTMBuilder, "compact-vanilla-lstm-builder", [(16, "I"), (16, 4), (16,)]),
        (CoupledLSTMBuilder, "lstm-builder", [(4, "I"), (4, 4), (4, 4), (4,)] * 2 + [(4, "I"), (4, 4), (4,)]),
        (FastLSTMBuilder, "fast-lstm-builder", [(4, "I"), (4, 4), (4, 1), (4,)] * 2 + [(4, "I"), (4, 4), (4,)]),
    ],
)
def test_parameters_have_the_names_and_shapes_of_dynet(
    kind: type[RecurrentBuilder], name: str, dims: list[tuple[object, ...]]
) -> None:
    model = ParameterCollection()
    builder = kind(2, 3, 4, model)
    listed = builder.get_parameters()
    for rows, parameters in zip((3, 4), listed):
        assert [p.shape() for p in parameters] == [tuple(rows if d == "I" else d for d in ds) for ds in dims]
        assert all((p.values != 0).any() == (len(p.shape()) == 2) for p in parameters)
    flat = [p for parameters in listed for p in parameters]
    assert flat == model.parameters_list() == builder.param_collection().parameters_list()
    assert [p.name() for p in flat] == [f"/{name}/_{k}" for k in range(len(flat))]
    again = kind.from_spec(builder.spec, model)
    assert again.spec == builder.spec and again.param_collection().name() == f"/{name}_1/"
    assert builder.whoami() == kind.__name__
    assert builder.get_parameter_expressions() == listed


@pytest.mark.parametrize(
    ("kind", "a_step"),
    [
        (SimpleRNNBuilder, "rnn"),
        (GRUBuilder, "compound"),
        (LSTMBuilder, "lstm"),
        (CoupledLSTMBuilder, "compound"),
        (FastLSTMBuilder, "cell"),
    ],
)
def test_a_step_records_its_cell_and_nothing_else(kind: type[RecurrentBuilder], a_step: str) -> None:
    builder = kind(2, 3, 4, ParameterCollection())
    for way in ("transduce", "add_inputs"):
        renew_cg()
        xs = [inputVector(x) for x in SENTENCES[2]]
        before = len(nodes())
        getattr(builder.initial_state(), way)(xs)
        # Operations that cells have made are named cell_ and a number.
        assert [name.partition("_")[0] for name in nodes()[before:]] == [a_step] * len(xs) * 2


def test_runs_over_many_sequences_are_few_steps() -> None:
    builder = LSTMBuilder(2, 3, 4, ParameterCollection())
    outputs = [builder.initial_state().transduce([inputVector(x) for x in s])[-1] for s in SENTENCES]
    sum_of_squares(outputs).value()
    # The longest sentence has 7 words: for each layer 7 steps and one for all its input products at once; then one for
    # each kind of node around the layers.
    around = len(set(nodes()) - {"lstm"})
    assert current().execution.counts()["steps"] == 2 * (7 + 1) + around


def test_an_initial_state_larger_than_the_zero_value() -> None:
    builder = SimpleRNNBuilder(1, 2, 300, ParameterCollection())
    x = inputTensor(NUMBERS.normal(size=(2, 256)), batched=True)
    output = builder.initial_state().transduce([x])[0].npvalue()
    wx, _, _ = (p.as_array() for p in builder.get_parameters()[0])
    np.testing.assert_allclose(output, np.tanh(wx @ x.npvalue()), atol=1e-5)


def test_a_column_is_taken_as_a_vector() -> None:
    builder = LSTMBuilder(1, 3, 4, ParameterCollection())
    x = NUMBERS.normal(size=3)
    column = builder.initial_state().add_input(inputTensor(x[:, None])).output()
    np.testing.assert_array_equal(
        column.npvalue(), builder.initial_state().add_input(inputVector(x)).output().npvalue()
    )


def test_errors_are_sentences_and_record_nothing() -> None:
    builder = LSTMBuilder(1, 3, 4, ParameterCollection())
    good, bad = inputVector([1, 2, 3]), inputVector([1, 2])
    recorded = len(nodes())
    with pytest.raises(ShapeError, match=r"takes inputs of shape \{3\}, got \{2\}"):
        builder.initial_state().add_input(bad)
    with pytest.raises(ShapeError, match=r"takes inputs of shape \{3\}, got \{2\}"):
        builder.initial_state().transduce([bad, good])
    for wrong in (np.zeros(3), [1.0, 2.0, 3.0]):
        with pytest.raises(TypeError, match="wrap arrays"):
            builder.initial_state().transduce([good, wrong])  # type: ignore[list-item]
        with pytest.raises(TypeError, match="wrap arrays"):
            builder.initial_state().add_input(wrong)  # type: ignore[arg-type]
    assert len(nodes()) == recorded
    model = ParameterCollection()
    for kind in KINDS:
        with pytest.raises(ValueError, match="at least one layer"):
            kind(0, 3, 4, model)
        for sizes in ((0, 4), (3, 0), (3, -4)):
            with pytest.raises(ValueError, match="input_dim and hidden_dim are at least 1"):
                kind(1, *sizes, model)
    # Nothing is left of what was refused, not even a name.
    assert LSTMBuilder(1.0, 3.0, 4.0, model).param_collection().name() == "/vanilla-lstm-builder/"  # type: ignore[arg-type]


def test_stale_states_and_mixed_graphs_are_refused() -> None:
    builder = LSTMBuilder(1, 3, 4, ParameterCollection())
    x = inputVector([1, 2, 3])
    state = builder.initial_state().add_input(x)
    with ComputationGraph():
        inside = inputVector([1, 2, 3])
        for run in (
            state.add_input,
            lambda e: state.transduce([e]),
            lambda e: builder.initial_state().transduce([x, e]),
        ):
            with pytest.raises(WeftError, match="two computation graphs"):
                run(inside)
    renew_cg()
    with pytest.raises(StaleExpression):
        state.add_input(inputVector([1, 2, 3]))
    with pytest.raises(StaleExpression):
        state.transduce([inputVector([1, 2, 3])])
    with pytest.raises(StaleExpression):
        builder.initial_state().transduce([x])


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("kind", [LSTMBuilder, GRUBuilder])
def test_birnn(kind: type[RecurrentBuilder], layers: int) -> None:
    model = ParameterCollection()
    builder = BiRNNBuilder(layers, 3, 4, model, kind)
    xs = [inputVector(x) for x in SENTENCES[0]]
    before = len(nodes())
    outputs = builder.transduce(xs)
    recorded = nodes()[before:]
    assert recorded.count("concatenate") == layers * len(xs)
    assert len(recorded) == layers * len(xs) * 3
    expected: list[NDArray[np.float64]] = [x.npvalue() for x in xs]
    for forward, backward in builder.builder_layers:
        es = [inputVector(e) for e in expected]
        ahead, back = forward.initial_state(), backward.initial_state()
        aheads, backs = [], []
        for left, right in zip(es, reversed(es)):
            ahead, back = ahead.add_input(left), back.add_input(right)
            aheads.append(ahead.output().npvalue())
            backs.append(back.output().npvalue())
        expected = [np.concatenate(pair) for pair in zip(aheads, reversed(backs))]
    np.testing.assert_allclose([h.npvalue() for h in outputs], expected, atol=1e-6)
    states = builder.add_inputs(xs)
    found = [np.concatenate([f.output().npvalue(), b.output().npvalue()]) for f, b in states]
    np.testing.assert_allclose(found, expected, atol=1e-6)
    sum_of_squares(outputs).backward()
    assert all(g.any() for g in gradients(model))
    assert builder.transduce([]) == []


def test_birnn_has_the_names_of_dynet() -> None:
    model = ParameterCollection()
    builder = BiRNNBuilder(1, 3, 4, model, GRUBuilder)
    assert [p.name() for p in model.parameters_list()] == [
        f"/birnn/gru-builder{suffix}/_{k}" for suffix in ("", "_1") for k in range(9)
    ]
    again = BiRNNBuilder.from_spec(builder.spec, model)
    assert again.param_collection().name() == "/birnn_1/" and again.whoami() == "BiRNNBuilder"
    given = BiRNNBuilder(1, 3, 4, model, None, builder.builder_layers)
    xs = [inputVector(x) for x in SENTENCES[0]]
    np.testing.assert_array_equal(
        [h.npvalue() for h in given.transduce(xs)], [h.npvalue() for h in builder.transduce(xs)]
    )
    for wrong in ((0, 4), (1, 5), (1, 0)):
        with pytest.raises(ValueError, match="even hidden_dim"):
            BiRNNBuilder(wrong[0], 3, wrong[1], model, GRUBuilder)


def test_birnn_of_given_layers() -> None:
    model = ParameterCollection()
    pairs = [
        (GRUBuilder(1, 3, 2, model), SimpleRNNBuilder(1, 3, 4, model)),
        (LSTMBuilder(1, 6, 5, model), LSTMBuilder(1, 6, 5, model)),
    ]
    given = BiRNNBuilder(0, 0, 0, model, None, pairs)  # type: ignore[arg-type]
    assert given.builder_layers == pairs and given.param_collection().parameters_list() == []
    xs = [inputVector(x) for x in SENTENCES[0]]
    assert [h.dim() for h in given.transduce(xs)] == [((10,), 1)] * 4
    before = model.parameters_list()
    again = BiRNNBuilder.from_spec(given.spec, model)
    assert [[type(b) for b in pair] for pair in again.builder_layers] == [[type(b) for b in pair] for pair in pairs]
    assert len(model.parameters_list()) == 2 * len(before)
    assert [h.dim() for h in again.transduce(xs)] == [((10,), 1)] * 4
    for wrong in ([], [pairs[0][:1]]):
        with pytest.raises(ValueError, match="a list of pairs"):
            BiRNNBuilder(1, 3, 4, model, None, wrong)  # type: ignore[arg-type]


def test_birnn_hands_whole_numbers_to_its_factory() -> None:
    seen: list[tuple[object, ...]] = []

    def factory(*arguments: object) -> RecurrentBuilder:
        seen.append(arguments[:3])
        return GRUBuilder(*arguments)  # type: ignore[arg-type]

    BiRNNBuilder(2, 3, 8.0, ParameterCollection(), factory)  # type: ignore[arg-type]
    assert [(*map(int, numbers),) for numbers in seen] == [(1, 3, 4)] * 2 + [(1, 8, 4)] * 2
    assert all(type(hidden) is int for _, _, hidden in seen)


@pytest.mark.parametrize("kind", KINDS)
def test_a_state_has_several_continuations(kind: type[RecurrentBuilder]) -> None:
    model = ParameterCollection()
    builder = kind(2, 3, 4, model)
    a, b, c = (inputVector(x) for x in SENTENCES[0][:3])
    middle = builder.initial_state().add_input(a)
    branches = [middle.add_input(b).output(), middle.add_input(c).output(), middle.add_input(b).output()]
    assert all(h is not None for h in branches)
    sum_of_squares(branches).backward()  # type: ignore[arg-type]
    together = gradients(model)
    apart = [builder.initial_state().transduce([a, x])[-1] for x in (b, c, b)]
    sum_of_squares(apart).backward()
    for branch, alone in zip(branches, apart):
        np.testing.assert_allclose(branch.npvalue(), alone.npvalue(), atol=1e-6)  # type: ignore[union-attr]
    for left, right in zip(together, gradients(model)):
        np.testing.assert_allclose(left, right, rtol=1e-4, atol=1e-6)
