"""One matrix product of PyTorch, which on a GPU is cuBLAS's, on request. See `products.py`."""

from __future__ import annotations

import argparse
from types import SimpleNamespace

import torch
import torch_device
from timed import Timed
from weft_device import repeated
from worker import Answer, serve


class Product(Timed):
    """y = W x for all columns at once, or the gradient of W; in bfloat16 the operands are stored so."""

    def __init__(self, device: str) -> None:
        self.device = device

    def prepare(self, weight: tuple[int, int], columns: int, precision: str, gradient: bool) -> Answer:
        """Operands of these sizes."""
        rows, inner = weight
        self.waits = SimpleNamespace(synchronize=torch_device.use(self.device, precision))
        kind = torch.bfloat16 if precision == "bfloat16" else torch.float32
        sizes = ((columns, rows), (columns, inner)) if gradient else ((columns, inner), (rows, inner))
        a, b = (torch.rand(size).to(kind) for size in sizes)
        self.work = (lambda: a.t() @ b) if gradient else (lambda: a @ b.t())
        self.flops = 2.0 * rows * inner * columns
        return {"step_seconds": repeated(self.work, self.waits, 0.0)}

    def measure(self, seconds: float, first: int) -> Answer:
        """Units are floating-point operations."""
        return {"units": self.flops, "seconds": repeated(self.work, self.waits, seconds)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda")
    serve(Product(parser.parse_args().device).handle)


if __name__ == "__main__":
    main()
