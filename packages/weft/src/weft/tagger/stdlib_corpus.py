"""Real input that every machine has: the running interpreter's standard library, names tagged by role.

The task: given the tokens of a stretch of code, say what every name in it is (`python_roles.ROLES`).
Accuracy counts names only: keywords, operators, literals and ends of line say themselves what they are
and would flatter any tagger. No module is in both parts, so no function is either.
"""

from __future__ import annotations

import sysconfig
import tokenize
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from .python_roles import ROLES, Token, tagged_lines
from .sentence import DataError, Sentence

TRAIN_MODULES = (
    "argparse",
    "cmd",
    "configparser",
    "csv",
    "difflib",
    "ftplib",
    "logging",
    "queue",
    "shutil",
    "socketserver",
    "tempfile",
    "threading",
    "unittest.case",
    "urllib.parse",
    "weakref",
)
DEV_MODULES = ("fileinput", "gzip", "http.cookies", "sched", "shelve", "textwrap")
WINDOW = 40
COUNTED_TAGS = frozenset(ROLES)


@dataclass(frozen=True)
class Corpus:
    """Training and development sentences, and the tags whose tokens accuracy counts (None: all)."""

    train: tuple[Sentence, ...]
    dev: tuple[Sentence, ...]
    counted_tags: frozenset[str] | None = None


def python_sentences(source: str, window: int = WINDOW) -> list[Sentence]:
    """Sentences of a Python source: logical lines of one top-level statement packed up to `window` tokens.

    A line is split only where it alone is longer than the window. Raises SyntaxError when the source
    does not parse.
    """
    return [
        Sentence(tuple(token.word for token in tokens), tuple(token.tag for token in tokens))
        for tokens in _pack(tagged_lines(source), window)
    ]


def _pack(lines: Iterable[Sequence[Token]], window: int) -> Iterator[list[Token]]:
    packed: list[Token] = []
    for line in lines:
        starts_a_statement = line[0].column == 0
        if packed and (starts_a_statement or len(packed) + len(line) > window):
            yield packed
            packed = []
        packed.extend(line)
        while len(packed) > window:
            yield packed[:window]
            packed = packed[window:]
    if packed:
        yield packed


def read_python(path: Path, window: int = WINDOW) -> list[Sentence]:
    """Sentences of a Python file; DataError with file and line when it is not Python of this version."""
    try:
        with tokenize.open(path) as file:
            source = file.read()
        sentences = python_sentences(source, window)
    except SyntaxError as error:
        raise DataError(path, error.lineno, f"expected Python source ({error.msg})") from error
    except ValueError as error:
        raise DataError(path, None, f"expected Python source in the encoding it declares ({error})") from error
    if not sentences:
        raise DataError(path, None, "expected at least one statement, but there is none")
    return sentences


def _module_sentences(names: Sequence[str], library: Path, window: int) -> tuple[Sentence, ...]:
    sentences: list[Sentence] = []
    for name in names:
        stem = library.joinpath(*name.split("."))
        # A module may be missing, or be a package, in another version of Python.
        for path in (stem.with_name(stem.name + ".py"), stem / "__init__.py"):
            if path.is_file():
                sentences += read_python(path, window)
                break
    if not sentences:
        raise DataError(library, None, f"expected the source of at least one of {', '.join(names)} in this folder")
    return tuple(sentences)


def load_stdlib_corpus(library: Path | None = None, window: int = WINDOW) -> Corpus:
    """The corpus of the running interpreter (or of another `library` folder), the same at every call.

    Modules that this version of Python lacks are left out; DataError when none is there at all.
    """
    folder = Path(sysconfig.get_path("stdlib")) if library is None else library
    return Corpus(
        train=_module_sentences(TRAIN_MODULES, folder, window),
        dev=_module_sentences(DEV_MODULES, folder, window),
        counted_tags=COUNTED_TAGS,
    )
