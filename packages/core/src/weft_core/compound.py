"""The compound operation: several instructions recorded as one.

Its signature lists all values that the inner instructions compute, so that each has its block of memory beside the
others of its type; an inner instruction reads and writes these as if it stood on the tape by itself. Backends run the
inner kernels one after another.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from .operation import Array, Attribute, Call, Operation
from .plan import HEADER, VIEW
from .shape import Shape
from .signature import ALIAS, COMPOUND, WHOLE, Signature, signatures


@dataclass(frozen=True)
class Inner:
    """An inner instruction: for each of its results, operands and parameters, the outer view and a shift in floats.

    Outer views are numbered as in a record: results, then operands, then parameters. `payload` is where its payload
    begins in that of the whole.
    """

    signature: Signature
    payload: int
    views: tuple[tuple[int, int], ...]

    @property
    def results(self) -> int:
        return len(self.signature.results) + len(self.signature.saved)

    def shapes(self) -> tuple[Shape, ...]:
        """Shapes of its views."""
        s = self.signature
        return (*s.results, *s.saved, *s.operands, *s.parameters)

    def encoded(self) -> list[int]:
        return [self.signature.id, self.payload, *(number for view in self.views for number in view)]

    def integers(self) -> int:
        """Size of its record."""
        return HEADER + VIEW * len(self.views)


def inners(signature: Signature) -> list[Inner]:
    """The inner instructions of a compound signature, in order."""
    (program,) = signature.attributes
    assert isinstance(program, tuple)
    found, at = [], 0
    while at < len(program):
        inner = signatures[program[at]]
        count = len(inner.results) + len(inner.saved) + len(inner.operands) + len(inner.parameters)
        numbers = program[at + 2 : at + 2 + 2 * count]
        found.append(Inner(inner, program[at + 1], tuple(zip(numbers[::2], numbers[1::2], strict=True))))
        at += 2 + 2 * count
    return found


class Compound(Operation):
    """Inner instructions in order; the attribute is their encoding."""

    name = "compound"
    per_node = True

    def infer(self, operands: tuple[Shape, ...], attributes: tuple[Attribute, ...]) -> Signature:
        raise TypeError("compound: signatures come from bind()")

    def bind(
        self,
        parts: Sequence[Inner],
        results: Sequence[Shape],
        saved: Sequence[Shape],
        operands: Sequence[Shape],
        parameters: Sequence[Shape],
        payload: int,
    ) -> Signature:
        """The signature for these inner instructions; `results` are visible, `saved` the other values."""
        program = tuple(number for part in parts for number in part.encoded())
        key = (program, *results, None, *operands, None, *parameters)
        entry = self.table.get(key)
        if entry is None:
            made = Signature(
                self,
                tuple(operands),
                (program,),
                tuple(results),
                tuple(saved),
                payload=payload,
                flags=WHOLE | COMPOUND,
                parameters=tuple(parameters),
                inner_integers=sum(part.integers() for part in parts),
            )
            entry = self.table[key] = (made.id, made.results[0], made)
        return entry[2]

    def forward(self, call: Call, *operands: Array) -> tuple[Array, ...]:
        frame = _Frame(call, operands)
        for inner, inner_call in frame.calls():
            made = inner.signature.operation.forward(inner_call, *frame.gather(inner))
            for k, (array, shape) in enumerate(zip(made, inner.shapes())):
                view = inner.views[k][0]
                frame.values[view] = _shaped(np.broadcast_to(array, (*shape.dims, shape.batch)), frame.shapes[view])
        return tuple(frame.values[: frame.results])  # type: ignore[arg-type]

    def backward(
        self, call: Call, gradients: tuple[Array, ...], results: tuple[Array, ...], *operands: Array
    ) -> tuple[Array | None, ...]:
        frame = _Frame(call, operands)
        frame.values[: frame.results] = results
        sums: list[Array | None] = [*gradients, *[None] * len(operands)]
        for inner, inner_call in reversed(list(frame.calls())):
            n = inner.results
            given = tuple(
                _shaped(_zeros_or(sums[view], frame.shapes[view]), shape)
                for (view, _), shape in zip(inner.views[:n], inner.shapes())
            )
            values = tuple(frame.part(inner, k) for k in range(n))
            made = inner.signature.operation.backward(inner_call, given, values, *frame.gather(inner))
            for k, d in enumerate(made, n):
                if d is not None:
                    self._add(sums, frame, inner, k, d)
        return tuple(sums[frame.results :])

    def _add(self, sums: list[Array | None], frame: _Frame, inner: Inner, k: int, d: Array) -> None:
        """Add the gradient of view `k` of an inner instruction to that of its outer view."""
        view, shift = inner.views[k]
        shape, outer = inner.shapes()[k], frame.shapes[view]
        if shape.parameter >= 0 or (shape.batch == 1 and d.shape[-1] > 1):
            d = d.sum(axis=-1, keepdims=True)
        flat = np.array(_zeros_or(sums[view], outer)).reshape(-1, order="F")
        flat[shift : shift + shape.total] += np.asarray(d).reshape(-1, order="F")
        sums[view] = flat.reshape((*outer.dims, outer.batch), order="F")


class _Frame:
    """The values of one compound instruction, by outer view."""

    def __init__(self, call: Call, operands: Sequence[Array]) -> None:
        signature = call.signature
        self.call = call
        self.parts = inners(signature)
        self.results = len(signature.results) + len(signature.saved)
        self.shapes = (*signature.results, *signature.saved, *signature.operands, *signature.parameters)
        self.values: list[Array | None] = [*[None] * self.results, *operands]

    def calls(self) -> Iterator[tuple[Inner, Call]]:
        for inner in self.parts:
            payload = self.call.payload[:, inner.payload : inner.payload + inner.signature.payload]
            yield inner, Call(inner.signature, payload, self.call.data, self.call.seed, self.call.graph)

    def part(self, inner: Inner, k: int) -> Array:
        """View `k` of an inner instruction: its outer view, or a part of its memory with other dims."""
        view, shift = inner.views[k]
        shape, array = inner.shapes()[k], self.values[view]
        assert array is not None
        flat = array.reshape(-1, order="F")[shift : shift + shape.total]
        return flat.reshape((*shape.dims, shape.batch), order="F")

    def gather(self, inner: Inner) -> list[Array]:
        """Operands and parameters, those of one example repeated over the batch."""
        arrays = []
        for k in range(inner.results, len(inner.views)):
            array, batch = self.part(inner, k), inner.signature.batch
            repeats = not inner.signature.operation.per_node and inner.shapes()[k].parameter < 0
            if repeats and array.shape[-1] == 1 < batch:
                array = np.repeat(array, batch, axis=-1)
            arrays.append(array)
        return arrays


def _shaped(array: Array, shape: Shape) -> Array:
    """The same numbers with other dims: a column and a vector are one to a pointwise program."""
    return array.reshape((*shape.dims, shape.batch), order="F")


def _zeros_or(array: Array | None, shape: Shape) -> Array:
    return np.zeros((*shape.dims, shape.batch)) if array is None else array


def is_alias(signature: Signature) -> bool:
    """Whether the result is a part of its operand's memory."""
    return bool(signature.flags & ALIAS)


compound = Compound()
