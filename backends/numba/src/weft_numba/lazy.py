"""Missed updates of look-up tables, made up for by compiled loops."""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

from weft_core.lazy import LazyRows, UpdateLog
from weft_core.rules import UpdateRule
from weft_core.store import Floats

from .cache import FORMULA_FASTMATH, cached_njit, write_module
from .generate import Source
from .pointers import call_kernel, compile_kernel, integers

_IMPORTS = """\
from numba import float32, float64
from weft_numba.mathematics import FORMULA_FUNCTIONS
from weft_numba.pointers import doubles, floats, integers

"""
# The job: addresses of w, of the log's settings, count and products of decay, of `current`; floats in a row; then the
# moments.
J_W, J_LOG, J_COUNT, J_PRODUCTS, J_CURRENT, J_SIZE, J_MOMENTS = range(7)


def generate(rule: UpdateRule) -> str:
    """Source of `make_up`: for each row what `single_steps` and `factors` say, where they are needed."""
    source = Source()
    idle = rule.idle_step
    lines = [
        "def make_up(record, start, count):",
        "    job = integers(record)",
        f"    n, end, current = job[{J_SIZE}], integers(job[{J_COUNT}])[0], integers(job[{J_CURRENT}])",
        f"    products = doubles(job[{J_PRODUCTS}])",
        "    for row in range(start, start + count):",
        "        step = current[row]",
        "        if step >= end:",
        "            continue",
        "        current[row] = end",
        f"        w = floats(job[{J_W}] + 4 * n * row)",
        *(f"        m_{m} = floats(job[{J_MOMENTS + k}] + 4 * n * row)" for k, m in enumerate(rule.state)),
    ]
    if idle.steps:
        lines += single_steps(rule, source)
    if idle.rests:
        lines += factors(rule)
    return _IMPORTS + source.header() + "\n\n" + "\n".join(lines) + "\n"


def single_steps(rule: UpdateRule, source: Source) -> list[str]:
    """Idle steps until the log's end, or until the program no longer moves `w`."""
    idle = rule.idle_step
    lines = [
        "        moved = 1",
        "        while step < end and moved != 0:",
        f"            settings = doubles(job[{J_LOG}] + {8 * len(rule.settings)} * step)",
        *(f"            v_{name} = float32(settings[{k}])" for k, name in enumerate(rule.settings)),
        "            step += 1",
        "            moved = 0" if idle.rests else "            moved = 1",
        "            for i in range(n):",
        "                v_w = w[i]",
        *(f"                v_{m} = m_{m}[i]" for m in rule.state),
        *source.lines(idle.program, " " * 16),
    ]
    if idle.rests:
        lines.append("                moved += w[i] != v_w")
    if idle.kept:
        lines.append(f"                v_w = v_{idle.kept} * v_w")
    return [*lines, "                w[i] = v_w", *(f"                m_{m}[i] = v_{m}" for m in rule.state)]


def factors(rule: UpdateRule) -> list[str]:
    """The rest of the log in one pass: what each moment, and `w`, are multiplied by in it."""
    idle = rule.idle_step
    place = {name: k for k, name in enumerate(rule.settings)}
    decays = [(moment, place[setting]) for moment, setting in idle.decays if setting]
    if not decays and not idle.kept:
        return []
    lines = ["        if step < end:"]
    if idle.kept:
        lines.append("            f_w = float32(products[end] / products[step])")
    if decays:
        lines += [f"            f_{m} = float64(1.0)" for m, _ in decays]
        lines += [
            "            for k in range(step, end):",
            f"                settings = doubles(job[{J_LOG}] + {8 * len(rule.settings)} * k)",
            *(f"                f_{m} *= float64(float32(settings[{k}]))" for m, k in decays),
        ]
    lines.append("            for i in range(n):")
    lines += [f"                m_{m}[i] = float32(f_{m}) * m_{m}[i]" for m, _ in decays]
    return [*lines, "                w[i] = f_w * w[i]"] if idle.kept else lines


@functools.cache
def compiled_make_up(rule: UpdateRule) -> int:
    """Address of a rule's loop."""
    return compile_kernel(write_module("idle_" + rule.name, generate(rule)).make_up, FORMULA_FASTMATH)


@cached_njit
def make_up_rows(kernel: int, job: int, ids_address: int, count: int) -> None:
    """Call the loop for each of these rows."""
    ids = integers(ids_address)
    for r in range(count):
        call_kernel(kernel, job, ids[r], 1)


class CompiledRows(LazyRows):
    """`LazyRows` on compiled loops; kernels that read a row call the same loop."""

    def __init__(self, rule: UpdateRule, values: Floats, moments: list[Floats], log: UpdateLog) -> None:
        super().__init__(rule, values, moments, log)
        self._kernel = compiled_make_up(rule)
        arrays = values, log.settings, log.count, log.products, self.current
        self._job = np.array([a.ctypes.data for a in arrays] + [values.shape[1]] + [m.ctypes.data for m in moments])

    def make_up(self, rows: NDArray[np.int64]) -> None:
        make_up_rows(self._kernel, self._job.ctypes.data, rows.ctypes.data, len(rows))

    def entry(self) -> tuple[int, int]:
        return self._kernel, self._job.ctypes.data
