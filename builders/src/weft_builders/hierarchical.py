"""The hierarchical softmax (Morin & Bengio 2005): a word is reached by decisions from the root of a tree."""

from __future__ import annotations

import os
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

from weft_core.collection import ParameterCollection

from .clusters import PathLike, given_places, numbered, path_line, read_places
from .decisions import Decision, LogisticDecision
from .factored import FactoredSoftmaxBuilder

FORM = "SYMBOL ... SYMBOL WORD"


class HierarchicalSoftmaxBuilder(FactoredSoftmaxBuilder):
    """`p(word)` is the product of the probabilities of the decisions on its path; a loss computes these alone.

    `cluster_file` is a text file whose lines have the symbols from the root of the tree, separated by spaces, then the
    word, or a mapping from words to sequences of symbols. `dic` maps words to their numbers, which are 0 to n - 1; an
    int n stands for words that are these numbers. The outcomes of a node are numbered by first appearance. A node with
    two outcomes is a logistic unit, whose output is the probability of the first: `W {1,D}`, `b {1}`; with n > 2 a
    softmax: `W {n,D}`, `b {n}`; with one it has no parameters. A node's parameters come before those behind it.

    A word of the dictionary that has no place has probability 0. Raises `ClusterError` naming the line of a file that
    has another form, a word that is not in the dictionary, or a word once more; FileNotFoundError.
    """

    collection_name = "hierarchical-softmax-builder"

    def __init__(
        self,
        input_dim: int,
        cluster_file: PathLike | Mapping[Any, Sequence[Hashable]],
        dic: Mapping[Any, int] | int,
        pc: ParameterCollection,
        bias: bool = True,
    ) -> None:
        words = numbered(dic)
        if isinstance(cluster_file, (str, os.PathLike)):
            places = read_places(cluster_file, words, path_line, FORM)
        else:
            if not isinstance(cluster_file, Mapping):
                raise TypeError(
                    f"{self.whoami()} takes the name of a file, or a dict of the path to each word, "
                    f"got {type(cluster_file).__name__}"
                )
            places = given_places(((tuple(path), word) for word, path in cluster_file.items()), words)
        super().__init__(input_dim, places, len(words), pc, bias)

    def decide(self, outcomes: int, is_root: bool) -> Decision | None:
        """A logistic unit for two outcomes."""
        if outcomes == 2:
            return LogisticDecision(self._collection, outcomes, self.input_dim, self.bias)
        return super().decide(outcomes, is_root)

    @property
    def spec(self) -> tuple[Any, ...]:
        """Size of the input, the path of each word by number, how many words there are, and `bias`."""
        return self.input_dim, {word: symbols for symbols, word in self._places}, self._words, self.bias

    @classmethod
    def from_spec(cls, spec: Sequence[Any], model: ParameterCollection) -> HierarchicalSoftmaxBuilder:
        """A builder made from a `spec`, with new parameters in `model`."""
        input_dim, paths, words, bias = spec
        return cls(input_dim, paths, words, model, bias)
