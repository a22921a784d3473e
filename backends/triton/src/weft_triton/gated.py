"""Gated operations: products of `affine.py`, then a pointwise program over the gates, in one work for each step.

Products whose operand comes from outside the recurrence run once for all rows in the prologue, their gradients in the
epilogue. The gradient of a step is one work, too: each tile of an operand's gradient computes the gates' gradients that
it multiplies, and one row of tiles writes them down.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from weft_core.formula import assignments, names
from weft_core.gated import Gated, Product
from weft_core.shape import Shape
from weft_core.signature import Signature

from .affine import SPLIT, affine, affine_bias, affine_operand, affine_weight
from .formulas import Source
from .generated import write_module
from .lowering import LARGE, Gradient, Lowering, Ref, Tiles, Value, lowering_family
from .opcodes import register
from .specialised import specialised
from .tiles import WIDE

# Tiles of the stream and of the kernel for large products: rows, columns, inner products at a time. The gradient of an
# operand reads both of its factors in strides, which takes registers.
TILES: dict[Any, tuple[tuple[int, int, int], tuple[int, int, int]]] = {
    affine: ((32, 64, 32), (64, 128, 32)),
    affine_operand: ((32, 64, 16), (64, 64, 16)),
    affine_weight: ((32, 64, 32), (64, 128, 32)),
}
# Rows of a step from which its products leave the stream.
LARGE_ROWS = 128
# Tile of a fused step: rows of all gates together; inner products at a time.
GATE_ROWS, DEPTH = 64, 16
# Tile of a fused gradient: rows of the operand, hidden units at a time.
OPERAND_ROWS, UNITS = 32, 16
# Tile of a program without products.
BLOCK = 1024

_IMPORTS = """\
from weft_triton.access import add, base, constant, present, row_offsets, rows, setting, takes_gradient
from weft_triton.affine import add_columns, column_starts
from weft_triton.dots import dot
from weft_triton.tiles import memory, size
"""
_HEAD = "(words, at, tile, bases, tables, PRECISION: tl.constexpr):"


@dataclass(frozen=True)
class Bodies:
    """The opcodes of one operation."""

    forward: Any
    backward: Any
    fused: Any
    fused_backward: Any


class _Writer:
    """Writes the functions of one operation.

    Constants of all of them: height (rows of all gates), columns of an instruction, hidden units, whether gates were
    begun by the prologue, then for each state its columns, then settings; then those of `affine.py` from `products_at`.
    """

    def __init__(self, operation: Gated, aligned: bool) -> None:
        self.operation = operation
        self.aligned = aligned
        self.source = Source()
        self.gates, self.states, self.results = operation.gates, operation.states, operation.result_names
        self.settings_at = 4 + len(self.states)
        self.products_at = self.settings_at + len(operation.settings)
        self.first_state = len(self.results) + bool(self.gates)
        self.gradients_at = self.first_state + len(self.states)

    # What all bodies begin with.

    def _sizes(self) -> list[str]:
        lines = [self._size("height", "0"), "    columns = constant(words, at, tables, 1)", self._size("hidden", "2")]
        for k, name in enumerate(self.operation.settings):
            lines.append(f"    v_{name} = setting(words, at, tables, {self.settings_at + k})")
        return lines

    def _size(self, name: str, k: str, indent: str = "    ") -> str:
        """A constant by which columns lie apart."""
        return f"{indent}{name} = size(words, at, tables, {k}, {self.aligned})"

    def _start(self, view: int, own: str, width: str) -> str:
        """Where the columns of a view start; promises of alignment must be made where offsets are loaded."""
        if self.aligned:
            return f"column_starts(words, at, {view}, n, inside, columns, {own}, {width}, True)"
        return f"row_offsets(words, at, {view}, r, inside) + (c % {own}) * {width}"

    def _flat_lanes(self) -> list[str]:
        """A lane for each hidden unit of each column."""
        return [
            f"    e = tile * {BLOCK} + tl.arange(0, {BLOCK})",
            "    n = e // hidden",
            "    j = e - n * hidden",
            "    inside = n < rows(words, at) * columns",
            "    mask = inside",
            "    r = n // columns",
            "    c = n - r * columns",
        ]

    def _starts(self) -> list[str]:
        """Where the columns of every view start."""
        lines = [f"    at_{name} = {self._start(k, 'columns', 'hidden')}" for k, name in enumerate(self.results)]
        if self.gates:
            lines.append(f"    at_gates = {self._start(len(self.results), 'columns', 'height')}")
        for k, name in enumerate(self.states):
            own = f"constant(words, at, tables, {4 + k})"
            lines.append(f"    at_{name} = {self._start(self.first_state + k, own, 'hidden')}")
        return lines

    def _gradient_starts(self) -> list[str]:
        """The same of gradients, whose views follow those of values in the same order."""
        first = self.gradients_at
        lines = [
            f"    d_at_{name} = {self._start(first + k, 'columns', 'hidden')}" for k, name in enumerate(self.results)
        ]
        if self.gates:
            lines.append(f"    d_at_gates = {self._start(first + len(self.results), 'columns', 'height')}")
        for k, name in enumerate(self.states):
            view = first + self.first_state + k
            own = f"constant(words, at, tables, {4 + k})"
            lines.append(f"    row_{name} = row_offsets(words, at, {view}, r, inside)")
            lines.append(f"    d_at_{name} = {self._start(view, own, 'hidden')}")
        return lines

    def _load(self, name: str, view: int, start: str, shift: str, indent: str) -> str:
        place = f"memory(bases, words, at, {view}, {self.aligned}) + {start} + {shift}"
        return f"{indent}v_{name} = tl.load({place}, mask=mask, other=0.0)"

    def _program(self, program: str, indent: str, shape: str) -> list[str]:
        """The program's lines; what is no block becomes one."""
        lines = []
        blocks = {*self.gates, *self.states, *self.results, *(f"d{n}" for n in self.results)}
        for name, formula in assignments(program):
            text = self.source.expression(formula)
            if not blocks & set(names(formula)):
                text = f"tl.zeros({shape}, tl.float32) + ({text})"
            blocks.add(name)
            lines.append(f"{indent}v_{name} = {text}")
        return lines

    def _column(self, blocks: bool, name: str) -> str:
        return f"{name}[None, :]" if blocks else name

    def _store_results(self, blocks: bool, j: str) -> list[str]:
        lines = []
        assigned = {name for name, _ in assignments(self.operation.program)}
        for k, name in enumerate(self.results):
            start = self._column(blocks, f"at_{name}")
            lines.append(f"    tl.store(base(bases, words, at, {k}) + {start} + {j}, v_{name}, mask=mask)")
        for k, name in enumerate(self.gates):
            if name in assigned or blocks:
                start = self._column(blocks, "at_gates")
                place = f"base(bases, words, at, {len(self.results)}) + {start} + {j} + {k} * hidden"
                lines.append(f"    tl.store({place}, v_{name}, mask=mask)")
        return lines

    def _load_states(self, blocks: bool, j: str, used: set[str], indent: str) -> list[str]:
        return [
            self._load(name, self.first_state + k, self._column(blocks, f"at_{name}"), j, indent)
            for k, name in enumerate(self.states)
            if name in used
        ]

    def _load_for_gradient(self, blocks: bool, j: str, indent: str) -> list[str]:
        """Gates, states, results and their gradients, as far as the gradient program uses them."""
        used = {n for _, formula in assignments(self.operation.gradient_program) for n in names(formula)}
        lines = []
        for k, name in enumerate(self.gates):
            if name in used:
                start = self._column(blocks, "at_gates")
                lines.append(self._load(name, len(self.results), start, f"{j} + {k} * hidden", indent))
        lines += self._load_states(blocks, j, used, indent)
        for k, name in enumerate(self.results):
            if name in used and name not in self.gates:
                lines.append(self._load(name, k, self._column(blocks, f"at_{name}"), j, indent))
            if f"d{name}" in used:
                start = self._column(blocks, f"d_at_{name}")
                lines.append(self._load(f"d{name}", self.gradients_at + k, start, j, indent))
        return lines

    def _store_gradients(self, blocks: bool, j: str, indent: str) -> list[str]:
        lines = []
        for k, name in enumerate(self.gates):
            view, start = self.gradients_at + len(self.results), self._column(blocks, "d_at_gates")
            place = f"base(bases, words, at, {view}) + {start} + {j} + {k} * hidden"
            lines.append(f"{indent}tl.store({place}, v_d{name}, mask=mask)")
        for k, name in enumerate(self.states):
            view = self.gradients_at + self.first_state + k
            start, row = self._column(blocks, f"d_at_{name}"), self._column(blocks, f"row_{name}")
            lines += [
                f"{indent}if present(words, at, {view}):",
                f"{indent}    taken = mask & takes_gradient(words, at, {view}, {row})",
                f"{indent}    add(base(bases, words, at, {view}) + {start} + {j}, v_d{name}, taken, words, at, {view})",
            ]
        return lines

    # The four bodies.

    def forward(self) -> list[str]:
        """The program, on gates that are there."""
        lines = [f"@triton.jit\ndef forward{_HEAD}", *self._sizes(), *self._flat_lanes(), *self._starts()]
        for k, name in enumerate(self.gates):
            lines.append(self._load(name, len(self.results), "at_gates", f"j + {k} * hidden", "    "))
        used = {n for _, formula in assignments(self.operation.program) for n in names(formula)}
        lines += self._load_states(False, "j", used, "    ")
        lines += self._program(self.operation.program, "    ", f"[{BLOCK}]")
        return [*lines, *self._store_results(False, "j")]

    def backward(self) -> list[str]:
        """The gradient program."""
        lines = [f"@triton.jit\ndef backward{_HEAD}", *self._sizes(), *self._flat_lanes(), *self._starts()]
        lines += [*self._gradient_starts(), *self._load_for_gradient(False, "j", "    ")]
        lines += self._program(self.operation.gradient_program, "    ", f"[{BLOCK}]")
        return [*lines, *self._store_gradients(False, "j", "    ")]

    def _tile_columns(self) -> list[str]:
        return [
            f"    n = (tile // across) * {self.width} + tl.arange(0, {self.width})",
            "    inside = n < rows(words, at) * columns",
            "    r = n // columns",
            "    c = n - r * columns",
        ]

    def fused(self) -> list[str]:
        """Products, biases and the program for a tile of hidden units and columns."""
        units, at, a = self.units, self.products_at, self.aligned
        lines = [f"@triton.jit\ndef fused{_HEAD}", *self._sizes()]
        lines += [
            f"    across = (hidden + {units} - 1) // {units}",
            f"    j = (tile % across) * {units} + tl.arange(0, {units})",
            *self._tile_columns(),
            "    mask = (j < hidden)[:, None] & inside[None, :]",
            *self._starts(),
        ]
        zeros = f"tl.zeros([{units}, {self.width}], tl.float32)"
        lines += [f"    v_{name} = {zeros}" for name in self.gates]
        lines.append("    if constant(words, at, tables, 3) != 0:")
        for k, name in enumerate(self.gates):
            shift = f"j[:, None] + {k} * hidden"
            lines.append(self._load(name, len(self.results), "at_gates[None, :]", shift, "        "))
        lines += [
            f"    products = constant(words, at, tables, {at})",
            "    for p in range(0, products):",
            f"        first = {at + 2} + 7 * p",
            "        x = constant(words, at, tables, first)",
            "        w = constant(words, at, tables, first + 1)",
            self._size("row", "first + 2", " " * 8),
            self._size("weight_rows", "first + 3", " " * 8),
            self._size("width", "first + 5", " " * 8),
            "        own = constant(words, at, tables, first + 6)",
            f"        part = memory(bases, words, at, w, {a}) + size(words, at, tables, first + 4, {a})",
            f"        starts = column_starts(words, at, x, n, inside, columns, own, width, {a})",
            f"        x_columns = memory(bases, words, at, x, {a}) + starts",
            f"        for begin in tl.range(0, width, {DEPTH}, num_stages={2 if a or len(self.gates) == 1 else 1}):",
            f"            k = begin + tl.arange(0, {DEPTH})",
            "            some = k < width",
            "            operand = tl.load(",
            "                x_columns[None, :] + k[:, None], mask=some[:, None] & inside[None, :], other=0.0",
            "            )",
        ]
        for g, name in enumerate(self.gates):
            lines += [
                f"            i = j + {g} * hidden - row",
                "            fits = (i >= 0) & (i < weight_rows) & (j < hidden)",
                "            weight = tl.load(",
                "                part + i[:, None] + k[None, :] * weight_rows,",
                "                mask=fits[:, None] & some[None, :], other=0.0,",
                "            )",
                f"            v_{name} = dot(weight, operand, v_{name}, PRECISION)",
            ]
        lines += [
            f"    for b in range(0, constant(words, at, tables, {at + 1})):",
            f"        first = {at + 2} + 7 * products + 3 * b",
            "        bias_base = base(bases, words, at, constant(words, at, tables, first))",
            "        row = constant(words, at, tables, first + 1)",
            "        bias_rows = constant(words, at, tables, first + 2)",
        ]
        for g, name in enumerate(self.gates):
            lines += [
                f"        i = j + {g} * hidden - row",
                "        fits = (i >= 0) & (i < bias_rows) & (j < hidden)",
                f"        v_{name} += tl.load(bias_base + i, mask=fits, other=0.0)[:, None]",
            ]
        used = {n for _, formula in assignments(self.operation.program) for n in names(formula)}
        lines += self._load_states(True, "j[:, None]", used, "    ")
        lines += self._program(self.operation.program, "    ", f"[{units}, {self.width}]")
        return [*lines, *self._store_results(True, "j[:, None]")]

    @property
    def width(self) -> int:
        """Columns of a fused tile: many gates, and loads of single floats, take many registers."""
        return 32 if self.aligned and len(self.gates) <= 4 else 16

    @property
    def units(self) -> int:
        """Hidden units of a fused tile."""
        return max(16, GATE_ROWS // (1 << (len(self.gates) - 1).bit_length()))

    def fused_backward(self) -> list[str]:
        """The gradient program and W^T dgates for one product; views behind: gradient of the operand, weight.

        Constants behind the others: as of a product, and whether this work writes the gradients of gates and states.
        """
        at, a = self.products_at, self.aligned
        x = self.gradients_at + self.gradients_at
        shape = f"[{UNITS}, {self.width}]"
        lines = [f"@triton.jit\ndef fused_backward{_HEAD}", *self._sizes()]
        lines += [
            self._size("row", f"{at + 2}"),
            self._size("weight_rows", f"{at + 3}"),
            self._size("width", f"{at + 5}"),
            f"    own = constant(words, at, tables, {at + 6})",
            f"    writes = constant(words, at, tables, {at + 7})",
            f"    part = memory(bases, words, at, {x + 1}, {a}) + size(words, at, tables, {at + 4}, {a})",
            f"    across = (width + {OPERAND_ROWS} - 1) // {OPERAND_ROWS}",
            "    writes = (writes != 0) & (tile % across == 0)",
            f"    i = (tile % across) * {OPERAND_ROWS} + tl.arange(0, {OPERAND_ROWS})",
            *self._tile_columns(),
            *self._starts(),
            *self._gradient_starts(),
            f"    total = tl.zeros([{OPERAND_ROWS}, {self.width}], tl.float32)",
            f"    for begin in tl.range(0, hidden, {UNITS}, num_stages=1):",
            f"        j = begin + tl.arange(0, {UNITS})",
            "        mask = (j < hidden)[:, None] & inside[None, :]",
            *self._load_for_gradient(True, "j[:, None]", "        "),
            *self._program(self.operation.gradient_program, "        ", shape),
            "        if writes:",
            *self._store_gradients(True, "j[:, None]", "            "),
        ]
        for g, name in enumerate(self.gates):
            lines += [
                f"        o = j + {g} * hidden - row",
                "        fits = (o >= 0) & (o < weight_rows) & (j < hidden)",
                "        weight = tl.load(",
                "            part + o[None, :] + i[:, None] * weight_rows,",
                "            mask=fits[None, :] & (i < width)[:, None], other=0.0,",
                "        )",
                f"        total = dot(weight, tl.where(mask, v_d{name}, 0.0), total, PRECISION)",
            ]
        lines.append(f"    add_columns(total, words, at, {x}, bases, n, inside, columns, own, width, i)")
        return lines

    def text(self) -> str:
        parts = [self.forward(), self.backward()]
        if self.gates:
            parts += [self.fused(), self.fused_backward()]
        bodies = "\n\n\n".join("\n".join(lines) for lines in parts)
        return _IMPORTS + self.source.header() + "\n\n" + bodies + "\n"


@cache
def bodies_of(operation: Gated, aligned: bool) -> Bodies:
    """Write, import and register the opcodes of an operation; `aligned`: for columns that begin on 16 bytes."""
    name = f"gated_{operation.name}{'_aligned' if aligned else ''}"
    module: Any = write_module(name, _Writer(operation, aligned).text())
    unique = module.__name__.removeprefix("weft_generated_")

    def made(part: str) -> Any:
        found = getattr(module, part, None)
        return None if found is None else register(found, f"{unique}.{part}")

    return Bodies(made("forward"), made("backward"), made("fused"), made("fused_backward"))


class _Parts:
    """The products and biases of a signature, and what their works need."""

    def __init__(self, signature: Signature, plan: Lowering) -> None:
        operation = signature.operation
        assert isinstance(operation, Gated)
        self.operation, self.signature, self.plan = operation, signature, plan
        self.products: tuple[Product, ...] = ()
        self.biases: tuple[tuple[int, int], ...] = ()
        self.first_operand = len(signature.results) + len(signature.saved)
        self.first_parameter = self.first_operand + len(signature.operands)
        self.states = signature.operands[len(signature.operands) - len(operation.states) :]
        if not operation.gates:
            self.height, self.hidden = 0, signature.results[0].size
            self.columns = signature.batch
            return
        places, parameters = operation.layout(signature), signature.parameters
        self.height = places.rows(parameters)
        self.hidden = self.height // len(operation.gates)
        self.columns = signature.operands[0].dim(1) * signature.batch
        self.products = places.products
        weights = operation.weights(signature)
        self.biases = tuple((weights + k, row) for k, row in enumerate(places.biases))

    @property
    def gates(self) -> int:
        """The view of the gates: the last result, or the only one of a linear operation."""
        return self.first_operand - 1

    def operand(self, p: Product) -> int:
        return self.first_operand + p.operand

    def weight(self, p: Product) -> int:
        return self.first_parameter + p.weight

    def width(self, p: Product) -> int:
        return self.signature.operands[p.operand].size // self.signature.operands[0].dim(1)

    def own_columns(self, p: Product) -> int:
        return self.signature.operands[p.operand].total // self.width(p)

    def is_external(self, p: Product) -> bool:
        return self.plan.external[self.operand(p)]

    def is_aligned(self, products: Sequence[Product]) -> bool:
        """Whether gates, operands and parts of weights begin on 16 bytes, column by column."""
        aligned, parameters = self.plan.aligned, self.signature.parameters
        states = range(self.first_parameter - len(self.states), self.first_parameter)
        views = [*range(self.first_operand), *states, *(self.operand(p) for p in products)]
        numbers = [self.height, self.hidden, *(self.width(p) for p in products), *(p.row for p in products)]
        numbers += [parameters[p.weight].rows for p in products]
        return all(aligned[v] for v in views) and all(n % WIDE == 0 for n in numbers)

    def numbers(self, p: Product, operand_view: int, weight_view: int) -> list[int]:
        """The constants of a product."""
        w: Shape = self.signature.parameters[p.weight]
        return [operand_view, weight_view, p.row, w.rows, p.column * w.rows, self.width(p), self.own_columns(p)]

    def side(
        self, products: Sequence[Product], biases: Sequence[tuple[int, int]], first_view: int
    ) -> tuple[list[int], list[Ref]]:
        """Constants of products and biases, and the views that they name, of which the first is number `first_view`."""
        numbers = [len(products), len(biases)]
        views: list[Ref] = []
        for p in products:
            numbers += self.numbers(p, first_view + len(views), first_view + len(views) + 1)
            views += [Value(self.operand(p)), Value(self.weight(p))]
        for k, row in biases:
            numbers += [first_view + len(views), row, self.signature.parameters[k].size]
            views.append(Value(self.first_parameter + k))
        return numbers, views


@lowering_family(Gated)
def lower_gated(signature: Signature, plan: Lowering) -> None:
    """Products from outside of the recurrence for all rows at once, everything else step by step."""
    parts = _Parts(signature, plan)
    if not parts.operation.gates:
        _lower_program(parts)
    elif parts.operation.linear:
        _lower_linear(parts)
    else:
        _lower_cell(parts)


def _lower_program(parts: _Parts) -> None:
    """The program is all there is."""
    plan, bodies = parts.plan, bodies_of(parts.operation, parts.is_aligned(()))
    constants = [*_head(parts, False)]
    tiles = Tiles(parts.hidden * parts.columns, BLOCK)
    plan.forward(bodies.forward, tiles, _values(parts), constants=constants)
    if any(plan.needs[parts.first_operand :]):
        plan.backward(bodies.backward, tiles, [*_values(parts), *_gradients(parts)], constants=constants)


def _lower_linear(parts: _Parts) -> None:
    """Each product is on one side: outside of the recurrence, or inside."""
    outside = [p for p in parts.products if parts.is_external(p)]
    inside = [p for p in parts.products if not parts.is_external(p)]
    if outside or parts.biases or not inside:
        _products(parts, outside, parts.biases, "prologue", begun=False)
    if inside:
        _products(parts, inside, (), "forward", begun=bool(outside or parts.biases))
    for p in inside:
        _operand_gradient(parts, p, "backward")
    for p in outside:
        _operand_gradient(parts, p, "epilogue")
    _parameter_gradients(parts)


def _lower_cell(parts: _Parts) -> None:
    """A step is one work; what comes from outside of a recurrence runs for all rows before it."""
    aligned = parts.is_aligned(parts.products)
    plan, bodies = parts.plan, bodies_of(parts.operation, aligned)
    outside = [p for p in parts.products if parts.is_external(p)]
    inside = [p for p in parts.products if not parts.is_external(p)]
    states = range(parts.first_parameter - len(parts.states), parts.first_parameter)
    recurrent = bool(inside) or not all(plan.external[k] for k in states)
    hoisted: list[Product] = outside if recurrent else []
    stepped: list[Product] = inside if recurrent else outside
    begun = recurrent and bool(outside or not inside)
    if begun:
        _products(parts, hoisted, parts.biases, "prologue", begun=False)
    writer = _Writer(parts.operation, aligned)
    values = _values(parts)
    side, views = parts.side(stepped, () if begun else parts.biases, len(values))
    flat = Tiles(parts.hidden * parts.columns, BLOCK)
    if stepped:
        plan.forward(
            bodies.fused,
            Tiles(parts.columns, writer.width, -(-parts.hidden // writer.units)),
            [*values, *views],
            constants=[*_head(parts, begun), *side],
        )
    else:
        plan.forward(bodies.forward, flat, values, constants=_head(parts, True))
    both = [*values, *_gradients(parts)]
    wanted = [p for p in stepped if plan.needs[parts.operand(p)]]
    if not wanted:
        plan.backward(bodies.backward, flat, both, constants=_head(parts, False))
    for k, p in enumerate(wanted):
        shared = len(wanted) > 1 or parts.own_columns(p) < parts.columns
        plan.backward(
            bodies.fused_backward,
            Tiles(parts.columns, writer.width, -(-parts.width(p) // OPERAND_ROWS)),
            [*both, Gradient(parts.operand(p), shared=shared), Value(parts.weight(p))],
            constants=[*_head(parts, False), *parts.numbers(p, 0, 0), int(k == 0)],
        )
    for p in hoisted:
        _operand_gradient(parts, p, "epilogue")
    _parameter_gradients(parts)


def _head(parts: _Parts, begun: bool) -> list[float]:
    """The constants that all bodies of an operation begin with."""
    settings = [float(a) for a in parts.signature.attributes if isinstance(a, (int, float))]
    return [
        parts.height, parts.columns, parts.hidden, int(begun), *(s.total // parts.hidden for s in parts.states),
        *settings,
    ]  # fmt: skip


def _values(parts: _Parts) -> list[Ref]:
    """Results, gates, states."""
    first = parts.first_parameter - len(parts.states)
    return [Value(k) for k in (*range(parts.first_operand), *range(first, parts.first_parameter))]


def _gradients(parts: _Parts) -> list[Ref]:
    """Their gradients; examples of one state may be shared by all columns."""
    first = parts.first_parameter - len(parts.states)
    refs = [Gradient(k) for k in range(parts.first_operand)]
    for k, state in enumerate(parts.states, first):
        refs.append(Gradient(k, shared=state.total // parts.hidden < parts.columns))
    return refs


def _products(
    parts: _Parts, products: Sequence[Product], biases: Sequence[tuple[int, int]], phase: str, begun: bool
) -> None:
    """gates (+)= products + biases, in the stream or, for many rows, in the kernel for large products."""
    side, views = parts.side(products, biases, 1)
    constants = [parts.height, parts.columns, *side[:2], int(begun), *side[2:]]
    for body, (m, n), more in _sizes_of(parts, affine, products):
        getattr(parts.plan, phase)(
            body,
            Tiles(parts.columns, n, -(-parts.height // m)),
            [Value(parts.gates), *views],
            constants=constants,
            **more,
        )


def _sizes_of(
    parts: _Parts, body: Any, products: Sequence[Product]
) -> list[tuple[Any, tuple[int, int], dict[str, int]]]:
    """The two opcodes of a product with their tiles; which one runs depends on the rows of a step."""
    least = -(-LARGE_ROWS // parts.columns)
    found: list[tuple[Any, tuple[int, int], dict[str, int]]] = []
    for tile, more in zip(TILES[body], ({"most": least - 1}, {"least": least, "kernel": LARGE}), strict=True):
        found.append((specialised(body, *tile, int(parts.is_aligned(products))), tile[:2], more))
    return found


def _operand_gradient(parts: _Parts, p: Product, phase: str) -> None:
    """dx += W^T dgates."""
    if not parts.plan.needs[parts.operand(p)]:
        return
    # Another product may have the same operand.
    shared = len(parts.products) > 1 or parts.own_columns(p) < parts.columns
    views = [Gradient(parts.gates), Gradient(parts.operand(p), shared=shared), Value(parts.weight(p))]
    constants = [parts.height, parts.columns, *parts.numbers(p, 1, 2)]
    for body, (m, n), more in _sizes_of(parts, affine_operand, [p]):
        tiles = Tiles(parts.columns, n, -(-parts.width(p) // m))
        getattr(parts.plan, phase)(body, tiles, views, constants=constants, **more)


def _parameter_gradients(parts: _Parts) -> None:
    """dW += dgates x^T and db += dgates, for all rows at once."""
    plan = parts.plan
    weights = [p.weight for p in parts.products]
    for p in parts.products:
        if plan.needs[parts.weight(p)]:
            shared = weights.count(p.weight) > 1
            views = [Gradient(parts.gates), Value(parts.operand(p)), Gradient(parts.weight(p), shared=shared)]
            constants = [parts.height, parts.columns, *parts.numbers(p, 1, 2)]
            rows = parts.signature.parameters[p.weight].rows
            for body, (m, n), more in _sizes_of(parts, affine_weight, [p]):
                tiles = Tiles(parts.columns, SPLIT, -(-rows // m) * -(-parts.width(p) // n))
                plan.epilogue(body, tiles, views, constants=constants, **more)
    for k, row in parts.biases:
        view = parts.first_parameter + k
        if plan.needs[view]:
            size = parts.signature.parameters[k].size
            plan.epilogue(
                affine_bias, Tiles(1, 1 << 30, -(-size // 32)), [Gradient(parts.gates), Gradient(view)],
                constants=[parts.height, parts.columns, row, size],
            )  # fmt: skip
