"""Runs over sequences by places on the tape: no expression for a step, and the tape that steps leave."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from weft_builders import (
    BiRNNBuilder,
    CompactVanillaLSTMBuilder,
    CoupledLSTMBuilder,
    GRUBuilder,
    RecurrentBuilder,
    SimpleRNNBuilder,
    VanillaLSTMBuilder,
)
from weft_core import (
    ComputationGraph,
    Expressions,
    LookupParameters,
    ParameterCollection,
    ShapeError,
    StaleExpression,
    WeftError,
    concatenate,
    inputTensor,
    lookup_each,
    renew_cg,
)

KINDS = [SimpleRNNBuilder, GRUBuilder, VanillaLSTMBuilder, CompactVanillaLSTMBuilder, CoupledLSTMBuilder]
NUMBERS = np.random.default_rng(7)
IDS = [2, 0, 5, 2, 1]


def table(model: ParameterCollection) -> LookupParameters:
    return model.lookup_parameters_from_numpy(NUMBERS.normal(size=(6, 3)))


def tape(record: Callable[[], Any]) -> list[int]:
    """What this records in a new graph."""
    graph = renew_cg()
    record()
    return list(graph.code)


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What is taken out of sequences: keys of items, and a word for going through all of them."""
    taken: list[Any] = []
    item, all_items = Expressions.__getitem__, Expressions.__iter__

    def noted(xs: Expressions, key: Any) -> Any:
        if not isinstance(key, slice):
            taken.append(key)
        return item(xs, key)

    def noted_all(xs: Expressions) -> Any:
        taken.append("all")
        return all_items(xs)

    monkeypatch.setattr(Expressions, "__getitem__", noted)
    monkeypatch.setattr(Expressions, "__iter__", noted_all)
    return taken


@pytest.mark.parametrize("kind", KINDS)
def test_one_layer_leaves_the_tape_of_its_steps(kind: type[RecurrentBuilder]) -> None:
    model = ParameterCollection()
    builder, letters = kind(1, 3, 4, model), table(model)

    def by_steps() -> None:
        state = builder.initial_state()
        for x in [letters[i] for i in IDS]:
            state = state.add_input(x)

    expected = tape(by_steps)
    for xs in (lookup_each, lambda t, ids: [t[i] for i in ids], lambda t, ids: (t[i] for i in ids)):
        assert tape(lambda xs=xs: builder.initial_state().transduce(xs(letters, IDS))) == expected  # type: ignore[misc]
        assert tape(lambda xs=xs: builder.initial_state().add_inputs(xs(letters, IDS))) == expected  # type: ignore[misc]
    constant = tape(lambda: builder.initial_state(update=False).transduce(lookup_each(letters, IDS)))
    assert len(constant) == len(expected) and constant != expected


@pytest.mark.parametrize("kind", KINDS)
def test_no_step_makes_an_expression(kind: type[RecurrentBuilder], made: list[Any]) -> None:
    model = ParameterCollection()
    builder, both, letters = kind(2, 3, 4, model), BiRNNBuilder(2, 3, 8, model, kind), table(model)
    renew_cg()
    xs = lookup_each(letters, IDS)
    outputs = [builder.initial_state().transduce(xs), builder.initial_state().transduce(xs[::-1]), both.transduce(xs)]
    assert not made
    assert all(isinstance(hs, Expressions) and len(hs) == len(IDS) for hs in outputs)
    assert outputs[0][-1].npvalue().shape == (4,) and outputs[2][0].npvalue().shape == (8,)
    assert made == [-1, 0]
    # The first use of a shape may look at the items.
    concatenate(outputs[1])
    made.clear()
    assert concatenate(outputs[1]).npvalue().shape == (20,) and not made


@pytest.mark.parametrize("dropout", [0.0, 0.5])
@pytest.mark.parametrize("kind", KINDS)
def test_places_and_expressions_leave_the_same_tape(kind: type[RecurrentBuilder], dropout: float) -> None:
    model = ParameterCollection()
    builder, both, letters = kind(3, 3, 4, model), BiRNNBuilder(2, 3, 8, model, kind), table(model)
    learned = [model.add_parameters((4,)) for _ in range(3 * builder.components)]
    builder.set_dropout(dropout)
    both.set_dropout(dropout)
    runs: list[Callable[[Any], Any]] = [
        lambda xs: builder.initial_state().transduce(xs),
        lambda xs: builder.initial_state().add_inputs(xs),
        lambda xs: builder.initial_state().transduce(xs[:2] + xs[3:]),
        lambda xs: builder.initial_state().add_inputs(xs[:2])[-1].transduce(xs[2:]),
        lambda xs: builder.initial_state(learned).transduce(xs),
        lambda xs: both.transduce(xs),
        lambda xs: both.add_inputs(xs),
    ]
    for run in runs:
        by_expressions = tape(lambda run=run: run([letters[i] for i in IDS]))  # type: ignore[misc]
        assert tape(lambda run=run: run(lookup_each(letters, IDS))) == by_expressions  # type: ignore[misc]
        changed = tape(lambda run=run: run(lookup_each(letters, [*IDS[:3]]) + [letters[i] for i in IDS[3:]]))  # type: ignore[misc]
        assert changed == by_expressions and len(changed) > 40


def test_outputs_are_places_where_shapes_are_equal_and_steps_draw_no_masks() -> None:
    model = ParameterCollection()
    lstm, gru, letters = VanillaLSTMBuilder(2, 3, 4, model), GRUBuilder(2, 3, 4, model), table(model)
    learned = [model.add_parameters((4,)) for _ in range(4)]
    renew_cg()
    xs = lookup_each(letters, IDS)
    for places in (
        lstm.initial_state().transduce(list(xs)),
        lstm.initial_state(learned).transduce(xs),
        lstm.initial_state().add_input(xs[0]).transduce(xs[1:]),
        gru.initial_state().transduce(xs),
    ):
        assert isinstance(places, Expressions) and len(places) >= 4
    batch = inputTensor(NUMBERS.normal(size=(3, 2)), batched=True)
    gru.set_dropout(0.5)
    for outputs in (lstm.initial_state().transduce([*xs, batch]), gru.initial_state().transduce(xs)):
        assert isinstance(outputs, list) and len(outputs) >= 5
    lstm.set_dropout(0.5)
    assert isinstance(lstm.initial_state().transduce(xs), Expressions)


def test_places_from_a_learned_state_have_the_values_of_steps() -> None:
    model = ParameterCollection()
    builder, letters = VanillaLSTMBuilder(2, 3, 4, model), table(model)
    learned = [model.parameters_from_numpy(NUMBERS.normal(size=4)) for _ in range(4)]
    renew_cg()
    state = builder.initial_state(learned)
    expected = []
    for x in lookup_each(letters, IDS):
        state = state.add_input(x)
        output = state.output()
        assert output is not None
        expected.append(output.npvalue())
    outputs = builder.initial_state(learned).transduce(lookup_each(letters, IDS))
    np.testing.assert_allclose([h.npvalue() for h in outputs], expected, atol=1e-6)
    reverse = builder.initial_state().transduce(lookup_each(letters, IDS)[::-1])
    listed = builder.initial_state().transduce([letters[i] for i in IDS[::-1]])
    np.testing.assert_allclose([h.npvalue() for h in reverse], [h.npvalue() for h in listed], atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_sequences_that_cannot_be_run(kind: type[RecurrentBuilder]) -> None:
    model = ParameterCollection()
    builder, both, letters = kind(1, 3, 4, model), BiRNNBuilder(1, 3, 8, model, kind), table(model)
    wide = model.add_lookup_parameters((4, 5))
    renew_cg()
    stale = lookup_each(letters, IDS)
    graph = renew_cg()
    for run in (builder.initial_state().transduce, builder.initial_state().add_inputs, both.transduce, both.add_inputs):
        with pytest.raises(ShapeError, match=r"takes inputs of shape \{3\}, got \{5\}"):
            run(lookup_each(wide, [1, 2]))
        with pytest.raises(StaleExpression):
            run(stale)
        length = len(graph.code)
        assert run(lookup_each(letters, [])) == [] and len(graph.code) == length
        changed = lookup_each(letters, IDS)
        changed.append("x")  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="operands must be expressions, got str"):
            run(changed)
    state = builder.initial_state().add_input(letters[0])
    with ComputationGraph():
        here = lookup_each(letters, IDS)
        with pytest.raises(WeftError, match="two computation graphs"):
            state.transduce(here)
