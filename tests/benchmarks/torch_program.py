"""What the PyTorch programs share: DyNet's Adam, LSTMs by its equations, the phases of a training step."""

from __future__ import annotations

import math
from typing import Any, cast

import numpy as np
import torch
import torch.nn.functional as F
from examples import Data, Example
from measure import Program
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence


class Adam:
    """DyNet's Adam from PyTorch's own: DyNet adds eps before the bias correction, so eps is rescaled.

    Sparse tables go through SparseAdam, which already follows DyNet. A parameter that took no part in a
    graph still advances: dense ones with a zero gradient, sparse ones in their count of steps.
    """

    ALPHA, BETA_2, EPS = 1e-3, 0.999, 1e-8

    def __init__(self, dense: list[nn.Parameter], sparse: list[nn.Parameter]) -> None:
        self.dense = dense
        self.sparse = sparse
        self.rule = torch.optim.Adam(dense, lr=self.ALPHA, eps=self.EPS, fused=True)
        self.sparse_rule = torch.optim.SparseAdam(sparse, lr=self.ALPHA, eps=self.EPS) if sparse else None
        self.steps = 0

    def step(self) -> None:
        self.steps += 1
        self.rule.param_groups[0]["eps"] = self.EPS / math.sqrt(1.0 - self.BETA_2**self.steps)
        for parameter in self.dense:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        self.rule.step()
        self.rule.zero_grad(set_to_none=True)
        if self.sparse_rule is None:
            return
        for parameter in self.sparse:
            if parameter.grad is None:
                size = (0, parameter.shape[1])
                indices = torch.zeros((1, 0), dtype=torch.int64)
                parameter.grad = torch.sparse_coo_tensor(indices, torch.zeros(size), parameter.shape)
        cast(Any, self.sparse_rule).step()
        self.sparse_rule.zero_grad(set_to_none=True)


class Lstm:
    """One direction, or both, of an LSTM by DyNet's equations: gates i, f, o, g, a forget bias of +1.

    The constant is stored in the bias: Adam trains a shifted parameter alike.
    """

    def __init__(self, data: Data, names: list[str], fused: bool) -> None:
        self.inputs = data.parameters[names[0] + "_x"].shape[1]
        self.size = data.parameters[names[0] + "_h"].shape[1]
        self.fused = fused
        self.directions: list[list[nn.Parameter]] = []
        for name in names:
            x, h, b = (data.parameters[f"{name}_{part}"] for part in "xhb")
            b = b.copy()
            b[self.size : 2 * self.size] += 1.0
            arrays = [_gates_ifgo(a) for a in (x, h, b)] if fused else [x, h, b]
            self.directions.append([nn.Parameter(torch.from_numpy(a)) for a in arrays])
        if fused:
            self.layer = nn.LSTM(self.inputs, self.size, bidirectional=len(names) == 2)
            for direction, suffix in zip(self.directions, ("", "_reverse"), strict=False):
                constant = nn.Parameter(torch.zeros(4 * self.size), requires_grad=False)
                for part, parameter in zip(("weight_ih", "weight_hh", "bias_ih"), direction, strict=True):
                    setattr(self.layer, f"{part}_l0{suffix}", parameter)
                setattr(self.layer, f"bias_hh_l0{suffix}", constant)

    def parameters(self) -> list[nn.Parameter]:
        return [parameter for direction in self.directions for parameter in direction]

    def outputs(self, x: Tensor) -> Tensor:
        """{T, B, I} to {T, B, H}, or 2 H for both directions."""
        if self.fused:
            return cast(Tensor, self.layer(x)[0])
        steps = list(x.unbind(0))
        sides = [self._walk(self.directions[0], steps)]
        if len(self.directions) == 2:
            sides.append(self._walk(self.directions[1], steps[::-1])[::-1])
        return torch.cat([torch.stack(side) for side in sides], dim=-1)

    def ends(self, x: Tensor | PackedSequence) -> Tensor:
        """The last output of each direction: {T, B, I} or a packed sequence of B to {B, 2 H}."""
        if isinstance(x, PackedSequence) or self.fused:
            return torch.cat(list(self.layer(x)[1][0]), dim=-1)
        steps = list(x.unbind(0))
        left_to_right, right_to_left = self.directions
        return torch.cat([self._walk(left_to_right, steps)[-1], self._walk(right_to_left, steps[::-1])[-1]], dim=-1)

    def _walk(self, direction: list[nn.Parameter], steps: list[Tensor]) -> list[Tensor]:
        weight_x, weight_h, bias = direction
        h = c = steps[0].new_zeros(steps[0].shape[0], self.size)
        outputs = []
        for x in steps:
            gates = torch.addmm(F.linear(x, weight_x, bias), h, weight_h.t())
            i, f, o = gates[:, : 3 * self.size].sigmoid().chunk(3, dim=1)
            c = f * c + i * gates[:, 3 * self.size :].tanh()
            h = o * c.tanh()
            outputs.append(h)
        return outputs


def _gates_ifgo(array: Any) -> Any:
    """Rows i, f, o, g as nn.LSTM has them: i, f, g, o."""
    i, f, o, g = np.split(array, 4)
    return np.concatenate([i, f, g, o])


class TorchProgram(Program):
    """Phases of a training step; a task prepares index arrays in `build` and computes the loss in `loss`."""

    def __init__(self, data: Data, mode: str, sparse: bool) -> None:
        self.data = data
        self.mode = mode
        self.sparse = sparse
        self.tables: list[nn.Parameter] = []
        self.weights: list[nn.Parameter] = []
        self.embedding = self.table("embedding")
        self.create()
        self.trainer = Adam(self.weights if sparse else self.weights + self.tables, self.tables if sparse else [])

    def create(self) -> None:
        raise NotImplementedError

    def loss(self, prepared: Any) -> Tensor:
        raise NotImplementedError

    def build(self, group: list[Example]) -> Any:
        return [self.prepared(group), None]

    def prepared(self, group: list[Example]) -> Any:
        return group

    def forward(self, loss: Any) -> float:
        loss[1] = self.loss(loss[0])
        return float(loss[1].item())

    def backward(self, loss: Any) -> None:
        loss[1].backward()

    def update(self) -> None:
        self.trainer.step()

    def parameter(self, name: str, shift: float = 0.0) -> nn.Parameter:
        self.weights.append(nn.Parameter(torch.from_numpy(self.data.parameters[name] + np.float32(shift))))
        return self.weights[-1]

    def table(self, name: str) -> nn.Parameter:
        self.tables.append(nn.Parameter(torch.from_numpy(self.data.parameters[name].copy())))
        return self.tables[-1]

    def lstm(self, *names: str) -> Lstm:
        lstm = Lstm(self.data, list(names), fused=self.mode != "cell")
        self.weights += lstm.parameters()
        return lstm

    def rows(self, indices: Any, table: nn.Parameter) -> Tensor:
        return F.embedding(torch.as_tensor(indices), table, sparse=self.sparse)
