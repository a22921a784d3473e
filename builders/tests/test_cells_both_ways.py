"""Builders run their steps as cells; operation by operation they give the same values and gradients."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest

import weft_core as w
from weft_builders import (
    BiRNNBuilder,
    ChildSumTreeLSTMBuilder,
    CompactVanillaLSTMBuilder,
    CoupledLSTMBuilder,
    FastLSTMBuilder,
    GRUBuilder,
    NaryTreeLSTMBuilder,
    PeepholeTreeLSTMBuilder,
    SimpleRNNBuilder,
    SparseLSTMBuilder,
    VanillaLSTMBuilder,
    peephole_tree,
    recurrent,
    tree,
)
from weft_core import Expression, ParameterCollection


def noisy(*arguments: Any) -> CompactVanillaLSTMBuilder:
    builder = CompactVanillaLSTMBuilder(*arguments)
    builder.set_weightnoise(0.1)
    return builder


def half(*arguments: Any) -> SparseLSTMBuilder:
    builder = SparseLSTMBuilder(*arguments)
    builder.set_sparsity(0.5)
    return builder


RECURRENT = {
    "rnn": SimpleRNNBuilder,
    "gru": GRUBuilder,
    "lstm": VanillaLSTMBuilder,
    "normalised": partial(VanillaLSTMBuilder, ln_lstm=True),
    "compact": CompactVanillaLSTMBuilder,
    "noisy": noisy,
    "sparse": half,
    "sparse normalised": partial(SparseLSTMBuilder, ln_lstm=True, forget_bias=0.5),
    "coupled": CoupledLSTMBuilder,
    "fast": FastLSTMBuilder,
}
# The masks of a GRU are new at every step, keyed by its place on the tape: another tape has others.
DROPPED = [name for name in RECURRENT if name not in ("gru", "fast")]
KINDS = [(name, rate) for name in RECURRENT for rate in (0.0, 0.4) if not rate or name in DROPPED]
Program = Callable[[ParameterCollection], list[Expression]]


class Plain:
    """In the place of `Cell`: runs the function itself."""

    def __init__(self, function: Callable[..., Any], name: str = "") -> None:
        self.function = function

    def __call__(self, *operands: Expression) -> Any:
        return self.function(*operands)


def vector(seed: int, size: int, batch: int = 1) -> Expression:
    return w.inputTensor(np.random.default_rng(seed).normal(size=(size, batch)), batched=True)


def outcome(program: Program, autobatch: bool) -> tuple[list[Any], list[Any]]:
    """Values of the results of a program, among other nodes, and the gradients of its parameters."""
    w.reset_random_seed(3)
    model = ParameterCollection()
    w.renew_cg(autobatching=autobatch)
    results = program(model)
    other = w.tanh(results[0])
    loss = w.esum([w.sum_batches(w.sum_elems(w.square(y + 0.5))) for y in [*results, other]])
    loss.backward()
    return [y.npvalue() for y in results], [p.grad_as_array() for p in model.parameters_list()]


def assert_equal_both_ways(monkeypatch: pytest.MonkeyPatch, program: Program) -> None:
    cells = [outcome(program, autobatch) for autobatch in (True, False)]
    for module in (recurrent, tree, peephole_tree):
        monkeypatch.setattr(module, "Cell", Plain)
    plain = outcome(program, False)
    assert any(np.abs(g).max() > 0 for g in plain[1])
    for found in cells:
        for part, wanted in zip(found, plain, strict=True):
            for a, b in zip(part, wanted, strict=True):
                np.testing.assert_allclose(a, b, rtol=1e-4, atol=2e-5 * max(1, np.abs(b).max()))


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize(("kind", "dropout"), KINDS)
def test_recurrent_builders(monkeypatch: pytest.MonkeyPatch, kind: str, dropout: float, batch: int) -> None:
    def program(model: ParameterCollection) -> list[Expression]:
        builder = RECURRENT[kind](2, 3, 4, model)
        builder.set_dropout(dropout)
        state, outputs = builder.initial_state(), []
        for k in range(4):
            state = state.add_input(vector(k, 3, batch))
            outputs.append(state.output())
        fresh = builder.initial_state([vector(50 + k, 4, batch) for k in range(len(state.s()))])
        return [*outputs, *state.s(), fresh.add_input(vector(9, 3, batch)).output()]

    assert_equal_both_ways(monkeypatch, program)


@pytest.mark.parametrize("kind", RECURRENT)
def test_whole_sequences(kind: str) -> None:
    """`transduce` records in one go what single steps record."""

    def program(whole: bool) -> Program:
        def run(model: ParameterCollection) -> list[Expression]:
            builder = RECURRENT[kind](2, 3, 4, model)
            xs = [vector(k, 3) for k in range(5)]
            if whole:
                return list(builder.initial_state().transduce(xs))
            state, outputs = builder.initial_state(), []
            for x in xs:
                state = state.add_input(x)
                outputs.append(state.output())
            return outputs

        return run

    for a, b in zip(outcome(program(True), True), outcome(program(False), False), strict=True):
        for left, right in zip(a, b, strict=True):
            np.testing.assert_allclose(left, right, rtol=1e-4, atol=2e-5)


@pytest.mark.parametrize("kind", RECURRENT)
def test_birnn(kind: str) -> None:
    def program(both: bool) -> Program:
        def run(model: ParameterCollection) -> list[Expression]:
            builder = BiRNNBuilder(1, 3, 8, model, RECURRENT[kind])
            xs = [vector(k, 3) for k in range(4)]
            if both:
                return list(builder.transduce(xs))
            forward, backward = builder.builder_layers[0]
            lefts = forward.initial_state().add_inputs(xs)
            rights = backward.initial_state().add_inputs(xs[::-1])[::-1]
            return [w.concatenate([a.output(), b.output()]) for a, b in zip(lefts, rights, strict=True)]

        return run

    for a, b in zip(outcome(program(True), True), outcome(program(False), False), strict=True):
        for left, right in zip(a, b, strict=True):
            np.testing.assert_allclose(left, right, rtol=1e-4, atol=2e-5)


def test_nary_trees(monkeypatch: pytest.MonkeyPatch) -> None:
    def program(model: ParameterCollection) -> list[Expression]:
        builder = NaryTreeLSTMBuilder(2, 3, 4, model)
        states = [builder.leaf(vector(k, 3)) for k in range(3)]
        top = builder.compose([states[0], states[1]])
        top = builder.compose([top, states[2]], vector(7, 3))
        top = builder.compose([None, top], vector(8, 3))
        return [*top, *states[0]]

    assert_equal_both_ways(monkeypatch, program)


def test_child_sum_trees(monkeypatch: pytest.MonkeyPatch) -> None:
    def program(model: ParameterCollection) -> list[Expression]:
        builder = ChildSumTreeLSTMBuilder(3, 4, model)
        leaves = [builder.node(vector(k, 3)) for k in range(4)]
        inner = builder.node(vector(8, 3), leaves[:3])
        other = builder.node(None, [leaves[3]])
        return [*builder.node(vector(9, 3), [inner, other]), *inner]

    assert_equal_both_ways(monkeypatch, program)


@pytest.mark.parametrize("batch", [1, 3])
def test_peephole_trees(monkeypatch: pytest.MonkeyPatch, batch: int) -> None:
    def program(model: ParameterCollection) -> list[Expression]:
        builder = PeepholeTreeLSTMBuilder(2, 2, 3, 4, model)
        leaves = [builder.node(vector(k, 3, batch)) for k in range(4)]
        inner = builder.node(vector(8, 3, batch), leaves[:3])
        top = builder.node(vector(9, 3, batch), [inner, leaves[3]])
        return [top.h, top.c, inner.h]

    assert_equal_both_ways(monkeypatch, program)
