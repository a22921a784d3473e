"""The base of softmax builders whose classes are the ends of a tree of decisions."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate

from weft_core.collection import ParameterCollection
from weft_core.errors import IndexValueError, ShapeError
from weft_core.expression import Expression
from weft_core.graph import current
from weft_core.ops.inputs import record_input
from weft_core.ops.list_reductions import esum
from weft_core.ops.reductions import sum_dim, sum_elems
from weft_core.ops.selection import pick_batch_elems, select_rows
from weft_core.ops.structure import concatenate, concatenate_to_batch, reshape
from weft_core.shape import shape_of

from .clusters import Places
from .decisions import Decision
from .softmax import SoftmaxBuilder, draw

# Rows before those of the decisions: what adds nothing, and what a word without a place has.
NOTHING, NEVER = 0, 1
CONSTANTS = (0.0, float("-inf"))


@dataclass(eq=False)
class Node:
    """Outcomes in order of appearance: other nodes, and the numbers of words."""

    outcomes: list[Node | int] = field(default_factory=list)
    children: dict[Hashable, Node] = field(default_factory=dict)
    decision: Decision | None = None

    def child(self, symbol: Hashable) -> Node:
        """The node behind this symbol."""
        if symbol not in self.children:
            self.children[symbol] = Node()
            self.outcomes.append(self.children[symbol])
        return self.children[symbol]


class FactoredSoftmaxBuilder(SoftmaxBuilder):
    """A word is a path through a tree of decisions; its probability is the product of those of its decisions.

    Decisions own parameters, from the root on, each node before the nodes behind it. A loss computes the decisions on
    one path, the losses of a batch each of its decisions once, for all examples that come by.
    """

    def __init__(self, input_dim: int, places: Places, words: int, pc: ParameterCollection, bias: bool) -> None:
        super().__init__(input_dim, pc, bias)
        self._places, self._words = places, words
        self._root = Node()
        for symbols, word in places:
            node = self._root
            for symbol in symbols:
                node = node.child(symbol)
            node.outcomes.append(word)
        self._decisions: list[Decision] = []
        # Per word, the numbers of its decisions and their outcomes; None for a word that has no place.
        self._paths: list[tuple[tuple[int, int], ...] | None] = [None] * words
        self._add_decisions()
        # Where the outcomes of a decision begin among the rows of all.
        self._begins = list(accumulate((d.outcomes for d in self._decisions), initial=len(CONSTANTS)))

    def decide(self, outcomes: int, is_root: bool) -> Decision | None:
        """A new decision; None where there is nothing to decide."""
        return Decision(self._collection, outcomes, self.input_dim, self.bias) if outcomes > 1 else None

    def _add_decisions(self) -> None:
        pending: list[tuple[Node, tuple[tuple[int, int], ...]]] = [(self._root, ())]
        while pending:
            node, path = pending.pop()
            node.decision = self.decide(len(node.outcomes), node is self._root)
            steps: Iterable[tuple[tuple[int, int], ...]] = [()] * len(node.outcomes)
            if node.decision is not None:
                steps = [((len(self._decisions), k),) for k in range(len(node.outcomes))]
                self._decisions.append(node.decision)
            behind: list[tuple[Node, tuple[tuple[int, int], ...]]] = []
            for outcome, step in zip(node.outcomes, steps):
                if isinstance(outcome, Node):
                    behind.append((outcome, path + step))
                else:
                    self._paths[outcome] = path + step
            pending.extend(reversed(behind))

    def neg_log_softmax(self, x: Expression, c: int, update: bool = True) -> Expression:
        x = self._vector("neg_log_softmax", x)
        if x.shape.batch != 1:
            raise ShapeError(
                f"neg_log_softmax takes one example and its class, got {x.shape}; use neg_log_softmax_batch for a batch"
            )
        losses = [self._decisions[k].loss(x, outcome, update) for k, outcome in self._path(c)]
        return esum(losses) if losses else constants(x, (0.0,))

    def neg_log_softmax_batch(self, x: Expression, c: Iterable[int], update: bool = True) -> Expression:
        x, paths = self._vector("neg_log_softmax_batch", x), [self._path(word) for word in c]
        if len(paths) != x.shape.batch:
            raise ShapeError(
                f"neg_log_softmax_batch: {len(paths)} classes for {x.shape.batch} examples; give one class per example"
            )
        # Per decision the examples that come by, and what is decided there.
        groups: dict[int, tuple[list[int], list[int]]] = {}
        for example, path in enumerate(paths):
            for k, outcome in path:
                examples, outcomes = groups.setdefault(k, ([], []))
                examples.append(example)
                outcomes.append(outcome)
        losses: list[Expression] = []
        rows: list[list[int]] = [[] for _ in paths]
        count = 1
        for k, (examples, outcomes) in groups.items():
            losses.append(self._decisions[k].loss(part(x, examples), outcomes, update))
            for example in examples:
                rows[example].append(count)
                count += 1
        if not losses:
            return constants(x, (0.0,), len(paths))
        # The first decision is that of all examples, in their order.
        if len(losses) == 1:
            return losses[0]
        numbers = reshape(concatenate_to_batch([constants(x, (0.0,)), *losses]), (count,))
        depth, chosen = padded(rows)
        return sum_elems(reshape(select_rows(numbers, chosen), (depth,), len(paths)))

    def full_log_distribution(self, x: Expression, update: bool = True) -> Expression:
        x = self._vector("full_log_distribution", x)
        parts = [decision.log_distribution(x, update) for decision in self._decisions]
        depth, chosen = padded(
            [[NEVER] if path is None else [self._begins[k] + outcome for k, outcome in path] for path in self._paths]
        )
        first = constants(x, CONSTANTS, 1 if parts else x.shape.batch)
        rows = select_rows(concatenate([first, *parts]), chosen)
        return sum_dim(reshape(rows, (depth, self._words)), [0])

    def full_logits(self, x: Expression, update: bool = True) -> Expression:
        """The log probabilities themselves: they are logits whose normalizer is 1."""
        return self.full_log_distribution(x, update)

    def sample(self, x: Expression) -> int | list[int]:
        x = self._vector("sample", x)
        drawn = [0] * x.shape.batch
        level: dict[Node, list[int]] = {self._root: list(range(x.shape.batch))}
        while level:
            following: dict[Node, list[int]] = {}
            for node, examples in level.items():
                decided = [0] * len(examples)
                if node.decision is not None:
                    decided = draw(node.decision.log_distribution(part(x, examples), False))
                for example, k in zip(examples, decided):
                    outcome = node.outcomes[k]
                    if isinstance(outcome, Node):
                        following.setdefault(outcome, []).append(example)
                    else:
                        drawn[example] = outcome
            level = following
        return drawn if x.shape.batch > 1 else drawn[0]

    def _path(self, word: int) -> tuple[tuple[int, int], ...]:
        if not 0 <= word < self._words:
            raise IndexValueError(f"{self.whoami()}: there is no class {word}; use 0 to {self._words - 1}")
        path = self._paths[word]
        if path is None:
            raise IndexValueError(f"{self.whoami()}: class {word} has no place in the clusters; its probability is 0")
        return path


def constants(x: Expression, numbers: Sequence[float], batch: int = 1) -> Expression:
    """These numbers as a vector, for each example, in the graph of x."""
    return record_input(x.graph or current(), shape_of((len(numbers),), batch), list(numbers) * batch)


def part(x: Expression, examples: list[int]) -> Expression:
    """These examples of a batch, given in order."""
    return x if len(examples) == x.shape.batch else pick_batch_elems(x, examples)


def padded(rows: list[list[int]]) -> tuple[int, list[int]]:
    """The length of the longest list, and all lists at this length, one after another; `NOTHING` fills them."""
    depth = max(1, *map(len, rows))
    return depth, [row for own in rows for row in own + [NOTHING] * (depth - len(own))]
