"""Defects of DyNet 2.1.2, and its calls that end the process: what Weft gives instead, one case each.

docs/dynet.md lists them under "Defects of the release that are not reproduced". A case is a function that returns a
value with the one that is right, or a call with its error and a part of the sentence. All run with and without
autobatching; programs run once.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import weft as dy

Case = Callable[[], Any]
VALUES: list[Any] = []
ERRORS: list[Any] = []
MATRIX = np.array([[1.0, 2.0], [3.0, 4.0]])
CUBE = np.arange(8.0).reshape(2, 2, 2)
SIX = np.arange(64.0).reshape(2, 2, 2, 2, 2, 2)
MODES = ("zero_gradient", "straight_through_gradient")
ALONG = np.array([1.0, 10.0]).reshape(1, 2, 1, 1, 1, 1)


def gives(right: Any, *more: Any) -> Callable[[Case], Case]:
    """Decorator: the function returns the right value; several values are of several results."""

    def add(case: Case) -> Case:
        VALUES.append(pytest.param(case, [right, *more] if more else right, id=case.__name__))
        return case

    return add


def refused(name: str, call: Case, error: type[Exception], sentence: str) -> None:
    """The call raises the error with this part of a sentence."""
    ERRORS.append(pytest.param(call, error, sentence, id=name))


@pytest.fixture(params=[True, False], ids=["batched", "alone"])
def graph(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A new graph, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    dy.reset_random_seed(1)
    dy.renew_cg(autobatching=request.param)
    yield
    dy.renew_cg()


def vector(*numbers: float) -> dy.Expression:
    return dy.inputVector(numbers)


def tensor(array: Any, batched: bool = False) -> dy.Expression:
    return dy.inputTensor(np.asarray(array, float), batched=batched)


def together(*expressions: dy.Expression) -> list[np.ndarray]:
    """The values of instructions that are ready at the same time."""
    dy.forward(list(expressions))
    return [expression.npvalue() for expression in expressions]


def gradients(loss: Callable[..., dy.Expression], *arrays: Any) -> list[np.ndarray]:
    """Gradients of a loss with respect to parameters with these values."""
    collection = dy.ParameterCollection()
    parameters = [collection.parameters_from_numpy(np.asarray(array, float)) for array in arrays]
    loss(*parameters).backward()
    return [parameter.grad_as_array() for parameter in parameters]


def equal(got: Any, right: Any) -> bool:
    """Compare floats up to rounding, everything else exactly; lists item by item."""
    if isinstance(right, list | tuple) and not all(isinstance(item, int | float) for item in right):
        return len(got) == len(right) and all(equal(a, b) for a, b in zip(got, right, strict=True))
    if isinstance(right, str | bool):
        return bool(got == right)
    got, right = np.asarray(got), np.asarray(right)
    return got.shape == right.shape and np.allclose(got, right, rtol=1e-5, atol=1e-6)


@pytest.mark.usefixtures("graph")
@pytest.mark.parametrize(("case", "right"), VALUES)
def test_the_value_is_right(case: Case, right: Any) -> None:
    got = case()
    assert equal(got, right), f"got {got}, the right value is {right}"


@pytest.mark.usefixtures("graph")
@pytest.mark.parametrize(("call", "error", "sentence"), ERRORS)
def test_the_error_is_clear(call: Case, error: type[Exception], sentence: str) -> None:
    with pytest.raises(error) as raised:
        call()
    assert sentence in str(raised.value)


# Defects: gradients


@gives([[1.0907842, 0.5]])
def gradient_of_silu_with_a_beta() -> Any:
    return gradients(lambda x: dy.sum_elems(dy.silu(x, 2.0)), [1, 0])


@gives([[1.5, 1.5]])
def gradient_of_average_with_and_without_a_batch() -> Any:
    batch = tensor(np.ones((2, 3)), batched=True)
    return gradients(lambda x: dy.sum_batches(dy.sum_elems(dy.average([x, batch]))), [1, 0])


@gives([-np.log(0.2 / 0.8), -np.log(0.7 / 0.3)])
def gradient_of_binary_log_loss_by_the_target() -> Any:
    return gradients(dy.binary_log_loss, [0.2, 0.7], [0.5, 0.25])[1]


@gives([[-3.0]])
def gradient_of_poisson_loss_times_three() -> Any:
    return gradients(lambda x: 3 * dy.poisson_loss(x, 2), [0])


@gives([[0.0]], [[1.0]])
def gradient_modes_of_round() -> Any:
    return [gradients(lambda x, m=mode: dy.round(x, gradient_mode=m), [0.3]) for mode in MODES]


@gives([[0.0]], [[1.0]])
def gradient_modes_of_ceil() -> Any:
    return [gradients(lambda x, m=mode: dy.ceil(x, gradient_mode=m), [0.3]) for mode in MODES]


@gives([[0.0]], [[1.0]])
def gradient_modes_of_floor() -> Any:
    return [gradients(lambda x, m=mode: dy.floor(x, gradient_mode=m), [0.3]) for mode in MODES]


@gives([[6.0]])
def gradient_of_an_operand_that_round_uses_too() -> Any:
    def loss(x: dy.Expression) -> dy.Expression:
        rounded = dy.round(x, gradient_mode="straight_through_gradient")
        return 0 * dy.tanh(x) + 5 * x + rounded

    return gradients(loss, [0.3])


@gives([[[1.0, 0.0, 0.0, 1.0, 0.0], *([[0.0] * 5] * 3)]])
def gradient_of_pooling_with_steps_beyond_the_window() -> Any:
    x = np.arange(20).reshape(4, 5)
    return gradients(lambda x: dy.sum_elems(dy.maxpooling2d(x, [1, 1], [4, 3], is_valid=False)), x)


@gives([[[3.0], [5.0]], [[9.0], [11.0]]])
def gradient_of_one_filter_with_three_axes() -> Any:
    filters = [[[1], [2]], [[3], [4]]]
    return gradients(lambda x, f: dy.sum_elems(dy.filter1d_narrow(x, f)), [[1, 2, 3], [4, 5, 6]], filters)[1]


# Defects: values


@gives([[10.0, 32.0], [54.0, 76.0]])
def contract3d_1d_of_a_cube() -> Any:
    return dy.contract3d_1d(tensor(CUBE), vector(1, 10)).npvalue()


@gives(np.log([6, 15]), np.log([3, 7, 11]))
def logsumexp_dim_of_wide_and_tall() -> Any:
    wide, tall = np.log([[1, 2, 3], [4, 5, 6]]), np.log([[1, 2], [3, 4], [5, 6]])
    return [dy.logsumexp_dim(tensor(array), 1).value() for array in (wide, tall)]


@gives([[[1.0, 3.0]], [[2.0, 4.0]]])
def concatenate_beyond_the_axes() -> Any:
    return dy.concatenate([vector(1, 2), vector(3, 4)], 2).npvalue()


@gives([[3.0, 3.0, 5.0]], [[2.0, 3.0]])
def kmax_pooling_with_ties() -> Any:
    return [dy.kmax_pooling(tensor([row]), k).npvalue() for row, k in (([1, 3, 2, 3, 3, 5], 3), ([2, 2, 3], 2))]


@gives([[[16.0, 20.0], [24.0, 28.0]]])
def filter1d_narrow_of_a_batch() -> Any:
    return dy.filter1d_narrow(tensor(np.arange(12).reshape(2, 3, 2), batched=True), tensor(np.ones((2, 2)))).npvalue()


@gives([[[4.0, 6.0], [8.0, 10.0]]])
def fold_rows_of_a_batch() -> Any:
    return dy.fold_rows(tensor(CUBE, batched=True), 2).npvalue()


@gives([[[2.0, 4.0], [6.0, 8.0]], [[14.0, 16.0], [18.0, 20.0]]])
def kmh_ngram_of_a_batch() -> Any:
    return dy.kmh_ngram(tensor(np.arange(12).reshape(2, 3, 2), batched=True), 2).npvalue()


@gives([0.75, 1 / (1 + np.exp(-1) / 3), 0.75, 0.8])
def lstm_gates_with_weight_noise() -> Any:
    # DyNet computes those of the bias alone: 0.5, 0.731, 0.5, 0.
    weights = np.log([[3], [3], [3], [3]])
    gates = dy.vanilla_lstm_gates(vector(1), vector(0), tensor(weights), tensor(weights), vector(0, 0, 0, 0), 1e-9)
    return gates.value()


@gives([1] * 20)
def sample_of_a_softmax_without_bias() -> Any:
    # DyNet takes the scores for probabilities: class 0 in every draw.
    collection = dy.ParameterCollection()
    softmax = dy.StandardSoftmaxBuilder(1, 2, collection, bias=False)
    softmax.param_collection().parameters_list()[0].set_value([[5], [25]])
    return [softmax.sample(vector(1)) for _ in range(20)]


def factored(collection: dy.ParameterCollection) -> dy.ClassFactoredSoftmaxBuilder:
    """Classes with the probabilities 1/4 and 3/4; the words of the second have 1/5 and 4/5 of it."""
    Path("clusters").write_text("one a\ntwo b\ntwo c\n", encoding="utf-8")
    softmax = dy.ClassFactoredSoftmaxBuilder(1, "clusters", {"a": 0, "b": 1, "c": 2}, collection)
    for parameter, value in zip(
        softmax.param_collection().parameters_list(), ([0, 0], np.log([1, 3]), [0, 0], np.log([1, 4])), strict=True
    ):
        parameter.set_value(np.reshape(value, parameter.shape()))
    return softmax


@gives(np.log([0.25, 0.15, 0.6]), np.log([0.25, 0.15, 0.6]))
def full_logits_of_a_class_factored_softmax() -> Any:
    collection = dy.ParameterCollection()
    softmax = factored(collection)
    return [softmax.full_logits(vector(1)).value(), softmax.full_log_distribution(vector(1)).value()]


# Defects: look-up tables


@gives(CUBE, CUBE[1])
def lookup_parameters_from_an_array_of_three_axes() -> Any:
    collection = dy.ParameterCollection()
    table = collection.lookup_parameters_from_numpy(CUBE)
    return [table.as_array(), table[1].npvalue()]


@gives("FULL_GRAD")
def gradient_of_a_batched_lookup_in_a_file() -> Any:
    collection = dy.ParameterCollection()
    table = collection.add_lookup_parameters((2, 1))
    dy.sum_batches(dy.lookup_batch(table, [0, 1])).backward()
    collection.save("model")
    return Path("model").read_text(encoding="utf-8").split()[4]


# Defects: state


@gives(9, 9)
def layer_normalisation_is_of_the_builder() -> Any:
    collection = dy.ParameterCollection()
    builder = dy.LSTMBuilder(1, 2, 2, collection, ln_lstm=True)
    return [len(builder.get_parameters()[0]), len(builder.param_collection().parameters_list())]


@gives([0.5, -0.5])
def a_softmax_with_gradient_after_one_without() -> Any:
    collection = dy.ParameterCollection()
    softmax = dy.StandardSoftmaxBuilder(1, 2, collection)
    weights, bias = softmax.param_collection().parameters_list()
    weights.zero()
    losses = [softmax.neg_log_softmax(vector(1), 1, update=update) for update in (True, False, True)]
    losses[2].backward()
    return bias.grad_as_array()


@gives([np.tanh(np.tanh(1)), 2, True])
def a_stacked_state() -> Any:
    collection = dy.ParameterCollection()
    builders = [dy.SimpleRNNBuilder(1, 1, 1, collection) for _ in range(2)]
    for builder in builders:
        builder.get_parameters()[0][0].set_value([[1]])
    start = dy.StackedRNNState([builder.initial_state() for builder in builders])
    state = start.add_input(vector(1))
    return [state.output().value(), len(state.s()), state.prev() is start]


@gives([0.45], [0.45])
def weight_decay_with_a_subcollection() -> Any:
    # (1 - 0.1) * 0.5 for both; DyNet stores 0.9 and tells the subcollection no decay.
    collection = dy.ParameterCollection()
    inner = collection.add_subcollection("inner").add_parameters((1,), init=1)
    outer = collection.add_parameters((1,), init=1)
    collection.set_weight_decay(0.5)
    trainer = dy.SimpleSGDTrainer(collection, 0.1)
    (inner + outer).backward()
    trainer.update()
    return [inner.as_array(), outer.as_array()]


# Defects: autobatching


@gives([np.expm1(-1), 2.0], [1.6732632 * 1.0507010 * np.expm1(-1), 2.1014021], [0.0, 2.0])
def elu_selu_and_rectify_at_once() -> Any:
    x = vector(-1, 2)
    return together(dy.elu(x), dy.selu(x), dy.rectify(x))


@gives([1 / (1 + np.exp(-1))], [1 / (1 + np.exp(-2))])
def silu_of_two_betas_at_once() -> Any:
    return together(dy.silu(vector(1), 1.0), dy.silu(vector(1), 2.0))


@gives(np.concatenate([MATRIX, MATRIX], 0), np.concatenate([MATRIX, MATRIX], 1))
def concatenate_along_two_axes_at_once() -> Any:
    return together(*(dy.concatenate([tensor(MATRIX), tensor(MATRIX)], axis) for axis in (0, 1)))


@gives(CUBE.transpose(1, 0, 2), CUBE.transpose(0, 2, 1))
def two_permutations_at_once() -> Any:
    return together(dy.transpose(tensor(CUBE), [1, 0, 2]), dy.transpose(tensor(CUBE), [0, 2, 1]))


@gives([[1.0, 2.0]], [[1.0], [3.0]])
def pick_range_along_two_axes_at_once() -> Any:
    return together(dy.pick_range(tensor(MATRIX), 0, 1, 0), dy.pick_range(tensor(MATRIX), 0, 1, 1))


@gives([[0.1192029, 0.1192029], [0.8807970, 0.8807970]], [[0.2689414, 0.7310586], [0.2689414, 0.7310586]])
def softmax_along_two_axes_at_once() -> Any:
    return together(dy.softmax(tensor(MATRIX), 0), dy.softmax(tensor(MATRIX), 1))


@gives([[[2.0]]], [[[3.0]]], [[[1.0]]])
def convolutions_with_two_biases_and_without_at_once() -> Any:
    x, f = tensor([[[1]]]), tensor([[[[1]]]])
    biased = [dy.conv2d_bias(x, f, vector(bias), [1, 1]) for bias in (1, 2)]
    return together(*biased, dy.conv2d(x, f, [1, 1]))


@gives([-0.75], [0.25 * np.tanh(0.5)])
def lstm_cell_and_output_at_once() -> Any:
    c, gates = vector(0.5), vector(1, 0.5, 0.25, -1)
    return together(dy.vanilla_lstm_c(c, gates), dy.vanilla_lstm_h(c, gates))


@gives([[5.0, 6.0], [5.0, 6.0]], [[4.0, 6.0], [4.0, 6.0]], [[1.0, 0.0], [1.0, 0.0]])
def gradient_of_a_sum_that_products_share() -> Any:
    def loss(u: dy.Expression, v: dy.Expression, w: dy.Expression) -> dy.Expression:
        shared, other = u + v, u + w
        products = [shared * vector(1, 2), shared * vector(3, 4), other * vector(1, 0)]
        return dy.esum([dy.sum_elems(product) for product in products])

    return gradients(loss, MATRIX, MATRIX, MATRIX)


@gives([2.0, 4.0, 8.0, 16.0, 32.0])
def a_small_graph_that_grows_between_values() -> Any:
    x, values = vector(1), []
    for _ in range(5):
        x = x + x
        values.append(x.value())
    return values


@gives([[[5120.0]]])
def backward_of_a_graph_that_outgrows_its_memory() -> Any:
    big = [tensor(np.full((256, 256), 1 / 256)) for _ in range(20)]
    return gradients(lambda w: dy.sum_elems(dy.esum([w * dy.sum_elems(x * x) for x in big])), [[1]])


# Defects: files of trainers


@gives(True, True)
def an_amsgrad_trainer_goes_on_from_its_file() -> Any:
    weights = []
    for reads in (False, True):
        collection = dy.ParameterCollection()
        weight = collection.add_parameters((1,), init=1)
        trainer = dy.AmsgradTrainer(collection, alpha=0.1, beta_2=0.5)
        for step, slope in enumerate((4, 0.1, 0.1)):
            if reads and step == 2:
                trainer.save_text("trainer")
                trainer = dy.AmsgradTrainer(collection, alpha=0.1, beta_2=0.5)
                trainer.load_text("trainer")
            (weight * slope).backward()
            trainer.update()
        weights.append(weight.as_array()[0])
    moments, biggest = np.zeros(2), 0.0
    right = 1.0
    for step, slope in enumerate((4, 0.1, 0.1), 1):
        moments = np.array([0.9, 0.5]) * moments + np.array([0.1, 0.5]) * [slope, slope**2]
        biggest = max(biggest, moments[1])
        right -= 0.1 * moments[0] / (np.sqrt(biggest) + 1e-8) * np.sqrt(1 - 0.5**step) / (1 - 0.9**step)
    return [weights[0] == weights[1], abs(weights[1] - right) < 1e-6]


# Calls that abort


refused("scalar_value", lambda: vector(1, 2).scalar_value(), ValueError, "needs exactly one element")
refused(
    "save_to_no_folder",
    lambda: dy.ParameterCollection().save("nowhere/model"),
    FileNotFoundError,
    "No such file or directory",
)
refused(
    "save_of_objects_to_no_folder",
    lambda: dy.save("nowhere/model", [dy.ParameterCollection().add_parameters(1)]),
    FileNotFoundError,
    "No such file or directory",
)


@gives([1, 2])
def argmax_of_two() -> Any:
    return vector(1, 3, 2).tensor_value().argmax(num=2).as_numpy()


@gives([1, 1])
def categorical_sample_of_two() -> Any:
    return vector(-np.inf, 0, -np.inf).tensor_value().categorical_sample_log_prob(num=2).as_numpy()


# A parameter and a builder do not keep their collection.
KEPT: list[dy.ParameterCollection] = []


def kept() -> dy.ParameterCollection:
    KEPT[:] = [dy.ParameterCollection()]
    return KEPT[0]


def table() -> dy.LookupParameters:
    return kept().add_lookup_parameters((3, 2))


refused("init_row_of_a_wrong_size", lambda: table().init_row(0, [1, 2, 3]), ValueError, "a row of /_0 has dims (2,)")
refused("uniform_of_no_width", lambda: dy.UniformInitializer(0), ValueError, "must be positive and finite, got 0")
for setter in ("set_weight_decay", "set_weight_decay_lambda"):
    refused(
        f"{setter}_below_0",
        lambda setter=setter: getattr(dy.ParameterCollection(), setter)(-0.5),
        ValueError,
        "0 <= lambda < 1, got -0.5",
    )
for kind in (dy.SimpleRNNBuilder, dy.VanillaLSTMBuilder, dy.CompactVanillaLSTMBuilder, dy.SparseLSTMBuilder):
    refused(
        f"set_dropouts_of_{kind.__name__}",
        lambda kind=kind: kind(1, 2, 2, dy.ParameterCollection()).set_dropouts(2, 0),
        ValueError,
        "a dropout rate is a probability from 0 to 1, got 2",
    )
refused(
    "weight_noise_below_0",
    lambda: dy.CompactVanillaLSTMBuilder(1, 2, 2, dy.ParameterCollection()).set_weightnoise(-1),
    ValueError,
    "a finite number from 0 on, got -1",
)


def clusters(text: str) -> dy.ClassFactoredSoftmaxBuilder:
    Path("clusters").write_bytes(text.encode())
    return dy.ClassFactoredSoftmaxBuilder(1, "clusters", {"a": 0, "b": 1}, kept())


refused("clusters_with_a_short_line", lambda: clusters("one a\none\n"), ValueError, "line 2: expected `CLASS WORD`")
refused("clusters_with_a_blank_line", lambda: clusters("one a\n\none b\n"), ValueError, "line 2: expected `CLASS WORD`")
refused("clusters_with_an_unknown_word", lambda: clusters("one c\n"), ValueError, "line 1: the word 'c' is not among")
refused(
    "clusters_that_are_not_there",
    lambda: dy.ClassFactoredSoftmaxBuilder(1, "nowhere", {"a": 0}, dy.ParameterCollection()),
    FileNotFoundError,
    "there is no cluster file",
)


@gives([0.0, 0.0])
def clusters_with_the_line_ends_of_windows() -> Any:
    softmax = clusters("one a\r\ntwo b\r\n")
    for parameter in softmax.param_collection().parameters_list():
        parameter.zero()
    return softmax.full_log_distribution(vector(1)).npvalue() + np.log(2)


@gives(["Node 0: input({2,2}x2)", "Node 1: add_number(v0)", "Node 2: input({2,2,2})", "Node 3: sum_elems(v2)"])
def dump_cg_of_a_batch_and_of_three_axes() -> Any:
    dy.forward([tensor(CUBE, batched=True) + 1, dy.sum_elems(tensor(CUBE))])
    dy.dump_cg("graph")
    return [line for line in Path("graph").read_text(encoding="utf-8").splitlines() if line.startswith("Node")]


@gives([2.0, 3.0])
def a_revert_after_the_memory_grew() -> Any:
    x = vector(1, 2)
    dy.cg_checkpoint()
    dy.esum([tensor(np.ones((300, 300))) for _ in range(20)]).value()
    dy.cg_revert()
    return (x + 1).value()


# Calls that crash


OPERANDS: dict[str, Case] = {
    "sum": lambda: vector(1) + None,
    "sum_on_the_left": lambda: None + vector(1),
    "product": lambda: vector(1) * None,
}
for name, call in OPERANDS.items():
    refused(f"None_in_a_{name}", call, TypeError, "operands beside an expression are expressions or numbers, got NoneT")
CALLS: dict[str, Case] = {
    "tanh": lambda: dy.tanh(None),
    "cmult": lambda: dy.cmult(vector(1), None),
    "esum": lambda: dy.esum([vector(1), None]),
    "affine_transform": lambda: dy.affine_transform([None, vector(1), vector(1)]),
}
for name, call in CALLS.items():
    refused(f"None_in_{name}", call, TypeError, f"{name}: operands must be expressions, got NoneType")


def stale() -> dy.Expression:
    x = vector(1)
    dy.renew_cg()
    return x + vector(1)


refused("a_stale_expression_first", stale, dy.StaleExpression, "belongs to a computation graph that was renewed")
ROWS: dict[str, Case] = {
    "init_row": lambda: table().init_row(3, [1, 2]),
    "row_as_array": lambda: table().row_as_array(3),
    "rows_as_array": lambda: table().rows_as_array([0, 3]),
    "row_grad_as_array": lambda: table().row_grad_as_array(3),
    "rows_grad_as_array": lambda: table().rows_grad_as_array([0, 3]),
}
for name, call in ROWS.items():
    refused(f"{name}_of_a_bad_row", call, IndexError, "row 3 is outside of /_0, which has 3 rows; use 0 to 2")
refused("one_hot_too_large", lambda: dy.one_hot(3, 3), IndexError, "index 3 is outside of an axis of size 3")
refused("one_hot_too_large_in_a_batch", lambda: dy.one_hot(3, [0, 4]), IndexError, "index 4 is outside of an axis")
refused("an_expression_of_nothing", lambda: dy.Expression().value(), TypeError, "missing 3 required positional")
for kind in (dy.SimpleSGDTrainer, dy.AdamTrainer):
    refused(
        f"{kind.__name__}_of_None", lambda kind=kind: kind(None), TypeError, "needs a ParameterCollection, got None"
    )


def start(kind: Any = dy.VanillaLSTMBuilder) -> dy.RNNState:
    return kind(1, 2, 2, kept()).initial_state()


refused("set_h_of_nothing", lambda: start().set_h(), ValueError, "set_h: needs 1 expressions for 1 layers, got 0")
refused("set_s_of_nothing", lambda: start().set_s(), ValueError, "set_s: needs 1 or 2 expressions for 1 layers, got 0")


@gives([0.0, 0.0], [1.0, 2.0])
def set_h_at_the_start_of_a_sparse_lstm() -> Any:
    return [e.value() for e in start(dy.SparseLSTMBuilder).set_h([vector(1, 2)]).s()]


@gives(2, 2, 2, 2)
def set_dropout_masks_before_initial_state() -> Any:
    # Two outputs: of the examples whose input is dropped, and of the others.
    outputs = []
    for kind in (dy.SimpleRNNBuilder, dy.VanillaLSTMBuilder, dy.CompactVanillaLSTMBuilder, dy.SparseLSTMBuilder):
        collection = dy.ParameterCollection()
        builder = kind(1, 1, 1, collection)
        weights = builder.get_parameters()[0][0]
        weights.set_value(np.ones(weights.shape()))
        builder.set_dropout(0.5)
        builder.set_dropout_masks(64)
        output = builder.initial_state().add_input(tensor(np.ones((1, 64)), batched=True)).output()
        outputs.append(len(np.unique(output.npvalue().round(4))))
    return outputs


@gives([0.0], [0.0])
def subclass_logits_of_a_class_of_one_word() -> Any:
    collection = dy.ParameterCollection()
    softmax = factored(collection)
    return [softmax.subclass_logits(vector(1), 0).npvalue(), softmax.subclass_log_distribution(vector(1), 0).npvalue()]


@gives([2.0, 4.0])
def a_graph_in_which_a_node_failed() -> Any:
    x = vector(1, 2)
    for fails in (lambda: dy.pick(x, 7), lambda: dy.reshape(x, (7,)), lambda: x + vector(1, 2, 3)):
        with pytest.raises(ValueError):
            fails()
    return (x + x).value()


refused("an_empty_slice", lambda: vector(1, 2, 3)[1:1], ValueError, "is empty")
refused("an_empty_array", lambda: dy.inputTensor(np.zeros(0)), ValueError, "needs at least one axis and one element")
refused("an_empty_list", lambda: dy.inputVector([]), ValueError, "at least 1")
refused("zeros_of_no_element", lambda: dy.zeros((0,)), ValueError, "must be at least 1, got (0,)")


# Calls that compute garbage


@gives(SIX + ALONG, SIX * ALONG, SIX / ALONG)
def broadcasting_of_six_axes() -> Any:
    return together(
        tensor(SIX) + tensor(ALONG), dy.cmult(tensor(SIX), tensor(ALONG)), dy.cdiv(tensor(SIX), tensor(ALONG))
    )


@gives(*(np.concatenate([SIX, SIX + 1], axis) for axis in range(6)))
def concatenate_of_six_axes() -> Any:
    return together(*(dy.concatenate([tensor(SIX), tensor(SIX + 1)], axis) for axis in range(6)))


@gives(*(SIX.take([1], axis) for axis in range(6)))
def pick_range_of_six_axes() -> Any:
    return together(*(dy.pick_range(tensor(SIX), 1, 2, axis) for axis in range(6)))


@gives(SIX.T, SIX[[1]])
def transpose_and_select_rows_of_six_axes() -> Any:
    return together(dy.transpose(tensor(SIX), [5, 4, 3, 2, 1, 0]), dy.select_rows(tensor(SIX), [1]))


refused("topk_beyond_the_size", lambda: vector(1, 2).tensor_value().topk(num=3), ValueError, "ask for 1 to 2")
refused(
    "log_softmax_of_an_id_too_large", lambda: dy.log_softmax(vector(1, 2), [0, 2]), IndexError, "index 2 is outside"
)
refused("set_of_a_wrong_length", lambda: vector(1, 2, 3).set([1, 2]), ValueError, "{3} needs 3 numbers, got 2")


# Calls of `import dynet` alone, and of a process that has only started


def python(program: str, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", program, *options], capture_output=True, text=True, timeout=120
    )


TO_DEVICE = "import dynet as dy; print(dy.to_device(dy.inputVector([1, 2]), 'CPU').value())"
SUM = "import dynet as dy; x = dy.inputVector([1, 2]); y = x + x; print(y.value(), (y + x).value())"
SOFTMAX = """
import MODULE as dy
collection = dy.ParameterCollection()
softmax = dy.StandardSoftmaxBuilder(1, 2, collection)
softmax.param_collection().parameters_list()[0].zero()
print(round(softmax.neg_log_softmax(dy.inputVector([1]), 0).value(), 4))
"""


@pytest.mark.parametrize(
    ("program", "options", "printed", "said"),
    [
        pytest.param(TO_DEVICE, (), "[1.0, 2.0]", "", id="to_device"),
        pytest.param(SUM, ("--dynet-mem", "many"), "[2.0, 4.0] [3.0, 6.0]", "mem has no effect", id="wrong_mem"),
        pytest.param(SUM, ("--dynet-autobatch", "4"), "[2.0, 4.0] [3.0, 6.0]", "autobatching", id="autobatch_4"),
        pytest.param(SUM, ("--dynet-autobatch", "99"), "[2.0, 4.0] [3.0, 6.0]", "autobatching", id="autobatch_99"),
        pytest.param(SOFTMAX.replace("MODULE", "dynet"), (), "0.6931", "", id="softmax_before_renew_cg"),
        pytest.param(SOFTMAX.replace("MODULE", "weft"), (), "0.6931", "", id="softmax_before_renew_cg_of_weft"),
    ],
)
def test_a_program_gets_the_right_value(program: str, options: tuple[str, ...], printed: str, said: str) -> None:
    done = python(program, *options)
    assert (done.returncode, done.stdout) == (0, printed + "\n"), done.stderr
    assert said in done.stderr


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--dynet-weight-decay", "much"), "--dynet-weight-decay takes a number from 0 to below 1, got 'much'"),
        (("--dynet-weight-decay", "-1"), "--dynet-weight-decay takes a number from 0 to below 1, got -1"),
        (("--dynet-seed",), "--dynet-seed needs a value"),
        (("--dynet-mem",), "--dynet-mem needs a value"),
        (("--dynet-autobatch",), "--dynet-autobatch needs a value"),
    ],
)
def test_a_wrong_option_is_told(options: tuple[str, ...], sentence: str) -> None:
    done = python(SUM, *options)
    assert done.returncode == 1, done.stderr
    assert f"ValueError: {sentence}" in done.stderr
