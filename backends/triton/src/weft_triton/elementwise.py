"""Elementwise kernels, generated from formula text: a lane for each element; broadcasting by strides or by tables.

A gradient is added by lanes that own the operand's elements and sum over all results that read them; where these are
many, lanes own results, and tiles add what they have summed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from weft_core.elementwise import Elementwise
from weft_core.formula import names
from weft_core.shape import Shape
from weft_core.signature import Signature

from .formulas import Source
from .generated import write_module
from .lowering import Gradient, Lowering, Ref, Tiles, Value, lowering_family
from .opcodes import register

BLOCK = 1024
# Results that one lane sums; where an element of an operand is read by more, lanes own results.
MOST_IN_A_LANE = 64

_IMPORTS = """\
from weft_triton.access import (
    add, base, constant, constants, payload, row_offsets, rows, setting, staged, takes_gradient,
)
"""
_HEAD = "(words, at, tile, bases, tables, PRECISION: tl.constexpr):"


@dataclass(frozen=True)
class Bodies:
    """The opcodes of one operation, each with strides or with tables of indices."""

    forward: Any
    backward: dict[str, Any]
    summing: dict[str, Any]


class _Writer:
    """Writes the functions of one operation; `tables`: operands are indexed through tables instead of strides.

    Constants: elements, batch, then for each operand its stride over examples and over elements (or the place of its
    table), then settings; then, in a gradient, what is said there.
    """

    def __init__(self, operation: Elementwise, tables: bool) -> None:
        self.operation = operation
        self.tables = tables
        self.source = Source()
        self.operands = list(operation.operands)
        self.settings_at = 2 + 2 * len(self.operands)
        self.more_at = self.settings_at + len(operation.settings)

    def forward(self) -> list[str]:
        lines = [f"@triton.jit\ndef forward{_HEAD}", *self._sizes(), *self._lanes("n * batch"), *self._settings()]
        lines += ["    b = q // n", "    i = q - b * n", *self._loads(self.operands, "r", "b", "i", "    ")]
        lines.append(f"    y = {self._block(self.operation.formula)}")
        lines.append("    tl.store(base(bases, words, at, 0) + row_offsets(words, at, 0, r, mask) + q, y, mask=mask)")
        return lines

    def backward(self, operand: str) -> list[str]:
        """Lanes own elements of the operand; more constants: its elements, its batch, results an element has, their
        table, examples of the result for one of its own."""
        more, dx = self.more_at, 2 + len(self.operands)
        lines = [f"@triton.jit\ndef backward_{operand}{_HEAD}", *self._sizes(), *self._settings()]
        lines += [
            f"    own = constant(words, at, tables, {more})",
            f"    own_batch = constant(words, at, tables, {more + 1})",
            f"    many = constant(words, at, tables, {more + 2})",
            f"    examples = constant(words, at, tables, {more + 4})",
            *self._lanes("own * own_batch"),
            "    own_b = q // own",
            "    j = q - own_b * own",
            f"    total = tl.zeros([{BLOCK}], tl.float32)",
            "    for m in range(0, many * examples):",
            "        k = m % many",
            "        b = own_b + m // many",
        ]
        if self.tables:
            lines.append(f"        table = constant(words, at, tables, {more + 3})")
            lines.append("        i = constants(words, at, tables, table + j * many + k, mask)")
        else:
            lines.append("        i = tl.where(own == n, j, k) + tl.zeros_like(j)")
        lines += self._gradient_loads(operand, "        ")
        lines.append(f"        total += {self._block(self.operation.derivatives[operand])}")
        lines += [
            f"    own_row = row_offsets(words, at, {dx}, r, mask)",
            f"    mask &= takes_gradient(words, at, {dx}, own_row)",
            f"    add(base(bases, words, at, {dx}) + own_row + q, total, mask, words, at, {dx})",
        ]
        return lines

    def summing(self, operand: str) -> list[str]:
        """Lanes own results, a tile those of one row; more constants: the operand's stride over examples and over
        elements (or its table), tiles of a row, whether it has a single element."""
        more, dx = self.more_at, 2 + len(self.operands)
        lines = [f"@triton.jit\ndef summing_{operand}{_HEAD}", *self._sizes(), *self._settings()]
        lines += [
            f"    tiles = constant(words, at, tables, {more + 2})",
            "    row = tile // tiles",
            f"    q = (tile - row * tiles) * {BLOCK} + tl.arange(0, {BLOCK})",
            "    r = tl.zeros_like(q) + row",
            "    mask = q < n * batch",
            "    b = q // n",
            "    i = q - b * n",
            *self._gradient_loads(operand, "    "),
            f"    d = tl.where(mask, {self._block(self.operation.derivatives[operand])}, 0.0)",
            f"    own_row = row_offsets(words, at, {dx}, r, mask)",
            f"    mask &= takes_gradient(words, at, {dx}, own_row)",
            f"    start = base(bases, words, at, {dx})",
            f"    if constant(words, at, tables, {more + 3}) != 0:",
            "        first = tl.arange(0, 1)",
            "        here = tl.max(tl.where(mask, own_row, 0), 0)",
            "        some = tl.max(mask.to(tl.int32), 0) != 0",
            "        whole = tl.sum(d, 0) + tl.zeros([1], tl.float32)",
            "        tl.atomic_add(start + here + first, whole, mask=(first == 0) & some)",
            "    else:",
            f"        place = own_row + b * constant(words, at, tables, {more}) + {self._index(more + 1, 'i')}",
            "        tl.atomic_add(start + place, d, mask=mask)",
        ]
        return lines

    def _sizes(self) -> list[str]:
        return ["    n = constant(words, at, tables, 0)", "    batch = constant(words, at, tables, 1)"]

    def _lanes(self, per_row: str) -> list[str]:
        return [
            f"    e = tile * {BLOCK} + tl.arange(0, {BLOCK})",
            f"    per_row = {per_row}",
            "    mask = e < rows(words, at) * per_row",
            "    r = e // per_row",
            "    q = e - r * per_row",
        ]

    def _settings(self) -> list[str]:
        return [
            f"    v_{name} = setting(words, at, tables, {self.settings_at + k})"
            for k, name in enumerate(self.operation.settings)
        ]

    def _index(self, constant: int, i: str) -> str:
        place = f"constant(words, at, tables, {constant})"
        return f"constants(words, at, tables, {place} + {i}, mask)" if self.tables else f"{i} * {place}"

    def _loads(self, used: Sequence[str], r: str, b: str, i: str, indent: str) -> list[str]:
        lines = []
        for k, name in enumerate(self.operands):
            if name in used:
                place = f"{b} * constant(words, at, tables, {2 + 2 * k}) + {self._index(3 + 2 * k, i)}"
                rows = f"base(bases, words, at, {k + 1}) + row_offsets(words, at, {k + 1}, {r}, mask)"
                lines.append(f"{indent}v_{name} = tl.load({rows} + {place}, mask=mask, other=0.0)")
        for k, name in enumerate(self.operation.scalars):
            if name in used or indent == "    ":
                lines.append(f"{indent}v_{name} = staged(words, at, payload(words, at, {k}, {r}, mask), mask)")
        return lines

    def _gradient_loads(self, operand: str, indent: str) -> list[str]:
        used = names(self.operation.derivatives[operand])
        lines = self._loads(used, "r", "b", "i", indent)
        place = "b * n + i"
        for name, k in (("y", 0), ("dy", len(self.operands) + 1)):
            if name in used:
                rows = f"base(bases, words, at, {k}) + row_offsets(words, at, {k}, r, mask)"
                lines.append(f"{indent}v_{name} = tl.load({rows} + {place}, mask=mask, other=0.0)")
        return lines

    def _block(self, formula: str) -> str:
        text = self.source.expression(formula)
        return text if names(formula) else f"tl.full([{BLOCK}], {text}, tl.float32)"

    def text(self) -> str:
        parts = [self.forward()]
        for operand in self.operands:
            parts += [self.backward(operand), self.summing(operand)]
        bodies = "\n\n\n".join("\n".join(lines) for lines in parts)
        return _IMPORTS + self.source.header() + "\n\n" + bodies + "\n"


@cache
def bodies_of(operation: Elementwise, tables: bool) -> Bodies:
    """Write, import and register the opcodes of an operation."""
    name = operation.name + ("_tables" if tables else "")
    module: Any = write_module("elementwise_" + name, _Writer(operation, tables).text())
    unique = module.__name__.removeprefix("weft_generated_")

    def made(part: str) -> Any:
        return register(getattr(module, part), f"{unique}.{part}")

    return Bodies(
        made("forward"),
        {x: made(f"backward_{x}") for x in operation.operands},
        {x: made(f"summing_{x}") for x in operation.operands},
    )


def index_table(operand: Shape, result: Shape) -> list[int]:
    """Which element of the operand each element of the result reads; dims align from the left."""
    places = np.zeros(result.dims, np.int64)
    step = 1
    for axis in range(len(operand.dims)):
        if operand.dims[axis] > 1:
            shape = [1] * len(result.dims)
            shape[axis] = operand.dims[axis]
            places += step * np.arange(operand.dims[axis]).reshape(shape)
        step *= operand.dims[axis]
    return [int(n) for n in places.ravel(order="F")]


def inverse_table(table: Sequence[int], size: int) -> list[int]:
    """For each element of the operand the elements of the result that read it, one after the other."""
    return [int(n) for n in np.argsort(np.array(table), kind="stable")] if size else []


@lowering_family(Elementwise)
def lower_elementwise(signature: Signature, plan: Lowering) -> None:
    """One work forward, one for each operand that needs a gradient."""
    operation = signature.operation
    assert isinstance(operation, Elementwise)
    result, operands = signature.results[0], signature.operands
    tables = any(x.size not in (1, result.size) for x in operands)
    bodies = bodies_of(operation, tables)
    maps = [index_table(x, result) for x in operands] if tables else []
    settings = [float(a) for a in signature.attributes if isinstance(a, (int, float))]
    head = _head(signature, maps, len(settings))
    width = result.size * result.batch
    plan.forward(
        bodies.forward,
        Tiles(width, BLOCK),
        [Value(0), *[Value(k + 1) for k in range(len(operands))]],
        constants=[*head, *settings, *[n for m in maps for n in m]],
    )
    for k, (name, x) in enumerate(zip(operation.operands, operands, strict=True)):
        if not plan.needs[k + 1]:
            continue
        views: list[Ref] = [Value(0), *[Value(n + 1) for n in range(len(operands))], Gradient(0)]
        many = result.size // x.size
        examples = result.batch // x.batch
        if many * examples <= MOST_IN_A_LANE:
            more_at = len(head) + len(settings)
            inverse = inverse_table(maps[k], x.size) if tables else []
            shifted = _head(signature, maps, len(settings) + 5)
            more = [x.size, x.batch, many, more_at + 5 + sum(map(len, maps)), examples]
            plan.backward(
                bodies.backward[name],
                Tiles(x.size * x.batch, BLOCK),
                [*views, Gradient(k + 1)],
                constants=[*shifted, *settings, *more, *[n for m in maps for n in m], *inverse],
            )
        else:
            tiles = -(-width // BLOCK)
            shifted = _head(signature, maps, len(settings) + 4)
            more = [*shifted[2 + 2 * k : 4 + 2 * k], tiles, int(x.total == 1)]
            plan.backward(
                bodies.summing[name],
                Tiles(tiles, 1),
                [*views, Gradient(k + 1, shared=True)],
                constants=[*shifted, *settings, *more, *[n for m in maps for n in m]],
            )


def _head(signature: Signature, maps: Sequence[Sequence[int]], behind: int) -> list[int]:
    """The first constants; `behind` of them are followed by that many others before the tables."""
    result, operands = signature.results[0], signature.operands
    numbers = [result.size, result.batch]
    table = 2 + 2 * len(operands) + behind
    for k, x in enumerate(operands):
        stride = x.size if x.batch > 1 else 0
        if maps:
            numbers += [stride, table]
            table += len(maps[k])
        else:
            numbers += [stride, 1 if x.size == result.size and result.size > 1 else 0]
    return numbers
