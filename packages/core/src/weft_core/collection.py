"""Collections: parameters under names, subcollections beneath them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from . import text_model
from .errors import ShapeError, WeftError
from .files import PathLike
from .initializers import Init, InitializerError, NumpyInitializer, as_initializer, real_array
from .parameters import LookupParameters, Parameters, StoredParameter
from .settings import checked_decay, settings
from .shape import as_dims, shape_of
from .store import Floats, ParameterStore, addresses, aligned_zeros


class ParameterNameError(WeftError, RuntimeError, ValueError):
    """A name that would make two parameters' full names ambiguous."""


class WeightDecay:
    """The weight decay of a collection: its own, or that of the collection above. It outlives the collection."""

    def __init__(self, above: WeightDecay | None, own: float | None = None) -> None:
        self.above = above
        self.own = own

    def rate(self) -> float:
        """What is taken off the weights in an update, as a share of them."""
        if self.own is not None:
            return self.own
        return self.above.rate() if self.above is not None else 0.0


class ParameterCollection:
    """Parameters under names; subcollections share the memory of their root, whose names they extend.

    `/` is the root, `/encoder/` a subcollection, `/encoder/W` a parameter. The second use of a name gets the
    suffix `_1`, and so on; without a name, the number alone: `/_0`, `/_1`. `parent` makes an unnamed
    subcollection, like `add_subcollection()`.
    """

    def __init__(self, parent: ParameterCollection | None = None) -> None:
        if parent is None:
            self._join(None, "/", ParameterStore())
        elif isinstance(parent, ParameterCollection):
            with parent.store.lock:
                self._join(parent, parent._claim("", parent._collections) + "/", parent.store)
        else:
            raise TypeError(f"the parent must be a ParameterCollection, got {type(parent).__name__}")

    def _join(self, parent: ParameterCollection | None, name: str, store: ParameterStore) -> None:
        self._parent = parent
        self._name = name
        self.store = store
        self._parameters: list[Parameters] = []
        self._lookups: list[LookupParameters] = []
        # Weight decay: of this collection, and by parameter id of the whole family.
        self._decay: WeightDecay = (
            WeightDecay(None, settings.weight_decay) if parent is None else WeightDecay(parent._decay)
        )
        self._decays: dict[int, WeightDecay] = {} if parent is None else parent._decays
        # How often each name was used, by parameters and by subcollections.
        self._names: dict[str, int] = {}
        self._collections: dict[str, int] = {}

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._name} of {self.parameter_count()} numbers>"

    def __getstate__(self) -> Any:
        raise TypeError("a parameter collection cannot be pickled or copied; save it with save_parameters()")

    def add_parameters(
        self,
        dim: int | Sequence[int],
        init: Init = None,
        name: str = "",
        device: str = "",
        scale: float = 1.0,
        mean: float = 0.0,
        std: float = 1.0,
    ) -> Parameters:
        """A new parameter of dims `dim`.

        `init`: None or 'glorot', 'he', 'uniform' (U(-scale, scale)), 'normal' (N(mean, std^2)), 'identity',
        'saxe', a number, an initializer object, or an array, whose shape then replaces `dim`.
        Raises `ShapeError` for bad dims, `UnknownInitializer` and `ParameterNameError`; the collection is
        then as before.
        """
        check_name(name)
        if isinstance(init, np.ndarray):
            return self.parameters_from_numpy(init, name)
        shape = shape_of(as_dims(dim))
        self._take_room(shape.size)
        values = np.zeros(shape.size, np.float32)
        as_initializer(init, last_of(shape.dims), scale, mean, std).fill(values, shape.dims)
        return self._add_dense(values, shape.dims, name)

    def add_lookup_parameters(
        self,
        dim: int | Sequence[int],
        init: Init = None,
        name: str = "",
        device: str = "",
        scale: float = 1.0,
        mean: float = 0.0,
        std: float = 1.0,
    ) -> LookupParameters:
        """A new look-up table of dims `dim = (rows, row dims...)`; an int n means `(n, 1)`.

        `init` as in `add_parameters`; an array has the row first. Glorot counts the rows, as in DyNet: give
        `GlorotInitializer(is_lookup=True)` to leave them out. Errors as in `add_parameters`.
        """
        check_name(name)
        if isinstance(init, np.ndarray):
            return self.lookup_parameters_from_numpy(init, name)
        if isinstance(init, NumpyInitializer):
            raise InitializerError(
                "a look-up table takes no NumpyInitializer, rows first or last would be a guess; give the array itself"
            )
        dims = as_dims(dim)
        if not dims:
            raise ShapeError("a look-up table needs dims (rows, row dims...), got ()")
        if not isinstance(dim, Iterable):
            dims = (*dims, 1)
        shape = shape_of((*dims[1:], dims[0]))
        self._take_room(shape.size)
        values = aligned_zeros(shape.size)
        as_initializer(init, last_of(dims), scale, mean, std).fill(values, shape.dims)
        return self._add_table(values.reshape(dims[0], -1), dims[1:], name)

    def parameters_from_numpy(self, array: ArrayLike, name: str = "", device: str = "") -> Parameters:
        """A new parameter with the shape and values of an array."""
        check_name(name)
        values = real_array(array, "parameters_from_numpy")
        dims = shape_of(values.shape).dims
        return self._add_dense(values.ravel(order="F").astype(np.float32), dims, name)

    def lookup_parameters_from_numpy(self, array: ArrayLike, name: str = "", device: str = "") -> LookupParameters:
        """A new look-up table with row i = `array[i]`."""
        check_name(name)
        rows = real_array(array, "lookup_parameters_from_numpy")
        if rows.ndim == 0:
            raise ShapeError("lookup_parameters_from_numpy needs an array with a first axis of rows, got a number")
        dims = shape_of((*rows.shape[1:], rows.shape[0])).dims
        values = aligned_zeros(rows.size)
        values.reshape(dims, order="F")[...] = np.moveaxis(rows, 0, -1)
        return self._add_table(values.reshape(len(rows), -1), dims[:-1], name)

    def add_subcollection(self, name: str | None = None) -> ParameterCollection:
        """A new collection inside this one; its parameters are also parameters of this one."""
        check_name(name or "")
        child = ParameterCollection.__new__(ParameterCollection)
        with self.store.lock:
            child._join(self, self._claim(name or "", self._collections) + "/", self.store)
        return child

    def name(self) -> str:
        """Full name; ends with `/`."""
        return self._name

    def parameters_list(self) -> list[Parameters]:
        """All parameters, those of subcollections included, in order of creation; always the same objects."""
        return list(self._parameters)

    def lookup_parameters_list(self) -> list[LookupParameters]:
        """All look-up tables, those of subcollections included, as `parameters_list` gives parameters."""
        return list(self._lookups)

    def parameter_count(self) -> int:
        """How many numbers the parameters and look-up tables hold."""
        return sum(p.shape.size for p in (*self._parameters, *self._lookups))

    def save(self, fname: PathLike, name: str = "", append: bool = False) -> None:
        """Write all parameters and tables, and gradients that are not zero, as text that DyNet 2.1 reads.

        Under their full names; with `name="/k"` as `/k/...` in the place of the collection's own name. The file is
        replaced at the very end, or not at all; `append=True` adds to what it holds.
        Raises ValueError for a name that does not start with `/` or has a blank or `#`, OSError when the file cannot
        be written.
        """
        text_model.save_collection(fname, self, name, append)

    def populate(self, fname: PathLike, key: str = "") -> None:
        """Fill the parameters and tables, in order of creation, from a text model file; `key="/k"`: from its `/k/...`.

        Their gradients become those of the file. Raises `TextFormatError`, a RuntimeError, for a file that is not
        whole, or that holds another number of parameters or other dims; the collection is then as before.
        """
        text_model.populate_collection(fname, self, key)

    def load_param(self, fname: PathLike, key: str) -> Parameters:
        """A new parameter from the record `key` of a text model file; it keeps that name.

        Raises ValueError for an empty key, `TextFormatError`, a RuntimeError, when there is no such record.
        """
        parameter = text_model.load_parameter(fname, self, key, is_table=False)
        assert isinstance(parameter, Parameters)
        return parameter

    def load_lookup_param(self, fname: PathLike, key: str) -> LookupParameters:
        """A new look-up table from the record `key` of a text model file, as `load_param`."""
        table = text_model.load_parameter(fname, self, key, is_table=True)
        assert isinstance(table, LookupParameters)
        return table

    def write_to_textfile(self, fname: PathLike, key: str = "", append: bool = False) -> None:
        """`save` by its other name."""
        self.save(fname, key, append)

    def populate_from_textfile(self, fname: PathLike, key: str = "") -> None:
        """`populate` by its other name."""
        self.populate(fname, key)

    def add_saved(self, name: str, is_table: bool, dims: tuple[int, ...], values: Floats) -> StoredParameter:
        """A new parameter or look-up table with the full name that it had when it was saved.

        `values` is flat, in memory order of `dims`; the rows of a table are the last of its dims.
        """
        if not is_table:
            return self._add_dense(values, dims, "", name)
        memory = aligned_zeros(len(values))
        memory[:] = values
        return self._add_table(memory.reshape(dims[-1], -1), dims[:-1], "", name)

    def set_weight_decay(self, lam: float) -> None:
        """From the next update on, each one of a trainer multiplies the new values by `1 - lam`: L2 regularisation.

        So for the parameters of this collection that are not frozen, and for those of subcollections until they are
        given a weight decay of their own. All rows of look-up tables decay, used or not. `lam` is rounded to float32.
        Raises ValueError unless 0 <= lam < 1, TypeError for what is no number.
        """
        self._decay.own = checked_decay(lam)
        addresses.version += 1

    def set_weight_decay_lambda(self, lam: float) -> None:
        """The same as `set_weight_decay`."""
        self.set_weight_decay(lam)

    def get_weight_decay(self) -> float:
        """The weight decay of this collection's parameters: its own, else its parent's; 0.0 where there is none."""
        return self._decay.rate()

    def weight_decay_of(self, parameter: StoredParameter) -> float:
        """The weight decay of the collection inside this one, or above it, in which the parameter was made."""
        return self._decays[parameter.shape.parameter].rate()

    def _take_room(self, size: int) -> None:
        """Raise `ShapeError` for more numbers than may be added while an object is made from a file."""
        with self.store.lock:
            if self.store.room is not None:
                # A parameter takes memory beside its numbers.
                self.store.room -= size + 1000
                if self.store.room < 0:
                    raise ShapeError(f"{size} numbers for one more parameter, far more than the file has")

    def _claim(self, name: str, used: dict[str, int]) -> str:
        """The full name of the next member called `name`."""
        count = used.get(name, 0)
        used[name] = count + 1
        return self._name + (f"{name}_{count}" if count or not name else name)

    def _add_dense(self, values: Floats, dims: tuple[int, ...], name: str, saved_name: str = "") -> Parameters:
        with self.store.lock:
            slot = self.store.add_dense(values)
            self._decays[slot.id] = self._decay
            claimed = self._claim(name, self._names)
            parameter = Parameters(self.store, slot, saved_name or claimed, dims)
            for collection in self._with_ancestors():
                collection._parameters.append(parameter)
        return parameter

    def _add_table(
        self, values: Floats, row_dims: tuple[int, ...], name: str, saved_name: str = ""
    ) -> LookupParameters:
        with self.store.lock:
            slot = self.store.add_table(values)
            self._decays[slot.id] = self._decay
            claimed = self._claim(name, self._names)
            table = LookupParameters(self.store, slot, saved_name or claimed, row_dims)
            for collection in self._with_ancestors():
                collection._lookups.append(table)
        return table

    def _with_ancestors(self) -> Iterator[ParameterCollection]:
        collection: ParameterCollection | None = self
        while collection is not None:
            yield collection
            collection = collection._parent


Model = ParameterCollection


def check_name(name: str) -> None:
    """Raises `ParameterNameError` for a name with `/` or `_`, which separate the parts of full names."""
    if not isinstance(name, str):
        raise TypeError(f"a name must be a str, got {type(name).__name__}")
    if "/" in name or "_" in name:
        raise ParameterNameError(
            f"the name {name!r} contains '/' or '_', which separate collections and number equal names; use '-' instead"
        )


def last_of(dims: tuple[int, ...]) -> int:
    """The last of the dims as given; a number counts as a vector of one."""
    return dims[-1] if dims else 1
