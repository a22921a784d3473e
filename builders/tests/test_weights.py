"""Weights that are computed once a graph: masked weights, noisy weights."""

from typing import Any

import numpy as np
import pytest

from weft_builders import BiRNNBuilder, CompactVanillaLSTMBuilder, RecurrentBuilder, SparseLSTMBuilder
from weft_core import (
    ComputationGraph,
    ParameterCollection,
    cg_checkpoint,
    cg_revert,
    esum,
    inputTensor,
    inputVector,
    renew_cg,
    squared_norm,
    sum_batches,
)
from weft_core.graph import current
from weft_core.signature import signatures

NUMBERS = np.random.default_rng(5)
XS = NUMBERS.normal(size=(4, 3))


def logistic(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


def lstm(layers: list[Any], xs: Any) -> Any:
    """Outputs of an LSTM with these Wx, Wh, b per layer."""
    states = [(np.zeros(w[1].shape[1]),) * 2 for w in layers]
    outputs = []
    for x in xs:
        for k, (wx, wh, b) in enumerate(layers):
            i, f, o, g = np.split(wx @ x + wh @ states[k][0] + b, 4)
            c = logistic(f + 1) * states[k][1] + logistic(i) * np.tanh(g)
            x = logistic(o) * np.tanh(c)
            states[k] = x, c
        outputs.append(x)
    return np.array(outputs)


def outputs_of(builder: RecurrentBuilder) -> Any:
    return np.array([h.npvalue() for h in builder.initial_state().transduce([inputVector(x) for x in XS])])


def operations() -> list[str]:
    """Names of the operations on the current tape."""
    code, position, names = current().code, 1, []
    while position < len(code):
        names.append(signatures[code[position]].operation.name)
        position += signatures[code[position]].length
    return names


def test_masks_are_parameters_in_the_order_of_dynet() -> None:
    model = ParameterCollection()
    builder = SparseLSTMBuilder(2, 3, 4, model)
    # Wx, Wh, b, mask_x, mask_h of each layer; created as Wx, Wh, mask_x, mask_h, b.
    dims = [[(16, rows), (16, 4), (16,), (16, rows), (16, 4)] for rows in (3, 4)]
    listed = builder.get_parameters()
    assert [[p.shape() for p in layer] for layer in listed] == dims
    assert [[p.name() for p in layer] for layer in listed] == [
        [f"/vanilla-lstm-builder/_{5 * layer + k}" for k in (0, 1, 4, 2, 3)] for layer in (0, 1)
    ]
    for *_, b, mask_x, mask_h in listed:
        assert not b.values.any() and (mask_x.values == 1).all() and (mask_h.values == 1).all()
        assert b.is_updated() and not mask_x.is_updated() and not mask_h.is_updated()
    assert builder.spec == (2, 3, 4, False, 1.0)
    builder.set_sparsity(0.5)
    for expressions, (wx, wh, b, mask_x, mask_h) in zip(builder.get_parameter_expressions(), listed, strict=True):
        used = [wx.as_array() * mask_x.as_array(), wh.as_array() * mask_h.as_array(), b.as_array()]
        assert [e.npvalue().tolist() for e in expressions] == [w.tolist() for w in used]


def test_set_sparsity_switches_off_the_smallest_weights_of_all_layers() -> None:
    builder = SparseLSTMBuilder(2, 3, 4, ParameterCollection())
    layers = builder.get_parameters()
    weights = [[p.as_array() for p in layer[:2]] for layer in layers]
    sizes = np.sort(np.abs(np.concatenate([w.ravel() for layer in weights for w in layer])))
    assert len(sizes) == 240
    for fraction, off in ((0.3, 72), (0.0, 0), (0.99, 237), (1.0, 240), (0.5, 120)):
        builder.set_sparsity(0)
        builder.set_sparsity(fraction)
        masks = [[p.as_array() for p in layer[3:]] for layer in layers]
        assert sum((mask == 0).sum() for layer in masks for mask in layer) == off
        for layer, kept in zip(weights, masks):
            for w, mask in zip(layer, kept):
                assert set(mask.ravel()) <= {0.0, 1.0}
                if 0 < off < 240:
                    np.testing.assert_array_equal(mask == 1, np.abs(w) >= sizes[off])
    # What is off counts as 0 and stays off when more follow.
    before = [[p.as_array() for p in layer[3:]] for layer in layers]
    builder.set_sparsity(0.6)
    for layer, kept in zip(layers, before):
        for p, mask in zip(layer[3:], kept):
            assert (p.as_array()[mask == 0] == 0).all()
    np.testing.assert_array_equal(weights[1][0], layers[1][0].as_array())
    layers[0][0].set_value(np.where(layers[0][3].as_array() == 0, 100.0, weights[0][0]))
    off_before = (layers[0][3].as_array() == 0).sum()
    builder.set_sparsity(0.6)
    assert off_before > 0 and (layers[0][3].as_array() == 0).sum() == off_before


@pytest.mark.parametrize("autobatch", [True, False])
def test_masked_weights(autobatch: bool) -> None:
    builder = SparseLSTMBuilder(2, 3, 4, ParameterCollection())
    builder.set_sparsity(0.5)
    layers = [[p.as_array() for p in layer] for layer in builder.get_parameters()]
    renew_cg(autobatching=autobatch)
    expected = lstm([(wx * mx, wh * mh, b) for wx, wh, b, mx, mh in layers], XS)
    np.testing.assert_allclose(outputs_of(builder), expected, atol=1e-5)
    # Once a graph, whatever is run in it.
    outputs_of(builder)
    assert sum(name == "cmult" for name in operations()) == 4
    batch = inputTensor(NUMBERS.normal(size=(3, 2)), batched=True)
    last = builder.initial_state().add_input(batch).add_input(batch).output()
    assert last is not None
    sum_batches(squared_norm(last)).backward()
    for wx, wh, b, mask_x, mask_h in builder.get_parameters():
        for w, mask in ((wx, mask_x), (wh, mask_h)):
            assert (w.grad_as_array()[mask.as_array() == 0] == 0).all()
            assert (w.grad_as_array() != 0).any() and not mask.grad_as_array().any()
        assert b.grad_as_array().any()


def test_new_masks_hold_for_later_steps() -> None:
    builder = SparseLSTMBuilder(1, 3, 4, ParameterCollection())
    before = outputs_of(builder)
    builder.set_sparsity(0.7)
    assert np.abs(outputs_of(builder) - before).max() > 1e-3


def test_fractions_outside_of_their_range() -> None:
    builder = SparseLSTMBuilder(1, 3, 4, ParameterCollection())
    for wrong in (-0.1, 1.5, float("nan")):
        with pytest.raises(ValueError, match="set_sparsity: the fraction"):
            builder.set_sparsity(wrong)
    compact = CompactVanillaLSTMBuilder(1, 3, 4, ParameterCollection())
    for wrong in (-1.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="set_weightnoise: a standard deviation"):
            compact.set_weightnoise(wrong)


def noisy_builder(std: float = 0.3) -> tuple[ParameterCollection, CompactVanillaLSTMBuilder]:
    model = ParameterCollection()
    builder = CompactVanillaLSTMBuilder(2, 3, 4, model)
    builder.set_weightnoise(std)
    return model, builder


def drawn(builder: RecurrentBuilder) -> list[Any]:
    """The weights that the steps in the current graph read."""
    found = builder._computed.find(current(), True)
    assert found is not None
    return [[e.npvalue() for e in layer] for layer in found]


@pytest.mark.parametrize("autobatch", [True, False])
def test_noise_is_added_to_weights_and_biases_once_a_graph(autobatch: bool) -> None:
    model, builder = noisy_builder()
    exact = [p.as_array() for p in model.parameters_list()]
    seen = []
    for _ in range(2):
        renew_cg(autobatching=autobatch)
        outputs = outputs_of(builder)
        weights = drawn(builder)
        np.testing.assert_allclose(outputs, lstm(weights, XS), atol=1e-5)
        np.testing.assert_array_equal(outputs_of(builder), outputs)
        seen.append(np.concatenate([(w - p).ravel() for w, p in zip((w for layer in weights for w in layer), exact)]))
    assert abs(np.concatenate(seen).mean()) < 0.05 and np.concatenate(seen).std() == pytest.approx(0.3, rel=0.1)
    assert not np.isclose(*seen).any()
    builder.set_weightnoise(0)
    np.testing.assert_allclose(outputs_of(builder), lstm([exact[:3], exact[3:]], XS), atol=1e-5)


def test_gradients_are_those_at_the_noisy_weights() -> None:
    model, builder = noisy_builder()
    outputs = builder.initial_state().transduce([inputVector(x) for x in XS])
    esum([squared_norm(h) for h in outputs]).backward()
    found = [p.grad_as_array() for p in model.parameters_list()]
    weights = drawn(builder)
    plain_model = ParameterCollection()
    plain = CompactVanillaLSTMBuilder(2, 3, 4, plain_model)
    for p, w in zip(plain_model.parameters_list(), (w for layer in weights for w in layer)):
        p.set_value(w)
    esum([squared_norm(h) for h in plain.initial_state().transduce([inputVector(x) for x in XS])]).backward()
    for gradient, p in zip(found, plain_model.parameters_list()):
        np.testing.assert_allclose(gradient, p.grad_as_array(), atol=1e-5)


def test_constant_weights_with_noise_have_no_gradient() -> None:
    model, builder = noisy_builder()
    learned = model.add_parameters((3,))
    state = builder.initial_state(update=False).add_input(1.0 * learned)
    assert state.output() is not None
    squared_norm(state.output()).backward()  # type: ignore[arg-type]
    assert learned.grad_as_array().any()
    assert not any(p.grad_as_array().any() for p in builder.param_collection().parameters_list())


def test_what_a_graph_shares_goes_with_it_and_with_what_is_reverted() -> None:
    _, builder = noisy_builder()
    builder.set_dropout(0.5)
    with ComputationGraph():
        inside = outputs_of(builder)
    outside = outputs_of(builder)
    assert not np.allclose(inside, outside)
    np.testing.assert_array_equal(outputs_of(builder), outside)
    renew_cg()
    cg_checkpoint()
    first = outputs_of(builder)
    cg_revert()
    second = outputs_of(builder)
    assert not np.allclose(first, second)
    np.testing.assert_array_equal(outputs_of(builder), second)


def test_noise_and_masks_in_both_directions() -> None:
    def factory(*given: Any) -> CompactVanillaLSTMBuilder:
        builder = CompactVanillaLSTMBuilder(*given)
        builder.set_weightnoise(0.2)
        return builder

    both = BiRNNBuilder(1, 3, 8, ParameterCollection(), factory)
    found = [h.npvalue() for h in both.transduce([inputVector(x) for x in XS])]
    left, right = (lstm(drawn(b), xs) for b, xs in zip(both.builder_layers[0], (XS, XS[::-1])))
    np.testing.assert_allclose(found, np.concatenate([left, right[::-1]], axis=1), atol=1e-5)
