"""Counts that must not creep up: groups, native calls, and allocations of a forward and a backward pass."""

from __future__ import annotations

import numpy as np
import pytest
from numba.core.runtime import _nrt_python, rtsys

import weft as dy
from weft_core.signature import signatures


@pytest.fixture(autouse=True)
def numba_backend() -> None:
    dy.init(backend="numba", seed=1)


class SentenceTagger:
    """The benchmark's tagger in small."""

    def __init__(self) -> None:
        self.model = dy.ParameterCollection()
        self.words = self.model.add_lookup_parameters((50, 12))
        self.context = dy.BiRNNBuilder(1, 12, 16, self.model, dy.VanillaLSTMBuilder)
        self.W = self.model.add_parameters((10, 16))
        self.b = self.model.add_parameters(10)
        self.V = self.model.add_parameters((5, 10))

    def loss(self, sentences: list[list[int]]) -> dy.Expression:
        losses = []
        for words in sentences:
            for t, state in enumerate(self.context.transduce([self.words[w] for w in words])):
                scores = self.V * dy.tanh(dy.affine_transform([self.b, self.W, state]))
                losses.append(dy.pickneglogsoftmax(scores, t % 5))
        return dy.esum(losses)


def sentences(count: int) -> list[list[int]]:
    lengths = np.random.default_rng(3).integers(4, 12, count)
    return [[(7 * i + n) % 50 for i in range(n)] for n in lengths.tolist()]


def test_one_native_call_forward_one_backward_and_no_allocation() -> None:
    tagger = SentenceTagger()
    data = sentences(8)
    for _ in range(2):
        dy.renew_cg()
        loss = tagger.loss(data)
        loss.value()
        loss.backward()
    _nrt_python.memsys_enable_stats()
    dy.renew_cg()
    loss = tagger.loss(data)
    before = loss.graph.execution.counts()
    allocated = rtsys.get_allocation_stats().alloc
    loss.value()
    loss.backward()
    after = loss.graph.execution.counts()
    assert after["calls"] - before["calls"] == 2
    assert after["growths"] == before["growths"]
    assert rtsys.get_allocation_stats().alloc == allocated


def test_steps_do_not_grow_with_the_number_of_sentences() -> None:
    tagger = SentenceTagger()

    def steps(count: int) -> tuple[int, int]:
        dy.renew_cg()
        loss = tagger.loss([[1, 2, 3, 4, 5]] * count)
        loss.value()
        counts = loss.graph.execution.counts()
        return counts["steps"], counts["nodes"]

    few, few_nodes = steps(2)
    many, many_nodes = steps(40)
    assert many == few
    assert many_nodes > 15 * few_nodes


def test_output_layers_wait_and_run_once_for_the_whole_graph() -> None:
    """Two recurrences of T steps, their prologues, and one step each for what lies outside them."""
    tagger = SentenceTagger()
    dy.renew_cg()
    words = [1, 2, 3, 4, 5, 6]
    loss = tagger.loss([words, words[:3]])
    loss.value()
    counts = loss.graph.execution.counts()
    outside = {"lookup", "concatenate", "affine W", "tanh", "affine V", "loss", "sum"}
    prologues = {"forward LSTM", "backward LSTM", "affine W", "affine V"}
    assert counts["steps"] == 2 * len(words) + len(outside) + len(prologues)


def groups() -> list[tuple[str, int, int]]:
    """Operation, instructions and steps of every type of the current graph's plan, sorted; printed for the log."""
    found = sorted((g.kind[1:].partition("(")[0], g.instructions, g.steps) for g in dy.cg().execution.groups())
    print(*found, sep="\n")
    return found


def test_groups_of_a_tagger() -> None:
    """A step for every word of the longest sentence in each direction, one step for every other type."""
    tagger = SentenceTagger()
    dy.renew_cg()
    words = [[1, 2, 3, 4, 5, 6], [3, 2, 1]]
    tagger.loss(words).value()
    count, longest = sum(map(len, words)), max(map(len, words))
    once = ["lookup", "concatenate", "affine", "tanh", "affine", "pickneglogsoftmax"]
    assert groups() == sorted([(name, count, 1) for name in once] + [("esum", 1, 1)] + 2 * [("lstm", count, longest)])


@pytest.mark.parametrize("trees", [1, 5])
def test_groups_of_trees(trees: int) -> None:
    """Leaves wait for nothing, inner nodes for the height of the tree, labels for the end."""
    model = dy.ParameterCollection()
    words = model.add_lookup_parameters((20, 4))
    W, U, b, V = [model.add_parameters(dims) for dims in ((4, 4), (4, 4), (4,), (3, 4))]
    dy.renew_cg()
    losses = []
    for tree in range(trees):
        nodes = [words[(tree + k) % 20] for k in range(8)]
        for k in range(7):
            nodes.append(dy.tanh(dy.affine_transform([b, W, nodes[2 * k], U, nodes[2 * k + 1]])))
        losses += [dy.pickneglogsoftmax(V * h, 1) for h in nodes[8:]]
    dy.esum(losses).value()
    inner, height = 7 * trees, 3
    assert groups() == sorted(
        [
            ("lookup", 8 * trees, 1),
            *[("affine", inner, height), ("tanh", inner, height)],
            *[("affine", inner, 1), ("pickneglogsoftmax", inner, 1), ("esum", 1, 1)],
        ]
    )


def test_groups_of_a_language_model() -> None:
    """A step for every word of the longest sentence; the output layer waits for all of them."""
    model = dy.ParameterCollection()
    words, lstm = model.add_lookup_parameters((20, 4)), dy.LSTMBuilder(1, 4, 6, model)
    V, b = model.add_parameters((20, 6)), model.add_parameters(20)
    dy.renew_cg()
    losses = []
    for sentence in ([1, 2, 3, 4, 5], [6, 7, 8]):
        states = lstm.initial_state().transduce([words[w] for w in [0, *sentence[:-1]]])
        losses += [
            dy.pickneglogsoftmax(dy.affine_transform([b, V, h]), w) for h, w in zip(states, sentence, strict=True)
        ]
    dy.esum(losses).value()
    once = ["lookup", "affine", "pickneglogsoftmax"]
    assert groups() == sorted([*[(name, 8, 1) for name in once], ("esum", 1, 1), ("lstm", 8, 5)])


def test_groups_of_words_read_by_characters() -> None:
    """Words of all lengths, in both directions, go through their characters side by side, before the sentence."""
    model = dy.ParameterCollection()
    letters = model.add_lookup_parameters((9, 3))
    left, right, outer = (dy.LSTMBuilder(1, rows, 4, model) for rows in (3, 3, 8))
    dy.renew_cg()
    spellings = [[1, 2, 3, 4], [5, 6], [7, 8, 1]]
    words = []
    for spelling in spellings:
        xs = dy.lookup_each(letters, spelling)
        ends = [builder.initial_state().transduce(seq)[-1] for builder, seq in ((left, xs), (right, xs[::-1]))]
        words.append(dy.concatenate(ends))
    dy.esum(outer.initial_state().transduce(words)).value()
    assert groups() == sorted(
        [("lookup", 9, 1), ("lstm", 9, 4), ("lstm", 9, 4), ("concatenate", 3, 1), ("lstm", 3, 3), ("esum", 1, 1)]
    )


def test_groups_of_cells() -> None:
    """A composition is one instruction a node, and one step a level; labels and their losses are one step."""
    model = dy.ParameterCollection()
    words = model.add_lookup_parameters((20, 4))
    W, V = model.add_parameters((12, 8)), model.add_parameters((3, 4))

    @dy.cell
    def compose(left: dy.Expression, right: dy.Expression) -> dy.Expression:
        gates = W * dy.concatenate([left, right])
        return dy.cmult(dy.logistic(gates[:4]), left) + dy.cmult(dy.logistic(gates[4:8]), dy.tanh(gates[8:]))

    label_loss = dy.cell(lambda h, label: dy.pickneglogsoftmax(V * h, label))
    dy.renew_cg()
    nodes = list(dy.lookup_each(words, range(8)))
    for k in range(7):
        nodes.append(compose(nodes[2 * k], nodes[2 * k + 1]))
    dy.esum(label_loss.map(nodes[8:], [k % 3 for k in range(7)])).value()
    operations = {name.partition("_")[0]: (count, steps) for name, count, steps in groups()}
    assert operations == {"lookup": (8, 1), "cell": (7, 3), "softmax": (7, 1), "esum": (1, 1)}


def test_a_plan_that_lost_its_memory_is_made_anew() -> None:
    """Backward keeps the plan of forward, unless signatures made in between have moved the arrays that held it."""
    model = dy.ParameterCollection()
    W = model.add_parameters((3, 2), init=0.5)
    dy.renew_cg()
    loss = dy.squared_norm(W * dy.inputVector([1.0, 2.0]))
    loss.value()
    known = len(signatures)
    with dy.ComputationGraph():
        for length in range(2 * known + 300):
            dy.vecInput(1000 + length)
    assert len(signatures) > 2 * known
    loss.backward()
    assert W.grad_as_array().tolist() == [[3.0, 6.0]] * 3
