"""Elementwise kernels: one loop per formula, generated from its text; broadcasting through offset tables."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from weft_core.elementwise import Elementwise
from weft_core.formula import names
from weft_core.signature import Signature

from .cache import write_module
from .generate import IMPORTS, Source
from .kernels import Kernel, kernel_family


def layout_table(signature: Signature) -> list[int]:
    """`[0]` when every operand has the size of the result; else `[1, inner, outer, inner strides..., offsets...]`.

    The inner run is the longest prefix of dims along which every view either moves by its own memory or stays;
    offsets are given for each of the `outer` positions, for the result and then each operand.
    """
    result = signature.results[0]
    shapes = (result, *signature.operands)
    if all(s.size == result.size for s in shapes):
        return [0]
    strides = []
    for s in shapes:
        step, row = 1, []
        for axis in range(len(result.dims)):
            row.append(step if s.dim(axis) > 1 else 0)
            step *= s.dim(axis)
        strides.append(row)
    inner, axes = 1, 0
    for axis, length in enumerate(result.dims):
        if length > 1 and not all(
            row[axis] in (0, inner) and _runs(row[:axis], row[axis], result.dims) for row in strides
        ):
            break
        inner *= length
        axes = axis + 1
    first = [next((row[a] for a in range(axes) if result.dims[a] > 1), 0) for row in strides]
    outer_dims = result.dims[axes:]
    positions = np.indices(outer_dims).reshape(len(outer_dims), -1) if outer_dims else np.zeros((0, 1), np.int64)
    offsets = np.array([np.array(row[axes:], np.int64) @ positions for row in strides]).T.reshape(-1, len(shapes))
    return [1, inner, len(offsets), *first, *offsets.ravel().tolist()]


def _runs(before: Sequence[int], stride: int, dims: Sequence[int]) -> bool:
    """Whether a view that moves (or stays) along this axis does the same along all earlier axes longer than 1."""
    return all((b == 0) == (stride == 0) for b, d in zip(before, dims, strict=False) if d > 1)


def _kernel_body(
    operation: Elementwise, used: Sequence[str], read_result: bool, target: str, statement: str, backward: str | None
) -> list[str]:
    """Loops that compute `statement` for every element: one flat run where memory allows, else row by row."""
    views = {"y": 0, **{name: k + 1 for k, name in enumerate(operation.operands)}}
    reads = [n for n in operation.operands if n in used]
    pointers = [(f"p_{n}", n, "value") for n in reads]
    if read_result:
        pointers.append(("p_y", "y", "value"))
    if backward is None:
        pointers.append(("p_target", "y", "value"))
    else:
        pointers += [("p_dy", "y", "gradient"), ("p_target", backward, "gradient")]
    checks = [
        f"{'adjacent' if kind == 'value' else 'gradients_adjacent'}(w_{n}, start, count)" for _, n, kind in pointers
    ]
    flat = " and ".join(checks) if not operation.scalars else "False"
    same = " and ".join(f"total(w_{n}) == total(w_y)" for n in operation.operands)
    lines = [
        "    n, rows, batches = size(w_y), count, integers(record)[T_BATCH]",
        f"    if {same}:",
        "        n, batches = n * batches, 1",
        f"        if {flat}:",
        "            n, rows = n * count, 1",
        "    table = integers(integers(record)[T_TABLE])",
        "    for row in range(start, start + rows):",
    ]
    for k, scalar in enumerate(operation.scalars):
        lines.append(f"        v_{scalar} = floats(register(record, R_DATA))[payload(record, {k}, row)]")
    lines.append("        for b in range(batches):")
    for pointer, name, kind in pointers:
        lines.append(f"            a_{pointer} = {kind}(w_{name}, row) + 4 * b * batch_stride(w_{name})")
    lines += [f"            {p} = floats(a_{p})" for p, _, _ in pointers]
    loads = [f"v_{n} = p_{n}[i{{{n}}}]" for n in (*reads, *(["y"] if read_result else []))]
    if backward is not None:
        loads.append("v_dy = p_dy[i{y}]")
    assign = "=" if backward is None else "+="
    where = "y" if backward is None else backward

    def loop(indent: str, index: dict[str, str]) -> list[str]:
        rows = [indent + load.format(**index) for load in loads]
        return [*rows, f"{indent}p_target[i{index[where]}] {assign} {statement}"]

    plain = dict.fromkeys(views, "")
    lines += ["            if table[0] == 0:", "                for i in range(n):", *loop(" " * 20, plain)]
    width = len(views)
    lines += [
        "            else:",
        "                for o in range(table[2]):",
        f"                    at = {3 + width} + o * {width}",
    ]
    lines += [f"                    q_{n} = table[at + {k}]" for n, k in views.items()]
    lines += [f"                    s_{n} = table[{3 + k}]" for n, k in views.items()]
    lines.append("                    for j in range(table[1]):")
    strided = {n: f"_{n}" for n in views}
    lines += [f"                        i_{n} = q_{n} + j * s_{n}" for n in views]
    lines += loop(" " * 24, strided)
    return lines


def generate(operation: Elementwise) -> str:
    """Source of `forward` and `backward` of an elementwise operation."""
    source = Source()
    head = ["    w_y = view(record, 0)"]
    head += [f"    w_{name} = view(record, {k + 1})" for k, name in enumerate(operation.operands)]
    head += [f"    v_{name} = float32(setting(record, {k}))" for k, name in enumerate(operation.settings)]
    forward = ["def forward(record, start, count):", *head]
    formula = source.expression(operation.formula)
    forward += _kernel_body(operation, names(operation.formula), False, "y", formula, None)
    backward = ["def backward(record, start, count):", *head]
    for operand, derivative in operation.derivatives.items():
        used = names(derivative)
        body = _kernel_body(operation, used, "y" in used, operand, source.expression(derivative), operand)
        backward += [f"    if wants_gradient(w_{operand}):", *("    " + line for line in body)]
    return IMPORTS + source.header() + "\n\n" + "\n".join(forward) + "\n\n\n" + "\n".join(backward) + "\n"


def make(operation: Elementwise) -> Kernel:
    """Write, import and wrap the generated module."""
    module = write_module("elementwise_" + operation.name, generate(operation))
    return Kernel(module.forward, module.backward, table=layout_table, formulas=frozenset({"forward", "backward"}))


kernel_family(Elementwise, make)
