"""Two models trained in two threads have the results of training one after the other."""

import threading
from collections.abc import Callable

import numpy as np
import pytest

import weft as dy

STEPS = 30


class Tagger:
    """A recurrent tagger over random sentences, with look-ups, a cell and Adam."""

    def __init__(self, seed: int) -> None:
        self.random = np.random.default_rng(seed)
        self.model = dy.ParameterCollection()
        self.words = self.model.lookup_parameters_from_numpy(self.random.normal(size=(20, 6)))
        self.rnn = dy.BiRNNBuilder(1, 6, 8, self.model, dy.VanillaLSTMBuilder)
        self.out = self.model.parameters_from_numpy(self.random.normal(size=(4, 8)))
        for p in self.model.parameters_list():
            p.set_value(self.random.normal(size=p.shape()) / 4)
        self.trainer = dy.AdamTrainer(self.model)

    def train(self, steps: int) -> list[float]:
        """The losses of that many steps."""
        losses = []
        for _ in range(steps):
            dy.renew_cg()
            sentences = [self.random.integers(0, 20, self.random.integers(2, 9)) for _ in range(3)]
            parts = [
                dy.pickneglogsoftmax(self.out * h, int(word) % 4)
                for words in sentences
                for h, word in zip(self.rnn.transduce([self.words[int(i)] for i in words]), words, strict=True)
            ]
            loss = dy.esum(parts)
            losses.append(loss.value())
            loss.backward()
            self.trainer.update()
        return losses


def in_threads(work: list[Callable[[], list[float]]]) -> list[list[float]]:
    """The results of these functions, which start together, each in a thread of its own."""
    results: list[list[float]] = [[] for _ in work]
    start = threading.Barrier(len(work))

    def run(k: int) -> None:
        start.wait()
        results[k] = work[k]()

    threads = [threading.Thread(target=run, args=(k,)) for k in range(len(work))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def test_two_models_in_two_threads_train_as_one_after_the_other() -> None:
    serial = [Tagger(seed).train(STEPS) for seed in (1, 2)]
    assert serial[0] != pytest.approx(serial[1], rel=0.1)
    taggers = [Tagger(seed) for seed in (1, 2)]
    together = in_threads([lambda t=t: t.train(STEPS) for t in taggers])  # type: ignore[misc]
    assert together == [pytest.approx(losses, rel=1e-6) for losses in serial]


def test_graphs_of_two_threads_do_not_meet() -> None:
    x = dy.scalarInput(1.0)

    def foreign() -> list[float]:
        dy.renew_cg()
        y = dy.scalarInput(2.0)
        with pytest.raises(dy.WeftError, match="two computation graphs"):
            x + y
        return [y.value()]

    assert in_threads([foreign]) == [[2.0]]
    assert (x + 1).value() == 2
