"""Which compiled kernel runs which operation, and the table of their addresses; each is compiled at its first use."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from weft_core.compound import inners
from weft_core.signature import ALIAS, COMPOUND, Signature, signatures

from . import registers as r
from .cache import FORMULA_FASTMATH, KERNEL_FASTMATH
from .callees import without_collection
from .pointers import compile_kernel

if TYPE_CHECKING:
    from weft_core.operation import Operation

Phase = Callable[[int, int, int], None]


@dataclass(frozen=True)
class Kernel:
    """The phases of an operation, each `phase(record, start, count)` over rows `start` to `start + count` of a type.

    `table` gives the integers, beyond sizes, that the kernel needs to know of a signature (`views.layout`).
    `formulas` names the phases that compute a user's formula, whose sums keep their order.
    """

    forward: Phase
    backward: Phase
    prologue: Phase | None = None
    epilogue: Phase | None = None
    pointwise: Phase | None = None
    pointwise_backward: Phase | None = None
    table: Callable[[Signature], Sequence[int]] | None = None
    formulas: frozenset[str] = frozenset()


def nothing(record: int, start: int, count: int) -> None:
    """The phase of an operation that has nothing to do."""


_makers: dict[str, Callable[[Operation], Kernel]] = {}
_families: list[tuple[type, Callable[[Any], Kernel]]] = []


def kernel(name: str, **phases: Any) -> None:
    """Register the kernel of the operation `name`: `forward`, `backward`, and optional phases, as `Kernel` has them."""
    made = Kernel(**{"backward": nothing, **phases})
    _makers[name] = lambda operation: made


def kernel_family(kind: type, make: Callable[[Any], Kernel]) -> None:
    """Register a maker of kernels for all operations of a class."""
    _families.append((kind, make))


class KernelTable:
    """One row of addresses per signature.

    Forward phases are compiled when a signature first runs, backward phases at its first backward.
    """

    def __init__(self) -> None:
        self.rows = np.zeros((256, r.KERNEL_COLUMNS), np.int64)
        self.made: dict[str, Kernel | None] = {}
        self.addresses: dict[Phase, int] = {}
        self._alive: list[Any] = []
        self._lock = threading.Lock()

    def kernel_of(self, operation: Operation) -> Kernel | None:
        if operation.name not in self.made:
            make = _makers.get(operation.name)
            if make is None:
                make = next((m for kind, m in _families if isinstance(operation, kind)), None)
            self.made[operation.name] = make(operation) if make else None
        return self.made[operation.name]

    def has_kernel(self, signature: Signature) -> bool:
        """Whether compiled code runs all of a signature."""
        if signature.flags & COMPOUND:
            return all(self.has_kernel(inner.signature) for inner in inners(signature))
        return bool(signature.flags & ALIAS) or self.kernel_of(signature.operation) is not None

    def address(self, made: Kernel, name: str) -> int:
        phase: Phase | None = getattr(made, name)
        if phase is None:
            return 0
        if phase not in self.addresses:
            self.addresses[phase] = compile_kernel(
                phase, FORMULA_FASTMATH if name in made.formulas else KERNEL_FASTMATH
            )
        return self.addresses[phase]

    def reserve(self, count: int) -> None:
        """Rows for the first `count` signatures."""
        with self._lock:
            if count > len(self.rows):
                grown = np.zeros((2 * count, r.KERNEL_COLUMNS), np.int64)
                grown[: len(self.rows)] = self.rows
                self.rows = grown

    def prepare(self, numbers: Iterable[int], backward: bool) -> None:
        """Fill in the rows of these signatures, and of those inside of them."""
        with self._lock, without_collection():
            for number in numbers:
                self._prepare(signatures[number], backward)

    def _prepare(self, signature: Signature, backward: bool) -> None:
        row = self.rows[signature.id]
        made = None if signature.flags & ALIAS else self.kernel_of(signature.operation)
        if signature.flags & COMPOUND:
            if not self.has_kernel(signature):
                # The reference runs the whole.
                made = None
            else:
                for inner in inners(signature):
                    self._prepare(inner.signature, backward)
        if made is not None and row[r.KERNEL_READY] < r.FORWARD_READY:
            self._prepare_forward(made, signature, row)
        if made is not None and backward and row[r.KERNEL_READY] < r.ALL_READY:
            row[r.KERNEL_BACKWARD] = self.address(made, "backward")
            row[r.KERNEL_EPILOGUE] = self.address(made, "epilogue")
            row[r.KERNEL_POINTWISE_BACKWARD] = self.address(made, "pointwise_backward")
        row[r.KERNEL_READY] = max(row[r.KERNEL_READY], r.ALL_READY if backward else r.FORWARD_READY)

    def _prepare_forward(self, made: Kernel, signature: Signature, row: NDArray[np.int64]) -> None:
        row[r.KERNEL_PROLOGUE] = self.address(made, "prologue")
        row[r.KERNEL_FORWARD] = self.address(made, "forward")
        row[r.KERNEL_POINTWISE] = self.address(made, "pointwise")
        numbers = [float(a) for a in signature.attributes if isinstance(a, (int, float))]
        settings = np.array(numbers, np.float64)
        table = np.array(made.table(signature) if made.table else [], np.int64)
        self._alive += [settings, table]
        row[r.KERNEL_ATTRIBUTES] = settings.ctypes.data
        row[r.KERNEL_TABLE] = table.ctypes.data


kernel_table = KernelTable()
