"""Objects as files hold them: parameters as records, builders and users' objects as class, spec and parameters.

An object can be saved when it has what DyNet's builders have: `spec`, the arguments that it was made with;
`param_collection()`, the collection of its parameters; and a class with `from_spec(spec, collection)`, which makes an
equal one with new parameters. A spec is plain: numbers, text, lists, tuples and dicts, classes and functions by name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from inspect import isfunction
from reprlib import repr as shortened
from types import ModuleType
from typing import Any, TypeAlias

import numpy as np

from .collection import ParameterCollection
from .errors import WeftError
from .files import ParameterFileError, PathLike
from .parameters import StoredParameter
from .text_format import Record
from .text_model import Assignment, add_record, assign, record_of, records_of
from .undo import all_or_nothing, limited

# What a spec may hold besides lists, tuples, dicts, classes and functions.
PLAIN = (bool, int, float, str, type(None))
# An object may have more numbers than the file holds of it, in parameters that were not saved: so many times as many,
# and so many more. A spec that asks for yet more is damaged.
TIMES, SPARE = 3, 100_000_000
# Modules whose names are ours under another roof.
_DYNET = ("dynet", "_dynet")


class SaveError(WeftError, TypeError, ValueError):
    """An object that cannot be saved, or not together with the others."""


@dataclass(frozen=True)
class Reference:
    """A class or function by name; the module is empty for what Weft, and DyNet, call by this name."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}" if self.module else self.name


@dataclass(frozen=True, eq=False)
class ObjectEntry:
    """A builder or a user's object: its class, its spec with `Reference`s, its collection's name and parameters."""

    reference: Reference
    spec: Any
    collection: str
    members: tuple[Record, ...]


Entry: TypeAlias = Record | ObjectEntry
# Which record fills which parameter of a new object's collection.
Match: TypeAlias = Callable[[PathLike, ObjectEntry, ParameterCollection], list[Assignment]]

_names: dict[str, Any] = {}


def register(package: ModuleType) -> None:
    """Let files name the classes with a `from_spec` and the functions that a package declares in `__all__`."""
    for name in package.__all__:
        member = getattr(package, name)
        if isfunction(member) or (isinstance(member, type) and hasattr(member, "from_spec")):
            _names[name] = member


def reference_to(member: Any) -> Reference:
    """The name of a class or function; raises `SaveError` for one that has no name of its own."""
    name = getattr(member, "__name__", "")
    if _names.get(name) is member:
        return Reference("", name)
    # Another name of it, as of `zeroes`, whose function is called `zeros`.
    for known, registered in _names.items():
        if registered is member:
            return Reference("", known)
    module, path = getattr(member, "__module__", None) or "", getattr(member, "__qualname__", name)
    if "<" in path or not path:
        raise SaveError(
            f"a file names classes and functions, {member!r} has no name that another program could look up"
        )
    return Reference("" if module in _DYNET else module, path)


def entries_of(objects: Iterable[Any]) -> list[Entry]:
    """What files hold of these objects.

    Raises `SaveError`, a TypeError and ValueError, for an object that is neither a parameter nor has spec, from_spec
    and param_collection(), for a spec that is not plain, and for a parameter that two of the objects have.
    """
    if isinstance(objects, (StoredParameter, ParameterCollection)) or not isinstance(objects, Iterable):
        raise SaveError(f"save takes a list of objects, got {type(objects).__name__}; put it into a list")
    entries: list[Entry] = []
    owners: dict[int, str] = {}
    for place, saved in enumerate(objects):
        what = f"object {place}, {type(saved).__name__}"
        if isinstance(saved, StoredParameter):
            entries.append(record_of(saved))
            members: list[StoredParameter] = [saved]
        else:
            entry, members = _object_entry(what, saved)
            entries.append(entry)
        for member in members:
            other = owners.setdefault(member.shape.parameter, what)
            if other != what:
                raise SaveError(
                    f"save: {member.name()} belongs to {other}, and to {what}; they would be loaded with one each. "
                    "Save it once"
                )
    return entries


def _object_entry(what: str, saved: Any) -> tuple[ObjectEntry, list[StoredParameter]]:
    kind = type(saved)
    lacking = [name for name in ("spec", "from_spec", "param_collection") if not hasattr(saved, name)]
    if lacking:
        raise SaveError(
            f"save: {what}, has no {' and no '.join(lacking)}: save takes parameters, look-up tables, builders, and "
            "objects with spec, from_spec(spec, collection) and param_collection(); a collection has its own save()"
        )
    collection = saved.param_collection()
    if not isinstance(collection, ParameterCollection):
        raise SaveError(f"save: {what}: param_collection() must give a ParameterCollection, not {collection!r}")
    try:
        reference, spec = reference_to(kind), plain(saved.spec)
    except SaveError as error:
        raise SaveError(f"save: {what}: {error}") from None
    members = [*collection.parameters_list(), *collection.lookup_parameters_list()]
    return ObjectEntry(reference, spec, collection.name(), tuple(records_of(collection))), members


def records_in(entries: Iterable[Entry]) -> list[Record]:
    """The parameters of all objects."""
    return [record for entry in entries for record in ([entry] if isinstance(entry, Record) else entry.members)]


def plain(value: Any) -> Any:
    """A spec as files hold it: classes and functions as `Reference`s, NumPy's numbers as Python's."""
    if type(value) in PLAIN or isinstance(value, Reference):
        return value
    if isinstance(value, np.generic) and isinstance(value.item(), PLAIN):
        return value.item()
    if type(value) in (list, tuple):
        return type(value)(plain(item) for item in value)
    if type(value) is dict:
        return {plain(key): plain(item) for key, item in value.items()}
    if isinstance(value, type) or isfunction(value):
        return reference_to(value)
    raise SaveError(
        f"its spec holds a {type(value).__name__}; a spec holds numbers, text, None, lists, tuples, dicts, classes and "
        "functions"
    )


def largest_int(spec: Any) -> int:
    """The largest whole number in a spec, at least 0."""
    if isinstance(spec, int):
        return int(spec)
    if isinstance(spec, dict):
        return max(largest_int(list(spec)), largest_int(list(spec.values())))
    return max(map(largest_int, spec), default=0) if isinstance(spec, (list, tuple)) else 0


class Names:
    """The classes and functions that the names in a file mean: those of Weft, and those given."""

    def __init__(self, path: PathLike, classes: Iterable[Any] = ()) -> None:
        self._path = path
        self._given: dict[str, Any] = {}
        for member in classes:
            name = getattr(member, "__qualname__", None)
            if name is None:
                raise TypeError(f"classes= takes classes, got {member!r}")
            if self._given.setdefault(name, member) is not member:
                raise ValueError(f"classes= has two members called {name}: a file tells them by name")

    def __getitem__(self, reference: Reference) -> Any:
        """Raises `ParameterFileError` for what nobody knows."""
        known = self._given.get(reference.name)
        if known is None and not reference.module:
            known = _names.get(reference.name)
        if known is not None:
            return known
        if reference.module:
            raise ParameterFileError(
                f"{self._path} holds an object of {reference}; import it and give it: "
                f"load(..., classes=[{reference.name}])"
            )
        raise ParameterFileError(f"{self._path} names {reference}, which this version of Weft does not have")

    def meant(self, spec: Any) -> Any:
        """A spec with the classes and functions themselves."""
        if isinstance(spec, Reference):
            return self[spec]
        if type(spec) in (list, tuple):
            return type(spec)(self.meant(item) for item in spec)
        if type(spec) is dict:
            return {self.meant(key): self.meant(item) for key, item in spec.items()}
        return spec


def make_all(
    path: PathLike, entries: Iterable[Entry], collection: ParameterCollection, names: Names, match: Match
) -> list[Any]:
    """`make` of each entry; when one fails, the collection is as before."""
    with all_or_nothing(collection):
        return [make(path, entry, collection, names, match) for entry in entries]


def make_each(
    path: PathLike, entries: Iterable[Entry], collection: ParameterCollection, names: Names, match: Match
) -> Iterator[Any]:
    """`make` of each entry when it is asked for."""
    for entry in entries:
        yield make_all(path, [entry], collection, names, match)[0]


def make(path: PathLike, entry: Entry, collection: ParameterCollection, names: Names, match: Match) -> Any:
    """The object of an entry, with new parameters in a collection, which have the values of the file.

    Raises `ParameterFileError` for a spec or parameters that do not fit; run it where additions are taken back.
    """
    if isinstance(entry, Record):
        return add_record(collection, entry)
    kind = names[entry.reference]
    if not callable(getattr(kind, "from_spec", None)):
        raise ParameterFileError(
            f"{path} holds an object of {entry.reference}, which has no from_spec(spec, collection)"
        )
    numbers = sum(len(record.values) for record in entry.members)
    # Of a builder, each of the layers has parameters, and each of the dims is one of theirs.
    if not entry.reference.module and largest_int(entry.spec) > numbers:
        raise ParameterFileError(
            f"{path}: {entry.reference} cannot have the spec {shortened(entry.spec)}: the file has {numbers} numbers "
            "of it"
        )
    try:
        with limited(collection, TIMES * numbers + SPARE):
            made = kind.from_spec(names.meant(entry.spec), collection)
            inner = made.param_collection()
    except ParameterFileError:
        raise
    except Exception as error:
        raise ParameterFileError(
            f"{path}: {entry.reference}.from_spec({shortened(entry.spec)}, ...) failed with {type(error).__name__}: "
            f"{error}"
        ) from error
    if not isinstance(inner, ParameterCollection):
        raise ParameterFileError(f"{path}: {entry.reference}.param_collection() gives no ParameterCollection")
    assign(match(path, entry, inner))
    return made
