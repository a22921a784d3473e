"""DyNet's pairs of files: `NAME.data`, a text model file, and `NAME.meta`, which tells what objects its records are.

`NAME.meta` is one pickle after the other, each a tuple

    ("Parameters", "/W")    ("LookupParameters", "/E")    (class, spec, "/gru-builder/")

with classes by reference, those of DyNet in module `_dynet`. A pickle is a program, and running one from a stranger is
running a stranger's program. So the reader here knows only the instructions that make plain values, and takes a class
for its name: nothing is imported, nothing is called. A spec that holds an object of another kind cannot be read.

DyNet does not save the layer normalisation of its LSTM builders, and cannot load a builder's collection that holds more
than it has itself. So the records of `/vanilla-lstm-builder/layer-norm/` are called `/vanilla-lstm-builder-layer-norm/`
here: DyNet passes over them, and Weft finds them.
"""

from __future__ import annotations

import io
import os
import pickle
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from reprlib import repr as shortened
from typing import Any, ClassVar

from weft_core.collection import ParameterCollection
from weft_core.files import ParameterFileError, PathLike, replacing
from weft_core.objects import (
    Entry,
    Names,
    ObjectEntry,
    Reference,
    SaveError,
    entries_of,
    make_all,
    make_each,
    records_in,
)
from weft_core.text_format import Record, read_records, write_to
from weft_core.text_model import Assignment, in_order, only, with_slash

DATA, META = ".data", ".meta"
MODULE = "_dynet"
# The subcollection of a builder that DyNet's files have no place for.
NORMALISATION = "layer-norm"
KINDS = ("Parameters", "LookupParameters")
# The default of Python 3.8, the last that DyNet was built for.
PROTOCOL = 4
# Classes that DyNet can make from a spec.
CLASSES = frozenset(
    {
        "BiRNNBuilder",
        "CompactVanillaLSTMBuilder",
        "CoupledLSTMBuilder",
        "GRUBuilder",
        "SimpleRNNBuilder",
        "SparseLSTMBuilder",
        "VanillaLSTMBuilder",
    }
)
# Instructions of a pickle that make plain values; none of them calls anything.
# fmt: off
_INSTRUCTIONS = [
    "PROTO", "FRAME", "STOP", "POP", "DUP", "MARK", "NONE", "NEWTRUE", "NEWFALSE",
    "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT",
    "STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8",
    "EMPTY_TUPLE", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3", "EMPTY_LIST", "LIST", "APPEND", "APPENDS",
    "EMPTY_DICT", "DICT", "SETITEM", "SETITEMS",
    "PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE", "GET", "BINGET", "LONG_BINGET", "GLOBAL", "STACK_GLOBAL",
]
# fmt: on


def write_pair(basename: PathLike, objects: Iterable[Any]) -> None:
    """Write parameters, look-up tables, builders and objects with a `spec`, as `dynet.save` does; DyNet reads them.

    Both files are written aside first and then replaced, `.data` before `.meta`. Raises `SaveError`, a TypeError and
    ValueError, for what cannot be saved or DyNet could not load; OSError when a file cannot be written.
    """
    write_entries(basename, entries_of(objects))


def read_pair(basename: PathLike, collection: ParameterCollection, classes: Iterable[Any] = ()) -> list[Any]:
    """The objects of a pair, in the order of saving, with new parameters in a collection.

    Parameters keep their names; builders get new ones and are filled in order. `classes`: those of the objects that are
    not Weft's, and those that replace Weft's of the same name. Raises `ParameterFileError` for files that are damaged
    or do not fit, FileNotFoundError where one is missing; the collection is then as before.
    """
    names, entries = Names(basename, classes), read_entries(basename)
    return make_all(basename, entries, collection, names, by_order)


def read_pair_lazily(basename: PathLike, collection: ParameterCollection, classes: Iterable[Any] = ()) -> Iterator[Any]:
    """The objects of `read_pair`, each made when it is asked for; the files are read at once, and checked."""
    names, entries = Names(basename, classes), read_entries(basename)
    return make_each(basename, entries, collection, names, by_order)


def by_order(path: PathLike, entry: ObjectEntry, collection: ParameterCollection) -> list[Assignment]:
    """Records and the parameters that they fill: first to first, as DyNet does.

    A file of DyNet lacks the layer normalisation of a builder: it stays as new, with a warning.
    """
    data = os.fspath(path) + DATA
    weights = [p for p in collection.parameters_list() if f"/{NORMALISATION}/" not in p.name()]
    lacking = len(collection.parameters_list()) - len(weights)
    if not lacking or len(entry.members) != len(weights) + len(collection.lookup_parameters_list()):
        return in_order(data, entry.members, collection)
    warnings.warn(
        f"{data} lacks the {lacking} gains and biases of the layer normalisation of {entry.collection}, which DyNet "
        "does not save; they are those of a new builder",
        stacklevel=2,
    )
    return in_order(data, entry.members, collection, weights)


def write_entries(basename: PathLike, entries: Iterable[Entry]) -> None:
    """Write what files hold of objects; raises `SaveError` for what DyNet could not load."""
    entries = list(entries)
    pickles, records = [_pickled(entry) for entry in entries], records_in(map(_beside, entries))
    named: set[tuple[bool, str]] = set()
    for record in records:
        if (record.is_table, record.name) in named:
            raise SaveError(
                f"{os.fspath(basename)}: two parameters are called {record.name}; DyNet would load one for both"
            )
        named.add((record.is_table, record.name))
    with replacing(os.fspath(basename) + META) as meta, replacing(os.fspath(basename) + DATA) as data:
        meta.writelines(pickles)
        write_to(data, records)


def read_entries(basename: PathLike, all_records: bool = False) -> list[Entry]:
    """What a pair of files holds of objects; with `all_records`, every record must belong to one of them."""
    meta, data = os.fspath(basename) + META, os.fspath(basename) + DATA
    with open(meta, "rb") as file:
        described = list(_unpickled(meta, file.read()))
    records = read_records(data)
    entries = [_entry(meta, data, place, found, records) for place, found in enumerate(described)]
    if all_records:
        owners = Counter(record.line for record in records_in(entries))
        for record in records:
            if owners[record.line] != 1:
                raise ParameterFileError(
                    f"{data}:{record.line}: {record.name}: expected a record of one object of {meta}, "
                    f"{owners[record.line]} have it"
                )
    return entries


def _entry(meta: str, data: str, place: int, found: Any, records: list[Record]) -> Entry:
    match found:
        case ("Parameters" | "LookupParameters" as kind, str(name)):
            is_table = kind == KINDS[True]
            same = [r for r in records if r.name == name and r.is_table == is_table]
            return only(data, same, is_table, name, (r.name for r in records))
        case (Reference() as reference, spec, str(name)):
            return _inside(ObjectEntry(reference, spec, name, ()), records)
    raise ParameterFileError(
        f"{meta}: object {place}: expected (kind, name) or (class, spec, name of a collection), found "
        f"{shortened(found)}"
    )


def _beside(entry: Entry) -> Entry:
    """A builder with the names that its layer normalisation has in files."""
    if isinstance(entry, Record) or entry.reference.module:
        return entry
    inner, outer = _normalisation(entry)
    return replace(
        entry,
        members=tuple(
            replace(record, name=outer + record.name.removeprefix(inner)) if record.name.startswith(inner) else record
            for record in entry.members
        ),
    )


def _inside(entry: ObjectEntry, records: Iterable[Record]) -> ObjectEntry:
    """An object with its records, those of its layer normalisation under the names that they have in its collection."""
    prefix = with_slash(entry.collection)
    inner, outer = _normalisation(entry)
    members = []
    for record in records:
        if record.name.startswith(prefix):
            members.append(record)
        elif record.name.startswith(outer) and not entry.reference.module:
            members.append(replace(record, name=inner + record.name.removeprefix(outer)))
    return replace(entry, members=tuple(members))


def _normalisation(entry: ObjectEntry) -> tuple[str, str]:
    """How the names of a builder's layer normalisation begin: in its collection, and in files."""
    prefix = with_slash(entry.collection)
    return f"{prefix}{NORMALISATION}/", f"{prefix[:-1]}-{NORMALISATION}/"


class _Unpickler(pickle._Unpickler):
    """Python's own reader of pickles, written in Python, with the instructions that make plain values only."""

    dispatch: ClassVar[dict[int, Any]] = {
        getattr(pickle, name)[0]: pickle._Unpickler.dispatch[getattr(pickle, name)[0]] for name in _INSTRUCTIONS
    }

    def find_class(self, module: str, name: str) -> Reference:
        """The name of a class, in the place of the class."""
        return Reference("" if module in (MODULE, "dynet") else module, name)


def _unpickled(path: str, content: bytes) -> Iterator[Any]:
    """The pickles of a file, one after the other."""
    file = io.BytesIO(content)
    place = 0
    while file.tell() < len(content):
        start = file.tell()
        try:
            found = _Unpickler(file).load()
        except KeyError as error:
            instruction = error.args[0]
            if not isinstance(instruction, int):
                raise ParameterFileError(f"{path}: object {place}: damaged at byte {start}: {error}") from None
            raise ParameterFileError(
                f"{path}: object {place}: the instruction {bytes([instruction])!r} of this pickle makes something else "
                "than plain values and names of classes; it is not executed"
            ) from None
        # Whatever a damaged pickle makes of the stack: nothing but plain values can be on it.
        except Exception as error:
            raise ParameterFileError(
                f"{path}: object {place}: expected a pickle at byte {start}: {type(error).__name__}: {error}"
            ) from None
        yield found
        place += 1


class _Pickler(pickle._Pickler):
    """Python's own writer of pickles, which can also name a class that is not there."""

    dispatch: ClassVar[dict[type, Any]] = dict(pickle._Pickler.dispatch)

    def save_reference(self, reference: Reference) -> None:
        """A class as the names of its module and its own."""
        writer: Any = self
        writer.save(reference.module)
        writer.save(reference.name)
        writer.write(pickle.STACK_GLOBAL)
        writer.memoize(reference)

    dispatch[Reference] = save_reference


def _pickled(entry: Entry) -> bytes:
    """The tuple of an entry."""
    described: tuple[Any, ...]
    if isinstance(entry, Record):
        described = KINDS[entry.is_table], entry.name
    else:
        if not entry.reference.module and entry.reference.name not in CLASSES:
            raise SaveError(
                f"DyNet cannot make a {entry.reference} from its spec; save it with weft.save, or save its collection "
                "as text"
            )
        known: dict[Reference, Reference] = {}
        described = _in_dynet(entry.reference, known), _in_dynet(entry.spec, known), entry.collection
    file = io.BytesIO()
    _Pickler(file, PROTOCOL).dump(described)
    return file.getvalue()


def _in_dynet(spec: Any, known: dict[Reference, Reference]) -> Any:
    """A spec with the names that DyNet gives; equal references become one object, which is written once."""
    if isinstance(spec, Reference):
        return known.setdefault(spec, spec if spec.module else Reference(MODULE, spec.name))
    if type(spec) in (list, tuple):
        return type(spec)(_in_dynet(item, known) for item in spec)
    if type(spec) is dict:
        return {_in_dynet(key, known): _in_dynet(item, known) for key, item in spec.items()}
    return spec
