"""Where parameters live: one arena per root collection, one array per look-up table, and their addresses."""

from __future__ import annotations

import threading
import weakref
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from .errors import StaleExpression
from .residence import Floats as Floats
from .residence import Movable

# Floats: every parameter starts on a multiple of this, one cache line, and so does the arena itself.
BLOCK = 16
FLOAT_BYTES = 4
FIRST_CAPACITY = 1024


def aligned_zeros(count: int) -> Floats:
    """Zeros whose first byte lies on a cache line; memory is committed at first use."""
    raw = np.zeros(count + BLOCK, np.float32)
    start = (-raw.ctypes.data % (BLOCK * FLOAT_BYTES)) // FLOAT_BYTES
    return raw[start : start + count]


class Arena(Movable):
    """Values, or gradients, of parameters in one array: `places` are their ids, and where each begins, in floats."""

    __slots__ = ("gradients", "places")

    def __init__(self, array: Floats, places: list[tuple[int, int]], gradients: bool) -> None:
        super().__init__(array)
        self.places = places
        self.gradients = gradients

    def address(self, offset: int) -> int:
        """The byte at which a parameter begins; 0 while a backend keeps the numbers."""
        return self.array.ctypes.data + FLOAT_BYTES * offset if self.resident is None else 0

    def moved(self) -> None:
        addresses.move(self)


class Arenas:
    """Values and gradients of parameters; `seen_...` are to be read only, and leave them to who keeps them."""

    def __init__(self, values: Floats, gradients: Floats, places: list[tuple[int, int]]) -> None:
        self.value_arena = Arena(values, places, False)
        self.gradient_arena = Arena(gradients, places, True)

    @property
    def values(self) -> Floats:
        """The values, to read and to change."""
        return self.value_arena.here()

    @property
    def gradients(self) -> Floats:
        """The accumulated gradients, to read and to change."""
        return self.gradient_arena.here()

    def seen_values(self, start: int = 0, stop: int | None = None) -> Floats:
        """`start` to `stop` of the first axis of `values`."""
        return self.value_arena.seen(start, stop)

    def seen_gradients(self, start: int = 0, stop: int | None = None) -> Floats:
        """`start` to `stop` of the first axis of `gradients`."""
        return self.gradient_arena.seen(start, stop)


class _Owned:
    """What a trainer may change unless it is frozen."""

    __slots__ = ("_updated", "name")

    def __init__(self) -> None:
        self._updated = True
        # The full name of the parameter, for those who print graphs.
        self.name = ""

    @property
    def updated(self) -> bool:
        """Whether trainers change it."""
        return self._updated

    @updated.setter
    def updated(self, updated: bool) -> None:
        self._updated = updated
        addresses.version += 1


class DenseSlot(_Owned):
    """A parameter's place in the arena of its store: `size` floats from `offset`, column-major."""

    __slots__ = ("__weakref__", "id", "offset", "size")

    def __init__(self, id: int, offset: int, size: int) -> None:
        super().__init__()
        self.id = id
        self.offset = offset
        self.size = size


class Arrears(Protocol):
    """The updates that rows of a table have missed (`weft_core.lazy`)."""

    def settle(self) -> None:
        """Make up for the missed updates of every row."""

    def entry(self) -> tuple[int, int]:
        """Address of the C function `(job, first row, rows)` that does so for some rows, and of its job."""


# Places in `LookupTable.meta`.
TOUCHED_COUNT, TOUCHED, FLAGS, WHOLE_GRADIENT, MAKE_UP, MAKE_UP_JOB = range(6)


class LookupTable(_Owned, Arenas):
    """Values and gradients of a look-up table, and which rows have a gradient.

    `memory`, `gradients`: `(rows, row size)`, each row column-major: the memory of a column-major tensor `row
    dims + (rows,)`. `values` is `memory` with every row current.
    `touched[:meta[0]]` are the rows that received a gradient, each once, `flags[row]` says so per row.
    `meta`: count of touched rows, address of `touched`, address of `flags`, 1 when the whole table received a
    gradient; then, unless 0, the C function that makes rows current before they are read, and its job.
    The arrays are never replaced: backends keep their addresses.
    """

    def __init__(self, id: int, values: Floats) -> None:
        self.rows, self.row_size = rows, row_size = values.shape
        _Owned.__init__(self)
        Arenas.__init__(self, values, aligned_zeros(rows * row_size).reshape(rows, row_size), [(id, 0)])
        self.id = id
        self.touched = np.zeros(rows, np.int64)
        self.flags = np.zeros(rows, np.uint8)
        self.meta = np.array([0, self.touched.ctypes.data, self.flags.ctypes.data, 0, 0, 0], np.int64)
        # An instruction reads more of it than looked-up rows.
        self.used_whole = False
        self.arrears: Arrears | None = None

    @property
    def memory(self) -> Floats:
        """The values, but for updates that rows have missed."""
        return self.value_arena.here()

    @property
    def values(self) -> Floats:
        """The values; updates that rows have missed are made up for first."""
        if self.arrears is not None:
            self.arrears.settle()
        return self.value_arena.here()

    def seen_values(self, start: int = 0, stop: int | None = None) -> Floats:
        if self.arrears is not None:
            self.arrears.settle()
        return self.value_arena.seen(start, stop)

    def owe(self, arrears: Arrears) -> None:
        """From now on rows may miss updates; whoever reads a row calls the function named in `meta` first."""
        self.arrears = arrears
        self.meta[MAKE_UP], self.meta[MAKE_UP_JOB] = arrears.entry()

    def clear_arrears(self) -> None:
        """Every row becomes current, and stays so."""
        if self.arrears is not None:
            self.arrears.settle()
            self.arrears = None
            self.meta[MAKE_UP] = self.meta[MAKE_UP_JOB] = 0

    def touch(self, rows: Sequence[int] | NDArray[np.int64]) -> None:
        """Note that these rows receive a gradient."""
        ids = np.unique(np.asarray(rows, np.int64))
        new = ids[self.flags[ids] == 0]
        count = int(self.meta[0])
        self.touched[count : count + len(new)] = new
        self.flags[new] = 1
        self.meta[0] = count + len(new)

    def touched_gradients(self) -> slice | NDArray[np.int64]:
        """Index of the rows whose gradient may differ from zero."""
        return slice(None) if self.meta[3] else self.touched[: self.meta[0]]

    def clear_gradients(self) -> None:
        """Gradients to zero: those of touched rows, or all after a gradient of the whole table."""
        self.gradients[self.touched_gradients()] = 0
        self.forget_touched()

    def forget_touched(self) -> None:
        """No row has a gradient: who clears gradients where they are says so."""
        self.flags[self.touched[: self.meta[0]]] = 0
        self.meta[0] = self.meta[3] = 0


Slot: TypeAlias = DenseSlot | LookupTable


class AddressTable:
    """Byte addresses of all parameters of the process, in int64 arrays indexed by parameter id.

    `values[id]`, `gradients[id]`: the first float; `meta[id]`: `LookupTable.meta`, 0 for a dense parameter.
    An entry is 0 while a backend keeps the numbers in memory of its own (`bring_home` changes that), and once the
    parameter's store is gone; ids are never used again. `version` grows whenever an entry changes, an array is replaced
    or moves, moments too, or a parameter is frozen or freed.
    """

    def __init__(self) -> None:
        self.values = np.zeros(64, np.int64)
        self.gradients = np.zeros(64, np.int64)
        self.meta = np.zeros(64, np.int64)
        self.version = 0
        self.slots: dict[int, tuple[weakref.ref[ParameterStore], weakref.ref[Slot]]] = {}
        self.lock = threading.Lock()
        self._next = 0
        self._retired: deque[int] = deque()

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with self.lock:
            yield
        self._settle()

    def reserve(self) -> int:
        """A new parameter id."""
        with self._locked():
            number = self._next
            if number == len(self.values):
                self.values, self.gradients, self.meta = (
                    np.concatenate([a, np.zeros_like(a)]) for a in (self.values, self.gradients, self.meta)
                )
                self.version += 1
            self._next += 1
        return number

    def enter(self, store: ParameterStore, slot: Slot) -> None:
        """Make a new parameter known."""
        with self._locked():
            self.slots[slot.id] = weakref.ref(store), weakref.ref(slot)
            owner, offset = (slot, 0) if isinstance(slot, LookupTable) else (store, slot.offset)
            self.values[slot.id] = owner.value_arena.address(offset)
            self.gradients[slot.id] = owner.gradient_arena.address(offset)
            self.meta[slot.id] = slot.meta.ctypes.data if isinstance(slot, LookupTable) else 0
            self.version += 1

    def move(self, arena: Arena) -> None:
        """An arena has other memory, or none on the host."""
        with self._locked():
            column = self.gradients if arena.gradients else self.values
            for id, offset in arena.places:
                if id in self.slots:
                    column[id] = arena.address(offset)
            self.version += 1

    def retire(self, ids: Iterable[int]) -> None:
        """These parameters are gone.

        Runs when a store is garbage collected: at any moment, even inside a method of this very table. So it
        must not wait for the lock; whoever holds the lock settles what has been retired meanwhile.
        """
        self._retired.extend(ids)
        self._settle()

    def _settle(self) -> None:
        while self._retired and self.lock.acquire(blocking=False):
            try:
                while self._retired:
                    number = self._retired.popleft()
                    self.values[number] = self.gradients[number] = self.meta[number] = 0
                    self.slots.pop(number, None)
                self.version += 1
            finally:
                self.lock.release()


addresses = AddressTable()


class ParameterStore(Arenas):
    """The parameters of one root collection.

    `values` and `gradients` are flat arenas of the same layout, of which `used` floats are in use. Parameters
    start on multiples of 16 floats; the gaps between them hold zeros, and every update rule maps zero with
    gradient zero to zero. The arenas are replaced when they grow: take views anew after parameters were
    added. Do not add parameters while another thread computes with the store.
    A backend may keep either arena in memory of its own (`weft_core.residence`); it comes home when it is asked for.
    """

    # What a backend has prepared for this store; it must notice a new `addresses.version`.
    prepared: object = None
    # How many numbers may still be added while an object is made from a file; None: any number.
    room: int | None = None

    def __init__(self) -> None:
        # Id and offset of every dense parameter.
        self.places: list[tuple[int, int]] = []
        super().__init__(aligned_zeros(FIRST_CAPACITY), aligned_zeros(FIRST_CAPACITY), self.places)
        self.used = 0
        self.dense: list[DenseSlot] = []
        self.tables: list[LookupTable] = []
        self.lock = threading.RLock()
        self._ids: list[int] = []
        weakref.finalize(self, addresses.retire, self._ids).atexit = False

    @property
    def capacity(self) -> int:
        """How many floats the arenas have room for."""
        return len(self.value_arena.array)

    def add_dense(self, values: Floats) -> DenseSlot:
        """A parameter with these values (flat, memory order)."""
        with self.lock:
            end = self.used + -(-len(values) // BLOCK) * BLOCK
            self._reserve(end)
            slot = DenseSlot(addresses.reserve(), self.used, len(values))
            self.values[slot.offset : slot.offset + slot.size] = values
            self._ids.append(slot.id)
            self.places.append((slot.id, slot.offset))
            addresses.enter(self, slot)
            self.dense.append(slot)
            self.used = end
        return slot

    def add_table(self, values: Floats) -> LookupTable:
        """A look-up table that takes over this array `(rows, row size)`, made with `aligned_zeros`."""
        with self.lock:
            table = LookupTable(addresses.reserve(), values)
            self._ids.append(table.id)
            addresses.enter(self, table)
            self.tables.append(table)
        return table

    def _reserve(self, capacity: int) -> None:
        """Room for this many floats: capacity doubles, contents stay."""
        size = self.capacity
        if capacity <= size:
            return
        while size < capacity:
            size *= 2
        for arena in (self.value_arena, self.gradient_arena):
            grown = aligned_zeros(size)
            grown[: self.used] = arena.here()[: self.used]
            arena.replace(grown)


def _find(id: int) -> tuple[ParameterStore, Slot]:
    entry = addresses.slots.get(id)
    store, slot = (entry[0](), entry[1]()) if entry is not None else (None, None)
    if store is None or slot is None:
        raise StaleExpression(
            f"parameter {id} no longer exists: its collection was garbage collected; keep a reference to the "
            "ParameterCollection (or to one of its parameters) while a graph uses it"
        )
    return store, slot


def owner(id: int) -> Slot:
    """The slot or table of a parameter; raises `StaleExpression` when its collection is gone."""
    return _find(id)[1]


def use_whole(id: int) -> None:
    """An instruction reads this parameter, all of it: the rows of a look-up table must not miss updates."""
    entry = addresses.slots.get(id)
    slot = entry[1]() if entry is not None else None
    if isinstance(slot, LookupTable):
        slot.used_whole = True
        slot.clear_arrears()


def place_of(id: int) -> tuple[Arenas, int, int]:
    """Where a parameter is: from where to where along the first axis of which arenas."""
    store, slot = _find(id)
    if isinstance(slot, LookupTable):
        return slot, 0, slot.rows
    return store, slot.offset, slot.offset + slot.size


def bring_home(id: int) -> None:
    """Values and gradients of a parameter back on the host, where `addresses` says.

    Raises `StaleExpression` when its collection is gone.
    """
    arenas, *_ = place_of(id)
    arenas.value_arena.here()
    arenas.gradient_arena.here()


def parameter_values(id: int) -> Floats:
    """Values of a parameter, to read and to change: a flat view, memory order.

    It is good until a parameter is added to the collection, or a backend with memory of its own computes with it.
    Raises `StaleExpression` when the collection is gone.
    """
    arenas, start, stop = place_of(id)
    return arenas.values[start:stop].reshape(-1)


def parameter_gradients(id: int) -> Floats:
    """Gradients of a parameter, as `parameter_values`."""
    arenas, start, stop = place_of(id)
    return arenas.gradients[start:stop].reshape(-1)


def parameter_arrays(id: int) -> tuple[Floats, Floats]:
    """`parameter_values` and `parameter_gradients`."""
    return parameter_values(id), parameter_gradients(id)


def seen_values(id: int) -> Floats:
    """Values of a parameter as they are now, to read only: a flat view; a backend that keeps them goes on doing so."""
    arenas, start, stop = place_of(id)
    return arenas.seen_values(start, stop).reshape(-1)


def seen_gradients(id: int) -> Floats:
    """Gradients of a parameter, as `seen_values`."""
    arenas, start, stop = place_of(id)
    return arenas.seen_gradients(start, stop).reshape(-1)
