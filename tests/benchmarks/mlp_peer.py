"""Training of an MLP batched by hand and example by example; what is measured stands in `mlp.py`."""

from __future__ import annotations

import statistics
import time
from typing import Any

import numpy as np
import peer

PIXELS, HIDDEN, CLASSES, BATCH = 784, 128, 10, 64
LIT = 0.19  # share of an MNIST image's pixels that are not black
EXAMPLES = 20 * BATCH
STEPS, QUICK_STEPS, WARM_UP = 300, 10, 3


class Network:
    """784-128-10 with a rectifier and a softmax, trained by Adam; `build` makes the loss of a minibatch."""

    def __init__(self, dy: Any) -> None:
        rng = np.random.RandomState(1)
        self.dy = dy
        self.collection = dy.ParameterCollection()
        self.hidden, self.hidden_bias, self.output, self.output_bias = (
            self.collection.add_parameters(shape, init=rng.uniform(-0.05, 0.05, shape).astype(np.float32))
            for shape in ((HIDDEN, PIXELS), (HIDDEN,), (CLASSES, HIDDEN), (CLASSES,))
        )
        self.trainer = dy.AdamTrainer(self.collection)
        self.trainer.set_clip_threshold(-1.0)

    def scores(self, x: Any) -> Any:
        dy = self.dy
        hidden = dy.rectify(dy.affine_transform([self.hidden_bias, self.hidden, x]))
        return dy.affine_transform([self.output_bias, self.output, hidden])

    def build(self, images: Any, labels: list[int]) -> Any:
        raise NotImplementedError

    def step(self, images: Any, labels: list[int]) -> float:
        self.dy.renew_cg()
        loss = self.build(images, labels)
        value = float(loss.value())
        loss.backward()
        self.trainer.update()
        return value


class BatchedByHand(Network):
    """One input tensor, one batch of losses."""

    def build(self, images: Any, labels: list[int]) -> Any:
        dy = self.dy
        x = dy.inputTensor(images.T, batched=True)
        return dy.sum_batches(dy.pickneglogsoftmax_batch(self.scores(x), labels))


class SingleExamples(Network):
    """An input, and a loss, for every example; the loss may be a cell in Weft."""

    def __init__(self, dy: Any, cells: bool) -> None:
        super().__init__(dy)
        self.loss: Any = dy.cell(self.example) if cells else self.example

    def build(self, images: Any, labels: list[int]) -> Any:
        return self.dy.esum([self.loss(self.dy.inputTensor(x), label) for x, label in zip(images, labels)])

    def example(self, x: Any, label: int) -> Any:
        return self.dy.pickneglogsoftmax(self.scores(x), label)


def minibatches() -> list[tuple[Any, list[int]]]:
    """Random images of MNIST's sparseness, labelled by a random linear map."""
    rng = np.random.RandomState(2)
    shape = (EXAMPLES, PIXELS)
    images = (rng.uniform(size=shape) * (rng.uniform(size=shape) < LIT)).astype(np.float32)
    labels = (images @ rng.standard_normal((PIXELS, CLASSES))).argmax(axis=1).tolist()
    return [(images[i : i + BATCH], labels[i : i + BATCH]) for i in range(0, EXAMPLES, BATCH)]


def main() -> None:
    chosen = peer.chosen()
    dy = peer.dynamic_toolkit(chosen)
    cells = chosen.variant == "cells"
    networks = {"batched by hand": BatchedByHand(dy), "single examples": SingleExamples(dy, cells)}
    seconds: dict[str, list[float]] = {name: [] for name in networks}
    losses = dict.fromkeys(networks, 0.0)
    batches = minibatches()
    for step in range(WARM_UP + (QUICK_STEPS if chosen.quick else STEPS)):
        images, labels = batches[step % len(batches)]
        for name, network in networks.items():
            begin = time.perf_counter()
            losses[name] += network.step(images, labels)
            seconds[name].append(time.perf_counter() - begin)
    by_hand, singly = (statistics.median(spent[WARM_UP:]) for spent in seconds.values())
    first, second = losses.values()
    if abs(first - second) > 1e-3 * abs(first):
        raise SystemExit(f"the losses differ: {losses}")
    figures = {"batched by hand, us": 1e6 * by_hand, "single examples, us": 1e6 * singly, "ratio": singly / by_hand}
    peer.give({**figures, "loss": second})


if __name__ == "__main__":
    main()
