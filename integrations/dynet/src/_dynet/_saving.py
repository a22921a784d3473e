"""`dy.save` and `dy.load`: pairs of files as the release writes them, read without running any code of theirs."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import Any

import weft
from weft.dynet_pairs import by_order, read_entries, write_pair
from weft_core.files import PathLike
from weft_core.objects import Names, Reference, make
from weft_core.undo import all_or_nothing

from . import _builders

_BUILDERS = {
    kind.__name__: kind for kind in vars(_builders).values() if isinstance(kind, type) and kind.__module__ == "_dynet"
}


class _Imported(Names):
    """The classes that names in a file mean: the builders here, and what the program has imported by itself."""

    def __getitem__(self, reference: Reference) -> Any:
        """Raises `ParameterFileError` for what nobody knows."""
        if not reference.module:
            return _BUILDERS.get(reference.name) or super().__getitem__(reference)
        return _class(reference) or super().__getitem__(reference)


def _class(reference: Reference) -> type | None:
    """A class of a module that is imported, with what `save` asks for; None for everything else."""
    try:
        found: Any = sys.modules[reference.module]
        for part in reference.name.split("."):
            found = getattr(found, part)
    except (KeyError, AttributeError):
        return None
    is_ours = isinstance(found, type) and hasattr(found, "from_spec") and hasattr(found, "param_collection")
    return found if is_ours else None


def save(basename: PathLike, objects: Iterable[Any]) -> None:
    """Write parameters, builders and objects with `spec`, `from_spec` and `param_collection` to a pair of files.

    Raises `SaveError`, a TypeError and ValueError, for anything else, OSError when a file cannot be written.
    """
    write_pair(basename, objects)


def load(basename: PathLike, params: weft.ParameterCollection) -> list[Any]:
    """The objects of a pair of files, in the order of saving, with new parameters in a collection.

    Objects of other classes than DyNet's need the class: imported, with `from_spec` and `param_collection`.
    Raises `ParameterFileError`, a ValueError, for a class that is not there and for files that do not fit; the
    collection is then as before. FileNotFoundError where one is missing.
    """
    with all_or_nothing(params):
        return list(load_generator(basename, params))


def load_generator(basename: PathLike, params: weft.ParameterCollection) -> Iterator[Any]:
    """The objects of `load`, each made when it is asked for."""
    names = _Imported(basename)
    for entry in read_entries(basename):
        yield make(basename, entry, params, names, by_order)
