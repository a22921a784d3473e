"""A task in PyTorch, trained on request. See `trainee.py`."""

from __future__ import annotations

import torch_device
from examples import Data
from measure import Program
from trainee import Trainee, options
from worker import serve


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--precision", choices=torch_device.PRECISIONS, default="float32")
    chosen = parser.parse_args()
    synchronize = torch_device.use(chosen.device, chosen.precision)

    def make(data: Data, mode: str) -> Program:
        return torch_device.program(data, mode, chosen.device)

    serve(Trainee(chosen, make, synchronize).handle)


if __name__ == "__main__":
    main()
