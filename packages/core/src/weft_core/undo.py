"""What loading objects may do to a collection: all or nothing, and no more than a file asks for in earnest."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from .collection import ParameterCollection
from .store import ParameterStore, addresses


@contextmanager
def all_or_nothing(collection: ParameterCollection) -> Iterator[None]:
    """A block that adds to a collection: when it raises, the collection and its ancestors are as before it.

    What it had added is gone: expressions of it raise `StaleExpression`. Other threads wait to add theirs.
    """
    if not isinstance(collection, ParameterCollection):
        raise TypeError(f"new parameters need a ParameterCollection, got {type(collection).__name__}")
    store = collection.store
    with store.lock:
        before = [
            (c, len(c._parameters), len(c._lookups), dict(c._names), dict(c._collections))
            for c in collection._with_ancestors()
        ]
        counts = store.used, len(store.dense), len(store.tables), len(store._ids)
        try:
            yield
        except BaseException:
            for c, parameters, lookups, names, collections in before:
                del c._parameters[parameters:], c._lookups[lookups:]
                c._names, c._collections = names, collections
            for number in store._ids[counts[-1] :]:
                collection._decays.pop(number, None)
            _shrink(store, *counts)
            raise


@contextmanager
def limited(collection: ParameterCollection, room: int) -> Iterator[None]:
    """A block that may add this many numbers to a collection, in parameters that are not arrays yet.

    A damaged file may ask for parameters of any size, and memory that is promised but not there ends the process.
    """
    store = collection.store
    with store.lock:
        store.room = room
        try:
            yield
        finally:
            store.room = None


def _shrink(store: ParameterStore, used: int, dense: int, tables: int, ids: int) -> None:
    """The store as it was when it held so much; its arena is zero beyond, as new parameters expect."""
    addresses.retire(store._ids[ids:])
    del store.dense[dense:], store.places[dense:], store.tables[tables:], store._ids[ids:]
    store.values[used : store.used] = 0
    store.gradients[used : store.used] = 0
    store.used = used
