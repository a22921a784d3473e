"""DyNet's text format: a file is a sequence of records, a record one header and one or two lines of numbers.

    #Parameter# /encoder/W {2,3} 97 ZERO_GRAD
    +7.50000000e-01 -2.50000000e+00 +4.37500000e-01 +2.81250000e+00 +1.12500000e+00 +1.75000000e+00

The header holds kind, full name, dims, the bytes of the lines that follow, and whether the gradient is one of them:
`FULL_GRAD` announces a second line. Numbers are in memory (column-major) order; nine digits give every float32 back.
A look-up table has its number of rows as the last dim. A header without one of the two flags means a second line, as
in DyNet 2.0.

The reader goes by lines, never by the byte count, which editors and line ends change. It takes numbers in any decimal
spelling, and refuses what DyNet reads as zeros: a line with too few or too many numbers, and a file that ends early.
"""

from __future__ import annotations

import math
import os
import re
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

from .files import ParameterFileError, PathLike, replacing
from .shape import MAX_DIMS
from .store import Floats
from .text_numbers import numbers_of, quoted, text_of, text_size

KINDS = ("Parameter", "LookupParameter")
ZERO_GRAD, FULL_GRAD = "ZERO_GRAD", "FULL_GRAD"
COPIED_BYTES = 1 << 20
# No header is longer; a line of numbers can be.
MAX_HEADER = 1 << 16

_HEADER = re.compile(
    rb"#(?P<kind>\w{1,40})#[ \t]+(?P<name>\S(?:.*?\S)??)[ \t]+"
    rb"\{(?P<dims>(?:[0-9]{1,9}(?:,[0-9]{1,9})*)?)(?:X(?P<batch>[0-9]{1,9}))?\}[ \t]+"
    rb"(?P<bytes>[0-9]{1,18})(?:[ \t]+(?P<flag>\S+)(?:[ \t].*)?)?[ \t]*"
)


class TextFormatError(ParameterFileError, RuntimeError):
    """A text model file that is damaged, or does not hold what was asked for; names file, line and record."""


class MissingTextFile(TextFormatError, FileNotFoundError):
    """There is no such text model file."""


@dataclass(frozen=True, eq=False)
class Record:
    """A parameter or a look-up table: flat float32 arrays in memory order of `dims`, the rows of a table last.

    Without `gradients` they are zero. `line` is that of the header in the file that it comes from.
    """

    is_table: bool
    name: str
    dims: tuple[int, ...]
    values: Floats
    gradients: Floats | None = None
    line: int = 0

    @property
    def kind(self) -> str:
        """The word of the header."""
        return KINDS[self.is_table]


Wanted = Callable[[bool, str], bool]


def everything(is_table: bool, name: str) -> bool:
    """Records of any kind and name."""
    return True


def write_records(path: PathLike, records: Iterable[Record], append: bool = False) -> None:
    """Write records, behind those of the file with `append`; the file is replaced at the very end, or not at all.

    Raises ValueError for a name that no reader could tell from the rest of a header, OSError when the file cannot be
    written.
    """
    with replacing(path) as file:
        if append and os.path.exists(path):
            _copy(path, file)
        write_to(file, records)


def write_to(file: BinaryIO, records: Iterable[Record]) -> None:
    """Write records to an open file."""
    for record in records:
        file.write(header_of(record))
        for numbers in arrays_of(record):
            file.writelines(text_of(numbers))


def _copy(path: PathLike, file: BinaryIO) -> None:
    """The file so far, its last line with an end."""
    with open(os.fspath(path), "rb") as former:
        shutil.copyfileobj(former, file, COPIED_BYTES)
        if former.tell():
            former.seek(-1, os.SEEK_END)
            if former.read(1) != b"\n":
                file.write(b"\n")


def arrays_of(record: Record) -> list[Floats]:
    """The arrays that a record has lines for."""
    return [record.values] if record.gradients is None else [record.values, record.gradients]


def header_of(record: Record) -> bytes:
    """The header line of a record; raises ValueError for a name that cannot be read back."""
    flag = ZERO_GRAD if record.gradients is None else FULL_GRAD
    size = sum(text_size(numbers) for numbers in arrays_of(record))
    dims = ",".join(map(str, record.dims))
    line = f"#{record.kind}# {record.name} {{{dims}}} {size} {flag}\n".encode()
    found = _HEADER.fullmatch(line[:-1])
    if found is None or found["name"] != record.name.encode() or len(line) > MAX_HEADER:
        raise ValueError(
            f"the name {record.name!r} cannot be read back from a text model file; use letters, digits, '-' and '/'"
        )
    return line


def read_records(path: PathLike, wanted: Wanted = everything) -> list[Record]:
    """The wanted records of a file, in its order; of the others only the headers are read.

    Raises `TextFormatError`, a RuntimeError, for a file that is not whole, `MissingTextFile` where there is none.
    """
    try:
        with open(os.fspath(path), "rb") as file:
            return list(_records(path, file, wanted))
    except FileNotFoundError:
        raise MissingTextFile(f"Could not read model from {path}: there is no such file") from None


@dataclass(frozen=True)
class _Header:
    """A header line, checked."""

    is_table: bool
    name: str
    dims: tuple[int, ...]
    size: int
    has_gradients: bool


def _records(path: PathLike, file: BinaryIO, wanted: Wanted) -> Iterator[Record]:
    lines = enumerate(file, 1)
    for first, line in lines:
        header = _header(path, first, line)
        is_wanted = wanted(header.is_table, header.name)
        arrays: list[Floats] = []
        size, text, number = 0, b"", first
        for what in ("values", "gradients")[: 1 + header.has_gradients]:
            number, text = next(lines, (number + 1, b""))
            where = f"{path}:{number}: {header.name}"
            if not text or text.startswith(b"#"):
                found = "another header" if text else "the end of the file: it is truncated"
                raise TextFormatError(f"{where}: expected a line of {math.prod(header.dims)} {what}, found {found}")
            size += len(text.rstrip(b"\r\n")) + 1
            if is_wanted:
                arrays.append(_numbers(where, what, text, header.dims))
        # In a last line without end the last number may be cut short, unless nothing but the blank after it is missing.
        if not text.endswith(b"\n") and size < header.size - 1:
            raise TextFormatError(
                f"{path}:{number}: {header.name}: expected {header.size} bytes of numbers, found {size} and then "
                "the end of the file: it is truncated"
            )
        if is_wanted:
            gradients = arrays[1] if header.has_gradients else None
            yield Record(header.is_table, header.name, header.dims, arrays[0], gradients, first)


def _header(path: PathLike, number: int, line: bytes) -> _Header:
    found = _HEADER.fullmatch(line.rstrip(b"\r\n")) if len(line) <= MAX_HEADER else None
    if found is None:
        raise TextFormatError(
            f"{path}:{number}: expected the header of a record like '#Parameter# /W {{2,3}} 97 ZERO_GRAD', "
            f"found {quoted(line)}"
        )
    kind = found["kind"].decode(errors="replace")
    try:
        name = found["name"].decode()
    except UnicodeDecodeError:
        raise TextFormatError(f"{path}:{number}: expected a name in UTF-8, found {quoted(found['name'])}") from None
    if kind not in KINDS:
        raise TextFormatError(f"{path}:{number}: {name}: expected a record of {' or '.join(KINDS)}, found {kind}")
    is_table = kind == KINDS[True]
    dims = tuple(map(int, found["dims"].split(b","))) if found["dims"] else ()
    if not is_table <= len(dims) <= MAX_DIMS or 0 in dims or int(found["batch"] or 1) != 1:
        raise TextFormatError(
            f"{path}:{number}: {name}: expected at most {MAX_DIMS} dims of at least 1, no batch, and for a table its "
            f"rows; found {quoted(line[found.start('dims') - 1 : found.start('bytes')].rstrip())}"
        )
    flag = (found["flag"] or b"").decode(errors="replace")
    return _Header(is_table, name, dims, int(found["bytes"]), has_gradients=flag != ZERO_GRAD)


def _numbers(where: str, what: str, text: bytes, dims: tuple[int, ...]) -> Floats:
    """The numbers of a line; raises `TextFormatError` unless there are as many as the dims say."""
    try:
        numbers = numbers_of(text)
    except ValueError as error:
        raise TextFormatError(f"{where}: {error}") from None
    if len(numbers) != math.prod(dims):
        raise TextFormatError(
            f"{where}: expected {math.prod(dims)} {what} for dims {{{','.join(map(str, dims))}}}, found {len(numbers)}"
        )
    return numbers
