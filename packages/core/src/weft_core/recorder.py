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


# What an argument is: an expression, a whole number that the instruction holds, or another setting.
EXPRESSION, NUMBER, SETTING = range(3)
_UNBOUND = 1 << 62


@dataclass(frozen=True)
class Form:
    """What a recorder is written for.

    `arguments`: what each of them is. `slots`: for each integer of the instruction after its signature the source of
    what it holds: an expression or a number with its position among those, or None for a constant.
    `offsets` of the results.
    """

    arguments: tuple[int, ...]
    slots: tuple[tuple[int, int] | None, ...]
    offsets: tuple[int, ...]
    single: bool


def form_of(template: Template, given: tuple[Any, ...]) -> Form | None:
    """The form of a template; None where calls fill in more than operands and numbers."""
    if template.moving or template.passed or not template.length:
        return None
    kinds = [EXPRESSION if isinstance(x, Expression) else SETTING for x in given]
    if template.bounds:
        kinds = [NUMBER if x.__class__ is int else kind for x, kind in zip(given, kinds, strict=True)]
    if EXPRESSION not in kinds:
        return None
    slots: list[tuple[int, int] | None] = [None] * (template.length - 1)
    for slot, k in template.slots:
        slots[slot - 1] = EXPRESSION, k
    for slot, k in template.settings:
        slots[slot - 1] = NUMBER, k
    return Form(tuple(kinds), tuple(slots), template.results, template.single)


def key_of(form: Form, given: tuple[Any, ...]) -> Any:
    """Where the entry of a call is kept."""
    parts: list[Any] = []
    for kind, x in zip(form.arguments, given, strict=True):
        if kind == EXPRESSION:
            parts.append(x.shape)
        else:
            parts += [x.__class__] if kind == NUMBER else [x, x.__class__]
    return parts[0] if len(parts) == 1 else tuple(parts)


def entry_of(form: Form, template: Template) -> tuple[Any, ...]:
    """What a recorder needs to know of a template: signature, constants, bounds of numbers, shapes of results."""
    constants = [template.chunk[1 + k] for k, source in enumerate(form.slots) if source is None]
    bounds = [int(max(-_UNBOUND, min(_UNBOUND, end))) for ends in template.bounds for end in ends]
    return (template.chunk[0], *constants, *bounds, *template.shapes)


@functools.cache
def _code(form: Form) -> Any:
    given = [f"x{k}" for k in range(len(form.arguments))]
    of_kind = {kind: [x for x, k in zip(given, form.arguments, strict=True) if k == kind] for kind in range(3)}
    expressions, numbers = of_kind[EXPRESSION], of_kind[NUMBER]
    keys: list[str] = []
    for x, kind in zip(given, form.arguments, strict=True):
        keys += [[f"{x}.shape"], [f"{x}.__class__"], [x, f"{x}.__class__"]][kind]
    constants = [f"p{k}" for k in range(form.slots.count(None))]
    waiting = iter(constants)
    slots = []
    for source in form.slots:
        if source is None:
            slots.append(next(waiting))
        else:
            slots.append(f"{expressions[source[1]]}.index" if source[0] == EXPRESSION else numbers[source[1]])
    bounds = [f"{end}{k}" for k in range(len(numbers)) for end in ("low", "high")]
    shapes = [f"s{k}" for k in range(len(form.offsets))]
    miss = f"return miss(({', '.join(given)}, *rest), named)"
    unknown = ["rest", "named", *(f"not low{k} <= {x} < high{k}" for k, x in enumerate(numbers))]
    lines = [
        f"def record({', '.join(f'{x}=absent' for x in given)}, /, *rest, **named):",
        "    try:",
        f"        {', '.join(['sid', *constants, *bounds, *shapes])}, = entries[{', '.join(keys)}]",
        "    except (KeyError, AttributeError, TypeError):",
        f"        {miss}",
        f"    if {' or '.join(unknown)}:",
        f"        {miss}",
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
