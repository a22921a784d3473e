"""Parameters and moments that a backend keeps: who reads sees the newest numbers, who changes them has them at home."""

import gc
import threading
import weakref
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import weft_core as dy
from weft_core.collection import ParameterCollection
from weft_core.extend import RuleState, check_gradient
from weft_core.numpy_backend import NumpyBackend
from weft_core.parameters import LookupParameters, Parameters
from weft_core.residence import Floats
from weft_core.store import LookupTable, ParameterStore, addresses, bring_home, owner, parameter_arrays
from weft_core.undo import all_or_nothing
from weft_testing.elsewhere import Elsewhere, take_away


class Model:
    """A matrix, a number and a table with values and gradients of their own."""

    def __init__(self) -> None:
        self.collection = ParameterCollection()
        self.W = self.collection.parameters_from_numpy(np.arange(6.0).reshape(2, 3) + 1, "W")
        self.s = self.collection.parameters_from_numpy(np.array([7.0]), "s")
        self.E = self.collection.lookup_parameters_from_numpy(np.arange(24.0).reshape(4, 3, 2) - 5, "E")
        self.W.gradients[...] = np.arange(6.0).reshape(2, 3) / 8 + 1
        self.table.gradients[[1, 3]] = [[1, 2, 3, 4, 5, 6], [6, 5, 4, 3, 2, 1]]
        self.table.touch([1, 3])

    @property
    def store(self) -> ParameterStore:
        return self.collection.store

    @property
    def table(self) -> LookupTable:
        return self.store.tables[0]

    def arrays(self) -> list[np.ndarray]:
        """Everything, as the users' own way of copying shows it."""
        members: list[Parameters | LookupParameters] = [self.W, self.s, self.E]
        return [array for p in members for array in (p.as_array(), p.grad_as_array())]


def saved_text(model: Model, path: Path) -> str:
    model.collection.save(path / "model")
    return (path / "model").read_text()


def saved_arrays(model: Model, path: Path) -> list[np.ndarray]:
    dy.save_parameters(path / "model.safetensors", model.collection)
    return list(dy.read_parameters(path / "model.safetensors").values())


READERS: dict[str, Callable[[Model, Path], object]] = {
    "as_array": lambda m, _: [m.W.as_array(), m.E.as_array()],
    "grad_as_array": lambda m, _: [m.W.grad_as_array(), m.E.grad_as_array()],
    "npvalue": lambda m, _: m.W.npvalue(),
    "vec_value": lambda m, _: m.W.vec_value(),
    "scalar_value": lambda m, _: m.s.scalar_value(),
    "gradient": lambda m, _: m.W.gradient(),
    "row_as_array": lambda m, _: [m.E.row_as_array(3), m.E.row_grad_as_array(3)],
    "rows_as_array": lambda m, _: [m.E.rows_as_array([3, 0]), m.E.rows_grad_as_array([3, 0])],
    "seen": lambda m, _: [m.W.seen_values(), m.E.seen_gradients()],
    "save": saved_text,
    "save one": lambda m, path: m.E.save(path / "E") or (path / "E").read_text(),  # type: ignore[func-returns-value]
    "save_parameters": saved_arrays,
    "norm": lambda m, _: NumpyBackend().gradient_norm(m.store),
    "shape": lambda m, _: [len(m.E), m.E.rows, m.store.capacity, m.collection.parameter_count()],
}


@pytest.mark.parametrize("reader", READERS)
def test_readers_see_the_newest_numbers_and_leave_them_where_they_are(reader: str, tmp_path: Path) -> None:
    model = Model()
    wanted = READERS[reader](model, tmp_path)
    taken = take_away(model.store)
    found = READERS[reader](model, tmp_path)
    if isinstance(wanted, list):
        for one, other in zip(found, wanted, strict=True):  # type: ignore[call-overload]
            np.testing.assert_array_equal(one, other)
    else:
        np.testing.assert_equal(found, wanted)
    assert all(movable.resident is elsewhere for movable, elsewhere in taken.items())


def populated(model: Model, path: Path) -> None:
    other = Model()
    other.W.zero()
    other.collection.save(path / "other")
    model.collection.populate(path / "other")


def loaded(model: Model, path: Path) -> None:
    other = Model()
    other.W.zero()
    dy.save_parameters(path / "other.safetensors", other.collection)
    dy.load_parameters(path / "other.safetensors", model.collection)


def failed(model: Model) -> None:
    with pytest.raises(ZeroDivisionError), all_or_nothing(model.collection):
        model.collection.add_parameters(3, init=9)
        take_away(model.store)
        raise ZeroDivisionError
    assert len(model.store.places) == len(model.store.dense)


def assigned(array: Floats, number: float) -> None:
    array[...] = number


WRITERS: dict[str, Callable[[Model, Path], None]] = {
    "values": lambda m, _: assigned(m.W.values, 3),
    "gradients": lambda m, _: assigned(m.E.gradients, 3),
    "store": lambda m, _: assigned(m.store.gradients, 0),
    "parameter_arrays": lambda m, _: assigned(parameter_arrays(m.E.shape.parameter)[1], 2),
    "set_value": lambda m, _: m.W.set_value(np.ones((2, 3))),
    "scale": lambda m, _: m.W.scale(2),
    "scale table": lambda m, _: m.E.scale(2),
    "scale_gradient": lambda m, _: m.W.scale_gradient(2),
    "scale_gradient table": lambda m, _: m.E.scale_gradient(2),
    "clip_inplace": lambda m, _: m.W.clip_inplace(2, 3),
    "zero": lambda m, _: m.W.zero(),
    "zero table": lambda m, _: m.E.zero(),
    "init_row": lambda m, _: m.E.init_row(2, np.ones(6)),
    "init_from_array": lambda m, _: m.E.init_from_array(np.ones((2, 3, 2))),
    "backward": lambda m, _: m.s.backward(),
    "clear_gradients": lambda m, _: m.table.clear_gradients(),
    "populate": populated,
    "load_parameters": loaded,
    "add": lambda m, _: assigned(m.collection.add_parameters(3).gradients, 4),
    "grow": lambda m, _: assigned(m.collection.add_parameters((50, 50)).gradients, 4),
    "undo": lambda m, _: failed(m),
}


@pytest.mark.parametrize("writer", WRITERS)
def test_writers_change_the_newest_numbers(writer: str, tmp_path: Path) -> None:
    model, wanted = Model(), Model()
    WRITERS[writer](wanted, tmp_path)
    take_away(model.store)
    WRITERS[writer](model, tmp_path)
    for found, right in zip(model.arrays(), wanted.arrays(), strict=True):
        np.testing.assert_array_equal(found, right)
    # Also for those who come next.
    take_away(model.store)
    for found, right in zip(model.arrays(), wanted.arrays(), strict=True):
        np.testing.assert_array_equal(found, right)
    np.testing.assert_array_equal(model.table.flags, wanted.table.flags)


def test_values_come_home_without_gradients_and_stay() -> None:
    model = Model()
    taken = take_away(model.store)
    values, gradients = taken[model.store.value_arena], taken[model.store.gradient_arena]
    model.W.values[...] = 3
    assert values.released and not gradients.released
    assert (values.fetched, gradients.fetched) == (model.store.capacity, 0)
    model.W.values[...] += 1
    assert values.fetched == model.store.capacity
    assert (model.W.as_array() == 4).all() and model.s.scalar_value() == 7


def test_one_row_is_fetched_alone() -> None:
    model = Model()
    taken = take_away(model.store)
    np.testing.assert_array_equal(model.E.row_as_array(2), np.arange(12.0, 18.0).reshape(3, 2) - 5)
    assert taken[model.table.value_arena].fetched == 6
    model.W.as_array()
    assert taken[model.store.value_arena].fetched == 6


def test_what_is_seen_cannot_be_changed() -> None:
    model = Model()
    for view in (model.W.seen_values(), model.E.seen_gradients(), model.store.seen_values()):
        with pytest.raises(ValueError, match="read-only"):
            view[...] = 1


def test_addresses_are_0_while_numbers_are_away() -> None:
    model = Model()
    ids = [p.shape.parameter for p in (model.W, model.s, model.E)]
    values, gradients = addresses.values[ids], addresses.gradients[ids]
    version = addresses.version
    take_away(model.store)
    assert addresses.version > version
    assert not addresses.values[ids].any() and not addresses.gradients[ids].any()
    assert addresses.meta[ids[2]]
    version = addresses.version
    bring_home(ids[0])
    assert addresses.version > version
    np.testing.assert_array_equal(addresses.values[ids], [*values[:2], 0])
    bring_home(ids[2])
    np.testing.assert_array_equal(addresses.values[ids], values)
    np.testing.assert_array_equal(addresses.gradients[ids], gradients)
    version = addresses.version
    bring_home(ids[2])
    assert addresses.version == version


def test_a_parameter_added_beside_gradients_that_are_away() -> None:
    model = Model()
    Elsewhere(model.store.gradient_arena)
    p = model.collection.add_parameters(5, init=1)
    assert addresses.values[p.shape.parameter] and not addresses.gradients[p.shape.parameter]
    assert not p.grad_as_array().any()
    p.gradients[...] = 2
    assert addresses.gradients[p.shape.parameter]


def test_freezing_needs_no_numbers() -> None:
    model = Model()
    taken = take_away(model.store)
    model.W.set_updated(False)
    assert not model.W.is_updated()
    assert not any(elsewhere.fetched for elsewhere in taken.values())


def test_what_is_away_goes_with_its_store() -> None:
    model = Model()
    ids = [p.shape.parameter for p in (model.W, model.E)]
    gone = [weakref.ref(elsewhere) for elsewhere in take_away(model.store).values()]
    del model
    gc.collect()
    assert not any(reference() for reference in gone)
    assert not set(ids) & addresses.slots.keys()


def test_an_arena_that_outlives_its_store_enters_no_address() -> None:
    model = Model()
    number, arena = model.W.shape.parameter, model.store.value_arena
    Elsewhere(arena)
    del model
    gc.collect()
    arena.here()
    assert not addresses.values[number]


def test_missed_updates_are_made_up_for_before_rows_are_taken_away() -> None:
    model = Model()

    class Doubling:
        def settle(self) -> None:
            model.table.memory[...] *= 2

        def entry(self) -> tuple[int, int]:
            return 0, 0

    wanted = 2 * model.E.as_array()
    model.table.owe(Doubling())
    take_away(model.store)
    assert model.table.arrears is None
    np.testing.assert_array_equal(model.E.as_array(), wanted)


def test_two_threads_fetch_an_array_once() -> None:
    model = Model()
    arena = model.store.value_arena
    meeting = threading.Barrier(2)

    class Slow(Elsewhere):
        def fetch(self, array: Floats, start: int, stop: int) -> None:
            meeting.wait(10)
            super().fetch(array, start, stop)

    slow = Slow(arena)
    other = threading.Thread(target=arena.here)
    other.start()
    meeting.wait(10)
    arena.here()
    other.join(10)
    assert slow.fetched == model.store.capacity


def test_check_gradient_takes_values_anew_where_a_backend_takes_them_away() -> None:
    model = Model()
    gradients = model.W.grad_as_array()

    def function() -> dy.Expression:
        loss = dy.sum_elems(dy.square(model.W)) + dy.sum_elems(dy.tanh(model.E[1]))
        take_away(model.store)
        return loss

    assert check_gradient(function, [model.W, model.E], tolerance=1e-2, step=1e-2).error < 1e-2
    np.testing.assert_array_equal(model.W.grad_as_array(), gradients)
    np.testing.assert_array_equal(model.W.as_array(), np.arange(6.0).reshape(2, 3) + 1)


# Moments


def test_moments_are_looked_up_at_home() -> None:
    model, state = Model(), RuleState()
    state.arena("m", model.store)[:3] = 5
    state.table("m", model.table)[1] = 6
    taken = take_away(model.store, state)
    version = addresses.version
    assert len(state.dense) == len(state.tables) == 1
    assert all(elsewhere.fetched == 0 for elsewhere in taken.values())
    assert state.dense["m"][:4].tolist() == [5, 5, 5, 0]
    assert addresses.version > version
    assert {key: array[1].tolist() for key, array in state.tables.items()} == {(model.table.id, "m"): [6] * 6}
    assert state.arena("m", model.store) is state.dense["m"]


def test_moments_grow_with_the_arena() -> None:
    model, state = Model(), RuleState()
    state.arena("m", model.store)[:3] = 5
    take_away(model.store, state)
    model.collection.add_parameters((50, 50))
    moment = state.arena("m", model.store)
    assert len(moment) == model.store.capacity
    assert moment[:4].tolist() == [5, 5, 5, 0] and not moment[4:].any()


def test_moments_are_cleared_where_they_are() -> None:
    model, state = Model(), RuleState()
    state.arena("m", model.store)[:3] = 5
    state.table("m", model.table)[1] = 6
    take_away(model.store, state)
    state.clear()
    assert not state.dense["m"].any() and not state.table("m", model.table).any()


def test_states_that_share_moments_share_where_they_are() -> None:
    model, state = Model(), RuleState()
    beside = RuleState(state.dense, state.tables)
    state.arena("m", model.store)[:3] = 5
    take_away(model.store, beside)
    assert state.dense["m"][:3].tolist() == [5, 5, 5]


def test_owner_needs_no_numbers() -> None:
    model = Model()
    taken = take_away(model.store)
    assert owner(model.E.shape.parameter) is model.table
    assert not any(elsewhere.fetched for elsewhere in taken.values())
