"""The LSTM with normalised layers: its equations, its first step, and where its parameters live."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from weft_builders import BiRNNBuilder, SparseLSTMBuilder, VanillaLSTMBuilder
from weft_core import (
    Expression,
    ParameterCollection,
    Parameters,
    esum,
    inputTensor,
    inputVector,
    load_parameters,
    renew_cg,
    save_parameters,
    squared_norm,
    sum_batches,
)

NUMBERS = np.random.default_rng(3)
XS = NUMBERS.normal(size=(5, 3))
H = 4


def logistic(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


def norm(x: Any, g: Any, b: Any) -> Any:
    return g * (x - x.mean()) / x.std() + b


def reference(layers: list[list[Any]], xs: Any, start: Any, forget_bias: float) -> Any:
    """Outputs of the top layer; `start` is None or (c, h) of every layer."""
    states: list[Any] = [None] * len(layers) if start is None else list(zip(*start))
    outputs = []
    for x in xs:
        for k, (wx, wh, b, gh, bh, gx, bx, gc, bc) in enumerate(layers):
            a = norm(wx @ x, gx, bx) + b + (norm(wh @ states[k][1], gh, bh) if states[k] is not None else 0)
            i, f, o, g = np.split(a, 4)
            kept = 0 if states[k] is None else logistic(f + forget_bias) * states[k][0]
            c = kept + logistic(i) * np.tanh(g)
            x = logistic(o) * np.tanh(norm(c, gc, bc))
            states[k] = c, x
        outputs.append(x)
    return np.array(outputs)


def made(layers: int = 2, forget_bias: float = 0.5) -> tuple[ParameterCollection, VanillaLSTMBuilder]:
    """A builder whose gains and biases are numbers that a test can see."""
    model = ParameterCollection()
    builder = VanillaLSTMBuilder(layers, 3, H, model, True, forget_bias)
    numbers = np.random.default_rng(4)
    for p in model.parameters_list():
        p.set_value(numbers.normal(size=p.shape()) * 0.7)
    return model, builder


def values(builder: VanillaLSTMBuilder) -> list[list[Any]]:
    return [[p.as_array() for p in layer] for layer in builder.get_parameters()]


@pytest.mark.parametrize("way", ["add_input", "add_inputs", "transduce"])
@pytest.mark.parametrize("from_state", [False, True])
@pytest.mark.parametrize("autobatch", [True, False])
def test_equations(way: str, from_state: bool, autobatch: bool) -> None:
    _model, builder = made()
    renew_cg(autobatching=autobatch)
    given = NUMBERS.normal(size=(4, H)) if from_state else None
    state = builder.initial_state(None if given is None else [inputVector(v) for v in given])
    xs = [inputVector(x) for x in XS]
    if way == "add_input":
        outputs = []
        for x in xs:
            state = state.add_input(x)
            outputs.append(state.output())
    elif way == "add_inputs":
        outputs = [after.output() for after in state.add_inputs(xs)]
    else:
        outputs = list(state.transduce(xs))
    start = None if given is None else (given[:2], given[2:])
    expected = reference(values(builder), XS, start, 0.5)
    np.testing.assert_allclose([h.npvalue() for h in outputs if h is not None], expected, atol=2e-5)


def test_gradients() -> None:
    model, builder = made()
    batch = NUMBERS.normal(size=(5, 3, 2))

    def loss() -> float:
        found = [reference(values(builder), batch[:, :, k], None, 0.5) for k in range(2)]
        return float(sum((outputs**2).sum() for outputs in found))

    outputs = builder.initial_state().transduce([inputTensor(x, batched=True) for x in batch])
    total = sum_batches(esum([squared_norm(h) for h in outputs]))
    assert total.value() == pytest.approx(loss(), rel=1e-5)
    total.backward()
    for p in model.parameters_list():
        exact, direction = p.as_array(), np.random.default_rng(2).normal(size=p.shape())
        p.set_value(exact + 1e-3 * direction)
        above = loss()
        p.set_value(exact - 1e-3 * direction)
        difference = (above - loss()) / 2e-3
        p.set_value(exact)
        assert abs(difference) > 1e-3, p.name()
        assert (p.grad_as_array() * direction).sum() == pytest.approx(difference, rel=5e-3, abs=5e-3), p.name()


def test_zeros_are_another_start_than_none() -> None:
    _, builder = made(1)
    x = inputVector(XS[0])
    zeros = [inputVector(np.zeros(H)) for _ in range(2)]
    none, zero = (builder.initial_state(given).add_input(x).output() for given in (None, zeros))
    assert none is not None and zero is not None
    assert np.abs(none.npvalue() - zero.npvalue()).max() > 0.01
    (layer,) = builder.get_parameters()
    # With a bias of zero in the norm of the recurrence they are equal.
    layer[4].set_value(np.zeros(4 * H))
    renew_cg()
    x = inputVector(XS[0])
    zeros = [inputVector(np.zeros(H)) for _ in range(2)]
    none, zero = (builder.initial_state(given).add_input(x).output() for given in (None, zeros))
    assert none is not None and zero is not None
    np.testing.assert_allclose(none.npvalue(), zero.npvalue(), atol=1e-6)


@pytest.mark.parametrize("kind", [VanillaLSTMBuilder, SparseLSTMBuilder])
def test_parameters_follow_those_of_their_layer_under_names_of_their_own(kind: type[VanillaLSTMBuilder]) -> None:
    model = ParameterCollection()
    builder, plain = kind(2, 3, H, model, ln_lstm=True), kind(2, 3, H, ParameterCollection())
    for layer, without in zip(builder.get_parameters(), plain.get_parameters()):
        count = len(without)
        assert [p.name() for p in layer[:count]] == [p.name() for p in without]
        assert [p.shape() for p in layer[count:]] == [(4 * H,)] * 4 + [(H,)] * 2
        assert [set(p.as_array().ravel()) for p in layer[count:]] == [{1.0}, {0.0}] * 3
    names = [p.name() for p in builder.param_collection().parameters_list()]
    assert names == [p.name() for p in model.parameters_list()]
    first, own = len(plain.get_parameters()[0]), "/vanilla-lstm-builder/layer-norm/_"
    # In the order of creation they are those of the first layer, then its norms, then those of the second.
    assert [k for k, name in enumerate(names) if name.startswith(own)] == [
        *range(first, first + 6),
        *range(2 * first + 6, 2 * first + 12),
    ]
    assert builder.spec == (2, 3, H, True, 1.0)
    again = kind.from_spec(builder.spec, ParameterCollection())
    assert [p.name() for p in again.param_collection().parameters_list()] == names


def test_they_are_saved_with_the_builder(tmp_path: Path) -> None:
    model, builder = made()
    save_parameters(tmp_path / "lstm.safetensors", model)
    other = ParameterCollection()
    copy = VanillaLSTMBuilder.from_spec(builder.spec, other)
    load_parameters(tmp_path / "lstm.safetensors", other)
    found = [b.initial_state().transduce([inputVector(x) for x in XS])[-1].npvalue() for b in (builder, copy)]
    np.testing.assert_array_equal(*found)


def test_constant_parameters_and_several_sequences() -> None:
    model, builder = made()
    x, y = inputVector(XS[0]), inputVector(XS[1])

    def loss(update: bool) -> Expression:
        outputs = [builder.initial_state(update=update).transduce(xs)[-1] for xs in ([x, y], [y], [x, y, x])]
        return esum([squared_norm(h) for h in outputs])

    constant, trained = loss(False), loss(True)
    constant.backward()
    parameters: list[Parameters] = model.parameters_list()
    assert not any(p.grad_as_array().any() for p in parameters)
    trained.backward()
    assert all(p.grad_as_array().any() for p in parameters)
    assert constant.value() == pytest.approx(trained.value(), rel=1e-6)


def test_inside_of_a_birnn() -> None:
    model = ParameterCollection()
    both = BiRNNBuilder(2, 3, 2 * H, model, lambda *given: VanillaLSTMBuilder(*given, ln_lstm=True))
    outputs = both.transduce([inputVector(x) for x in XS])
    xs: Any = XS
    for forward, backward in both.builder_layers:
        left = reference(values(forward), xs, None, 1.0)  # type: ignore[arg-type]
        right = reference(values(backward), xs[::-1], None, 1.0)[::-1]  # type: ignore[arg-type]
        xs = np.concatenate([left, right], axis=1)
    np.testing.assert_allclose([h.npvalue() for h in outputs], xs, atol=2e-5)
