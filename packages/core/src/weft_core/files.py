"""Parameters in safetensors files. A failed save leaves the old file whole, a failed load the parameters.

Format (https://huggingface.co/docs/safetensors): header length as 8 bytes little-endian, a JSON header that
gives dtype, shape and place of every array, then the arrays, row-major. Weft writes parameters as float32
under their full names without the leading `/`, with the logical indices of `as_array()`: every safetensors
reader sees the arrays that Weft shows.
"""

from __future__ import annotations

import json
import math
import os
import secrets
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeAlias

import numpy as np
from numpy.typing import NDArray

from . import __version__
from .errors import WeftError

if TYPE_CHECKING:
    from .collection import ParameterCollection
    from .parameters import StoredParameter

PathLike: TypeAlias = str | os.PathLike[str]

DTYPES: dict[str, np.dtype[Any]] = {
    name: np.dtype(code)
    for name, code in {
        "F64": "<f8", "F32": "<f4", "F16": "<f2", "C64": "<c8",
        "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "i1",
        "U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "u1", "BOOL": "?",
    }.items()
}  # fmt: skip
METADATA = "__metadata__"
# What Weft says of its files in the metadata: that they are its own, and which arrays are look-up tables.
FORMAT = "weft"
LOOKUPS = "lookup_parameters"
LENGTH_BYTES = 8
# The limit of the safetensors library: a longer header is taken for another kind of file.
MAX_HEADER = 100_000_000
# Names listed in a message before it says how many more there are.
LISTED = 5


class ParameterFileError(WeftError, ValueError):
    """A file that is not whole, not safetensors, or does not hold what was asked for."""


@dataclass(frozen=True)
class Entry:
    """One array in a file: bytes `start` to `end` after the header."""

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    start: int
    end: int


@dataclass(frozen=True)
class Header:
    """What a file holds: entries in the order of their bytes."""

    entries: tuple[Entry, ...]
    metadata: dict[str, str]


def save_parameters(path: PathLike, collection: ParameterCollection, metadata: Mapping[str, str] | None = None) -> None:
    """Write all parameters and look-up tables of a collection; the file is replaced at the very end, or not
    at all.

    `metadata` joins `{"format": "weft", "version": ..., "lookup_parameters": names}` in the header. Raises ValueError
    for two parameters of one name, OSError when the file cannot be written.
    """
    metadata = dict(metadata or {})
    reserved = metadata.keys() & {"format", "version", "objects", LOOKUPS}
    if reserved:
        raise ValueError(f"save_parameters writes the metadata {sorted(reserved)} itself; choose other keys")
    arrays = {name: parameter.seen_values() for name, parameter in named_parameters(collection).items()}
    tables = [table.name().removeprefix("/") for table in collection.lookup_parameters_list()]
    facts = {"format": FORMAT, "version": __version__, LOOKUPS: json.dumps(tables, ensure_ascii=False)}
    save_arrays(path, arrays, {**facts, **metadata})


def load_parameters(path: PathLike, collection: ParameterCollection) -> dict[str, str]:
    """Fill the parameters of a collection by name, from a file that holds exactly these; returns the file's
    metadata.

    Raises `ParameterFileError` for missing or unknown names, another shape or dtype, and a damaged file; the
    collection is then as before.
    """
    parameters = named_parameters(collection)
    with open(os.fspath(path), "rb") as file:
        header = read_header(file, path)
        check_match(path, header, parameters)
        arrays = dict(read_entries(file, path, header))
    for name, parameter in parameters.items():
        parameter.values[...] = arrays[name]
    return header.metadata


def read_parameters(path: PathLike) -> dict[str, NDArray[Any]]:
    """All arrays of a safetensors file by name. Raises `ParameterFileError` for a damaged file."""
    return load_arrays(path)[0]


def named_parameters(collection: ParameterCollection) -> dict[str, StoredParameter]:
    """Parameters and look-up tables by the names that files use; raises ValueError for two of one name."""
    if not hasattr(collection, "lookup_parameters_list"):
        raise TypeError(f"parameters of a ParameterCollection are saved and loaded, got {type(collection).__name__}")
    members: list[StoredParameter] = [*collection.parameters_list(), *collection.lookup_parameters_list()]
    named: dict[str, StoredParameter] = {}
    for parameter in members:
        if named.setdefault(parameter.name().removeprefix("/"), parameter) is not parameter:
            raise ValueError(
                f"{collection.name()} has two parameters called {parameter.name()}, as loading from files can make; "
                "a file by names holds one: save them as text, or build the model anew"
            )
    return named


def check_match(path: PathLike, header: Header, parameters: Mapping[str, StoredParameter]) -> None:
    """Raise `ParameterFileError` unless the file holds these parameters, all of them, and nothing else."""
    found = {entry.name: entry for entry in header.entries}
    missing = [name for name in parameters if name not in found]
    unknown = [name for name in found if name not in parameters]
    if missing or unknown:
        parts = [f"the file lacks {listed(missing)}"] * bool(missing)
        parts += [f"the model lacks {listed(unknown)}"] * bool(unknown)
        raise ParameterFileError(
            f"{path} does not fit the model: {'; '.join(parts)}. Build the model as it was when it was saved"
        )
    for name, parameter in parameters.items():
        entry, dims = found[name], parameter.shape()
        if entry.shape != dims:
            raise ParameterFileError(f"{path}: {name} has shape {entry.shape} in the file, {dims} in the model")
        if entry.dtype != np.dtype("<f4"):
            raise ParameterFileError(f"{path}: {name} has dtype {entry.dtype} in the file, parameters are float32")


def listed(names: list[str]) -> str:
    """The first few names, and how many more."""
    more = len(names) - LISTED
    return ", ".join(map(repr, names[:LISTED])) + (f" and {more} more" if more > 0 else "")


def save_arrays(path: PathLike, arrays: Mapping[str, NDArray[Any]], metadata: Mapping[str, str] | None = None) -> None:
    """Write arrays by name as safetensors, replacing the file at the very end, or not at all.

    Raises ValueError for a dtype that the format does not know, TypeError for metadata that is not text.
    """
    codes = {dtype: code for code, dtype in DTYPES.items()}
    header: dict[str, Any] = {METADATA: dict(metadata)} if metadata else {}
    for item in (metadata or {}).items():
        if not all(isinstance(text, str) for text in item):
            raise TypeError(f"metadata of a safetensors file maps str to str, got {item!r}")
    # Wide types first: so every array starts on a multiple of its own element size.
    ordered = sorted(arrays.items(), key=lambda item: -np.asarray(item[1]).dtype.itemsize)
    contents: list[NDArray[Any]] = []
    place = 0
    for name, array in ordered:
        array = np.asarray(array)
        little = array.dtype.newbyteorder("<")
        if little not in codes or name == METADATA:
            known = ", ".join(codes.values())
            raise ValueError(f"cannot save {name!r} of dtype {array.dtype} as safetensors; known dtypes: {known}")
        span = [place, place + array.size * little.itemsize]
        header[name] = {"dtype": codes[little], "shape": list(array.shape), "data_offsets": span}
        contents.append(array)
        place = span[1]
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % LENGTH_BYTES)
    if len(text) > MAX_HEADER:
        raise ValueError(
            f"the header of a safetensors file has at most {MAX_HEADER} bytes, these names need {len(text)}"
        )
    with replacing(path) as file:
        file.write(len(text).to_bytes(LENGTH_BYTES, "little") + text)
        for array in contents:
            if array.size:
                file.write(np.ascontiguousarray(array, array.dtype.newbyteorder("<")).data)


def load_arrays(path: PathLike) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
    """Arrays by name and the metadata of a safetensors file.

    Raises `ParameterFileError` for a damaged file, OSError for one that cannot be read.
    """
    with open(os.fspath(path), "rb") as file:
        header = read_header(file, path)
        return dict(read_entries(file, path, header)), header.metadata


@contextmanager
def replacing(path: PathLike) -> Iterator[BinaryIO]:
    """A new file that takes the place of `path` when the block ends well, and vanishes when it does not.

    Its bytes are on the disk before it gets the name: after a crash there is the old file or the new one,
    whole.
    """
    target = Path(os.path.realpath(path))
    aside = target.with_name(f".weft-{secrets.token_hex(8)}.tmp")
    try:
        opened = open(aside, "xb")  # noqa: SIM115 - closed below
    except OSError as error:
        # The name of the file that was asked for, not of the one beside it.
        raise OSError(error.errno, error.strerror, str(path)) from None
    try:
        with opened as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if target.exists():
            os.chmod(aside, target.stat().st_mode & 0o7777)
        os.replace(aside, target)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise
    sync_directory(target.parent)


def sync_directory(directory: Path) -> None:
    """Bring a renaming to the disk, where the system can do that for directories."""
    try:
        handle = os.open(directory, os.O_RDONLY)
    except OSError:  # Windows opens no directories
        return
    try:
        os.fsync(handle)
    except OSError:  # some network file systems refuse; the new file is complete all the same
        pass
    finally:
        os.close(handle)


def read_header(file: BinaryIO, path: PathLike) -> Header:
    """Read and check the header: every array known, every byte of the file in exactly one array."""
    size = os.fstat(file.fileno()).st_size
    start = file.read(LENGTH_BYTES)
    length = int.from_bytes(start, "little")
    if len(start) < LENGTH_BYTES:
        raise ParameterFileError(
            f"{path} is truncated: {len(start)} bytes, a safetensors file starts with {LENGTH_BYTES}"
        )
    if length > MAX_HEADER:
        raise ParameterFileError(f"{path} is not a safetensors file: it begins with a header length of {length} bytes")
    if length > size - LENGTH_BYTES:
        raise ParameterFileError(
            f"{path} is truncated, or not a safetensors file: it announces a header of {length} bytes, "
            f"{size - LENGTH_BYTES} follow"
        )
    try:
        content = json.loads(file.read(length).decode(), object_pairs_hook=unique)
    except (ValueError, RecursionError) as error:
        raise ParameterFileError(
            f"{path} is not a safetensors file, or damaged: its header is not JSON: {error}"
        ) from None
    if not isinstance(content, dict):
        raise ParameterFileError(f"{path} is not a safetensors file: its header is a {type(content).__name__}")
    metadata = content.pop(METADATA, {})
    if not isinstance(metadata, dict) or not all(isinstance(text, str) for text in metadata.values()):
        raise ParameterFileError(f"{path} is damaged: its {METADATA} must map names to text")
    entries = sorted(
        (parse_entry(path, name, fields) for name, fields in content.items()), key=lambda e: (e.start, e.end)
    )
    check_places(path, entries, size - LENGTH_BYTES - length)
    return Header(tuple(entries), metadata)


def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object whose names all differ."""
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a name occurs twice")
    return result


def parse_entry(path: PathLike, name: str, fields: Any) -> Entry:
    """One entry of the header, checked."""
    if not isinstance(fields, dict) or fields.keys() != {"dtype", "shape", "data_offsets"}:
        raise ParameterFileError(f"{path} is damaged: {name!r} needs dtype, shape and data_offsets, got {fields!r}")
    dtype, shape, places = fields["dtype"], fields["shape"], fields["data_offsets"]
    if not isinstance(dtype, str) or dtype not in DTYPES:
        raise ParameterFileError(f"{path}: {name!r} has dtype {dtype!r}; this reader knows {', '.join(DTYPES)}")
    if not is_sizes(shape) or not is_sizes(places) or len(places) != 2:
        raise ParameterFileError(f"{path} is damaged: {name!r} has shape {shape!r} and place {places!r}")
    needed = math.prod(shape) * DTYPES[dtype].itemsize
    if places[1] - places[0] != needed:
        raise ParameterFileError(
            f"{path} is damaged: {name!r} of dtype {dtype} and shape {shape} needs {needed} bytes, its "
            f"place is {places}"
        )
    return Entry(name, DTYPES[dtype], tuple(shape), *places)


def is_sizes(value: Any) -> bool:
    """A list of ints of at least 0."""
    return isinstance(value, list) and all(type(v) is int and v >= 0 for v in value)


def check_places(path: PathLike, entries: Iterable[Entry], size: int) -> None:
    """Arrays follow each other without gap or overlap and end with the file."""
    place = 0
    for entry in entries:
        if entry.start != place:
            raise ParameterFileError(
                f"{path} is damaged: {entry.name!r} starts at byte {entry.start} of the data, expected {place}"
            )
        place = entry.end
    if place > size:
        raise ParameterFileError(f"{path} is truncated: the arrays need {place} bytes, the file has {size}")
    if place < size:
        raise ParameterFileError(f"{path} is damaged: {size - place} bytes follow the last array")


def read_entries(file: BinaryIO, path: PathLike, header: Header) -> Iterator[tuple[str, NDArray[Any]]]:
    """The arrays of a file whose header has just been read, in the order of their bytes."""
    for entry in header.entries:
        content = bytearray(entry.end - entry.start)
        got = file.readinto(content)  # type: ignore[attr-defined]
        if got != len(content):
            raise ParameterFileError(
                f"{path}: {entry.name!r} ends after {got} of {len(content)} bytes; the file changed while it was read"
            )
        try:
            array = np.frombuffer(content, entry.dtype).reshape(entry.shape)
        except ValueError as error:
            raise ParameterFileError(f"{path}: {entry.name!r} of shape {entry.shape} is no array: {error}") from None
        yield entry.name, array
