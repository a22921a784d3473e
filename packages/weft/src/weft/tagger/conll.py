"""Reading tagged text: CoNLL-U (FORM and UPOS), or `word<TAB>tag` lines with blank ones between sentences.

The format is detected from the first line that tells: ten tab-separated columns are CoNLL-U, two are word and
tag, one is a word without a tag. CoNLL-U is described at https://universaldependencies.org/format.html;
its lines of multiword tokens (`3-4`) and empty nodes (`5.1`) are not words and are left out.
"""

from __future__ import annotations

import re
from pathlib import Path

from .sentence import DataError, Sentence

CONLLU_COLUMNS = 10
_WORD_ID = re.compile(r"[1-9][0-9]*\Z")
_NO_WORD_ID = re.compile(r"[1-9][0-9]*-[1-9][0-9]*\Z|[0-9]+\.[1-9][0-9]*\Z")
_FORMATS = "CoNLL-U (10 tab-separated columns) or word<TAB>tag"


def read_tagged(path: Path) -> list[Sentence]:
    """Sentences with tags; DataError naming file and line where the file is not as expected."""
    return _read(path, tagged=True)


def read_words(path: Path) -> list[Sentence]:
    """Sentences of words alone; tags in the file, also missing ones, are disregarded."""
    return _read(path, tagged=False)


def _read(path: Path, tagged: bool) -> list[Sentence]:
    lines = _lines(path)
    columns = _columns(path, lines, tagged)
    sentences: list[Sentence] = []
    words: list[str] = []
    tags: list[str] = []
    for number, line in enumerate([*lines, ""], start=1):
        if not line.strip():
            if words:
                sentences.append(Sentence(tuple(words), tuple(tags)))
                words, tags = [], []
            continue
        pair = _word_and_tag(path, number, line, columns, tagged)
        if pair is not None:
            words.append(pair[0])
            if tagged:
                tags.append(pair[1])
    if not sentences:
        raise DataError(path, None, f"expected at least one word in {_FORMATS}, but there is none")
    return sentences


def _lines(path: Path) -> list[str]:
    data = path.read_bytes()
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DataError(path, line, f"expected UTF-8 text, found byte 0x{data[error.start]:02x}") from error
    return [line.removesuffix("\r") for line in text.split("\n")]


def _columns(path: Path, lines: list[str], tagged: bool) -> int:
    """Number of columns of the format, from the first line that is not blank and cannot be a comment."""
    for number, line in enumerate(lines, start=1):
        if not line.strip() or (line.startswith("#") and "\t" not in line):
            continue
        columns = line.count("\t") + 1
        if columns not in ((2, CONLLU_COLUMNS) if tagged else (1, 2, CONLLU_COLUMNS)):
            asked = _FORMATS if tagged else f"{_FORMATS}, or one word a line"
            raise DataError(path, number, f"expected {asked}, found {columns} column{'s' * (columns > 1)}")
        return columns
    if tagged or not any(line.strip() for line in lines):
        raise DataError(path, None, f"expected at least one word in {_FORMATS}, but there is none")
    return 1


def _word_and_tag(path: Path, number: int, line: str, columns: int, tagged: bool) -> tuple[str, str] | None:
    """Word and tag of one line, None for a line that holds no word of its own."""
    if columns == CONLLU_COLUMNS and line.startswith("#"):
        return None
    parts = line.split("\t")
    if len(parts) != columns:
        kind = {1: "one word", 2: "word<TAB>tag", CONLLU_COLUMNS: "10 tab-separated columns"}[columns]
        raise DataError(
            path,
            number,
            f"expected {kind} as in the lines before, found {len(parts)} column{'s' * (len(parts) > 1)}",
        )
    if columns == CONLLU_COLUMNS:
        if _NO_WORD_ID.match(parts[0]):
            return None
        if not _WORD_ID.match(parts[0]):
            raise DataError(
                path,
                number,
                f"expected a word number (1), a range (1-2) or an empty node (1.1) "
                f"in the first column, found {parts[0]!r}",
            )
        word, tag, tag_name = parts[1], parts[3], "UPOS (fourth column)"
    else:
        word, tag, tag_name = parts[0], parts[-1], "a tag (second column)"
    if not word.strip():
        raise DataError(path, number, "expected a word, found an empty column")
    if tagged and (not tag.strip() or (columns == CONLLU_COLUMNS and tag == "_")):
        raise DataError(path, number, f"expected {tag_name} for the word {word!r}, found none")
    return word, tag
