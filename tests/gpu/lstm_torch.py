"""An LSTM over a sequence of look-ups in PyTorch, on request: nn.LSTM, or cell by cell. See `lstm.py`."""

from __future__ import annotations

import argparse

import torch
import torch_device
from timed import Timed
from torch import nn
from worker import serve

ROWS = 1000


class Sequences(Timed):
    """`steps` steps of `batch` sequences, forward and backward; the loss is the sum of all hidden states."""

    def __init__(self, device: str, way: str) -> None:
        self.synchronize = torch_device.use(device, "float32")
        self.way = way

    def ready(self, hidden: int, batch: int, steps: int, replay_seconds: float) -> None:
        """A new model."""
        self.steps = steps
        self.table = nn.Embedding(ROWS, hidden)
        self.layer = nn.LSTM(hidden, hidden) if self.way == "nn.LSTM" else nn.LSTMCell(hidden, hidden)
        self.ids = torch.randint(0, ROWS, (steps, batch))

    def once(self, n: int) -> int:
        """Forward and backward: units are steps of the recurrence."""
        x = self.table(self.ids)
        if self.way == "nn.LSTM":
            outputs = self.layer(x)[0]
        else:
            state, hidden = None, []
            for step in x.unbind(0):
                state = self.layer(step, state)
                hidden.append(state[0])
            outputs = torch.stack(hidden)
        loss = outputs.sum()
        loss.item()
        loss.backward()
        return self.steps


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--way", choices=("nn.LSTM", "LSTMCell"), required=True)
    chosen = parser.parse_args()
    serve(Sequences(chosen.device, chosen.way).handle)


if __name__ == "__main__":
    main()
