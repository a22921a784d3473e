"""Compiles the kernels of updates for two devices, and prints what each takes, as JSON."""

from __future__ import annotations

import json
import re
from typing import Any

from weft_core.rules import UpdateRule
from weft_testing.updates import RULES
from weft_triton import gradient_norm
from weft_triton.rule_kernels import rule_kernels
from weft_triton.toolchain import Program, ahead_of_time

COMPILED = {
    "adaptive": RULES["adaptive"][0],
    "decaying": RULES["adaptive"][0].with_decay(rows_rest=True),
    "distribution": RULES["distribution"][0],
    # Numbers in the place of arrays; in the step with gradient zero, g is one.
    "zero": UpdateRule("compiled_zero", "m = m + abs(g) + exp(g)\nw = w - eta * sqrt(m)", ("m",), ("eta",)),
    "constant": UpdateRule("compiled_constant", "m = maximum(g, 1) + (1 if g > 2 else 3)\nw = 5", ("m",), ("eta",)),
}


def resources(program: Program, capability: tuple[int, int]) -> dict[str, Any]:
    """What one kernel takes; reads and writes of four floats at once."""
    made = ahead_of_time(program.function, program.arguments, program.constants, capability)
    wide = [len(re.findall(rf"{kind}\.global\S*\.v4", made.ptx)) for kind in ("ld", "st")]
    return {"registers": made.registers, "spills": made.spills, "wide": wide}


if __name__ == "__main__":
    kernels = {f"{name} {kind}": p for name, rule in COMPILED.items() for kind, p in rule_kernels(rule).items()}
    kernels |= {f"norm {name}": getattr(gradient_norm, name) for name in ("of_runs", "of_rows", "of_tiles")}
    print(json.dumps({f"{name} {c}": resources(p, c) for name, p in kernels.items() for c in ((8, 0), (9, 0))}))
