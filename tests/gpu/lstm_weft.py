"""An LSTM over a sequence of look-ups in Weft, on request. See `lstm.py`."""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
from timed import Timed
from weft_device import device_backend, replay
from worker import Answer, serve

import weft as dy

ROWS = 1000


class Sequences(Timed):
    """`steps` steps of `batch` sequences, forward and backward; the loss is the sum of all hidden states."""

    def __init__(self, mode: str) -> None:
        self.backend = device_backend(mode=mode)
        self.synchronize = self.backend.device.synchronize

    def ready(self, hidden: int, batch: int, steps: int, replay_seconds: float) -> None:
        """A new model."""
        self.steps, self.replay_seconds = steps, replay_seconds
        rng = np.random.default_rng(0)
        self.model = dy.ParameterCollection()
        self.rnn = dy.VanillaLSTMBuilder(1, hidden, hidden, self.model)
        self.table = self.model.lookup_parameters_from_numpy(rng.uniform(-0.1, 0.1, (ROWS, hidden)))
        self.ids = rng.integers(0, ROWS, (steps, batch)).tolist()

    def loss(self) -> Any:
        """Recorded in the current graph."""
        inputs = [dy.lookup_batch(self.table, ids) for ids in self.ids]
        hidden = self.rnn.initial_state().transduce(inputs)
        return dy.sum_batches(dy.sum_elems(dy.esum(list(hidden))))

    def once(self, n: int) -> int:
        """Record, plan, forward, backward: units are steps of the recurrence."""
        with dy.ComputationGraph(backend=self.backend):
            loss = self.loss()
            loss.value()
            loss.backward()
        return self.steps

    def details(self) -> Answer:
        """Microseconds a step of the plans alone, launched again and again; levels and launches of both directions."""
        with dy.ComputationGraph(backend=self.backend) as graph:
            loss = self.loss()
            loss.value()
            counts = dict(graph.execution.counts())
            forward = replay(graph, False, self.replay_seconds)
            before = graph.execution.counts()
            loss.backward()
            after = graph.execution.counts()
            backward = replay(graph, True, self.replay_seconds)
        each = 1e6 / self.steps
        counted = {what: counts[what] + after[what] - before[what] for what in ("levels", "launches")}
        return {"forward_us": forward * each, "backward_us": backward * each, **counted}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mode", required=True)
    serve(Sequences(parser.parse_args().mode).handle)


if __name__ == "__main__":
    main()
