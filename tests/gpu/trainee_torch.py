"""A task in PyTorch, trained on request. See `trainee.py`."""

from __future__ import annotations

import argparse
from pathlib import Path

import torch_device
from trainee import Trainee
from worker import serve


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--task", required=True)
    parser.add_argument("--hidden", type=int, default=0)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--precision", choices=torch_device.PRECISIONS, default="float32")
    chosen = parser.parse_args()
    synchronize = torch_device.use(chosen.device, chosen.precision)

    serve(
        Trainee(
            chosen.data, chosen.task, chosen.hidden,
            lambda data, mode: torch_device.program(data, mode, chosen.device), synchronize,
        ).handle
    )  # fmt: skip


if __name__ == "__main__":
    main()
