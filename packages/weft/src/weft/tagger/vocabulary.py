"""Which words have a vector of their own, which characters and which tags there are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from .sentence import Sentence

UNKNOWN_CHARACTER = 0
WORD_BOUNDARY = 1
_RESERVED_CHARACTERS = 2


@dataclass(frozen=True)
class Vocabulary:
    """Frequent words, characters and tags, each numbered by its place.

    A word that is not among `words` is spelled: its characters between two boundary marks. Characters are
    numbered from 2; 0 is any other character and 1 the boundary.
    """

    words: tuple[str, ...]
    characters: tuple[str, ...]
    tags: tuple[str, ...]

    @classmethod
    def of(cls, sentences: Iterable[Sentence], rare: int) -> Vocabulary:
        """The vocabulary of tagged training sentences; words seen at most `rare` times are not in it.

        A character of rare words that occurs in only one of them counts as unknown, so that the vector of
        unknown characters is trained. Raises ValueError when there is no tag.
        """
        words: Counter[str] = Counter()
        tags: set[str] = set()
        for sentence in sentences:
            words.update(sentence.words)
            tags.update(sentence.tags)
        if not tags:
            raise ValueError("a vocabulary needs tagged sentences, but none of these has a tag")
        characters = Counter(one for word, count in words.items() if count <= rare for one in set(word))
        return cls(
            words=tuple(sorted(word for word, count in words.items() if count > rare)),
            characters=tuple(sorted(one for one, count in characters.items() if count > 1)),
            tags=tuple(sorted(tags)),
        )

    @property
    def character_count(self) -> int:
        return _RESERVED_CHARACTERS + len(self.characters)

    @cached_property
    def _word_rows(self) -> dict[str, int]:
        return {word: row for row, word in enumerate(self.words)}

    @cached_property
    def _character_rows(self) -> dict[str, int]:
        return {one: row for row, one in enumerate(self.characters, start=_RESERVED_CHARACTERS)}

    @cached_property
    def _tag_rows(self) -> dict[str, int]:
        return {tag: row for row, tag in enumerate(self.tags)}

    def word_row(self, word: str) -> int | None:
        """Row of the word in the table of words, None when it has to be spelled."""
        return self._word_rows.get(word)

    def spelling(self, word: str) -> list[int]:
        """Rows of the word's characters in the table of characters, between two boundaries."""
        rows = self._character_rows
        return [WORD_BOUNDARY, *(rows.get(one, UNKNOWN_CHARACTER) for one in word), WORD_BOUNDARY]

    def tag_row(self, tag: str) -> int:
        """Number of the tag; KeyError with a sentence when training had no such tag."""
        try:
            return self._tag_rows[tag]
        except KeyError:
            raise KeyError(f"tag {tag!r} is not one of the {len(self.tags)} tags of training") from None

    def to_record(self) -> dict[str, list[str]]:
        return {"words": list(self.words), "characters": list(self.characters), "tags": list(self.tags)}

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Vocabulary:
        """The inverse of `to_record`; ValueError with what was expected when the record is not one."""
        parts: dict[str, tuple[str, ...]] = {}
        for name in ("words", "characters", "tags"):
            entries = record.get(name)
            if not isinstance(entries, list) or not all(isinstance(entry, str) for entry in entries):
                raise ValueError(f"expected a list of strings under {name!r}")
            if len(set(entries)) != len(entries):
                raise ValueError(f"expected no entry twice under {name!r}")
            parts[name] = tuple(entries)
        if not parts["tags"]:
            raise ValueError("expected at least one entry under 'tags'")
        return cls(**parts)
