"""Parameters on a device of NumPy arrays: what is where, and until when."""

from __future__ import annotations

import gc

import numpy as np
import pytest

pytest.importorskip("triton")

import weft_core as dy
from weft_core.backend import load_backend
from weft_core.collection import ParameterCollection
from weft_core.errors import StaleExpression
from weft_core.extend import RuleState
from weft_core.numpy_backend import NumpyBackend
from weft_core.parameters import LookupParameters, Parameters
from weft_core.residence import Movable
from weft_core.store import LookupTable, addresses
from weft_triton.access import RESIDENT
from weft_triton.errors import OutOfDeviceMemory
from weft_triton.host import HostMemory
from weft_triton.residence import Allocation, Residence

Member = Parameters | LookupParameters


class Model:
    """A matrix, a vector, a table; everything on a device of its own."""

    def __init__(self, limit: int | None = None) -> None:
        self.collection = ParameterCollection()
        self.W = self.collection.parameters_from_numpy(np.arange(6.0).reshape(2, 3) + 1)
        self.b = self.collection.parameters_from_numpy(np.array([7.0, 8.0]))
        self.E = self.collection.lookup_parameters_from_numpy(np.arange(21.0).reshape(7, 3) + 100)
        self.b.gradients[...] = [3.0, 4.0]
        self.device = HostMemory(limit)
        self.residence = Residence(self.device)

    @property
    def ids(self) -> list[int]:
        return [p.shape.parameter for p in (self.W, self.b, self.E)]

    def require(self) -> None:
        self.residence.require(self.ids)

    def table(self) -> LookupTable:
        return self.collection.store.tables[0]

    def entries(self, p: Member) -> list[int]:
        """Addresses of values and gradients."""
        at = RESIDENT + 2 * p.shape.parameter
        entries: list[int] = self.residence.table[at : at + 2].tolist()
        return entries

    def on_device(self, p: Member) -> list[list[float]]:
        """Values and gradients, as memory of the device holds them."""
        size = 4 * p.shape.size
        return [self.device.at(address, size).view(np.float32).tolist() for address in self.entries(p)]

    def change_on_device(self, p: Member, number: float) -> None:
        """What a kernel would do."""
        self.device.at(self.entries(p)[0], 4).view(np.float32)[:] = number


def test_what_is_required_is_on_the_device() -> None:
    model = Model()
    assert model.residence.table[RESIDENT + 2 * np.array(model.ids)].tolist() == [0, 0, 0]
    version = model.residence.version
    model.require()
    assert model.residence.version > version
    assert model.on_device(model.W) == [[1, 4, 2, 5, 3, 6], [0] * 6]
    assert model.on_device(model.b) == [[7, 8], [3, 4]]
    assert model.on_device(model.E) == [np.arange(100.0, 121).tolist(), [0] * 21]
    uploads, version = model.device.counters.uploads, model.residence.version
    model.require()
    assert (model.device.counters.uploads, model.residence.version) == (uploads, version)
    assert uploads == 4


def test_one_parameter_brings_all_of_its_arena() -> None:
    model = Model()
    model.residence.require([model.b.shape.parameter])
    assert all(model.entries(model.W)) and not any(model.entries(model.E))
    model.residence.require([model.W.shape.parameter])
    assert model.device.counters.uploads == 2


def test_the_newest_numbers_come_back() -> None:
    model = Model()
    model.require()
    model.change_on_device(model.W, 50)
    model.change_on_device(model.E, 60)
    # What the host has is old.
    model.table().value_arena.array[2] = -1
    downloads = model.device.counters.bytes_down
    assert model.W.as_array().tolist() == [[50, 2, 3], [4, 5, 6]]
    assert model.E.row_as_array(0).tolist() == [60, 101, 102]
    assert model.E.row_as_array(2).tolist() == [106, 107, 108]
    assert model.device.counters.bytes_down - downloads == 4 * (6 + 3 + 3)
    assert all(model.entries(model.W)) and all(model.entries(model.E))


def test_what_is_changed_at_home_goes_again() -> None:
    model = Model()
    model.require()
    model.change_on_device(model.W, 50)
    version = model.residence.version
    model.W.values[1, 1] = 9
    # Also those of the gradients: one look at the values says whether a parameter is there.
    assert [model.entries(p) for p in (model.W, model.b)] == [[0, 0], [0, 0]]
    assert all(model.entries(model.E)) and model.residence.version > version
    allocations = model.device.counters.allocations
    model.require()
    assert model.on_device(model.W)[0] == [50, 4, 2, 9, 3, 6]
    assert model.on_device(model.b)[1] == [3, 4]
    assert model.device.counters.allocations == allocations


def test_gradients_that_came_home_alone_are_missed() -> None:
    model = Model()
    model.require()
    model.b.gradients[...] = 5
    assert model.entries(model.b) == [0, 0]
    model.require()
    assert model.on_device(model.b) == [[7, 8], [5, 5]]


@pytest.mark.parametrize("size", [(2, 2), (60, 60)])
def test_parameters_that_are_added_later(size: tuple[int, int]) -> None:
    model = Model()
    model.require()
    model.change_on_device(model.W, 50)
    p = model.collection.add_parameters(size, 2.0)
    model.residence.require([p.shape.parameter, *model.ids])
    assert model.on_device(p) == [[2.0] * p.shape.size, [0.0] * p.shape.size]
    assert model.on_device(model.W)[0][:2] == [50, 4]
    assert model.on_device(model.b)[1] == [3, 4]
    store = model.collection.store
    assert model.residence.report()["parameters"] == 4 * store.capacity


def test_the_table_has_room_for_every_parameter_of_the_process() -> None:
    model = Model()
    for _ in range(200):
        model.collection.add_parameters(1)
    assert len(model.residence.table) >= RESIDENT + 2 * len(addresses.values)


def test_memory_goes_with_its_parameters() -> None:
    model = Model()
    model.require()
    state = RuleState()
    model.residence.hold(state.table_moment("m", model.table()), "moments")
    ids, residence, device = model.ids, model.residence, model.device
    assert device.used > 0
    del model, state
    gc.collect()
    assert not residence.table[[RESIDENT + 2 * id + k for id in ids for k in range(2)]].any()
    assert device.used == 0 and residence.report() == {}
    with pytest.raises(StaleExpression):
        residence.require(ids)


def test_an_arena_that_outlives_its_parameters_is_not_found() -> None:
    model = Model()
    model.require()
    number, arena, residence = model.W.shape.parameter, model.collection.store.value_arena, model.residence
    del model
    gc.collect()
    assert residence.table[RESIDENT + 2 * number] == 0
    assert arena.here()[:2].tolist() == [1, 4]


def test_moments_are_held_and_come_home() -> None:
    model, state = Model(), RuleState()
    moment = state.arena_moment("m", model.collection.store)
    moment.here()[:2] = [1, 2]
    address = model.residence.hold(moment, "moments")
    assert model.residence.address_of(moment) == address
    model.device.at(address, 4).view(np.float32)[:] = 3
    assert state.dense["m"][:2].tolist() == [3, 2]
    assert moment.resident is None
    assert model.residence.hold(moment, "moments") == address


def test_memory_behind_an_array_is_zero() -> None:
    model = Model()
    model.require()
    values, _ = model.entries(model.E)
    assert model.device.blocks[values].nbytes == 128
    assert not model.device.at(values + 84, 44).any()


def test_two_devices_take_turns() -> None:
    model = Model()
    other = Residence(HostMemory())
    model.require()
    model.change_on_device(model.W, 50)
    other.require(model.ids)
    assert model.entries(model.W) == [0, 0]
    assert model.W.as_array()[0, 0] == 50
    model.require()
    assert model.on_device(model.W)[0][0] == 50
    assert other.table[RESIDENT + 2 * model.ids[0]] == 0


def test_without_room_nothing_is_lost_and_the_error_says_who_has_it() -> None:
    model = Model(limit=10_000)
    model.require()
    big = model.collection.add_lookup_parameters((100, 30), 1.0)
    wanted = r"look-up tables need 12,032 bytes more .*In use: parameters 4,096, gradients of parameters 4,096, look-up"
    with pytest.raises(OutOfDeviceMemory, match=wanted):
        model.residence.require([big.shape.parameter])
    assert model.entries(big) == [0, 0]
    assert (big.as_array() == 1).all()
    assert model.on_device(model.b) == [[7, 8], [3, 4]]


def test_memory_of_numbers_that_are_at_home_makes_room() -> None:
    model = Model(limit=10_000)
    model.require()
    model.W.values[...] = 2
    model.W.gradients[...] = 3
    other = ParameterCollection()
    p = other.add_parameters(3, 1.0)
    model.residence.require([p.shape.parameter])
    assert model.residence.report()["parameters"] == 4096
    assert (model.W.as_array() == 2).all()


def test_an_allocation_is_freed_when_nobody_refers_to_it() -> None:
    model = Model()
    kept = Allocation(model.residence, "jobs", 100)
    address = kept.address
    assert model.residence.report() == {"jobs": 100}
    del kept
    # Not at once: it may be the wrong moment, or the wrong thread.
    assert address in model.device.blocks
    assert model.residence.report() == {}
    assert address not in model.device.blocks


def test_missed_updates_are_made_up_for_on_the_way() -> None:
    model = Model()
    table = model.table()

    class Doubling:
        def settle(self) -> None:
            table.memory[...] *= 2

        def entry(self) -> tuple[int, int]:
            return 0, 0

    table.owe(Doubling())
    model.require()
    assert model.on_device(model.E)[0] == np.arange(200.0, 242, 2).tolist()
    assert table.arrears is None


@pytest.mark.parametrize("name", ["numpy", "numba"])
def test_another_backend_computes_in_between(name: str) -> None:
    """Forward on one backend, changes on the device, then backward."""
    model = Model()
    model.require()
    model.change_on_device(model.W, 50)
    backend = NumpyBackend() if name == "numpy" else load_backend(name)
    with dy.ComputationGraph(backend=backend):
        loss = dy.sum_elems(model.W * model.E[1] + model.b)
        assert loss.scalar_value() == (50 * 103 + 2 * 104 + 3 * 105) + (4 * 103 + 5 * 104 + 6 * 105) + 15
        model.require()
        loss.backward()
        model.require()
    assert model.on_device(model.b) == [[7, 8], [4, 5]]
    assert model.on_device(model.W)[1] == [103, 103, 104, 104, 105, 105]
    assert model.on_device(model.E)[1][3:6] == [54, 7, 9]


def test_an_array_that_nobody_holds_has_no_address() -> None:
    model = Model()
    arena: Movable = model.collection.store.value_arena
    with pytest.raises(KeyError):
        model.residence.address_of(arena)
