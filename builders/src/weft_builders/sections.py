"""Sequences of inputs as runs of equal shape, and what a stretch of one leaves on the tape."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, MutableSequence, Sequence

from weft_core.expression import Expression
from weft_core.graph import ComputationGraph
from weft_core.operation import check_expressions, graph_of
from weft_core.sequence import Expressions
from weft_core.template import Template

# What a run over a sequence leaves of one layer: where every step starts on the tape.
Track = tuple[Template, range]


class Section:
    """What was appended for a stretch of a sequence: per layer, where every step starts on the tape; the outputs."""

    __slots__ = ("graph", "outputs", "tracks")

    def __init__(self, graph: ComputationGraph, tracks: list[Track], outputs: Expressions) -> None:
        self.graph = graph
        self.tracks = tracks
        self.outputs = outputs

    def states(self, layer: int, last: bool = False) -> list[tuple[Expression, ...]]:
        """The state of a layer after each step, or after the last step only."""
        template, starts = self.tracks[layer]
        graph, parts = self.graph, list(zip(template.results, template.shapes))
        return [
            tuple([Expression(graph, start + r, shape) for r, shape in parts])
            for start in (starts[-1:] if last else starts)
        ]


def results(graph: ComputationGraph, template: Template, starts: range) -> Expressions:
    """The first result of a template at every place where it starts."""
    first = template.results[0]
    return Expressions(graph, template.shapes[0], range(starts.start + first, starts.stop + first, starts.step))


def equal_runs(name: str, xs: Iterable[Expression]) -> list[Expressions]:
    """The inputs as runs of equal shape: nearly always one. Raises TypeError for what is not an expression."""
    if type(xs) is Expressions and xs.items is None:
        return [xs] if xs else []
    given = list(xs)
    try:
        shapes = [x.shape for x in given]
    except AttributeError:
        check_expressions(name, given)
        raise
    if not given:
        return []
    if shapes.count(shapes[0]) == len(shapes):
        runs = [given]
    else:
        runs = [list(run) for _, run in itertools.groupby(given, key=lambda x: x.shape)]
    check_expressions(name, [run[0] for run in runs])
    return [Expressions(graph_of(name, run), run[0].shape, [x.index for x in run]) for run in runs]


def joined(parts: Sequence[Expressions]) -> MutableSequence[Expression]:
    """The items of all parts: places where they have one shape, else a list."""
    if len(parts) == 1:
        return parts[0]
    if len({part.shape for part in parts}) == 1:
        return Expressions(parts[0].graph, parts[0].shape, [index for part in parts for index in part.indices])
    return [x for part in parts for x in part]
