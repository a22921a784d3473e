"""Clusters of words: from text files and from Python structures to the place of every word."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from weft_core.errors import WeftError

from .arguments import whole_number

PathLike: TypeAlias = str | os.PathLike[str]
# The symbols from the root to the node that a word belongs to, and the number of the word; in order of appearance.
Places: TypeAlias = list[tuple[tuple[Hashable, ...], int]]
# A line of a file as symbols and word; None for a line of another form.
Parse: TypeAlias = Callable[[str], tuple[tuple[str, ...], str] | None]

MOST_WORDS = 1 << 24

_BLANKS = re.compile("[ \t]+")


class ClusterError(WeftError, ValueError):
    """Clusters that do not give every word one place."""


def numbered(dic: Mapping[Any, int] | int) -> dict[Any, int]:
    """Words with their numbers; an int n stands for words that are the numbers 0 to n - 1 themselves.

    Raises ValueError unless the numbers are exactly 0 to n - 1, and for more words than can be meant.
    """
    if not isinstance(dic, Mapping):
        dic = whole_number("a dictionary of numbers", "its size", dic)
        if dic > MOST_WORDS:
            raise ValueError(f"a dictionary of {dic} words has no place in memory; give at most {MOST_WORDS}")
    words = dict(dic) if isinstance(dic, Mapping) else {k: k for k in range(dic)}
    if sorted(words.values()) != list(range(len(words))):
        raise ValueError(
            f"the {len(words)} words of the dictionary must have the numbers 0 to {len(words) - 1}, each once"
        )
    return words


def class_line(line: str) -> tuple[tuple[str, ...], str] | None:
    """`CLASS WORD`, further columns are ignored."""
    columns = _columns(line)
    return ((columns[0],), columns[1]) if len(columns) > 1 else None


def path_line(line: str) -> tuple[tuple[str, ...], str] | None:
    """`SYMBOL ... SYMBOL WORD`; where there is a tab, symbols are before the first one and the word is behind it."""
    head, tab, tail = line.strip(" \t").partition("\t")
    columns = _columns(head)
    if tab:
        return tuple(columns), _columns(tail)[0]
    return (tuple(columns[:-1]), columns[-1]) if len(columns) > 1 else None


def _columns(line: str) -> list[str]:
    return [column for column in _BLANKS.split(line) if column]


def read_places(path: PathLike, words: Mapping[Any, int], parse: Parse, form: str) -> Places:
    """The places of words in a text file with a word on each line.

    Raises `ClusterError` naming the line that has another form, an unknown word, or a word once more, and
    FileNotFoundError.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise FileNotFoundError(
            errno.ENOENT, f"there is no cluster file; it has a line `{form}` for every word", os.fspath(path)
        ) from None
    except UnicodeDecodeError as error:
        raise ClusterError(f"{os.fspath(path)} is not text in UTF-8: {error}") from None
    return _checked(_lines(os.fspath(path), text, parse, form), words, os.fspath(path))


def _lines(path: str, text: str, parse: Parse, form: str) -> Iterator[tuple[str, tuple[str, ...], str]]:
    # The last line needs no end.
    for number, line in enumerate(text.removesuffix("\n").split("\n"), start=1):
        parsed = parse(line)
        if parsed is None:
            raise ClusterError(f"{path}, line {number}: expected `{form}`, got {line!r}")
        yield f"{path}, line {number}", *parsed


def given_places(places: Iterable[tuple[tuple[Hashable, ...], Any]], words: Mapping[Any, int]) -> Places:
    """Places of words given in Python. Raises `ClusterError` for an unknown word, and one that is there twice."""
    return _checked((("the clusters", symbols, word) for symbols, word in places), words, "the clusters")


def _checked(found: Iterable[tuple[str, tuple[Hashable, ...], Any]], words: Mapping[Any, int], source: str) -> Places:
    places: Places = []
    first: dict[int, str] = {}
    for where, symbols, word in found:
        if word not in words:
            raise ClusterError(f"{where}: the word {word!r} is not among the {len(words)} words of the dictionary")
        number = words[word]
        if number in first:
            raise ClusterError(f"{where}: the word {word!r} has a place already ({first[number]}); give it one")
        first[number] = where
        places.append((symbols, number))
    if not places:
        raise ClusterError(f"{source} has no words; give every word a place")
    return places
