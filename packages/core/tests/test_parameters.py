"""Collections, parameters, look-up tables, and the store that backends read by address."""

from __future__ import annotations

import copy
import ctypes
import gc
import pickle
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from weft_core.collection import Model, ParameterCollection, ParameterNameError
from weft_core.errors import GradientError, ShapeError, StaleExpression
from weft_core.graph import ComputationGraph
from weft_core.initializers import NumpyInitializer, UnknownInitializer
from weft_core.parameters import (
    LookupParameters,
    Parameters,
)
from weft_core.store import BLOCK, DenseSlot, LookupTable, addresses, owner, parameter_arrays


@pytest.fixture
def model() -> ParameterCollection:
    return ParameterCollection()


class RecordingOnly:
    """A backend for graphs of which nothing is computed."""

    def execution(self, graph: ComputationGraph) -> Any:
        return self

    def close(self) -> None:
        pass


@pytest.fixture
def graph() -> Iterator[ComputationGraph]:
    with ComputationGraph(backend=RecordingOnly()) as graph:  # type: ignore[arg-type]
        yield graph


def floats_at(address: int, count: int) -> list[float]:
    return list((ctypes.c_float * count).from_address(int(address)))


# Names


def test_names_of_parameters_and_subcollections(model: ParameterCollection) -> None:
    encoder = model.add_subcollection("enc")
    again = model.add_subcollection("enc")
    unnamed = model.add_subcollection()
    names = [
        model.name(),
        encoder.name(),
        again.name(),
        unnamed.name(),
        encoder.add_subcollection("inner").name(),
        model.add_parameters(2).name(),
        model.add_parameters(2).name(),
        model.add_parameters(2, name="a").name(),
        model.add_lookup_parameters((2, 2), name="a").name(),
        model.add_parameters(2, name="a").name(),
        model.add_parameters(2, name="enc").name(),
        encoder.add_parameters(2, name="w").name(),
        encoder.add_parameters(2, name="w").name(),
        unnamed.add_parameters(2).name(),
        ParameterCollection(model).name(),
    ]
    assert names == [
        "/", "/enc/", "/enc_1/", "/_0/", "/enc/inner/", "/_0", "/_1", "/a", "/a_1", "/a_2", "/enc", "/enc/w",
        "/enc/w_1", "/_0/_0", "/_1/",
    ]  # fmt: skip
    assert Model is ParameterCollection


@pytest.mark.parametrize("name", ["a/b", "a_b", "_", "/"])
def test_names_with_separators_are_refused(model: ParameterCollection, name: str) -> None:
    for make in (
        lambda: model.add_parameters(2, name=name),
        lambda: model.add_lookup_parameters((2, 2), name=name),
        lambda: model.parameters_from_numpy(np.ones(2), name=name),
        lambda: model.lookup_parameters_from_numpy(np.ones((2, 2)), name=name),
        lambda: model.add_subcollection(name),
    ):
        with pytest.raises(RuntimeError, match="contains '/' or '_'"):
            make()
    assert issubclass(ParameterNameError, ValueError)
    assert model.parameter_count() == 0


def test_lists_include_descendants_in_order_and_keep_identity(model: ParameterCollection) -> None:
    child = model.add_subcollection("child")
    a = model.add_parameters((2, 3))
    b = child.add_parameters(4)
    c = model.add_parameters(())
    e = child.add_lookup_parameters((5, 2))
    assert model.parameters_list() == [a, b, c]
    assert all(x is y for x, y in zip(model.parameters_list(), [a, b, c], strict=True))
    assert child.parameters_list() == [b]
    assert model.lookup_parameters_list() == child.lookup_parameters_list() == [e]
    assert (model.parameter_count(), child.parameter_count()) == (6 + 4 + 1 + 10, 14)
    model.parameters_list().clear()
    assert len(model.parameters_list()) == 3
    assert child.store is model.store


def test_parent_must_be_a_collection() -> None:
    with pytest.raises(TypeError, match="must be a ParameterCollection, got str"):
        ParameterCollection("/")  # type: ignore[arg-type]


BAD: list[tuple[Callable[[ParameterCollection], object], type[Exception]]] = [
    (lambda m: m.add_parameters((2, 0), name="w"), ShapeError),
    (lambda m: m.add_parameters((1,) * 8, name="w"), ShapeError),
    (lambda m: m.add_parameters("ab", name="w"), TypeError),  # type: ignore[arg-type]
    (lambda m: m.add_parameters((2, 2), init="unknown", name="w"), UnknownInitializer),
    (lambda m: m.add_parameters((2, 3), init="identity", name="w"), RuntimeError),
    (lambda m: m.add_parameters(3, init=NumpyInitializer(np.ones(4)), name="w"), ValueError),
    (lambda m: m.add_parameters(3, name=3), TypeError),  # type: ignore[arg-type]
    (lambda m: m.add_lookup_parameters((), name="w"), ShapeError),
    (lambda m: m.add_lookup_parameters((0, 2), name="w"), ShapeError),
    (lambda m: m.add_lookup_parameters((1,) * 8, name="w"), ShapeError),
    (lambda m: m.add_lookup_parameters((2, 3), init="saxe", name="w"), RuntimeError),
    (lambda m: m.add_lookup_parameters((2, 3), init=NumpyInitializer(np.ones(6)), name="w"), ValueError),
    (lambda m: m.parameters_from_numpy(np.ones((2, 0)), name="w"), ShapeError),
    (lambda m: m.parameters_from_numpy(np.array(["x"]), name="w"), TypeError),
    (lambda m: m.parameters_from_numpy([[1, 2], [3]], name="w"), ShapeError),
    (lambda m: m.lookup_parameters_from_numpy(np.float64(1), name="w"), ShapeError),
]


@pytest.mark.parametrize(("make", "error"), BAD)
def test_failed_creation_leaves_the_collection_unchanged(
    model: ParameterCollection, make: Callable[[ParameterCollection], object], error: type[Exception]
) -> None:
    with pytest.raises(error):
        make(model)
    store = model.store
    assert (store.used, store.dense, store.tables, model.parameter_count()) == (0, [], [], 0)
    assert model.add_parameters(2, name="w").name() == "/w"


# Parameters


@pytest.mark.parametrize(
    ("dim", "dims"),
    [
        (3, (3,)),
        ((3,), (3,)),
        ([2, 3], (2, 3)),
        ((), ()),
        (np.int64(4), (4,)),
        ((2, 3, 4, 1), (2, 3, 4, 1)),
    ],
)
def test_dims_of_parameters(model: ParameterCollection, dim: Any, dims: tuple[int, ...]) -> None:
    p = model.add_parameters(dim)
    assert p.shape.dims == p.shape() == dims
    assert p.dim() == (dims, 1)
    assert p.as_array().shape == p.grad_as_array().shape == dims


def test_a_parameter_is_an_expression_of_every_graph(model: ParameterCollection) -> None:
    p, q = model.add_parameters((2, 2)), model.add_parameters((2, 2))
    assert p.graph is None
    assert p.index == -1 - p.shape.parameter
    assert p.shape is not q.shape
    assert p.shape.trainable
    constant = p.expr()
    assert constant is p.expr(update=False)
    assert (constant.index, constant.graph) == (p.index, None)
    assert constant.shape is not p.shape
    assert (constant.shape.parameter, constant.shape.trainable) == (p.shape.parameter, False)
    assert p.expr(True) is p
    assert str(p) == "Parameter /_0"


def test_values_and_gradients_need_no_graph(model: ParameterCollection) -> None:
    p = model.parameters_from_numpy(np.arange(6.0).reshape(2, 3))
    p.gradients[1, 0] = 7
    p.forward()
    np.testing.assert_array_equal(p.npvalue(), p.as_array())
    assert p.vec_value() == [0, 3, 1, 4, 2, 5]
    np.testing.assert_array_equal(p.gradient(), [[0, 0, 0], [7, 0, 0]])
    np.testing.assert_array_equal(p.expr().npvalue(), p.as_array())
    with pytest.raises(GradientError, match="constant use"):
        p.expr().gradient()
    assert model.add_parameters(1, init=2.5).scalar_value() == 2.5
    with pytest.raises(ValueError, match="exactly one element"):
        p.scalar_value()


def test_arrays_are_float64_copies_with_logical_indices(model: ParameterCollection) -> None:
    source = np.arange(24.0).reshape(2, 3, 4)
    p = model.parameters_from_numpy(np.asfortranarray(source))
    array = p.as_array()
    assert array.dtype == p.grad_as_array().dtype == np.float64
    np.testing.assert_array_equal(array, source)
    array[...] = -1
    np.testing.assert_array_equal(p.as_array(), source)
    np.testing.assert_array_equal(parameter_arrays(p.shape.parameter)[0], source.ravel(order="F"))


def test_init_array_replaces_dim(model: ParameterCollection) -> None:
    p = model.add_parameters(99, init=np.ones((2, 3), int))
    assert p.shape() == (2, 3)
    e = model.add_lookup_parameters((99, 9), init=np.ones((4, 2)))
    assert e.shape() == (4, 2)


def test_set_value(model: ParameterCollection) -> None:
    p = model.add_parameters((2, 3))
    p.set_value([[1, 2, 3], [4, 5, 6]])
    np.testing.assert_array_equal(p.as_array(), [[1, 2, 3], [4, 5, 6]])
    for wrong in (np.ones(6), np.ones((3, 2)), 1.0):
        with pytest.raises(ValueError, match=r"/_0 has shape \(2, 3\)"):
            p.set_value(wrong)
    with pytest.raises(TypeError, match="real numbers"):
        p.set_value(np.full((2, 3), 1j))
    np.testing.assert_array_equal(p.as_array(), [[1, 2, 3], [4, 5, 6]])


def test_in_place_changes(model: ParameterCollection) -> None:
    neighbour = model.add_parameters(3, init=1.0)
    p = model.parameters_from_numpy(np.array([-2.0, 0.5, 3.0]))
    p.gradients[...] = [1, 2, 3]
    p.scale(np.float64(2))
    np.testing.assert_array_equal(p.as_array(), [-4, 1, 6])
    p.clip_inplace(-1, 2)
    np.testing.assert_array_equal(p.as_array(), [-1, 1, 2])
    p.scale_gradient(0.5)
    np.testing.assert_array_equal(p.grad_as_array(), [0.5, 1, 1.5])
    with pytest.raises(ValueError, match="at most right"):
        p.clip_inplace(2, -1)
    p.zero()
    assert not p.as_array().any()
    assert not p.grad_as_array().any()
    np.testing.assert_array_equal(neighbour.as_array(), [1, 1, 1])


def test_updated_flag_is_the_slots(model: ParameterCollection) -> None:
    p, e = model.add_parameters(2), model.add_lookup_parameters((2, 2))
    assert p.is_updated() and e.is_updated()
    p.set_updated(False)
    e.set_updated(False)
    assert not p.is_updated() and not e.is_updated()
    assert not owner(p.shape.parameter).updated and not owner(e.shape.parameter).updated


def test_no_pickle_no_copy(model: ParameterCollection) -> None:
    for thing in (model.add_parameters(2), model.add_lookup_parameters((2, 2)), model):
        with pytest.raises(TypeError, match="save_parameters"):
            pickle.dumps(thing)
        with pytest.raises(TypeError, match="save_parameters"):
            copy.deepcopy(thing)


# Look-up tables


@pytest.mark.parametrize(
    ("dim", "rows_first", "table"),
    [
        (4, (4, 1), (1, 4)),
        ((4,), (4,), (4,)),
        ([4, 2], (4, 2), (2, 4)),
        ((5, 2, 3), (5, 2, 3), (2, 3, 5)),
    ],
)
def test_dims_of_tables(
    model: ParameterCollection, dim: Any, rows_first: tuple[int, ...], table: tuple[int, ...]
) -> None:
    e = model.add_lookup_parameters(dim)
    assert e.shape() == rows_first
    assert e.shape.dims == table
    assert e.constant_shape() == rows_first
    assert e.dim() == (table, 1)
    assert len(e) == e.rows == rows_first[0]
    assert e.row_dims == rows_first[1:]
    assert e.as_array().shape == e.grad_as_array().shape == rows_first
    assert e.npvalue().shape == table
    assert (e.shape.parameter, e.shape.trainable, e.constant_shape.trainable) == (-1 - e.index, True, False)


@pytest.mark.parametrize("shape", [(3,), (3, 2), (4, 2, 3), (3, 2, 4, 5)])
def test_row_i_is_array_i_in_any_number_of_dims(model: ParameterCollection, shape: tuple[int, ...]) -> None:
    source = np.arange(float(np.prod(shape))).reshape(shape)
    e = model.lookup_parameters_from_numpy(source)
    np.testing.assert_array_equal(e.as_array(), source)
    np.testing.assert_array_equal(e.npvalue(), np.moveaxis(source, 0, -1))
    np.testing.assert_array_equal(e.row_as_array(1), source[1])
    np.testing.assert_array_equal(e.rows_as_array([2, 0, 2]), source[[2, 0, 2]])
    table = owner(e.shape.parameter)
    assert isinstance(table, LookupTable)
    for row, flat in zip(source, table.values, strict=True):
        np.testing.assert_array_equal(flat, row.ravel(order="F"))


def test_gradients_of_rows(model: ParameterCollection) -> None:
    e = model.add_lookup_parameters((4, 2, 3))
    e.gradients[2, 1, 0] = 5
    assert e.row_grad_as_array(2)[1, 0] == 5
    assert e.rows_grad_as_array([0, 2]).sum() == e.grad_as_array()[2].sum() == 5
    assert e.row_grad_as_array(2).dtype == np.float64


def test_init_row_takes_memory_order_or_row_dims(model: ParameterCollection) -> None:
    e = model.add_lookup_parameters((3, 2, 2), init=0)
    e.init_row(1, [1, 2, 3, 4])
    np.testing.assert_array_equal(e.row_as_array(1), [[1, 3], [2, 4]])
    e.init_row(2, np.array([[1, 2], [3, 4]]))
    np.testing.assert_array_equal(e.row_as_array(2), [[1, 2], [3, 4]])
    before = e.as_array()
    for wrong in ([1, 2, 3], np.ones((4, 1)), 1.0):
        with pytest.raises(ValueError, match=r"a row of /_0 has dims \(2, 2\)"):
            e.init_row(0, wrong)
    for bad in (-1, 3):
        with pytest.raises(IndexError, match="which has 3 rows; use 0 to 2"):
            e.init_row(bad, [1, 2, 3, 4])
    np.testing.assert_array_equal(e.as_array(), before)


def test_init_from_array_sets_the_first_rows(model: ParameterCollection) -> None:
    e = model.add_lookup_parameters((3, 2), init=9)
    e.init_from_array(np.array([[1, 2], [3, 4]]))
    np.testing.assert_array_equal(e.as_array(), [[1, 2], [3, 4], [9, 9]])
    for wrong in (np.ones((4, 2)), np.ones((2, 3)), np.ones(2), 1.0):
        with pytest.raises(ValueError, match="3 rows of dims"):
            e.init_from_array(wrong)
    np.testing.assert_array_equal(e.as_array(), [[1, 2], [3, 4], [9, 9]])


def test_zero_and_scale_of_tables(model: ParameterCollection) -> None:
    e = model.add_lookup_parameters((3, 2), init=2)
    table = owner(e.shape.parameter)
    assert isinstance(table, LookupTable)
    table.touch([1])
    table.gradients[1] = 4
    e.scale(3)
    e.scale_gradient(0.5)
    np.testing.assert_array_equal(e.as_array(), np.full((3, 2), 6))
    np.testing.assert_array_equal(e.grad_as_array(), [[0, 0], [2, 2], [0, 0]])
    table.meta[3] = 1
    table.gradients[0] = 1
    e.scale_gradient(2)
    np.testing.assert_array_equal(e.grad_as_array(), [[2, 2], [4, 4], [0, 0]])
    e.zero()
    assert not e.as_array().any()
    assert e.grad_as_array().any()


def test_rows_are_recorded_and_iteration_ends(model: ParameterCollection, graph: ComputationGraph) -> None:
    e = model.add_lookup_parameters((3, 2, 4))
    row = e[np.int64(2)]
    assert row.dim() == ((2, 4), 1)
    assert graph.code[row.index + 1] == 2
    batch = e.batch([0, 2, 0])
    assert batch.dim() == ((2, 4), 3)
    assert graph.code[batch.index + 1 : batch.index + 4] == [0, 2, 0]
    assert [graph.code[x.index + 1] for x in e] == [0, 1, 2]
    length = len(graph.code)
    for bad in (-1, 3):
        with pytest.raises(IndexError, match="use 0 to 2"):
            e[bad]
        with pytest.raises(IndexError, match="use 0 to 2"):
            e.batch([0, bad])
    for wrong in (slice(0, 2), 1.5, "0"):
        with pytest.raises(TypeError, match="named by an int"):
            e[wrong]  # type: ignore[index]
    assert len(graph.code) == length


def test_the_whole_table_as_expression(model: ParameterCollection) -> None:
    e = model.add_lookup_parameters((3, 2))
    assert e.expr() is e
    constant = e.expr(update=False)
    assert constant.index == e.index
    assert constant.shape is e.constant_shape
    assert str(e) == "LookupParameter /_0"


# The store


def everything(model: ParameterCollection) -> list[Parameters | LookupParameters]:
    return [*model.parameters_list(), *model.lookup_parameters_list()]


def check_addresses(model: ParameterCollection) -> None:
    """What lies at the addresses is what the arrays show."""
    for p in everything(model):
        number = p.shape.parameter
        values, gradients = parameter_arrays(number)
        assert floats_at(addresses.values[number], p.shape.size) == values.tolist()
        assert floats_at(addresses.gradients[number], p.shape.size) == gradients.tolist()
        assert addresses.values[number] % 64 == addresses.gradients[number] % 64 == 0
        assert (addresses.meta[number] != 0) == isinstance(p, LookupParameters)


def test_addresses_stay_right_when_the_arena_grows(model: ParameterCollection) -> None:
    e = model.add_lookup_parameters((3, 5))
    kept = owner(e.shape.parameter)
    arenas = {id(model.store.values)}
    made: list[tuple[Parameters | LookupParameters, np.ndarray]] = [(e, e.as_array())]
    for k in range(200):
        version = addresses.version
        p = model.add_parameters((k % 7 + 1, 5))
        assert addresses.version > version
        p.gradients[...] = k
        made.append((p, p.as_array()))
        arenas.add(id(model.store.values))
    assert len(model.store.values) > 2000
    check_addresses(model)
    for k, (p, values) in enumerate(made):
        np.testing.assert_array_equal(p.as_array(), values)
        assert k == 0 or (p.grad_as_array() == k - 1).all()
    assert owner(e.shape.parameter) is kept


def test_layout_of_the_arena(model: ParameterCollection) -> None:
    store = model.store
    for size in (1, 16, 17, 3):
        model.add_parameters(size, init=1).gradients.fill(2)
    assert [(slot.offset, slot.size) for slot in store.dense] == [(0, 1), (16, 16), (32, 17), (64, 3)]
    assert store.used == 80
    assert store.values.sum() == 1 + 16 + 17 + 3
    assert store.gradients.sum() == 2 * store.values.sum()
    assert store.values.dtype == store.gradients.dtype == np.float32
    assert len(store.values) == len(store.gradients) >= store.used
    assert all(slot.offset % BLOCK == 0 for slot in store.dense)
    assert all(isinstance(owner(slot.id), DenseSlot) for slot in store.dense)


def test_one_parameter_larger_than_twice_the_arena(model: ParameterCollection) -> None:
    small = model.add_parameters(3, init=7)
    big = model.add_parameters((300, 100), init=1)
    assert big.as_array().sum() == 30000
    np.testing.assert_array_equal(small.as_array(), [7, 7, 7])
    check_addresses(model)


def test_meta_of_a_table_is_readable_by_address(model: ParameterCollection) -> None:
    e = model.add_lookup_parameters((6, 2))
    table = owner(e.shape.parameter)
    assert isinstance(table, LookupTable)
    table.touch([4, 1, 4])
    table.touch(np.array([1, 5]))
    meta = (ctypes.c_int64 * 4).from_address(int(addresses.meta[table.id]))
    touched = list((ctypes.c_int64 * 6).from_address(meta[1]))
    assert sorted(touched[: meta[0]]) == [1, 4, 5]
    assert list((ctypes.c_uint8 * 6).from_address(meta[2])) == [0, 1, 0, 0, 1, 1]
    assert meta[3] == 0


def test_clear_gradients_touches_only_touched_rows(model: ParameterCollection) -> None:
    table = owner(model.add_lookup_parameters((4, 2)).shape.parameter)
    assert isinstance(table, LookupTable)
    table.touch([2])
    table.gradients[...] = 1
    table.clear_gradients()
    np.testing.assert_array_equal(table.gradients, [[1, 1], [1, 1], [0, 0], [1, 1]])
    assert table.meta[0] == 0
    assert not table.flags.any()
    table.meta[3] = 1
    table.clear_gradients()
    assert not table.gradients.any()
    assert table.meta[3] == 0


def test_every_row_may_be_touched(model: ParameterCollection) -> None:
    table = owner(model.add_lookup_parameters((4, 2)).shape.parameter)
    assert isinstance(table, LookupTable)
    for _ in range(3):
        table.touch([3, 2, 1, 0])
        assert table.meta[0] == 4
    table.clear_gradients()
    table.touch([])
    assert table.meta[0] == 0


def test_addresses_vanish_with_the_store() -> None:
    model = ParameterCollection()
    p, e = model.add_parameters(3), model.add_lookup_parameters((2, 2))
    ids = [p.shape.parameter, e.shape.parameter]
    del model
    gc.collect()
    # A parameter keeps its store.
    assert addresses.values[ids].all()
    version = addresses.version
    del p, e
    gc.collect()
    assert not addresses.values[ids].any()
    assert not addresses.gradients[ids].any()
    assert not addresses.meta[ids].any()
    assert addresses.version > version
    assert not set(ids) & addresses.slots.keys()
    with pytest.raises(StaleExpression, match="keep a reference"):
        parameter_arrays(ids[0])
    with pytest.raises(StaleExpression, match="garbage collected"):
        owner(ids[1])
    assert ParameterCollection().add_parameters(2).shape.parameter > max(ids)


def test_a_store_collected_while_the_table_is_locked_is_settled_by_the_holder() -> None:
    model = ParameterCollection()
    number = model.add_parameters(3).shape.parameter
    with addresses._locked():
        del model
        gc.collect()
        assert addresses.values[number] != 0
    assert addresses.values[number] == 0


def test_ids_beyond_the_first_arrays() -> None:
    models = [ParameterCollection() for _ in range(3)]
    for _ in range(50):
        for model in models:
            model.add_parameters(2)
    ids = [p.shape.parameter for model in models for p in model.parameters_list()]
    assert len(set(ids)) == 150
    assert len(addresses.values) == len(addresses.gradients) == len(addresses.meta) > max(ids)
    for model in models:
        check_addresses(model)
