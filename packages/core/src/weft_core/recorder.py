"""Recorders of cells: Python functions written for the arguments and results of one cell, without loops.

A recorder looks up what belongs to the shapes and settings of its arguments, and appends one tuple to the tape.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .expression import Expression
from .graph import current
from .operation import graph_of
from .template import Template
from .trace import TraceTape

# An argument that a call left out.
ABSENT = object()


@dataclass(frozen=True)
class Form:
    """What a recorder is written for.

    `arguments`: for each, whether it is an expression (or else a setting). `slots`: of the instruction after its
    signature, for each the expression it names, or -1 for a payload integer. `offsets` of the results.
    """

    arguments: tuple[bool, ...]
    slots: tuple[int, ...]
    offsets: tuple[int, ...]
    single: bool


def form_of(template: Template, arguments: tuple[bool, ...]) -> Form | None:
    """The form of a template; None where calls fill in more than operands."""
    if template.moving or template.passed or not template.length or not any(arguments):
        return None
    slots = [-1] * (template.length - 1)
    for slot, k in template.slots:
        slots[slot - 1] = k
    return Form(arguments, tuple(slots), template.results, template.single)


def key_of(form: Form, given: tuple[Any, ...]) -> Any:
    """Where the entry of a call is kept."""
    parts: list[Any] = []
    for is_expression, x in zip(form.arguments, given, strict=True):
        parts += [x.shape] if is_expression else [x, x.__class__]
    return parts[0] if len(parts) == 1 else tuple(parts)


def entry_of(form: Form, template: Template) -> tuple[Any, ...]:
    """What a recorder needs to know of a template: signature, payload, shapes of the results."""
    payload = [template.chunk[1 + k] for k, source in enumerate(form.slots) if source < 0]
    return (template.chunk[0], *payload, *template.shapes)


@functools.cache
def _code(form: Form) -> Any:
    given = [f"x{k}" for k in range(len(form.arguments))]
    expressions = [x for x, is_expression in zip(given, form.arguments) if is_expression]
    keys = [key for x, e in zip(given, form.arguments) for key in ([f"{x}.shape"] if e else [x, f"{x}.__class__"])]
    payload = [f"p{k}" for k in range(form.slots.count(-1))]
    waiting = iter(payload)
    slots = [f"{expressions[k]}.index" if k >= 0 else next(waiting) for k in form.slots]
    shapes = [f"s{k}" for k in range(len(form.offsets))]
    lines = [
        f"def record({', '.join(f'{x}=absent' for x in given)}, /, *rest, **named):",
        "    try:",
        f"        {', '.join(['sid', *payload, *shapes])}, = entries[{', '.join(keys)}]",
        "    except (KeyError, AttributeError, TypeError):",
        f"        return miss(({', '.join(given)}, *rest), named)",
        "    if rest or named:",
        f"        return miss(({', '.join(given)}, *rest), named)",
        f"    graph = {expressions[0]}.graph or current()",
        "    if graph.__class__ is TraceTape:",
        f"        return function({', '.join(given)})",
    ]
    for x in expressions[1:]:
        lines += [f"    if {x}.graph is not graph:", f"        graph = graph_of(name, ({', '.join(expressions)}))"]
    lines += ["    code = graph.code", "    start = len(code)", f"    code += ({', '.join(['sid', *slots])},)"]
    for k, offset in enumerate(form.offsets):
        lines += [
            f"    r{k} = new(Expression)",
            f"    r{k}.graph = graph",
            f"    r{k}.index = start{f' + {offset}' if offset else ''}",
            f"    r{k}.shape = s{k}",
        ]
    results = ", ".join(f"r{k}" for k in range(len(form.offsets)))
    lines.append(f"    return {results}" if form.single else f"    return ({results},)")
    return compile("\n".join(lines), f"<recorder of {form}>", "exec")


class Recorder:
    """Calls of one form: `record` is the function written for it, `entries` what it knows of shapes and settings.

    `miss` is called with the arguments of a call that has no entry. While another cell is traced, the function itself
    runs: what is inside of both is fused together.
    """

    def __init__(
        self,
        form: Form,
        name: str,
        function: Callable[..., Any],
        miss: Callable[[tuple[Any, ...], dict[str, Any]], Any],
    ) -> None:
        self.form = form
        self.entries: dict[Any, tuple[Any, ...]] = {}
        space: dict[str, Any] = {
            "Expression": Expression, "TraceTape": TraceTape, "absent": ABSENT, "current": current,
            "entries": self.entries, "function": function, "graph_of": graph_of, "miss": miss, "name": name,
            "new": object.__new__,
        }  # fmt: skip
        exec(_code(form), space)  # written above from numbers alone
        self.record: Callable[..., Any] = space["record"]

    def learn(self, form: Form, template: Template, given: tuple[Any, ...]) -> None:
        """Know calls like this one, where they are of this form."""
        if form == self.form:
            self.entries[key_of(form, given)] = entry_of(form, template)
