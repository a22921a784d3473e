"""Update rules as kernels: the program text of a rule between loads and stores, for each way through memory.

Of each rule: `runs`, all floats of each job; `rows`, those of listed rows; `idle`, the step with gradient zero for rows
that are not flagged. Of one that ends in a softmax: `vectors`, parameters or rows as a whole.
"""

from __future__ import annotations

import functools
from typing import Any

from weft_core.formula import assignments, names
from weft_core.rules import UpdateRule

from .formulas import Source
from .generated import write_module
from .jobs import BLOCK, GRADIENTS, LIST, MOMENTS, SIZE, VALUES
from .toolchain import Program


def _body(rule: UpdateRule, program: str, source: Source, indent: str) -> list[str]:
    """The program on blocks: what it reads is loaded from pointers `p_<name>`, what it assigns is stored there."""
    lines = assignments(program)
    assigned = [name for name, _ in lines]
    used = {name for _, formula in lines for name in names(formula)} | set(assigned)
    memory = [name for name in ("w", *rule.state) if name in used]
    body = [f"v_{name} = tl.load(p_{name}, mask=mask, other=0.0)" for name in memory]
    if "g" in used and "g" not in assigned:
        body.append("v_g = scale * tl.load(p_g, mask=mask, other=0.0)")
    body += [f"v_{name} = {source.expression(formula)}" for name, formula in lines]
    body += [f"tl.store(p_{name}, v_{name}, mask=mask)" for name in memory if name in assigned]
    return [indent + line for line in body]


def _head(name: str, rule: UpdateRule) -> list[str]:
    """The beginning of a kernel: its job, its settings, the pointers of the job."""
    settings = "".join(f" s_{setting}," for setting in rule.settings)
    moments = [f"    b_{m} = floats(job, {MOMENTS + k})" for k, m in enumerate(rule.state)]
    return [
        "@triton.jit",
        f"def {name}(job_table, count, scale_bits,{settings} BLOCK: tl.constexpr):",
        "    tile = tl.program_id(0).to(tl.int64)",
        f"    job = job_of(job_table.to(tl.pointer_type(tl.int64)), count, {MOMENTS + len(rule.state)}, tile)",
        "    scale = scale_bits.to(tl.float32, bitcast=True)",
        *(f"    v_{setting} = s_{setting}.to(tl.float32, bitcast=True)" for setting in rule.settings),
        f"    b_w = floats(job, {VALUES})",
        f"    b_g = floats(job, {GRADIENTS})",
        *moments,
    ]


def _pointers(rule: UpdateRule, offset: str, indent: str) -> list[str]:
    return [f"{indent}p_{name} = b_{name} + {offset}" for name in ("w", "g", *rule.state)]


_CLEAR = "tl.store(p_g, tl.zeros([BLOCK], tl.float32), mask=mask)"
_LISTED = f"tl.load(tl.load(job + {LIST}).to(tl.pointer_type(tl.int32)) + "
_NOT_FLAGGED = f"tl.load(tl.load(job + {LIST}).to(tl.pointer_type(tl.int8)) + row, mask=mask, other=1) == 0"


def run_kernel(rule: UpdateRule, source: Source) -> list[str]:
    """All floats of each job."""
    return [
        *_head("runs", rule),
        "    at, mask = run_places(job, tile, BLOCK)",
        *_pointers(rule, "at", "    "),
        *_body(rule, rule.program, source, "    "),
        f"    {_CLEAR}",
    ]


def row_kernel(rule: UpdateRule, source: Source) -> list[str]:
    """The floats of listed rows."""
    return [
        *_head("rows", rule),
        "    place, column, mask = row_places(job, tile, BLOCK)",
        f"    row = {_LISTED}place, mask=mask, other=0).to(tl.int64)",
        f"    at = row * tl.load(job + {SIZE}) + column",
        *_pointers(rule, "at", "    "),
        *_body(rule, rule.program, source, "    "),
        f"    {_CLEAR}",
    ]


def idle_kernel(rule: UpdateRule, source: Source) -> list[str]:
    """The step with gradient zero, for rows that are not flagged."""
    return [
        *_head("idle", rule),
        "    row, column, mask = row_places(job, tile, BLOCK)",
        f"    mask &= {_NOT_FLAGGED}",
        f"    at = row.to(tl.int64) * tl.load(job + {SIZE}) + column",
        *_pointers(rule, "at", "    "),
        *_body(rule, rule.idle_program, source, "    "),
    ]


def softmax_kernel(rule: UpdateRule, source: Source) -> list[str]:
    """Parameters, rows of a table, or listed ones, one a tile; what the program makes of `w` are logits.

    Other threads may read in one pass what a thread has written in the one before: hence the barriers.
    """
    indent = " " * 8
    loop = [
        "    for start in range(0, size, BLOCK):",
        "        e = start + tl.arange(0, BLOCK)",
        "        mask = e < size",
    ]
    return [
        *_head("vectors", rule),
        f"    size = tl.load(job + {SIZE}).to(tl.int32)",
        "    row = tile - tl.load(job)",
        f"    if tl.load(job + {LIST}) != 0:",
        f"        row = {_LISTED}row).to(tl.int64)",
        f"    first = row * tl.load(job + {SIZE})",
        '    top = tl.full([BLOCK], float("-inf"), tl.float32)',
        *loop,
        *_pointers(rule, "first + e", indent),
        *_body(rule, rule.program, source, indent),
        indent + _CLEAR,
        indent + 'top = tl.maximum(top, tl.where(mask, v_w, float("-inf")), propagate_nan=tl.PropagateNan.ALL)',
        "    highest = tl.max(top, 0)",
        "    tl.debug_barrier()",
        "    powers = tl.zeros([BLOCK], tl.float32)",
        *loop,
        "        p_w = b_w + first + e",
        '        v_w = tl.exp(tl.load(p_w, mask=mask, other=float("-inf")) - highest)',
        "        tl.store(p_w, v_w, mask=mask)",
        "        powers += tl.where(mask, v_w, 0.0)",
        "    total = tl.sum(powers, 0)",
        "    tl.debug_barrier()",
        *loop,
        "        p_w = b_w + first + e",
        "        tl.store(p_w, tl.load(p_w, mask=mask, other=0.0) / total, mask=mask)",
    ]


_IMPORTS = "from weft_triton.jobs import floats, job_of, row_places, run_places\n"


@functools.cache
def rule_kernels(rule: UpdateRule) -> dict[str, Program]:
    """The kernels of a rule by name, each compiled at its first launch.

    They take address and number of the jobs, then scale and settings as float32 by their bits.
    """
    source = Source()
    if rule.softmax:
        kernels = {"vectors": softmax_kernel(rule, source)}
    else:
        kernels = {"runs": run_kernel(rule, source), "rows": row_kernel(rule, source)}
        if rule.idle_program:
            kernels["idle"] = idle_kernel(rule, source)
    text = "\n\n\n".join("\n".join(lines) for lines in kernels.values())
    module: Any = write_module("rule_" + rule.name, f"{source.header()}{_IMPORTS}\n\n{text}\n")
    arguments = {"job_table": "i64", "count": "i32", "scale_bits": "i32"} | {f"s_{s}": "i32" for s in rule.settings}
    return {name: Program(getattr(module, name), arguments, {"BLOCK": BLOCK}) for name in kernels}
