"""Lowering: which device instructions a signature becomes, phase by phase; made once and kept as a table of integers.

A *work* is one device instruction for all rows of a step. Works of a phase on different levels run one after another.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from weft_core.compound import Inner, inners
from weft_core.operation import Operation
from weft_core.signature import ALIAS, COMPOUND, SCATTERS, Signature

from .options import Options

PROLOGUE, FORWARD, BACKWARD, EPILOGUE = range(4)
PHASES = 4
# Which kernel runs a work: the stream, or the one for large products.
STREAM, LARGE = range(2)
# A template: how many works, whether its epilogue adds to gradients of operands; then each work: the fields below, and
# for each view `REF` integers.
T_WORKS, T_WRITES = range(2)
TEMPLATE = 2
(
    W_PHASE, W_LEVEL, W_KERNEL, W_OPCODE, W_PER_ROW, W_BLOCK, W_TIMES, W_LEAST, W_MOST, W_CONSTANTS, W_PAYLOAD,
    W_SORTED, W_VIEWS,
) = range(13)  # fmt: skip
WORK = 13
REF_VIEW, REF_GRADIENT, REF_SHIFT, REF_SHARED = range(4)
REF = 4
MOST_ROWS = (1 << 31) - 1


@dataclass(frozen=True)
class Ref:
    """A view that a device instruction reads or writes: number `view` of the signature, its values or its gradients.

    `shared`: other tiles of the same work add to the same memory.
    """

    view: int
    gradient: bool
    shift: int = 0
    shared: bool = False


def Value(view: int, shift: int = 0) -> Ref:
    """The values of a view: results, operands and parameters are numbered in this order."""
    return Ref(view, False, shift)


def Gradient(view: int, shift: int = 0, shared: bool = False) -> Ref:
    """The gradients of a view."""
    return Ref(view, True, shift, shared)


# A view that is not there; bodies ask `present`.
NONE = Ref(-1, False)


@dataclass(frozen=True)
class Tiles:
    """How many tiles a work has for `rows` rows: `times * ceil(rows * per_row / block)`."""

    per_row: int
    block: int
    times: int = 1


@dataclass(frozen=True)
class Work:
    """One device instruction per step: an opcode on some views, for steps of `least` to `most` rows.

    `sorted_by`: how many payload numbers of a row name rows of a table; the work gets them sorted (`encode.sort_rows`)
    in the place of its payload.
    """

    phase: int
    level: int
    kernel: int
    body: Any
    tiles: Tiles
    views: tuple[Ref, ...]
    constants: tuple[int, ...]
    payload: int
    least: int
    most: int
    sorted_by: int


class Lowering:
    """What the works of one signature depend on, and the list of them.

    `external[k]`: the operand or parameter in view `k` comes from outside the recurrence; `needs[k]`: its gradient is
    wanted; `aligned[k]`: all its rows, and their gradients, begin on 16 bytes. Views are results, operands, parameters.
    """

    def __init__(
        self,
        signature: Signature,
        external: Sequence[bool],
        needs: Sequence[bool],
        aligned: Sequence[bool],
        options: Options,
    ) -> None:
        self.signature = signature
        self.options = options
        self.aligned = aligned
        self.external = external
        self.needs = needs
        self.works: list[Work] = []

    def prologue(self, body: Any, tiles: Tiles, views: Sequence[Ref], **more: Any) -> None:
        """Once for all rows of the type, before the first step."""
        self._add(PROLOGUE, body, tiles, views, **more)

    def forward(self, body: Any, tiles: Tiles, views: Sequence[Ref], **more: Any) -> None:
        """For each step."""
        self._add(FORWARD, body, tiles, views, **more)

    def backward(self, body: Any, tiles: Tiles, views: Sequence[Ref], **more: Any) -> None:
        """For each step, in reverse order."""
        self._add(BACKWARD, body, tiles, views, **more)

    def epilogue(self, body: Any, tiles: Tiles, views: Sequence[Ref], **more: Any) -> None:
        """Once for all rows of the type, after its last backward step."""
        self._add(EPILOGUE, body, tiles, views, **more)

    def _add(
        self, phase: int, body: Any, tiles: Tiles, views: Sequence[Ref], *, constants: Sequence[float] = (),
        level: int = 0, kernel: int = STREAM, least: int = 0, most: int = MOST_ROWS, sorted_by: int = 0,
    ) -> None:  # fmt: skip
        numbers = tuple(word(c) for c in constants)
        self.works.append(Work(phase, level, kernel, body, tiles, tuple(views), numbers, 0, least, most, sorted_by))

    def depth(self, phase: int) -> int:
        """Levels of a phase."""
        return max((w.level + 1 for w in self.works if w.phase == phase), default=0)


def word(number: float) -> int:
    """A constant as 32 bits: whole numbers as they are, floats by their bits."""
    if isinstance(number, (int, np.integer)):
        return int(number)
    return int(struct.unpack("<i", struct.pack("<f", number))[0])


Lower = Callable[[Signature, Lowering], None]
_by_name: dict[str, Lower] = {}
_families: list[tuple[type, Lower]] = []


def lowering(*names: str) -> Callable[[Lower], Lower]:
    """Register how operations of these names are lowered."""

    def decorate(function: Lower) -> Lower:
        for name in names:
            _by_name[name] = function
        return function

    return decorate


def lowering_family(kind: type) -> Callable[[Lower], Lower]:
    """Register how all operations of a class are lowered."""

    def decorate(function: Lower) -> Lower:
        _families.append((kind, function))
        return function

    return decorate


def lower_of(operation: Operation) -> Lower | None:
    """How an operation is lowered; None when its reference must run on the host."""
    found = _by_name.get(operation.name)
    if found is None:
        found = next((lower for kind, lower in _families if isinstance(operation, kind)), None)
    return found


def has_kernel(signature: Signature) -> bool:
    """Whether all of a signature runs on the device."""
    if signature.flags & COMPOUND:
        return all(has_kernel(inner.signature) for inner in inners(signature))
    return bool(signature.flags & ALIAS) or lower_of(signature.operation) is not None


def lower(
    signature: Signature,
    external: Sequence[bool],
    needs: Sequence[bool],
    aligned: Sequence[bool],
    options: Options,
) -> list[Work] | None:
    """The works of a signature; None when its reference must run on the host."""
    if not has_kernel(signature):
        return None
    plan = Lowering(signature, external, needs, aligned, options)
    if signature.flags & COMPOUND:
        _lower_compound(signature, plan)
    else:
        rule = lower_of(signature.operation)
        assert rule is not None
        rule(signature, plan)
    return plan.works


def _lower_compound(signature: Signature, plan: Lowering) -> None:
    """The works of inner instructions, each after those before it.

    An inner instruction that reads nothing of the recurrence is hoisted: it runs for all rows in the prologue, its
    gradient in the epilogue.
    """
    external, needs = list(plan.external), list(plan.needs)
    parts: list[tuple[Inner, Lowering, bool]] = []
    for inner in inners(signature):
        views = [view for view, _ in inner.views]
        hoisted = all(external[v] for v in views[inner.results :])
        for v in views[: inner.results]:
            external[v] = hoisted
        part = Lowering(
            inner.signature,
            [external[v] for v in views],
            [needs[v] for v in views],
            [plan.aligned[v] and shift % 4 == 0 for v, shift in inner.views],
            plan.options,
        )
        rule = lower_of(inner.signature.operation)
        if not inner.signature.flags & ALIAS:
            assert rule is not None
            rule(inner.signature, part)
        parts.append((inner, part, hoisted))
    for inner, part, hoisted in parts:
        _join(plan, inner, part, {PROLOGUE: PROLOGUE})
        _join(plan, inner, part, {FORWARD: PROLOGUE if hoisted else FORWARD})
    for inner, part, hoisted in reversed(parts):
        _join(plan, inner, part, {BACKWARD: EPILOGUE if hoisted else BACKWARD})
        _join(plan, inner, part, {EPILOGUE: EPILOGUE})


def _join(plan: Lowering, inner: Inner, part: Lowering, phases: dict[int, int]) -> None:
    for phase, target in phases.items():
        base = plan.depth(target)
        for work in part.works:
            if work.phase == phase:
                views = tuple(_outer(inner, ref) for ref in work.views)
                level = base + work.level
                plan.works.append(replace(work, phase=target, level=level, views=views, payload=inner.payload))


def _outer(inner: Inner, ref: Ref) -> Ref:
    if ref.view < 0:
        return ref
    view, shift = inner.views[ref.view]
    return Ref(view, ref.gradient, ref.shift + shift, True)


class Templates:
    """Works of all signatures as integers, found by signature and by what kind of views a plan gives it."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.words = np.zeros(1 << 12, np.int64)
        self.used = 1
        self.constants = np.zeros(1 << 12, np.int32)
        self.constants_used = 0
        # Open addressing: signature, key of its views, place of its template; 0 in the place is empty, -1 the host.
        self.index = np.zeros((1 << 10, 3), np.int64)
        self.count = 0
        # Rows of the largest table that is looked up.
        self.table_rows = 0
        self._offsets: dict[tuple[int, ...], int] = {}

    def add(
        self,
        signature: Signature,
        key: int,
        external: Sequence[bool],
        needs: Sequence[bool],
        aligned: Sequence[bool],
    ) -> None:
        """Lower a signature for one kind of plan."""
        works = lower(signature, external, needs, aligned, self.options)
        place = -1
        if works is not None:
            operands = range(len(signature.results) + len(signature.saved), len(needs) - len(signature.parameters))
            writes = any(r.gradient and r.view in operands for w in works if w.phase == EPILOGUE for r in w.views)
            numbers = [len(works), int(writes)]
            for work in works:
                numbers += self._encoded(work)
            place = self._append(numbers)
        if signature.flags & SCATTERS:
            self.table_rows = max(self.table_rows, signature.parameters[0].dims[-1])
        if 2 * (self.count + 1) > len(self.index):
            self._grow_index()
        enter(self.index, signature.id, key, place)
        self.count += 1

    def _encoded(self, work: Work) -> list[int]:
        views = [n for ref in work.views for n in (ref.view, int(ref.gradient), ref.shift, int(ref.shared))]
        return [
            work.phase, work.level, work.kernel, work.body.opcode, work.tiles.per_row, work.tiles.block,
            work.tiles.times, work.least, work.most, self._constants_at(work.constants), work.payload, work.sorted_by,
            len(work.views), *views,
        ]  # fmt: skip

    def _constants_at(self, numbers: tuple[int, ...]) -> int:
        """Where these constants stand; equal ones stand once."""
        if numbers not in self._offsets:
            end = self.constants_used + len(numbers)
            if end > len(self.constants):
                grown = np.zeros(2 * end, np.int32)
                grown[: self.constants_used] = self.constants[: self.constants_used]
                self.constants = grown
            self.constants[self.constants_used : end] = numbers
            self._offsets[numbers] = self.constants_used
            self.constants_used = end
        return self._offsets[numbers]

    def _append(self, numbers: Sequence[int]) -> int:
        end = self.used + len(numbers)
        if end > len(self.words):
            grown = np.zeros(2 * end, np.int64)
            grown[: self.used] = self.words[: self.used]
            self.words = grown
        place, self.used = self.used, end
        self.words[place:end] = numbers
        return place

    def _grow_index(self) -> None:
        old = self.index
        self.index = np.zeros((2 * len(old), 3), np.int64)
        for signature, key, place in old[old[:, 2] != 0].tolist():
            enter(self.index, signature, key, place)


def enter(index: NDArray[np.int64], signature: int, key: int, place: int) -> None:
    """Write an entry of an open addressing table; the compiled side looks it up in the same order."""
    at = (signature * 7919 + key) % len(index)
    while index[at, 2] != 0:
        at = (at + 1) % len(index)
    index[at] = signature, key, place
