"""What a builder records once a graph and reads at every step of it: dropout masks, computed weights."""

from __future__ import annotations

from collections.abc import Hashable

from weft_core.expression import Expression
from weft_core.graph import ComputationGraph

# Per layer, the expressions that all its steps share.
Shared = list[tuple[Expression, ...]]


class PerGraph:
    """Expressions by graph and key; forgotten with their graph, and when the graph reverts to before them."""

    def __init__(self) -> None:
        self._kept: dict[ComputationGraph, dict[Hashable, Shared]] = {}

    def find(self, graph: ComputationGraph, key: Hashable) -> Shared | None:
        """What was kept under this key, if it still exists."""
        found = self._kept.get(graph, {}).get(key)
        return found if found is None or not graph.dead or _lives(graph, found) else None

    def keep(self, graph: ComputationGraph, key: Hashable, made: Shared) -> None:
        """Keep these expressions for the later steps in the graph."""
        if graph not in self._kept:
            self._kept = {g: kept for g, kept in self._kept.items() if not (g.is_stale or g.traced)}
        self._kept.setdefault(graph, {})[key] = made

    def forget(self, graph: ComputationGraph | None = None) -> None:
        """Record anew in this graph, or in all."""
        if graph is None:
            self._kept = {}
        else:
            self._kept.pop(graph, None)


def _lives(graph: ComputationGraph, shared: Shared) -> bool:
    """Whether no part of this was reverted."""
    return not any(start <= e.index < end for layer in shared for e in layer for start, end in graph.dead)
