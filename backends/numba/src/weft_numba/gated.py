"""Gated kernels: products with parameters once for all rows where they can, pointwise programs as one loop.

Views: results, gates (absent when linear), operands, states, weights, biases.
"""

from __future__ import annotations

from weft_core.formula import assignments, names
from weft_core.gated import Gated
from weft_core.plan import T_BATCH, T_KERNELS, T_RESULTS, V_EXTERNAL, V_GRADIENT_ROWS, V_ROWS
from weft_core.signature import Signature

from .blas import outer_add, product_add, product_transposed_add
from .cache import cached_njit, write_module
from .generate import IMPORTS, Source
from .kernels import Kernel, kernel_family
from .pointers import call_kernel, copy_floats, floats, integers, zero_floats
from .registers import KERNEL_POINTWISE, KERNEL_POINTWISE_BACKWARD
from .views import (
    batch_stride,
    gradient,
    is_zero,
    layout,
    row_distance,
    scratch,
    sgemm_address,
    size,
    total,
    value,
    view,
    wants_gradient,
)

# Integers of a signature's table: these; then for each product and each bias the fields below.
PRODUCTS, STATES, GATE_ROWS, HIDDEN, COLUMNS, BIASES, LINEAR = range(7)
FIRST_PRODUCT = 7
# Of a product: the views of operand and weight, the first gate row, where its part of the weight begins, weight rows.
OPERAND, WEIGHT, ROW, PART, ROWS = range(5)
PRODUCT_FIELDS = 5
# Of a bias: its view, the first gate row, and its rows.
BIAS, BIAS_ROW, BIAS_SIZE = range(3)
BIAS_FIELDS = 3


def layout_table(signature: Signature) -> list[int]:
    """Counts, sizes and places that every phase needs."""
    operation = signature.operation
    assert isinstance(operation, Gated)
    states = len(operation.states)
    results = len(signature.results) + len(signature.saved)
    if not operation.gates:
        return [0, states, 0, signature.results[0].size, 1, 0, 0]
    places, parameters = operation.layout(signature), signature.parameters
    rows = places.rows(parameters)
    numbers = [
        len(places.products), states, rows, rows // len(operation.gates), signature.operands[0].dim(1),
        len(places.biases), int(operation.linear),
    ]  # fmt: skip
    first = results + len(signature.operands)
    for p in places.products:
        weight = parameters[p.weight]
        numbers += [results + p.operand, first + p.weight, p.row, p.column * weight.rows, weight.rows]
    for k, row in enumerate(places.biases, operation.weights(signature)):
        numbers += [first + k, row, parameters[k].size]
    return numbers


@cached_njit
def gates_view(record: int) -> int:
    """The gates: the last result, or the only one of a linear operation."""
    return view(record, integers(record)[T_RESULTS] - 1)


@cached_njit
def product_field(record: int, k: int, field: int) -> int:
    return layout(record, FIRST_PRODUCT + PRODUCT_FIELDS * k + field)


@cached_njit
def bias_field(record: int, k: int, field: int) -> int:
    return layout(record, FIRST_PRODUCT + PRODUCT_FIELDS * layout(record, PRODUCTS) + BIAS_FIELDS * k + field)


@cached_njit
def columns_of(record: int) -> int:
    """Columns of one instruction: its own, times the examples."""
    return layout(record, COLUMNS) * integers(record)[T_BATCH]


@cached_njit
def gather(record: int, v: int, start: int, count: int) -> tuple[int, int]:
    """Address and leading dimension of operand rows as one matrix; scattered rows are packed into scratch memory."""
    columns = columns_of(record)
    rows = size(v) // layout(record, COLUMNS)
    if total(v) == rows * columns:
        if count == 1:
            return value(v, start), rows
        distance = row_distance(integers(v)[V_ROWS], start, count)
        if distance == total(v) or (columns == 1 and distance >= rows):
            return value(v, start), distance if columns == 1 else rows
    target = scratch(record)
    at = target
    batch = integers(record)[T_BATCH]
    for row in range(start, start + count):
        for b in range(batch):
            copy_floats(at, value(v, row) + 4 * b * batch_stride(v), size(v))
            at += 4 * size(v)
    return target, rows


@cached_njit
def all_zero(v: int, start: int, count: int) -> bool:
    """Whether these rows are all the zero value, so that their product is zero."""
    for row in range(start, start + count):  # noqa: SIM110  a loop compiles, a generator does not
        if not is_zero(v, row):
            return False
    return True


@cached_njit
def add_products(record: int, start: int, count: int, external: int) -> None:
    """gates += W_k x_k for the operands that come from outside the recurrence (`external`), or from inside."""
    gates = gates_view(record)
    gate_rows = layout(record, GATE_ROWS)
    columns = count * columns_of(record)
    for k in range(layout(record, PRODUCTS)):
        x = view(record, product_field(record, k, OPERAND))
        if integers(x)[V_EXTERNAL] != external or all_zero(x, start, count):
            continue
        address, lead = gather(record, x, start, count)
        width, rows = size(x) // layout(record, COLUMNS), product_field(record, k, ROWS)
        weight = value(view(record, product_field(record, k, WEIGHT)), 0) + 4 * product_field(record, k, PART)
        product_add(
            sgemm_address(record), rows, columns, width, weight, rows, address, lead,
            value(gates, start) + 4 * product_field(record, k, ROW), gate_rows,
        )  # fmt: skip


def prologue(record: int, start: int, count: int) -> None:
    """Bias and the products of operands from outside the recurrence, for all rows of the type."""
    gates = gates_view(record)
    gate_rows = layout(record, GATE_ROWS)
    columns = count * columns_of(record)
    address = value(gates, start)
    covered = 0
    for k in range(layout(record, BIASES)):
        covered += bias_field(record, k, BIAS_SIZE)
    if covered < gate_rows:
        zero_floats(address, columns * gate_rows)
    for k in range(layout(record, BIASES)):
        bias = value(view(record, bias_field(record, k, BIAS)), 0)
        n = bias_field(record, k, BIAS_SIZE)
        target = address + 4 * bias_field(record, k, BIAS_ROW)
        for c in range(columns):
            copy_floats(target + 4 * c * gate_rows, bias, n)
    add_products(record, start, count, 1)


def forward(record: int, start: int, count: int) -> None:
    """Products of operands from inside the recurrence, then the pointwise program."""
    add_products(record, start, count, 0)
    if not layout(record, LINEAR):
        call_kernel(integers(integers(record)[T_KERNELS])[KERNEL_POINTWISE], record, start, count)


@cached_njit
def add_operand_gradients(record: int, start: int, count: int, external: int) -> None:
    """dx_k += W_k^T dgates."""
    gates = gates_view(record)
    gate_rows = layout(record, GATE_ROWS)
    columns = count * columns_of(record)
    for k in range(layout(record, PRODUCTS)):
        x = view(record, product_field(record, k, OPERAND))
        if integers(x)[V_EXTERNAL] != external or not wants_gradient(x) or all_zero(x, start, count):
            continue
        width, rows = size(x) // layout(record, COLUMNS), product_field(record, k, ROWS)
        weight = value(view(record, product_field(record, k, WEIGHT)), 0) + 4 * product_field(record, k, PART)
        dgates = gradient(gates, start) + 4 * product_field(record, k, ROW)
        distance = total(x) if count == 1 else row_distance(integers(x)[V_GRADIENT_ROWS], start, count)
        if total(x) == width * columns_of(record) and distance == total(x):
            product_transposed_add(
                sgemm_address(record), rows, columns, width, weight, rows, dgates, gate_rows, gradient(x, start), width
            )
            continue
        packed = scratch(record)
        zero_floats(packed, width * columns)
        product_transposed_add(
            sgemm_address(record), rows, columns, width, weight, rows, dgates, gate_rows, packed, width
        )
        scatter_add(record, x, start, count, packed)


@cached_njit
def scatter_add(record: int, v: int, start: int, count: int, source: int) -> None:
    """Add packed gradients to the operand's rows; an operand without a batch receives the sum over the batch."""
    n = size(v)
    at = source
    for row in range(start, start + count):
        skip = is_zero(v, row)
        for b in range(integers(record)[T_BATCH]):
            if not skip:
                target = floats(gradient(v, row) + 4 * b * batch_stride(v))
                packed = floats(at)
                for i in range(n):
                    target[i] += packed[i]
            at += 4 * n


def backward(record: int, start: int, count: int) -> None:
    """The pointwise gradient, then the gradients of operands from inside the recurrence."""
    if not layout(record, LINEAR):
        call_kernel(integers(integers(record)[T_KERNELS])[KERNEL_POINTWISE_BACKWARD], record, start, count)
    add_operand_gradients(record, start, count, 0)


def epilogue(record: int, start: int, count: int) -> None:
    """For all rows of the type: gradients of outside operands, and one product per weight."""
    add_operand_gradients(record, start, count, 1)
    gates = gates_view(record)
    gate_rows = layout(record, GATE_ROWS)
    columns = count * columns_of(record)
    dgates = gradient(gates, start)
    for k in range(layout(record, PRODUCTS)):
        w = view(record, product_field(record, k, WEIGHT))
        x = view(record, product_field(record, k, OPERAND))
        if not wants_gradient(w) or all_zero(x, start, count):
            continue
        address, lead = gather(record, x, start, count)
        width, rows = size(x) // layout(record, COLUMNS), product_field(record, k, ROWS)
        outer_add(
            sgemm_address(record), rows, columns, width, dgates + 4 * product_field(record, k, ROW), gate_rows, address,
            lead, gradient(w, 0) + 4 * product_field(record, k, PART), rows,
        )  # fmt: skip
    for k in range(layout(record, BIASES)):
        bias = view(record, bias_field(record, k, BIAS))
        if wants_gradient(bias):
            add_columns(
                gradient(bias, 0), dgates + 4 * bias_field(record, k, BIAS_ROW), bias_field(record, k, BIAS_SIZE),
                columns, gate_rows,
            )  # fmt: skip


@cached_njit
def add_columns(target_address: int, source: int, rows: int, columns: int, distance: int) -> None:
    """Add all columns of a matrix."""
    target = floats(target_address)
    for c in range(columns):
        column = floats(source + 4 * c * distance)
        for i in range(rows):
            target[i] += column[i]


def _pointwise(operation: Gated, source: Source) -> list[str]:
    """Loop over rows, columns and hidden units: activate the gates in place, write the results."""
    assigned = {name for name, _ in assignments(operation.program)}
    lines = ["def pointwise(record, start, count):", *_views(operation)]
    lines += ["    for row in range(start, start + count):", "        for c in range(columns):"]
    lines += [
        f"            g_{g} = floats(value(w_gates, row) + 4 * hidden * (c * {len(operation.gates)} + {k}))"
        for k, g in enumerate(operation.gates)
    ]
    lines += [
        f"            s_{s} = floats(value(w_{s}, row) + 4 * hidden * (c % (total(w_{s}) // hidden)))"
        for s in operation.states
    ]
    lines += [f"            r_{n} = floats(value(w_{n}, row) + 4 * hidden * c)" for n in operation.result_names]
    lines.append("            for j in range(hidden):")
    pad = " " * 16
    lines += [f"{pad}v_{g} = g_{g}[j]" for g in operation.gates] + [f"{pad}v_{s} = s_{s}[j]" for s in operation.states]
    lines += source.lines(operation.program, pad)
    lines += [f"{pad}g_{g}[j] = v_{g}" for g in operation.gates if g in assigned]
    lines += [f"{pad}r_{n}[j] = v_{n}" for n in operation.result_names]
    return lines


def _pointwise_backward(operation: Gated, source: Source) -> list[str]:
    """The gradient program: gates' gradients before activation are written, states' gradients added."""
    program = assignments(operation.gradient_program)
    used = {name for _, formula in program for name in names(formula)}
    lines = ["def pointwise_backward(record, start, count):", *_views(operation)]
    lines += ["    for row in range(start, start + count):", "        for c in range(columns):"]
    pad = " " * 12
    many = len(operation.gates)
    loads = []
    for k, g in enumerate(operation.gates):
        if g in used:
            lines.append(f"{pad}g_{g} = floats(value(w_gates, row) + 4 * hidden * (c * {many} + {k}))")
            loads.append(f"v_{g} = g_{g}[j]")
        lines.append(f"{pad}dg_{g} = floats(gradient(w_gates, row) + 4 * hidden * (c * {many} + {k}))")
    for s in operation.states:
        lines.append(f"{pad}at = 4 * hidden * (c % (total(w_{s}) // hidden))")
        if s in used:
            lines.append(f"{pad}s_{s} = floats(value(w_{s}, row) + at)")
            loads.append(f"v_{s} = s_{s}[j]")
        lines.append(f"{pad}ds_{s} = floats(gradient(w_{s}, row) + at if wants_gradient(w_{s}) else scratch(record))")
    for n in operation.result_names:
        if n in used and n not in operation.gates:
            lines.append(f"{pad}r_{n} = floats(value(w_{n}, row) + 4 * hidden * c)")
            loads.append(f"v_{n} = r_{n}[j]")
        lines.append(f"{pad}dr_{n} = floats(gradient(w_{n}, row) + 4 * hidden * c)")
        loads.append(f"v_d{n} = dr_{n}[j]")
    lines.append(f"{pad}for j in range(hidden):")
    pad += "    "
    lines += [pad + load for load in loads] + source.lines(operation.gradient_program, pad)
    lines += [f"{pad}dg_{g}[j] = v_d{g}" for g in operation.gates]
    lines += [f"{pad}ds_{s}[j] += v_d{s}" for s in operation.states]
    return lines


def _views(operation: Gated) -> list[str]:
    results = len(operation.result_names)
    rows = [f"    w_{n} = view(record, {k})" for k, n in enumerate(operation.result_names)]
    if operation.gates:
        rows.append(f"    w_gates = view(record, {results})")
        results += 1
    rows.append(f"    first = {results} + integers(record)[T_OPERANDS] - {len(operation.states)}")
    rows += [f"    w_{s} = view(record, first + {k})" for k, s in enumerate(operation.states)]
    rows += [f"    v_{name} = float32(setting(record, {k}))" for k, name in enumerate(operation.settings)]
    rows.append(f"    hidden = layout(record, {HIDDEN})")
    return [*rows, f"    columns = layout(record, {COLUMNS}) * integers(record)[T_BATCH]"]


def make(operation: Gated) -> Kernel:
    """The shared phases, with the generated pointwise program of this operation."""
    shared = {
        "prologue": prologue,
        "forward": forward,
        "backward": backward,
        "epilogue": epilogue,
        "table": layout_table,
    }
    if operation.linear:
        return Kernel(**shared)  # type: ignore[arg-type]
    if not operation.gates:
        return _pointwise_only(operation)
    source = Source()
    body = "\n".join([*_pointwise(operation, source), "", "", *_pointwise_backward(operation, source), ""])
    module = write_module("gated_" + operation.name, IMPORTS + source.header() + "\n\n" + body)
    return Kernel(
        **shared,  # type: ignore[arg-type]
        pointwise=module.pointwise,
        pointwise_backward=module.pointwise_backward,
        formulas=frozenset({"pointwise", "pointwise_backward"}),
    )


def _pointwise_only(operation: Gated) -> Kernel:
    """The program is all there is."""
    source = Source()
    body = "\n".join([*_pointwise(operation, source), "", "", *_pointwise_backward(operation, source), ""])
    module = write_module("pointwise_" + operation.name, IMPORTS + source.header() + "\n\n" + body)
    return Kernel(
        module.pointwise,
        module.pointwise_backward,
        table=layout_table,
        formulas=frozenset({"forward", "backward"}),
    )


kernel_family(Gated, make)
