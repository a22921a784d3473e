"""PyTorch on the device that is measured, and the benchmarks' PyTorch programs moved there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch_peer
from examples import Data, Example
from torch import Tensor, nn
from torch_program import Lstm, TorchProgram

PRECISIONS = ("float32", "tf32", "bfloat16")


def use(device: str, precision: str) -> Callable[[], None]:
    """New tensors live on `device`, products have this precision; returns what waits for the device."""
    torch.set_default_device(device)
    # PyTorch rounds cuDNN's recurrent products to tf32 unless it is told not to, other products only if it is told to.
    torch.backends.cudnn.allow_tf32 = precision != "float32"
    torch.backends.cuda.matmul.allow_tf32 = precision != "float32"
    if device == "cpu":
        torch.set_num_threads(1)
        return lambda: None
    # Blocks of rows spare the allocator of a CPU; on a GPU one product is the faster way.
    torch_peer.SOFTMAX_ROWS = 1 << 20
    return torch.cuda.synchronize


def moved(prepared: Any, device: str) -> Any:
    """The same tuples and lists with their tensors on the device."""
    if isinstance(prepared, Tensor):
        return prepared.to(device, non_blocking=True)
    if isinstance(prepared, (tuple, list)):
        return type(prepared)([moved(part, device) for part in prepared])
    return prepared


class OnDevice(TorchProgram):
    """A program whose index arrays are prepared on the host and then moved; put before the program among the bases."""

    device = "cpu"

    def build(self, group: list[Example]) -> Any:
        with torch.device("cpu"):
            prepared = self.prepared(group)
        return [self.moved(prepared), None]

    def moved(self, prepared: Any) -> Any:
        return moved(prepared, self.device)

    def settle(self) -> None:
        """Parameters move in place, so that the trainer's stay the same; cuDNN's lie side by side."""
        for parameter in (*self.weights, *self.tables):
            parameter.data = parameter.data.to(self.device)
        for lstm in vars(self).values():
            if isinstance(lstm, Lstm) and lstm.fused:
                lstm.layer.to(self.device)
                lstm.layer.flatten_parameters()


class PackedOnDevice(OnDevice):
    """The sizes of a packed sequence's steps stay on the host, where PyTorch wants them."""

    def moved(self, prepared: Any) -> Any:
        words, sizes, tags, spelled = prepared
        words, tags = moved((words, tags), self.device)
        if spelled is not None:
            letters, order = spelled
            letters = letters and (moved(letters[0], self.device), letters[1])
            spelled = letters, moved(order, self.device)
        return words, sizes, tags, spelled


def program(data: Data, mode: str, device: str) -> TorchProgram:
    """The benchmarks' program of a task on the device, updating whole tables: on a GPU faster than rows."""
    kind = torch_peer.program(data.task, mode)
    base = PackedOnDevice if issubclass(kind, torch_peer.PackedTagger) else OnDevice
    # Made on the host, where the parameters' arrays are.
    with torch.device("cpu"):
        made: Any = type(kind.__name__, (base, kind), {"device": device})(data, mode, False)
    made.settle()
    assert all(isinstance(parameter, nn.Parameter) for parameter in made.weights)
    return made  # type: ignore[no-any-return]
