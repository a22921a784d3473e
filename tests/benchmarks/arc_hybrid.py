"""The arc-hybrid transition system (Kuhlmann et al., 2011), for a parser that takes one step at a time."""

from __future__ import annotations

from typing import Any, NamedTuple

SHIFT, LEFT, RIGHT = range(3)


class Shapes(NamedTuple):
    """Sizes of the scorer: vectors of a BiLSTM, how many of them it reads, its hidden layer, its scores."""

    vector: int
    features: int
    hidden: int
    transitions: int


SHAPES = Shapes(vector=100, features=4, hidden=100, transitions=3)


class ArcHybrid:
    """A configuration over `words` words: a stack, the next word of the buffer, and the heads found (-1: none yet)."""

    def __init__(self, words: int) -> None:
        self.words = words
        self.stack: list[int] = []
        self.next = 0
        self.heads = [-1] * words

    def done(self) -> bool:
        return self.next == self.words and len(self.stack) == 1

    def places(self) -> list[int]:
        """The words that the scorer reads: two on top of the stack, two of the buffer; `words` for one not there."""
        stack = [self.words] * (2 - len(self.stack)) + self.stack[-2:]
        return [*stack, min(self.next, self.words), min(self.next + 1, self.words)]

    def take_best(self, scores: Any) -> None:
        """Goes on by the allowed transition of the highest score."""
        allowed = []
        if self.next < self.words:
            allowed = [SHIFT, LEFT] if self.stack else [SHIFT]
        if len(self.stack) > 1:
            allowed.append(RIGHT)
        best = max(allowed, key=lambda transition: float(scores[transition]))
        if best == SHIFT:
            self.stack.append(self.next)
            self.next += 1
        else:
            dependent = self.stack.pop()
            self.heads[dependent] = self.next if best == LEFT else self.stack[-1]
