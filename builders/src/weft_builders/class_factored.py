"""The softmax over classes of words, then over the words of a class (Goodman 2001)."""

from __future__ import annotations

import os
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

from weft_core.collection import ParameterCollection
from weft_core.errors import IndexValueError
from weft_core.expression import Expression
from weft_core.ops.softmax import log_softmax

from .clusters import PathLike, class_line, given_places, numbered, read_places
from .decisions import Decision
from .factored import FactoredSoftmaxBuilder, Node, constants

FORM = "CLASS WORD"


class ClassFactoredSoftmaxBuilder(FactoredSoftmaxBuilder):
    """`p(word) = p(class of the word) p(word given its class)`: with K classes of n words, K + n rows instead of K n.

    `cluster_file` is a text file with `CLASS WORD` on each line, or the classes themselves, a list of lists of words.
    `dic` maps words to their numbers, which are 0 to n - 1; an int n stands for words that are these numbers. Classes
    and the words of each are numbered by first appearance. Parameters: `Wc {K,D}`, `bc {K}`, then for each class of
    more than one word `W_k {n_k,D}`, `b_k {n_k}`.

    A word of the dictionary that has no class has probability 0. Raises `ClusterError` naming the line of a file that
    has another form, a word that is not in the dictionary, or a word once more; FileNotFoundError.
    """

    collection_name = "class-factored-softmax-builder"

    def __init__(
        self,
        input_dim: int,
        cluster_file: PathLike | Sequence[Sequence[Hashable]],
        dic: Mapping[Any, int] | int,
        pc: ParameterCollection,
        bias: bool = True,
    ) -> None:
        words = numbered(dic)
        if isinstance(cluster_file, (str, os.PathLike)):
            places = read_places(cluster_file, words, class_line, FORM)
        else:
            groups = ((((k,), word) for word in group) for k, group in enumerate(cluster_file))
            places = given_places((place for group in groups for place in group), words)
        super().__init__(input_dim, places, len(words), pc, bias)
        self._classes = [outcome for outcome in self._root.outcomes if isinstance(outcome, Node)]

    def decide(self, outcomes: int, is_root: bool) -> Decision | None:
        """The choice of a class has parameters even where there is only one."""
        if is_root:
            return Decision(self._collection, outcomes, self.input_dim, self.bias)
        return super().decide(outcomes, is_root)

    def class_logits(self, x: Expression, update: bool = True) -> Expression:
        """`Wc x + bc`, one number per class. Raises `ShapeError` for another size of x."""
        return self._decisions[0].logits(self._vector("class_logits", x), update)

    def class_log_distribution(self, x: Expression, update: bool = True) -> Expression:
        """`ln p(class)` of every class. Raises `ShapeError` for another size of x."""
        return log_softmax(self.class_logits(x, update))

    def subclass_logits(self, x: Expression, classid: int, update: bool = True) -> Expression:
        """`W_k x + b_k`, one number per word of the class; of a class of one word, a zero.

        Raises `ShapeError` for another size of x, `IndexValueError` for a class that there is not.
        """
        x = self._vector("subclass_logits", x)
        if not 0 <= classid < len(self._classes):
            raise IndexValueError(f"there is no class {classid}; use 0 to {len(self._classes) - 1}")
        decision = self._classes[classid].decision
        return constants(x, (0.0,), x.shape.batch) if decision is None else decision.logits(x, update)

    def subclass_log_distribution(self, x: Expression, classid: int, update: bool = True) -> Expression:
        """`ln p(word given its class)` of every word of the class, in the order of the clusters.

        Raises `ShapeError` for another size of x, `IndexValueError` for a class that there is not.
        """
        return log_softmax(self.subclass_logits(x, classid, update))

    @property
    def spec(self) -> tuple[Any, ...]:
        """Size of the input, the numbers of the words of each class, how many words there are, and `bias`."""
        classes = tuple(tuple(node.outcomes) for node in self._classes)
        return self.input_dim, classes, self._words, self.bias

    @classmethod
    def from_spec(cls, spec: Sequence[Any], model: ParameterCollection) -> ClassFactoredSoftmaxBuilder:
        """A builder made from a `spec`, with new parameters in `model`."""
        input_dim, classes, words, bias = spec
        return cls(input_dim, classes, words, model, bias)
