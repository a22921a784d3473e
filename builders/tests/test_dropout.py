"""Dropout of recurrent builders: which masks, how long they last, what they do."""

import numpy as np
import pytest
from numpy.typing import NDArray

from weft_builders import (
    BiRNNBuilder,
    CoupledLSTMBuilder,
    FastLSTMBuilder,
    GRUBuilder,
    LSTMBuilder,
    SimpleRNNBuilder,
)
from weft_core.collection import ParameterCollection
from weft_core.graph import current, init, renew_cg, reset_random_seed
from weft_core.ops.inputs import inputTensor, inputVector
from weft_core.ops.reductions import sum_elems

XS = np.random.default_rng(0).normal(size=(3, 5))


def one_weight_rnn(rows: int) -> SimpleRNNBuilder:
    """`h = tanh(x)` on the diagonal: the output shows the mask of the input."""
    builder = SimpleRNNBuilder(1, rows, rows, ParameterCollection())
    wx, wh, _ = builder.get_parameters()[0]
    wx.set_value(np.eye(rows))
    wh.set_value(np.zeros((rows, rows)))
    return builder


def test_one_mask_for_all_steps_and_sequences_of_a_graph() -> None:
    builder = one_weight_rnn(200)
    builder.set_dropouts(0.25, 0.0)
    one = np.full(200, 0.5)
    seen = []
    for _ in range(2):
        renew_cg()
        first = [h.npvalue() for h in builder.initial_state().transduce([inputVector(one) for _ in range(3)])]
        second = builder.initial_state().add_input(inputVector(one)).output().npvalue()
        for h in (*first, second):
            np.testing.assert_array_equal(h, first[0])
        kept = first[0] != 0
        np.testing.assert_allclose(first[0][kept], np.tanh(0.5 / 0.75), rtol=1e-5)
        assert 0.6 < kept.mean() < 0.9
        seen.append(kept)
    assert (seen[0] != seen[1]).any()
    builder.disable_dropout()
    np.testing.assert_allclose(
        builder.initial_state().add_input(inputVector(one)).output().npvalue(), np.tanh(one), rtol=1e-5
    )


def test_the_previous_output_has_a_mask_of_its_own() -> None:
    builder = one_weight_rnn(200)
    builder.get_parameters()[0][1].set_value(np.eye(200))
    builder.set_dropouts(0.0, 0.5)
    zero = inputVector(np.zeros(200))
    start = builder.initial_state([inputVector(np.full(200, 0.1))])
    first = start.add_input(zero).output().npvalue()
    kept = first != 0
    assert 0.3 < kept.mean() < 0.7
    np.testing.assert_allclose(first[kept], np.tanh(0.2), rtol=1e-5)
    last = start.transduce([zero, zero])[-1].npvalue()
    np.testing.assert_allclose(last[kept], np.tanh(2 * np.tanh(0.2)), rtol=1e-5)


def test_masks_differ_between_examples_unless_drawn_for_one() -> None:
    builder = one_weight_rnn(50)
    builder.set_dropout(0.5)
    ones = np.ones((50, 2))
    batched = builder.initial_state().add_input(inputTensor(ones, batched=True)).output().npvalue()
    assert (batched[:, 0] != batched[:, 1]).any()
    builder.set_dropout_masks(1)
    same = builder.initial_state().add_input(inputTensor(ones, batched=True)).output().npvalue()
    np.testing.assert_array_equal(same[:, 0], same[:, 1])
    assert (same != batched).any()


@pytest.mark.parametrize("autobatch", [True, False])
def test_an_lstm_with_masks_is_the_lstm_of_masked_values(autobatch: bool) -> None:
    model = ParameterCollection()
    builder = LSTMBuilder(2, 5, 8, model)
    builder.set_dropout(0.4)
    reset_random_seed(3)
    graph = renew_cg(autobatching=autobatch)
    outputs = builder.initial_state().transduce([inputVector(x) for x in XS])
    masks = [[m.npvalue() for m in pair] for pair in builder._dropout.masks(graph, 1)]
    assert all(0 < (m != 0).mean() < 1 for m in (*masks[0], *masks[1]))
    xs = list(XS)
    for parameters, (mask_x, mask_h) in zip(builder.get_parameters(), masks):
        wx, wh, b = (p.as_array() for p in parameters)
        h, c = np.zeros(8), np.zeros(8)
        for t, x in enumerate(xs):
            i, f, o, g = np.split(wx @ (x * mask_x) + wh @ (h * mask_h) + b, 4)
            i, f, o = (1 / (1 + np.exp(-v)) for v in (i, f + 1, o))
            c = f * c + i * np.tanh(g)
            h = o * np.tanh(c)
            xs[t] = h
    np.testing.assert_allclose([h.npvalue() for h in outputs], xs, atol=1e-5)
    sum_elems(outputs[-1]).backward()
    wx = builder.get_parameters()[0][0]
    np.testing.assert_array_equal((wx.gradients != 0).any(axis=0), masks[0][0] != 0)


def test_gru_dropout_is_new_at_every_step_and_spares_the_state() -> None:
    builder = GRUBuilder(1, 5, 300, ParameterCollection())
    builder.set_dropout(0.5)
    for state in builder.initial_state().add_inputs([inputVector(x) for x in XS]):
        dropped, h = state.output().npvalue(), state.h()[0].npvalue()
        kept = dropped != 0
        assert 0.35 < kept.mean() < 0.65 and (h != 0).all()
        np.testing.assert_allclose(dropped[kept], 2 * h[kept], rtol=1e-5)
    outputs = [h.npvalue() != 0 for h in builder.initial_state().transduce([inputVector(x) for x in XS])]
    assert (outputs[0] != outputs[1]).any()
    step = builder.initial_state().add_input(inputVector(XS[0]))
    assert (step.output().npvalue() == 0).any() and (step.h()[0].npvalue() != 0).all()
    builder.disable_dropout()
    state = builder.initial_state().add_input(inputVector(XS[0]))
    assert state.output() is state.h()[0]


def test_rates_are_checked_and_reach_all_builders() -> None:
    lstm, gru = LSTMBuilder(1, 5, 4, ParameterCollection()), GRUBuilder(1, 5, 4, ParameterCollection())
    for builder in (lstm, gru):
        with pytest.raises(ValueError, match="dropout rate"):
            builder.set_dropout(1.5)
    with pytest.raises(TypeError, match="set_dropout"):
        gru.set_dropouts(0.1, 0.1)
    both = BiRNNBuilder(2, 5, 4, ParameterCollection(), LSTMBuilder)
    both.set_dropout(0.3)
    assert all(b._dropout.active for pair in both.builder_layers for b in pair)
    both.disable_dropout()
    assert not any(b._dropout.active for pair in both.builder_layers for b in pair)


@pytest.mark.parametrize("autobatch", [True, False])
def test_the_peepholes_of_a_coupled_lstm_have_a_mask_of_their_own(autobatch: bool) -> None:
    builder = CoupledLSTMBuilder(2, 5, 8, ParameterCollection())
    builder.set_dropout(0.4)
    graph = renew_cg(autobatching=autobatch)
    outputs = builder.initial_state().transduce([inputVector(x) for x in XS])
    masks = [[m.npvalue() for m in layer] for layer in builder._dropout.masks(graph, 1)]
    assert [len(layer) for layer in masks] == [3, 3]
    assert all(0 < (m != 0).mean() < 1 for layer in masks for m in layer)
    xs = list(XS)
    for parameters, (mask_x, mask_h, mask_c) in zip(builder.get_parameters(), masks):
        wix, wih, wic, bi, wox, woh, woc, bo, wcx, wch, bc = (p.as_array() for p in parameters)
        h, c = np.zeros(8), np.zeros(8)
        for t, x in enumerate(xs):
            x, h = x * mask_x, h * mask_h
            i = 1 / (1 + np.exp(-(wix @ x + wih @ h + wic @ (c * mask_c) + bi)))
            c = (1 - i) * c + i * np.tanh(wcx @ x + wch @ h + bc)
            o = 1 / (1 + np.exp(-(wox @ x + woh @ h + woc @ (c * mask_c) + bo)))
            h = xs[t] = o * np.tanh(c)
    np.testing.assert_allclose([h.npvalue() for h in outputs], xs, atol=1e-5)


def test_normalised_layers_with_masks() -> None:
    builder = LSTMBuilder(1, 5, 8, ParameterCollection(), ln_lstm=True)
    builder.set_dropouts(0.4, 0.3)
    graph = renew_cg()
    outputs = builder.initial_state().transduce([inputVector(x) for x in XS])
    ((mask_x, mask_h),) = ([m.npvalue() for m in layer] for layer in builder._dropout.masks(graph, 1))
    assert (mask_x == 0).any() and (mask_h == 0).any()
    wx, wh, b, *_ = (p.as_array() for p in builder.get_parameters()[0])
    h, c = None, np.zeros(8)
    for x, output in zip(XS, outputs):
        a = normal(wx @ (x * mask_x)) + b + (0 if h is None else normal(wh @ (h * mask_h)))
        i, f, o, g = np.split(a, 4)
        i, f, o = (1 / (1 + np.exp(-v)) for v in (i, f + 1, o))
        c = f * c + i * np.tanh(g)
        h = o * np.tanh(normal(c))
        np.testing.assert_allclose(output.npvalue(), h, atol=1e-5)


def normal(x: NDArray[np.float64]) -> NDArray[np.float64]:
    standardized: NDArray[np.float64] = (x - x.mean()) / x.std()
    return standardized


def test_a_fast_lstm_says_that_it_has_no_dropout() -> None:
    builder = FastLSTMBuilder(1, 5, 4, ParameterCollection())
    before = builder.initial_state().add_input(inputVector(XS[0])).output()
    with pytest.warns(UserWarning, match="has no dropout, the rate has no effect"):
        builder.set_dropout(0.5)
    after = builder.initial_state().add_input(inputVector(XS[0])).output()
    assert before is not None and after is not None
    np.testing.assert_array_equal(after.npvalue(), before.npvalue())
    builder.set_dropout(0)
    builder.disable_dropout()
    with pytest.raises(ValueError, match="dropout rate"):
        builder.set_dropout(-0.1)
    for refused in (lambda: builder.set_dropouts(0.1, 0.1), builder.set_dropout_masks):
        with pytest.raises(TypeError, match="has no dropout"):
            refused()


def test_masks_do_not_depend_on_the_backend(backend: str) -> None:
    """Random numbers are those of the reference, whatever computes them."""
    found = []
    for name in ("numpy", backend):
        init(name, seed=11)
        builder = CoupledLSTMBuilder(1, 5, 8, ParameterCollection())
        builder.set_dropout(0.5)
        outputs = builder.initial_state().transduce([inputVector(x) for x in XS])
        masks = [m.npvalue() for layer in builder._dropout.masks(current(), 1) for m in layer]
        found.append((np.concatenate(masks), np.concatenate([h.npvalue() for h in outputs])))
    np.testing.assert_array_equal(found[0][0] != 0, found[1][0] != 0)
    np.testing.assert_allclose(found[0][1], found[1][1], atol=1e-6)
