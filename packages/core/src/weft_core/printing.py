"""Graphs as text: in the language of Graphviz, and as a list of all values and gradients."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import TextIO

import numpy as np
from numpy.typing import NDArray

from .expression import Expression, shaped
from .graph import ComputationGraph, current
from .shape import Shape
from .signature import Signature, signatures
from .store import owner

# Operations that have a sign of their own; the others are written as functions.
_SIGNS = {
    "add": "{} + {}",
    "subtract": "{} - {}",
    "cmult": "{} \\cdot {}",
    "cdiv": "{} / {}",
    "matrix_product": "{} * {}",
    "power": "{} ** {}",
    "negate": "-{}",
    "logistic": "\\sigma({})",
}


@dataclass(frozen=True)
class Node:
    """One parameter or instruction: its text, the numbers of the nodes it reads, places and shapes of its results."""

    text: str
    reads: tuple[int, ...]
    places: tuple[int, ...]
    shapes: tuple[Shape, ...]
    is_parameter: bool = False


def nodes(graph: ComputationGraph) -> list[Node]:
    """Nodes in the order in which they were recorded; a parameter comes before its first use."""
    found: list[Node] = []
    # Number of the node that a place on the tape belongs to; parameters have negative places.
    number: dict[int, int] = {}

    def parameter(shape: Shape) -> int:
        place = -1 - shape.parameter
        if place not in number:
            number[place] = len(found)
            kind = "parameters" if shape.trainable else "constant parameters"
            found.append(Node(f"{kind}({shape}) {owner(shape.parameter).name}", (), (place,), (shape,), True))
        return number[place]

    for start, signature in instructions(graph):
        places = graph.code[start + 1 : start + 1 + len(signature.operands)]
        reads = []
        for place, shape in zip(places, signature.operands, strict=True):
            if place:
                reads.append(parameter(shape) if place < 0 else number[place])
        reads += [parameter(shape) for shape in signature.parameters]
        results = range(start, start + len(signature.results))
        number.update(dict.fromkeys(results, len(found)))
        found.append(Node(_text(signature, reads), tuple(reads), tuple(results), signature.results))
    return found


def instructions(graph: ComputationGraph) -> Iterator[tuple[int, Signature]]:
    """Position and signature of every instruction on the tape."""
    code, start = graph.code, 1
    while start < len(code):
        signature = signatures[code[start]]
        if not any(begin <= start < end for begin, end in graph.dead):
            yield start, signature
        start += signature.length


def _text(signature: Signature, reads: Sequence[int]) -> str:
    names = [f"v{number}" for number in reads]
    sign = _SIGNS.get(signature.operation.name)
    if sign is not None and sign.count("{}") == len(names):
        return sign.format(*names)
    if not signature.operands and not signature.parameters:
        return f"{signature.operation.name}({', '.join([str(signature.results[0]), *map(str, signature.attributes)])})"
    return f"{signature.operation.name}({', '.join([*names, *map(str, signature.attributes)])})"


def graph_text(graph: ComputationGraph) -> str:
    """The graph in the language of Graphviz: one node a line, then its edges."""
    lines = ["digraph G {", "  rankdir=LR;", "  nodesep=.05;"]
    for i, node in enumerate(nodes(graph)):
        lines.append(f'  N{i} [label="v{i} = {_escaped(node.text)}"];')
        lines += [f"  N{j} -> N{i};" for j in node.reads]
    return "\n".join([*lines, "}", ""])


def _escaped(text: str) -> str:
    return text.replace('"', '\\"')


def print_text_graphviz() -> None:
    """Write the current graph to stderr, in the language of Graphviz (`dot -Tsvg` draws it)."""
    sys.stderr.write(graph_text(current()))
    sys.stderr.flush()


def print_graphviz(
    compact: bool = False,
    show_dims: bool = True,
    expression_names: Mapping[Expression, str] | None = None,
    lookup_names: Mapping[str, str] | None = None,
    collapse_birnns: bool = False,
) -> None:
    """Write the current graph to stdout in the language of Graphviz, growing from its inputs upwards.

    `compact` leaves parameters out; `show_dims` adds the shapes; `expression_names` names expressions, `lookup_names`
    look-up tables, by their full names. `collapse_birnns` has nothing to do: a step of a builder is one node.
    """
    for argument in (expression_names, lookup_names):
        if not isinstance(argument, (Mapping, type(None))):
            raise TypeError(f"print_graphviz takes names as a dict, got {type(argument).__name__}")
    names = {e.index: name for e, name in (expression_names or {}).items()}
    lines = ["digraph G {", "  rankdir=BT;", "  nodesep=.05;"]
    found = nodes(current())
    for i, node in enumerate(found):
        if compact and node.is_parameter:
            continue
        label = next((names[place] for place in node.places if place in names), node.text)
        for table, name in (lookup_names or {}).items():
            label = label.replace(table, name)
        dims = f"\\n{', '.join(map(str, node.shapes))}" if show_dims else ""
        lines.append(f'  N{i} [label="{_escaped(label)}{dims}"];')
        lines += [f"  N{j} -> N{i};" for j in node.reads if not (compact and found[j].is_parameter)]
    sys.stdout.write("\n".join([*lines, "}", ""]))
    sys.stdout.flush()


def dump_cg(
    filename: str | PathLike[str] = "",
    show_values: bool = True,
    show_gradients: bool = True,
    nan_check_only: bool = False,
) -> None:
    """Compute the whole current graph and write every node, its value and its gradient, to a file or to stdout.

    `nan_check_only` writes, instead of numbers, whether all of them are finite.
    """
    graph = current()
    found = nodes(graph)
    places = [place for node in found for place in node.places if place > 0]
    if places:
        graph.forward(places)
    if filename:
        with Path(filename).open("w", encoding="utf-8") as file:
            _dump(graph, found, file, show_values, show_gradients, nan_check_only)
    else:
        _dump(graph, found, sys.stdout, show_values, show_gradients, nan_check_only)


def _dump(
    graph: ComputationGraph, found: list[Node], file: TextIO, values: bool, gradients: bool, check_only: bool
) -> None:
    for i, node in enumerate(found):
        file.write(f"Node {i}: {node.text}\n")
        for place, shape in zip(node.places, node.shapes, strict=True):
            if values:
                value = graph.execution.value(place, shape)
                file.write(f"Value {shape}: {_numbers(value, shape, check_only)}\n")
            if gradients:
                gradient = graph.execution.gradient(place, shape)
                file.write(f"Gradient {shape}: {_numbers(gradient, shape, check_only)}\n")
    file.flush()


def _numbers(flat: NDArray[np.float32] | None, shape: Shape, check_only: bool) -> str:
    if flat is None:
        return "(not computed)"
    if check_only:
        return "valid" if np.isfinite(flat).all() else "invalid"
    return "\n" + str(shaped(flat, shape))
