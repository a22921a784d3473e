"""Collections and parameters in text model files: which record fills which parameter, checked before one changes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from .files import PathLike, listed
from .store import LookupTable, owner, parameter_arrays, seen_gradients, seen_values
from .text_format import Record, TextFormatError, read_records, write_records

if TYPE_CHECKING:
    from .collection import ParameterCollection
    from .parameters import StoredParameter

Assignment: TypeAlias = "tuple[StoredParameter, Record]"


def record_of(parameter: StoredParameter, name: str = "") -> Record:
    """A parameter as a record of views, under its own name or another; gradients only where one is not zero."""
    id = parameter.shape.parameter
    gradients = seen_gradients(id)
    given = gradients if gradients.any() else None
    return Record(is_table(parameter), name or parameter.name(), parameter.shape.dims, seen_values(id), given)


def records_of(collection: ParameterCollection) -> list[Record]:
    """All parameters of a collection, then all its look-up tables, in order of creation."""
    return [record_of(p) for p in (*collection.parameters_list(), *collection.lookup_parameters_list())]


def is_table(parameter: StoredParameter) -> bool:
    """Whether it is a look-up table."""
    return isinstance(owner(parameter.shape.parameter), LookupTable)


def save_collection(path: PathLike, collection: ParameterCollection, key: str, append: bool) -> None:
    """Write a collection; with a key `/k`, under names `/k/...` in the place of the collection's own name."""
    if key:
        _check_key("save", key)
        if not key.startswith("/") or key == "/":
            raise ValueError(f"save: a name for all parameters starts with '/', like '/encoder'; got {key!r}")
    records = records_of(collection)
    if key:
        start = collection.name()
        names = [with_slash(key) + record.name.removeprefix(start).removeprefix("/") for record in records]
        records = [replace(record, name=name) for record, name in zip(records, names)]
    write_records(path, records, append)


def save_parameter(path: PathLike, parameter: StoredParameter, key: str, append: bool) -> None:
    """Write one parameter, under its own name or `key`."""
    _check_key("save", key)
    write_records(path, [record_of(parameter, key)], append)


def populate_collection(path: PathLike, collection: ParameterCollection, key: str) -> None:
    """Fill a collection in order, from all records or from those below `key`."""
    prefix = with_slash(key)
    assign(in_order(path, read_records(path, lambda is_table, name: name.startswith(prefix)), collection))


def populate_parameter(path: PathLike, parameter: StoredParameter, key: str) -> None:
    """Fill one parameter from the record of this name."""
    record = find_record(path, is_table(parameter), key)
    check_dims(path, record, parameter)
    assign([(parameter, record)])


def load_parameter(path: PathLike, collection: ParameterCollection, key: str, is_table: bool) -> StoredParameter:
    """A new parameter or look-up table of a collection from the record of this name, which it keeps."""
    return add_record(collection, find_record(path, is_table, key))


def add_record(collection: ParameterCollection, record: Record) -> StoredParameter:
    """A new parameter or look-up table of a collection, with the name of the record."""
    parameter = collection.add_saved(record.name, record.is_table, record.dims, record.values)
    assign([(parameter, record)])
    return parameter


def find_record(path: PathLike, is_table: bool, key: str) -> Record:
    """The record of this kind and name; raises `TextFormatError` when there is none, or more than one."""
    if not key:
        raise ValueError("a parameter is read by its name in the file: the key must not be empty")
    others: list[str] = []

    def wanted(found_table: bool, name: str) -> bool:
        if name != key or found_table != is_table:
            others.append(f"{name} (a look-up table)" if found_table else name)
            return False
        return True

    return only(path, read_records(path, wanted), is_table, key, others)


def only(path: PathLike, found: Sequence[Record], is_table: bool, key: str, others: Iterable[str] = ()) -> Record:
    """The one record found under a name; raises `TextFormatError` for none or several."""
    what = "look-up table" if is_table else "parameter"
    if not found:
        held = listed(list(others))
        raise TextFormatError(
            f"{path}: Could not find key {key} in the model file: there is no {what} of this name, only "
            f"{held or 'an empty file'}"
        )
    if len(found) > 1:
        lines = " and ".join(str(record.line) for record in found[:2])
        raise TextFormatError(
            f"{path}:{found[1].line}: {key}: expected one {what} of this name, found several, on lines {lines}"
        )
    return found[0]


def in_order(
    path: PathLike,
    records: Iterable[Record],
    collection: ParameterCollection,
    parameters: Sequence[StoredParameter] | None = None,
) -> list[Assignment]:
    """Records and the parameters that they fill: n-th parameter to n-th parameter, n-th table to n-th table.

    `parameters`: those of the collection that are to be filled, all unless given. Raises `TextFormatError` for another
    number of them, and for other dims.
    """
    weights = collection.parameters_list() if parameters is None else parameters
    places: list[Sequence[StoredParameter]] = [weights, collection.lookup_parameters_list()]
    kinds = "parameters", "look-up tables"
    counts = [0, 0]
    assignments: list[Assignment] = []
    for record in records:
        members = places[record.is_table]
        if counts[record.is_table] == len(members):
            raise TextFormatError(
                f"{path}:{record.line}: {record.name}: expected {len(members)} {kinds[record.is_table]}, as many as "
                f"the collection {collection.name()} has; this is one more"
            )
        parameter = members[counts[record.is_table]]
        check_dims(path, record, parameter)
        assignments.append((parameter, record))
        counts[record.is_table] += 1
    for kind, count, members in zip(kinds, counts, places):
        if count != len(members):
            raise TextFormatError(
                f"{path}: expected {len(members)} {kind}, as many as the collection {collection.name()} has; found "
                f"{count}, the record for {members[count].name()} is missing"
            )
    return assignments


def check_dims(path: PathLike, record: Record, parameter: StoredParameter) -> None:
    """Raise `TextFormatError` unless a record has the dims of a parameter."""
    if record.dims != parameter.shape.dims:
        raise TextFormatError(
            f"{path}:{record.line}: {record.name}: expected dims {_braced(parameter.shape.dims)}, those of "
            f"{parameter.name()}; found {_braced(record.dims)}"
        )


def assign(assignments: Iterable[Assignment]) -> None:
    """Values and gradients into their parameters."""
    for parameter, record in assignments:
        values, gradients = parameter_arrays(parameter.shape.parameter)
        values[:] = record.values
        slot = owner(parameter.shape.parameter)
        if isinstance(slot, LookupTable):
            slot.clear_gradients()
        if record.gradients is not None:
            gradients[:] = record.gradients
            if isinstance(slot, LookupTable):
                slot.touch(np.flatnonzero(slot.gradients.any(axis=1)))
        elif gradients.any():
            # The gradients of a large table take no memory until one is written.
            gradients[:] = 0


def with_slash(key: str) -> str:
    """A key as the beginning of names: it ends with `/`; the empty key is the beginning of all."""
    if not isinstance(key, str):
        raise TypeError(f"a key is the beginning of names in a file, a str, got {type(key).__name__}")
    return key if not key or key.endswith("/") else key + "/"


def _check_key(name: str, key: str) -> None:
    if not isinstance(key, str):
        raise TypeError(f"{name}: a name is a str, got {type(key).__name__}")
    if " " in key or "#" in key:
        raise ValueError(f"{name}: a name in a text model file has no blank and no '#', got {key!r}")


def _braced(dims: tuple[int, ...]) -> str:
    return "{" + ",".join(map(str, dims)) + "}"
