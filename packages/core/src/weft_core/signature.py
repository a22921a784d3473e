"""Signatures: what kind of instruction this is. Made once per (operation, operand shapes, attributes)."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import numpy as np

from .shape import Shape
from .store import use_whole

if TYPE_CHECKING:
    from .operation import Attribute, Operation

# Flags of a signature, as the planner and the backends read them.
SOURCE = 1  # a trainable parameter takes part: gradients start here
BLOCKS = 2  # no gradient passes to the operands
ALIAS = 4  # value and gradient are the memory of operand 0's, shifted: nothing is executed
WHOLE = 8  # has work for all rows of a type at once: a prologue and an epilogue step
SCATTERS = 16  # gradients go to rows of its look-up table, not to the whole table
COMPOUND = 32  # holds inner instructions, whose records follow its own

# Columns of `SignatureTable.rows`.
LENGTH, OPERANDS, PARAMETERS, PAYLOAD, RESULTS, SAVED, BATCH, FLAGS, ENTRIES, ALIAS_SHIFT, ALIAS_STEP, INNER = range(12)
COLUMNS = 12
# Fields per view (results, then operands, then parameters) in `SignatureTable.entries`.
ENTRY_SIZE, ENTRY_BATCH, ENTRY_PARAMETER, ENTRY_TRAINABLE = range(4)
ENTRY_FIELDS = 4


class Signature:
    """One kind of instruction.

    `operands` are named in the instruction; `parameters` belong to the signature and cost nothing on the tape.
    `results` are the shapes of the visible results, `saved` those of hidden ones that backward needs;
    `payload` counts the integers that follow the operands in the instruction, `inner_integers` the size of the records
    of inner instructions.
    """

    __slots__ = (
        "alias",
        "attributes",
        "flags",
        "id",
        "length",
        "operands",
        "operation",
        "parameters",
        "payload",
        "results",
        "saved",
    )

    def __init__(
        self,
        operation: Operation,
        operands: tuple[Shape, ...],
        attributes: tuple[Attribute, ...],
        results: tuple[Shape, ...],
        saved: tuple[Shape, ...] = (),
        payload: int = 0,
        flags: int = 0,
        parameters: tuple[Shape, ...] = (),
        alias: tuple[int, int] = (0, 0),
        inner_integers: int = 0,
    ):
        self.operation = operation
        self.operands = operands
        self.attributes = attributes
        self.results = results
        self.saved = saved
        self.payload = payload
        self.parameters = parameters
        if any(shape.trainable for shape in operands + parameters) and not flags & BLOCKS:
            flags |= SOURCE
        if operation.scatters:
            flags |= SCATTERS
        else:
            for shape in operands + parameters:
                if shape.parameter >= 0:
                    use_whole(shape.parameter)
        self.flags = flags
        self.alias = alias
        self.length = max(1 + len(operands) + payload, len(results) + len(saved))
        self.id = signatures.add(self, inner_integers)

    @property
    def batch(self) -> int:
        return self.results[0].batch

    def __repr__(self) -> str:
        operands = ", ".join(map(str, self.operands))
        return f"<{self.operation.name}({operands}){list(self.attributes) or ''} -> {list(self.results)}>"


class SignatureTable:
    """All signatures of the process, with the numbers that planner and kernels need as integer arrays."""

    def __init__(self) -> None:
        self.all: list[Signature] = []
        self.rows = np.zeros(64 * COLUMNS, np.int64)
        self.entries = np.zeros(1024, np.int64)
        self.used = 0
        self.lock = threading.Lock()

    def __len__(self) -> int:
        return len(self.all)

    def __getitem__(self, index: int) -> Signature:
        return self.all[index]

    def add(self, signature: Signature, inner_integers: int) -> int:
        with self.lock:
            return self._add(signature, inner_integers)

    def _add(self, signature: Signature, inner_integers: int) -> int:
        shapes = signature.results + signature.saved + signature.operands + signature.parameters
        views = [(s.size, s.batch, s.parameter, int(s.trainable)) for s in shapes]
        number = len(self.all)
        needed = self.used + ENTRY_FIELDS * len(views)
        if (number + 1) * COLUMNS > len(self.rows):
            self.rows = np.concatenate([self.rows, np.zeros_like(self.rows)])
        while needed > len(self.entries):
            self.entries = np.concatenate([self.entries, np.zeros_like(self.entries)])
        self.rows[number * COLUMNS : (number + 1) * COLUMNS] = (
            signature.length,
            len(signature.operands),
            len(signature.parameters),
            signature.payload,
            len(signature.results) + len(signature.saved),
            len(signature.saved),
            signature.batch,
            signature.flags,
            self.used,
            *signature.alias,
            inner_integers,
        )
        self.entries[self.used : needed] = np.array(views, np.int64).ravel()
        self.used = needed
        self.all.append(signature)
        return number


signatures = SignatureTable()
