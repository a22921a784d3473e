"""Accuracy over counted tokens, and the baseline a tagger has to beat."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from .sentence import Sentence


def accuracy(
    gold: Sequence[Sentence],
    predicted: Sequence[Sequence[str]],
    counted_tags: frozenset[str] | None = None,
) -> float:
    """Share of right tags among tokens whose gold tag is counted (None: all tags), between 0 and 1.

    Raises ValueError when the two differ in shape or when no token is counted.
    """
    right = total = 0
    for sentence, tags in zip(gold, predicted, strict=True):
        for expected, got in zip(sentence.tags, tags, strict=True):
            if counted_tags is None or expected in counted_tags:
                total += 1
                right += expected == got
    if total == 0:
        raise ValueError("accuracy of no tokens: expected sentences with at least one counted tag")
    return right / total


class MostFrequentTag:
    """Gives each word its most frequent tag in training, and an unseen word the most frequent tag of
    words seen once, which is what unseen words are most like (of all words when none was seen once)."""

    def __init__(self, train: Iterable[Sentence], counted_tags: frozenset[str] | None = None) -> None:
        by_word: dict[str, Counter[str]] = {}
        for sentence in train:
            for word, tag in zip(sentence.words, sentence.tags, strict=True):
                if counted_tags is None or tag in counted_tags:
                    by_word.setdefault(word, Counter())[tag] += 1
        if not by_word:
            raise ValueError("a baseline needs at least one counted tag in its training sentences")
        # Ties go to the tag first in the alphabet: the figure does not depend on the order of reading.
        self._tag = {word: min(tags, key=lambda tag: (-tags[tag], tag)) for word, tags in by_word.items()}
        once = Counter(next(iter(tags)) for tags in by_word.values() if tags.total() == 1)
        unseen = once or Counter(self._tag.values())
        self._unseen = min(unseen, key=lambda tag: (-unseen[tag], tag))

    def tag(self, sentences: Iterable[Sentence]) -> list[list[str]]:
        return [[self._tag.get(word, self._unseen) for word in sentence.words] for sentence in sentences]
