"""Softmax builders against distributions computed in float64, and what they do with files that are wrong."""

import pickle
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from weft_builders import (
    ClassFactoredSoftmaxBuilder,
    ClusterError,
    HierarchicalSoftmaxBuilder,
    SoftmaxBuilder,
    StandardSoftmaxBuilder,
)
from weft_core.collection import ParameterCollection
from weft_core.errors import IndexValueError, ShapeError
from weft_core.graph import cg_version, current, renew_cg, reset_random_seed
from weft_core.ops.inputs import inputTensor, inputVector, lookup
from weft_core.ops.list_reductions import esum
from weft_core.ops.reductions import sum_batches
from weft_core.ops.selection import pick
from weft_core.signature import signatures

D = 4
WORDS = ["the", "a", "cat", "dog", "ran", "sat", "."]
DIC = {word: number for number, word in enumerate(WORDS)}
# One class of one word, and one of two, whose decision is a softmax all the same.
CLASSES = [["cat", "dog", "a"], ["the"], ["ran", "."], ["sat"]]
# A node with one outcome, nodes with two and three, a word beside a node, words at several depths.
PATHS = {"cat": "00", "dog": "00", "a": "00", "the": "010", "sat": "1", "ran": "12", ".": "12"}
# The outcomes on the paths of HierarchicalSoftmaxBuilder by hand: node, then which of its outcomes.
HIERARCHY = {
    "cat": [(0, 0), (1, 0), (2, 0)],
    "dog": [(0, 0), (1, 0), (2, 1)],
    "a": [(0, 0), (1, 0), (2, 2)],
    "the": [(0, 0), (1, 1)],
    "sat": [(0, 1), (3, 0)],
    "ran": [(0, 1), (3, 1), (4, 0)],
    ".": [(0, 1), (3, 1), (4, 1)],
}
FACTORED = {
    "cat": [(0, 0), (1, 0)],
    "dog": [(0, 0), (1, 1)],
    "a": [(0, 0), (1, 2)],
    "the": [(0, 1)],
    "ran": [(0, 2), (2, 0)],
    ".": [(0, 2), (2, 1)],
    "sat": [(0, 3)],
}
Make = Callable[[ParameterCollection, bool], SoftmaxBuilder]
MAKERS: dict[str, Make] = {
    "standard": lambda model, bias: StandardSoftmaxBuilder(D, len(WORDS), model, bias),
    "class-factored": lambda model, bias: ClassFactoredSoftmaxBuilder(D, CLASSES, DIC, model, bias),
    "hierarchical": lambda model, bias: HierarchicalSoftmaxBuilder(D, PATHS, DIC, model, bias),
}
PLACES = {
    "standard": {word: [(0, number)] for word, number in DIC.items()},
    "class-factored": FACTORED,
    "hierarchical": HIERARCHY,
}
with_each_builder = pytest.mark.parametrize("kind", MAKERS)
with_and_without_bias = pytest.mark.parametrize("bias", [True, False])


def made(kind: str, bias: bool = True) -> tuple[SoftmaxBuilder, list[NDArray[np.float64]]]:
    """A builder with random parameters, and these."""
    numbers = np.random.default_rng(7)
    builder = MAKERS[kind](ParameterCollection(), bias)
    parameters = builder.param_collection().parameters_list()
    for p in parameters:
        p.set_value(numbers.normal(size=p.shape()))
    return builder, [p.as_array() for p in parameters]


def log_distribution(kind: str, parameters: Sequence[NDArray[np.float64]], bias: bool, x: NDArray) -> NDArray:
    """ln p(word) for every word, from the formulas, in float64."""
    step = 1 + bias
    decisions = []
    for k in range(0, len(parameters), step):
        logits = parameters[k] @ x + (parameters[k + 1] if bias else 0)
        if kind == "hierarchical" and len(logits) == 1:
            p = 1 / (1 + np.exp(-logits[0]))
            decisions.append(np.log([p, 1 - p]))
        else:
            decisions.append(logits - np.log(np.exp(logits).sum()))
    return np.array([sum(decisions[node][outcome] for node, outcome in PLACES[kind][word]) for word in WORDS])


INPUTS = np.random.default_rng(3).normal(size=(D, 9)).round(2)


@with_and_without_bias
@with_each_builder
def test_every_way_to_a_probability_agrees_with_the_formula(kind: str, bias: bool) -> None:
    builder, parameters = made(kind, bias)
    x = INPUTS[:, 0]
    expected = log_distribution(kind, parameters, bias, x)
    assert np.exp(expected).sum() == pytest.approx(1)
    np.testing.assert_allclose(builder.full_log_distribution(inputVector(x)).npvalue(), expected, atol=1e-5)
    losses = [builder.neg_log_softmax(inputVector(x), c) for c in range(len(WORDS))]
    assert {loss.dim() for loss in losses} == {((1,), 1)}
    np.testing.assert_allclose([loss.value() for loss in losses], -expected, atol=1e-5)
    logits = builder.full_logits(inputVector(x)).npvalue()
    np.testing.assert_allclose(logits - np.log(np.exp(logits).sum()), expected, atol=1e-5)


@with_and_without_bias
@with_each_builder
def test_a_batch_is_its_examples(kind: str, bias: bool) -> None:
    builder, parameters = made(kind, bias)
    expected = np.stack([log_distribution(kind, parameters, bias, x) for x in INPUTS.T], axis=1)
    for classes in ([0, 3, 3, 1, 6, 5, 0, 2, 4], *([c] * 9 for c in range(7))):
        loss = builder.neg_log_softmax_batch(inputTensor(INPUTS, batched=True), classes)
        assert loss.dim() == ((1,), 9)
        np.testing.assert_allclose(loss.npvalue()[0], -expected[classes, range(9)], atol=1e-5)
    full = builder.full_log_distribution(inputTensor(INPUTS, batched=True))
    np.testing.assert_allclose(full.npvalue(), expected, atol=1e-5)


@with_and_without_bias
@with_each_builder
def test_gradients_are_those_of_the_formula(kind: str, bias: bool) -> None:
    builder, parameters = made(kind, bias)
    collection = builder.param_collection()
    classes = [0, 3, 3, 1, 6, 5, 0, 2, 4]
    xs = ParameterCollection().lookup_parameters_from_numpy(INPUTS.T)
    sum_batches(builder.neg_log_softmax_batch(xs.batch(range(9)), classes)).backward()
    of_batch = [p.grad_as_array() for p in collection.parameters_list()], xs.grad_as_array()
    for p in (*collection.parameters_list(), xs):
        p.gradients[...] = 0
    for k, c in enumerate(classes):
        builder.neg_log_softmax(lookup(xs, k), c).backward()
    of_single = [p.grad_as_array() for p in collection.parameters_list()], xs.grad_as_array()

    def total() -> float:
        return -sum(log_distribution(kind, parameters, bias, x)[c] for x, c in zip(points, classes))

    points = INPUTS.T.copy()
    for found in (of_batch, of_single):
        for array, gradient in zip([*parameters, points], [*found[0], found[1]], strict=True):
            expected = np.zeros_like(array)
            for place in np.ndindex(array.shape):
                kept = array[place]
                array[place] = kept + 1e-5
                above = total()
                array[place] = kept - 1e-5
                expected[place] = (above - total()) / 2e-5
                array[place] = kept
            np.testing.assert_allclose(gradient, expected, atol=2e-5)


@with_each_builder
def test_a_full_distribution_has_gradients(kind: str) -> None:
    builder, _ = made(kind)
    x = inputVector(INPUTS[:, 0])
    for c in range(len(WORDS)):
        pick(builder.full_log_distribution(x), c).backward()
        builder.neg_log_softmax(x, c).backward()
    # -d ln p(c) and d(-ln p(c)) cancel.
    for p in builder.param_collection().parameters_list():
        np.testing.assert_allclose(p.grad_as_array(), 0, atol=1e-5)
    pick(builder.full_log_distribution(x), 0).backward()
    assert np.abs(builder.param_collection().parameters_list()[0].grad_as_array()).max() > 0.01


@with_each_builder
def test_without_update_one_call_passes_no_gradient_and_the_next_one_does(kind: str) -> None:
    builder, _ = made(kind)
    parameters = builder.param_collection().parameters_list()
    x, batch = inputVector(INPUTS[:, 0]), inputTensor(INPUTS, batched=True)
    reached = []
    for update in (True, False, True):
        losses = [
            builder.neg_log_softmax(x, 3, update),
            sum_batches(builder.neg_log_softmax_batch(batch, [0, 1, 2, 3, 4, 5, 6, 6, 6], update)),
            pick(builder.full_log_distribution(x, update), 2),
        ]
        esum(losses).backward()
        reached.append(max(np.abs(p.grad_as_array()).max() for p in parameters))
        for p in parameters:
            p.gradients[...] = 0
    assert reached[0] > 0.01 and reached[1] == 0 and reached[2] == pytest.approx(reached[0])


@with_each_builder
def test_draws_follow_the_distribution_and_the_seed(kind: str) -> None:
    # Without bias, and with logits that are no probabilities: what is drawn comes from their softmax.
    builder, parameters = made(kind, bias=False)
    x = INPUTS[:, 1]
    expected = np.exp(log_distribution(kind, parameters, False, x))
    reset_random_seed(11)
    batch = inputTensor([x] * 4000)
    drawn = builder.sample(batch)
    assert isinstance(drawn, list)
    counts = np.bincount(drawn, minlength=len(WORDS)) / 4000
    # Five standard deviations of each count.
    assert np.all(np.abs(counts - expected) < 5 * np.sqrt(expected * (1 - expected) / 4000) + 1e-9)
    reset_random_seed(11)
    assert builder.sample(batch) == drawn
    single = [builder.sample(inputVector(x)) for _ in range(40)]
    assert set(map(type, single)) == {int} and len(set(single)) > 1
    reset_random_seed(11)
    builder.sample(batch)
    assert [builder.sample(inputVector(x)) for _ in range(40)] == single


@with_each_builder
def test_from_spec_makes_an_equal_builder(kind: str) -> None:
    for bias in (True, False):
        builder, values = made(kind, bias)
        spec = pickle.loads(pickle.dumps(builder.spec))
        other = type(builder).from_spec(spec, ParameterCollection())
        fresh = other.param_collection().parameters_list()
        assert [p.name() for p in fresh] == [p.name() for p in builder.param_collection().parameters_list()]
        for p, value in zip(fresh, values, strict=True):
            p.set_value(value)
        x = inputVector(INPUTS[:, 2])
        np.testing.assert_array_equal(
            other.full_log_distribution(x).npvalue(), builder.full_log_distribution(x).npvalue()
        )
        assert other.whoami() == type(builder).__name__ and other.spec == builder.spec


PARAMETERS = {
    "standard": [(7, D), (7,)],
    "class-factored": [(4, D), (4,), (3, D), (3,), (2, D), (2,)],
    "hierarchical": [(1, D), (1,), (1, D), (1,), (3, D), (3,), (1, D), (1,), (1, D), (1,)],
}


@with_each_builder
def test_parameters_have_the_names_and_shapes_that_files_have(kind: str) -> None:
    builder = MAKERS[kind](ParameterCollection(), True)
    collection = builder.param_collection()
    assert collection.name() == f"/{kind}-softmax-builder/"
    found = collection.parameters_list()
    assert [(p.name(), p.shape()) for p in found] == [
        (f"{collection.name()}_{k}", shape) for k, shape in enumerate(PARAMETERS[kind])
    ]
    # Matrices are Glorot, biases zero.
    assert all(p.as_array().all() for p in found[::2])
    assert not any(p.as_array().any() for p in found[1::2])


@with_each_builder
def test_inputs_that_do_not_fit_are_refused(kind: str) -> None:
    builder, _ = made(kind)
    x, batch = inputVector(INPUTS[:, 0]), inputTensor(INPUTS, batched=True)
    for call in (
        lambda: builder.neg_log_softmax(inputVector([1, 2, 3]), 0),
        lambda: builder.neg_log_softmax(batch, 0),
        lambda: builder.neg_log_softmax_batch(batch, [0] * 8),
        lambda: builder.full_log_distribution(inputVector([1, 2, 3])),
        lambda: builder.sample(inputTensor(np.ones((D, 2)))),
    ):
        with pytest.raises(ShapeError):
            call()
    for c in (7, -1):
        with pytest.raises(IndexValueError):
            builder.neg_log_softmax(x, c)
        with pytest.raises(IndexValueError):
            builder.neg_log_softmax_batch(batch, [0] * 8 + [c])
    with pytest.raises(TypeError):
        builder.full_logits([1.0] * D)  # type: ignore[arg-type]


@with_and_without_bias
@with_each_builder
def test_a_column_is_a_vector(kind: str, bias: bool) -> None:
    builder, _ = made(kind, bias)
    column, x = inputTensor(INPUTS[:, :1]), inputVector(INPUTS[:, 0])
    np.testing.assert_array_equal(
        builder.full_log_distribution(column).npvalue(), builder.full_log_distribution(x).npvalue()
    )
    assert builder.full_logits(column).dim() == ((7,), 1)
    assert builder.neg_log_softmax(column, 3).value() == pytest.approx(builder.neg_log_softmax(x, 3).value())


def test_every_decision_of_a_batch_is_computed_once() -> None:
    for kind, most in (("standard", 1), ("class-factored", 3), ("hierarchical", 5)):
        builder, _ = made(kind)
        renew_cg()
        x = inputTensor(np.tile(INPUTS, 50), batched=True)
        builder.neg_log_softmax_batch(x, [k % 7 for k in range(450)])
        names, position = [], 1
        code = current().code
        while position < len(code):
            names.append(signatures[code[position]].operation.name)
            position += signatures[code[position]].length
        assert sum(name in ("softmax_loss", "logistic_decision") for name in names) == most


def test_it_works_in_the_first_graph_of_a_process_and_after() -> None:
    builder, _ = made("class-factored")
    version = cg_version()
    before = builder.neg_log_softmax(inputVector(INPUTS[:, 0]), 4).value()
    renew_cg()
    assert cg_version() != version
    assert builder.neg_log_softmax(inputVector(INPUTS[:, 0]), 4).value() == before


def test_class_factored_parts() -> None:
    builder = ClassFactoredSoftmaxBuilder(D, CLASSES, DIC, ParameterCollection())
    for x in (inputVector(INPUTS[:, 0]), inputTensor(INPUTS, batched=True)):
        batch = x.dim()[1]
        full = builder.full_log_distribution(x).npvalue().reshape(7, -1)
        of_class = builder.class_log_distribution(x).npvalue().reshape(4, -1)
        np.testing.assert_allclose(np.exp(of_class).sum(axis=0), 1, atol=1e-6)
        for k, members in enumerate(CLASSES):
            assert builder.subclass_logits(x, k).dim() == ((len(members),), batch)
            inside = builder.subclass_log_distribution(x, k).npvalue().reshape(len(members), -1)
            np.testing.assert_allclose(full[[DIC[w] for w in members]], inside + of_class[k], atol=1e-5)
        # A class of one word leaves nothing to choose.
        assert not np.any(builder.subclass_logits(x, 1).npvalue())
    with pytest.raises(IndexValueError, match="no class 4"):
        builder.subclass_logits(inputVector(INPUTS[:, 0]), 4)


def test_a_word_without_a_place_has_probability_zero() -> None:
    for builder in (
        ClassFactoredSoftmaxBuilder(D, [[0, 2], [3]], 5, ParameterCollection()),
        HierarchicalSoftmaxBuilder(D, {0: "00", 2: "01", 3: "1"}, 5, ParameterCollection()),
    ):
        x = inputVector(INPUTS[:, 0])
        full = builder.full_log_distribution(x)
        assert np.exp(full.npvalue()).sum() == pytest.approx(1)
        assert full.npvalue()[[1, 4]].tolist() == [-np.inf, -np.inf]
        pick(full, 3).backward()
        assert all(np.isfinite(p.grad_as_array()).all() for p in builder.param_collection().parameters_list())
        with pytest.raises(IndexValueError, match="class 4 has no place"):
            builder.neg_log_softmax(x, 4)


def test_vocabularies_where_nothing_is_decided() -> None:
    # One word: its class has a parameter row in files all the same.
    one = ClassFactoredSoftmaxBuilder(D, [[0]], 1, ParameterCollection())
    assert [p.shape() for p in one.param_collection().parameters_list()] == [(1, D), (1,)]
    alone = HierarchicalSoftmaxBuilder(D, {0: "010"}, 1, ParameterCollection())
    assert alone.param_collection().parameters_list() == []
    for builder in (one, alone):
        x, batch = inputVector(INPUTS[:, 0]), inputTensor(INPUTS, batched=True)
        assert builder.neg_log_softmax(x, 0).value() == 0
        assert builder.neg_log_softmax_batch(batch, [0] * 9).npvalue().tolist() == [[0] * 9]
        assert builder.full_log_distribution(batch).npvalue().tolist() == [[0] * 9]
        assert builder.sample(x) == 0


def written(folder: Path, text: str) -> str:
    path = folder / "clusters.txt"
    path.write_bytes(text.encode())
    return str(path)


def test_cluster_files_are_read_as_the_formats_say(tmp_path: Path) -> None:
    # Leading blanks, tabs, further columns, no end of the last line; classes in order of appearance.
    text = "7 cat 12\n  7\tdog\nfunction the\n7 a\nverb  ran 1 2\nverb .\nlast sat"
    expected = ClassFactoredSoftmaxBuilder(D, CLASSES, DIC, ParameterCollection()).spec
    for ending in ("\n", "\r\n"):
        file = written(tmp_path, text.replace("\n", ending))
        assert ClassFactoredSoftmaxBuilder(D, file, DIC, ParameterCollection()).spec == expected
    paths = " \t0 0\tcat\n0 0 dog \t \n0 0\ta 17\n0 1 0\tthe\n1 sat\n 1 2\tran\n1 2 .\n"
    expected = HierarchicalSoftmaxBuilder(D, PATHS, DIC, ParameterCollection()).spec
    for ending in ("\n", "\r\n"):
        file = written(tmp_path, paths.replace("\n", ending))
        assert HierarchicalSoftmaxBuilder(D, Path(file), DIC, ParameterCollection()).spec == expected


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("0 cat\n\n1 dog\n", r"line 2: expected `.*WORD`, got ''"),
        ("0 cat\n1 dog\n2\n", r"line 3: expected `.*WORD`, got '2'"),
        ("0 cat\n1 horse\n", r"line 2: the word 'horse' is not among the 7 words"),
        ("0 cat\n1 dog\n1 cat\n", r"line 3: the word 'cat' has a place already \(.*line 1\)"),
        ("", r"line 1: expected"),
    ],
)
def test_a_bad_line_is_named(text: str, complaint: str, tmp_path: Path) -> None:
    for kind in (ClassFactoredSoftmaxBuilder, HierarchicalSoftmaxBuilder):
        model = ParameterCollection()
        with pytest.raises(ClusterError, match=f"clusters.txt, {complaint}"):
            kind(D, written(tmp_path, text), DIC, model)
        # Nothing was made, no name was used.
        assert kind(D, written(tmp_path, "0 cat\n"), DIC, model).param_collection().name().count("_") == 0


def test_other_bad_clusters_are_refused(tmp_path: Path) -> None:
    model = ParameterCollection()
    with pytest.raises(FileNotFoundError, match=r"CLASS WORD.*nowhere\.txt"):
        ClassFactoredSoftmaxBuilder(D, str(tmp_path / "nowhere.txt"), DIC, model)
    (tmp_path / "latin.txt").write_bytes("0 caf\xe9\n".encode("latin-1"))
    with pytest.raises(ClusterError, match=r"latin\.txt is not text in UTF-8"):
        HierarchicalSoftmaxBuilder(D, tmp_path / "latin.txt", DIC, model)
    with pytest.raises(ClusterError, match="has no words"):
        ClassFactoredSoftmaxBuilder(D, [], DIC, model)
    with pytest.raises(ClusterError, match="'horse' is not among"):
        ClassFactoredSoftmaxBuilder(D, [["horse"]], DIC, model)
    with pytest.raises(ClusterError, match="2 has a place already"):
        ClassFactoredSoftmaxBuilder(D, [[2, 1], [2]], 3, model)
    with pytest.raises(ValueError, match="numbers 0 to 1"):
        ClassFactoredSoftmaxBuilder(D, [["x", "y"]], {"x": 1, "y": 2}, model)
    for input_dim, num_classes in ((0, 3), (3, 0)):
        with pytest.raises(ValueError, match="at least 1"):
            StandardSoftmaxBuilder(input_dim, num_classes, model)
