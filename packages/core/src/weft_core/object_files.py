"""Objects in one safetensors file: parameters, builders and users' objects, listed in the metadata. No pickle.

The metadata's `objects` is JSON: `{"version": 1, "objects": [...]}`, in the order of saving, each one of

    {"type": "Parameters" or "LookupParameters", "name": "/W", "array": "W"}
    {"type": "object", "class": {"name": "GRUBuilder"}, "spec": ..., "collection": "/gru-builder/",
     "parameters": {"_0": "gru-builder/_0", ...}, "lookup_parameters": {...}}

where values of the last two, and of `array`, name arrays of the file; those of look-up tables have the row first. A
class that is not Weft's has a `module`. In a spec, a tuple is `{"tuple": [...]}`, a dict is
`{"dict": [[key, value], ...]}`, a class or function `{"name": ..., "module": ...}`, and a float that JSON lacks
`{"float": "nan"}`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from reprlib import repr as shortened
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import __version__
from .collection import ParameterCollection
from .files import FORMAT, LOOKUPS, ParameterFileError, PathLike, listed, load_arrays, save_arrays
from .objects import PLAIN, Entry, Names, ObjectEntry, Reference, entries_of, make_all, make_each
from .parameters import LookupParameters, Parameters
from .text_format import Record
from .text_model import Assignment

OBJECTS = "objects"
VERSION = 1
KINDS = (Parameters.__name__, LookupParameters.__name__)


def save(path: PathLike, objects: Iterable[Any]) -> None:
    """Write parameters, look-up tables, builders, and objects of your own; `load` makes them anew.

    An object of your own has `spec`, plain arguments that it was made with, `param_collection()`, and a class with
    `from_spec(spec, collection)`. The file is replaced at the very end, or not at all.
    Raises `SaveError`, a TypeError and ValueError, for what cannot be saved; OSError when the file cannot be written.
    """
    write_entries(path, entries_of(objects))


def load(path: PathLike, collection: ParameterCollection, classes: Iterable[Any] = ()) -> list[Any]:
    """The objects that `save` has written, in its order, with new parameters in a collection.

    Parameters keep their names; builders get new ones. `classes`: those of your own objects.
    Raises `ParameterFileError` for any other file, a class that is not given, and parameters that do not fit; the
    collection is then as before.
    """
    names, entries = Names(path, classes), read_entries(path)
    return make_all(path, entries, collection, names, by_name)


def load_generator(path: PathLike, collection: ParameterCollection, classes: Iterable[Any] = ()) -> Iterator[Any]:
    """The objects of `load`, each made when it is asked for; the file is read at once, and checked."""
    names, entries = Names(path, classes), read_entries(path)
    return make_each(path, entries, collection, names, by_name)


def by_name(path: PathLike, entry: ObjectEntry, collection: ParameterCollection) -> list[Assignment]:
    """Records and the parameters that they fill, by their names within their collections."""
    start = collection.name()
    places = [
        {p.name().removeprefix(start): p for p in members}
        for members in (collection.parameters_list(), collection.lookup_parameters_list())
    ]
    assignments: list[Assignment] = []
    unknown = []
    for record in entry.members:
        name = record.name.removeprefix(entry.collection)
        parameter = places[record.is_table].pop(name, None)
        if parameter is None:
            unknown.append(name)
            continue
        if parameter.shape.dims != record.dims:
            raise ParameterFileError(
                f"{path}: {parameter.name()} has dims {record.dims} in the file, {parameter.shape.dims} in the object"
            )
        assignments.append((parameter, record))
    missing = [name for members in places for name in members]
    if unknown or missing:
        parts = [f"the file lacks {listed(missing)}"] * bool(missing)
        parts += [f"the object lacks {listed(unknown)}"] * bool(unknown)
        raise ParameterFileError(f"{path} does not fit the object of {start}: {'; '.join(parts)}")
    return assignments


# Writing


def write_entries(path: PathLike, entries: Iterable[Entry]) -> None:
    """Write what files hold of objects."""
    arrays: dict[str, NDArray[Any]] = {}

    def place(record: Record) -> str:
        """Under the record's name, or where that is taken, with a number."""
        name = key = record.name.removeprefix("/") or "/"
        count = 1
        while key in arrays:
            count += 1
            key = f"{name}#{count}"
        arrays[key] = array_of(record)
        return key

    described = [_description(entry, place) for entry in entries]
    text = json.dumps({"version": VERSION, "objects": described}, ensure_ascii=False, allow_nan=False)
    save_arrays(path, arrays, {"format": FORMAT, "version": __version__, OBJECTS: text})


def _description(entry: Entry, place: Callable[[Record], str]) -> dict[str, Any]:
    if isinstance(entry, Record):
        return {"type": KINDS[entry.is_table], "name": entry.name, "array": place(entry)}
    parts: list[dict[str, str]] = [{}, {}]
    for record in entry.members:
        name = record.name.removeprefix(entry.collection)
        if name in parts[record.is_table]:
            raise ValueError(f"the collection {entry.collection} has two members called {record.name}")
        parts[record.is_table][name] = place(record)
    return {
        "type": "object",
        "class": _encoded(entry.reference),
        "spec": _encoded(entry.spec),
        "collection": entry.collection,
        "parameters": parts[0],
        "lookup_parameters": parts[1],
    }


def _encoded(spec: Any) -> Any:
    """A spec as JSON holds it."""
    if isinstance(spec, Reference):
        return {"name": spec.name, "module": spec.module} if spec.module else {"name": spec.name}
    if type(spec) is tuple:
        return {"tuple": [_encoded(item) for item in spec]}
    if type(spec) is list:
        return [_encoded(item) for item in spec]
    if type(spec) is dict:
        return {"dict": [[_encoded(key), _encoded(item)] for key, item in spec.items()]}
    if type(spec) is float and not math.isfinite(spec):
        return {"float": repr(spec)}
    return spec


def array_of(record: Record) -> NDArray[Any]:
    """The array of a record with indices as in `as_array()`: the row of a table first."""
    array = record.values.reshape(record.dims, order="F")
    return np.moveaxis(array, -1, 0) if record.is_table else array


def record_of_array(name: str, is_table: bool, array: NDArray[Any]) -> Record:
    """The record of an array with indices as in `as_array()`."""
    logical = np.moveaxis(array, 0, -1) if is_table else array
    return Record(is_table, name, logical.shape, logical.ravel(order="F").astype(np.float32))


# Reading


def read_entries(path: PathLike) -> list[Entry]:
    """What a file of `save`, or of `save_parameters`, holds of objects.

    Raises `ParameterFileError` for any other file.
    """
    arrays, metadata = load_arrays(path)
    if metadata.get("format") != FORMAT or not (OBJECTS in metadata or LOOKUPS in metadata):
        raise ParameterFileError(
            f"{path} does not tell what its arrays are: expected a file that save() or save_parameters() has written"
        )
    for name, array in arrays.items():
        if array.dtype != np.float32 or 0 in array.shape:
            raise ParameterFileError(
                f"{path}: {name} is {array.dtype} {array.shape}; expected float32 without empty axes"
            )
    if OBJECTS not in metadata:
        tables = _lookups(path, metadata[LOOKUPS])
        return [record_of_array("/" + name, name in tables, array) for name, array in arrays.items()]
    return _Listing(path, arrays).entries(metadata[OBJECTS])


def _lookups(path: PathLike, text: str) -> list[Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, list):
        raise ParameterFileError(f"{path} is damaged: {LOOKUPS} must be a list of names, found {text[:60]!r}")
    return found


class _Listing:
    """Reads the list of objects; every array must be named once."""

    def __init__(self, path: PathLike, arrays: Mapping[str, NDArray[Any]]) -> None:
        self._path = path
        self._arrays = dict(arrays)
        self._where = ""

    def _error(self, problem: str) -> ParameterFileError:
        return ParameterFileError(f"{self._path} is damaged: {self._where or 'the list of objects'}: {problem}")

    def entries(self, text: str) -> list[Entry]:
        try:
            content = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise self._error(f"expected JSON: {error}") from None
        if not isinstance(content, dict) or not isinstance(content.get("objects"), list):
            raise self._error('expected {"version": 1, "objects": [...]}')
        if content.get("version") != VERSION:
            raise ParameterFileError(
                f"{self._path} lists its objects in version {content.get('version')!r} of the format; this version of "
                f"Weft reads version {VERSION}"
            )
        found = []
        for place, description in enumerate(content["objects"]):
            self._where = f"object {place}"
            try:
                found.append(self._entry(description))
            except RecursionError:
                raise self._error("nested too deeply") from None
        self._where = ""
        if self._arrays:
            raise self._error(f"no object has the arrays {listed(list(self._arrays))}")
        return found

    def _entry(self, description: Any) -> Entry:
        match description:
            case {"type": "Parameters" | "LookupParameters" as kind, "name": str(name), "array": str(key)}:
                return self._record(name, kind == KINDS[True], key)
            case {
                "type": "object",
                "class": dict(reference),
                "spec": spec,
                "collection": str(collection),
                "parameters": dict(parameters),
                "lookup_parameters": dict(tables),
            }:
                members = [
                    self._record(name if name.startswith("/") else collection + name, is_table, key)
                    for is_table, names in ((False, parameters), (True, tables))
                    for name, key in names.items()
                ]
                decoded = self._decoded(reference)
                if isinstance(decoded, Reference):
                    return ObjectEntry(decoded, self._decoded(spec), collection, tuple(members))
        raise self._error(f"expected a parameter or an object, found {shortened(description)}")

    def _record(self, name: str, is_table: bool, key: Any) -> Record:
        array = self._arrays.pop(key, None) if isinstance(key, str) else None
        if array is None:
            raise self._error(f"the file has no array {key!r}, or another object has it")
        if is_table and array.ndim == 0:
            raise self._error(f"the look-up table {name} has no axis of rows")
        return record_of_array(name, is_table, array)

    def _decoded(self, spec: Any) -> Any:
        """A spec from what JSON holds of it."""
        if type(spec) in PLAIN:
            return spec
        if isinstance(spec, list):
            return [self._decoded(item) for item in spec]
        match spec:
            case {"tuple": list(items), **rest} if not rest:
                return tuple(self._decoded(item) for item in items)
            case {"dict": list(items), **rest} if not rest and all(isinstance(i, list) and len(i) == 2 for i in items):
                try:
                    return {self._decoded(key): self._decoded(item) for key, item in items}
                except TypeError:
                    raise self._error(f"a dict of the spec has a key that cannot be one: {shortened(items)}") from None
            case {"name": str(name), "module": str(module), **rest} if not rest:
                return Reference(module, name)
            case {"name": str(name), **rest} if not rest:
                return Reference("", name)
            case {"float": "nan" | "inf" | "-inf" as text, **rest} if not rest:
                return float(text)
        raise self._error(f"the spec holds {shortened(spec)}")
