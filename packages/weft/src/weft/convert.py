"""Model files from one format into another: DyNet's text, DyNet's pair of files, and safetensors.

Values, names, dims and the order stay; gradients do not. Builders and users' objects stay objects where the new format
has them; as text, they are their parameters. No class is needed: objects are handed on by name.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from weft_core import object_files
from weft_core.files import PathLike
from weft_core.objects import Entry, ObjectEntry, records_in
from weft_core.text_format import Record, read_records, write_records

from . import dynet_pairs

SAFETENSORS = ".safetensors"


def convert(old: PathLike, new: PathLike, pair: bool = False) -> str:
    """Read `old`, write `new`, and say in a line what was written.

    `old` is a text model file, a safetensors file, or the base name of a pair of `.data` and `.meta`. `new` becomes a
    safetensors file when its name ends so, the base name of a pair with `pair`, otherwise a text model file.
    Raises `ParameterFileError` for a file that is damaged, ValueError for what the new format cannot hold, OSError for
    files that cannot be read or written; `new` is then as before.
    """
    old, new = os.fspath(old), os.fspath(new)
    if pair and new.endswith(SAFETENSORS):
        raise ValueError(f"{new}: a pair has a base name without ending, to which .data and .meta are added")
    entries = [_without_gradients(entry) for entry in read(old)]
    if pair:
        dynet_pairs.write_entries(new, entries)
        name = f"{new}{dynet_pairs.DATA} and {new}{dynet_pairs.META}"
    elif new.endswith(SAFETENSORS):
        object_files.write_entries(new, entries)
        name = new
    else:
        write_records(new, records_in(entries))
        name = new
    return f"wrote {name}: {contents(entries)}"


def read(path: str) -> list[Entry]:
    """What a file, or a pair, holds of objects, whatever its format."""
    base = path.removesuffix(dynet_pairs.META)
    if os.path.isfile(path) and base == path:
        with open(path, "rb") as file:
            # A safetensors file begins with the length of a header in JSON.
            is_safetensors = path.endswith(SAFETENSORS) or file.read(9)[8:] == b"{"
        if is_safetensors:
            return object_files.read_entries(path)
        return list(read_records(path))
    if not os.path.exists(base + dynet_pairs.META):
        raise FileNotFoundError(
            errno.ENOENT, f"there is no such file, and no pair {Path(base).name}.data and {Path(base).name}.meta", path
        )
    return dynet_pairs.read_entries(base, all_records=True)


def contents(entries: Iterable[Entry]) -> str:
    """How much there is of everything."""
    entries = list(entries)
    records = records_in(entries)
    objects = sum(isinstance(entry, ObjectEntry) for entry in entries)
    tables = sum(record.is_table for record in records)
    parts = [_counted(len(records) - tables, "parameter"), _counted(tables, "look-up table")]
    numbers = _counted(sum(len(record.values) for record in records), "number")
    return f"{' and '.join(parts)}, {numbers}" + (f"; {_counted(objects, 'object')} with a spec" if objects else "")


def _counted(count: int, what: str) -> str:
    return f"{count} {what}" + ("s" if count != 1 else "")


def _without_gradients(entry: Entry) -> Entry:
    if isinstance(entry, Record):
        return replace(entry, gradients=None)
    return replace(entry, members=tuple(replace(record, gradients=None) for record in entry.members))
