"""Sequences of expressions: places on the tape that read as a list, for functions of lists and for look-ups."""

import copy
import functools
import operator
import pickle
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pytest

import weft_core as dy
from weft_core import Expression, Expressions, IndexValueError, ParameterCollection, StaleExpression
from weft_core.parameters import LookupParameters

ROWS = np.arange(15.0).reshape(5, 3) / 8
IDS = [3, 0, 3, 4]


@pytest.fixture
def table() -> Iterator[LookupParameters]:
    dy.renew_cg()
    yield ParameterCollection().lookup_parameters_from_numpy(ROWS)
    dy.renew_cg()


@pytest.fixture
def no_objects(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Called, it makes every look at an item of a sequence an error."""

    def refuse(*_: Any) -> Any:
        raise AssertionError("an expression was made of a sequence that was to be taken as it is")

    whole = Expressions.__getitem__

    def close() -> None:
        monkeypatch.setattr(
            Expressions, "__getitem__", lambda xs, k: whole(xs, k) if type(k) is slice or len(xs) == 1 else refuse()
        )
        for name in ("__iter__", "__reversed__", "__contains__"):
            monkeypatch.setattr(Expressions, name, refuse)

    return close


def tape(record: Callable[[], Any]) -> list[int]:
    """What this records in a new graph."""
    graph = dy.renew_cg()
    record()
    return list(graph.code)


def values(xs: Sequence[Expression]) -> list[list[float]]:
    return [x.vec_value() for x in xs]


def test_look_ups_of_a_sequence_are_those_one_by_one(table: LookupParameters) -> None:
    for update in (True, False):
        one_by_one = tape(lambda update=update: [dy.lookup(table, i, update) for i in IDS])  # type: ignore[misc]
        assert len(one_by_one) == 1 + 2 * len(IDS)
        for ids in (IDS, tuple(IDS), iter(IDS), np.array(IDS)):
            assert tape(lambda ids=ids, update=update: dy.lookup_each(table, ids, update)) == one_by_one  # type: ignore[misc]
            assert all(type(number) is int for number in dy.cg().code)
    assert tape(lambda: dy.lookup_each(table, IDS)) == tape(lambda: [table[i] for i in IDS])


def test_look_ups_of_a_sequence_pass_gradients_to_their_rows(table: LookupParameters) -> None:
    xs = dy.lookup_each(table, IDS)
    assert values(xs) == [ROWS[i].tolist() for i in IDS]
    dy.sum_elems(dy.esum(xs)).backward()
    assert [row[0] for row in table.grad_as_array()] == [1, 0, 0, 2, 1]
    constants = dy.lookup_each(table, IDS, update=False)
    dy.sum_elems(dy.esum(constants)).backward()
    assert table.grad_as_array().sum() == 3 * 4


def test_look_ups_of_a_sequence_name_what_is_wrong(table: LookupParameters) -> None:
    graph = dy.cg()
    for ids, bad in (([1, 5, 7], 5), ([0, -1], -1), ([2, 9], 9)):
        with pytest.raises(IndexValueError, match=rf"^lookup_each: index {bad} is outside of an axis of size 5"):
            dy.lookup_each(table, ids)
    with pytest.raises(TypeError, match=r"^lookup_each takes LookupParameters, got list"):
        dy.lookup_each([1, 2], IDS)  # type: ignore[arg-type]
    for wrong in ([1, "2"], [0.5], 3):
        with pytest.raises(TypeError, match=r"^lookup_each takes the ids of rows, a list of ints"):
            dy.lookup_each(table, wrong)  # type: ignore[arg-type]
    assert len(graph.code) == 1
    assert len(dy.lookup_each(table, [])) == 0 and len(graph.code) == 1


LIST_FUNCTIONS: dict[str, Callable[[Any], Expression]] = {
    "esum": dy.esum,
    "average": dy.average,
    "emax": dy.emax,
    "logsumexp": dy.logsumexp,
    "concatenate": dy.concatenate,
    "concatenate-axis": lambda xs: dy.concatenate(xs, 1),
    "concatenate_cols": dy.concatenate_cols,
    "concatenate_to_batch": dy.concatenate_to_batch,
}


@pytest.mark.parametrize("name", LIST_FUNCTIONS)
@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_functions_of_lists_take_places_as_they_are(
    name: str, count: int, table: LookupParameters, no_objects: Callable[[], None]
) -> None:
    function = LIST_FUNCTIONS[name]
    ids = [i % 5 for i in range(count)]
    expected = tape(lambda: function([table[i] for i in ids]))
    assert tape(lambda: function(tuple(table[i] for i in ids))) == expected
    # The first use of a shape makes the signature from expressions.
    made = function(dy.lookup_each(table, ids))
    assert made.vec_value() == function([table[i] for i in ids]).vec_value()
    no_objects()
    assert tape(lambda: function(dy.lookup_each(table, ids))) == expected
    backward = tape(lambda: function(dy.lookup_each(table, ids)[::-1]))
    assert backward[: 1 + 2 * count] == expected[: 1 + 2 * count] and len(backward) == len(expected)


def test_functions_of_lists_take_changed_and_empty_sequences(table: LookupParameters) -> None:
    for name, function in LIST_FUNCTIONS.items():
        xs = dy.lookup_each(table, IDS)
        xs.append(dy.inputVector([9, 8, 7]))
        assert function(xs).vec_value() == function(list(xs)).vec_value()
        with pytest.raises(ValueError, match=name.partition("-")[0].replace("_cols", "")):
            function(dy.lookup_each(table, []))


def test_operands_of_several_shapes_and_parameters_in_a_list(table: LookupParameters) -> None:
    model = ParameterCollection()
    p = model.parameters_from_numpy(np.array([1.0, 2, 4]))
    x, y = table[1], dy.inputVector([5, 6])
    for _ in range(2):
        assert dy.esum([p, p, p]).vec_value() == [3, 6, 12]
        assert dy.concatenate([x, y, p]).vec_value() == [*ROWS[1], 5, 6, 1, 2, 4]
        assert dy.concatenate([y, p]).vec_value() == [5, 6, 1, 2, 4]
        assert dy.concatenate([p, y]).vec_value() == [1, 2, 4, 5, 6]
    with dy.ComputationGraph():
        there = dy.inputVector([1, 2, 3])
        for mixed in ([x, there], [x, x, there], [there, x, x]):
            with pytest.raises(dy.WeftError, match="esum: operands belong to two computation graphs"):
                dy.esum(mixed)


def test_affine_transform_of_any_sequence() -> None:
    model = ParameterCollection()
    weight = model.parameters_from_numpy(np.array([[1.0, 2], [3, 4]]))
    bias, other = (model.parameters_from_numpy(np.array(numbers)) for numbers in ([10.0, 20], [30.0, 40]))
    dy.renew_cg()
    x, y = dy.inputVector([1, 1]), dy.inputVector([1, 0])
    for _ in range(2):
        for kind in (list, tuple):
            assert dy.affine_transform(kind([bias, weight, x])).vec_value() == [13, 27]
            assert dy.affine_transform(kind([other, weight, x])).vec_value() == [33, 47]
            assert dy.affine_transform(kind([bias, weight, x, weight, y])).vec_value() == [14, 30]
    numbers = ParameterCollection().lookup_parameters_from_numpy(np.array([[1.0], [2], [3]]))
    assert dy.affine_transform(dy.lookup_each(numbers, [0, 1, 2])).vec_value() == [1 + 2 * 3]


def test_it_reads_as_a_list(table: LookupParameters) -> None:
    xs = dy.lookup_each(table, IDS)
    places = [1, 3, 5, 7]

    def at(items: Any) -> list[int]:
        return [x.index for x in items]

    first, second, *rest = xs
    assert (len(xs), bool(xs), bool(xs[:0])) == (4, True, False)
    assert (xs[0].index, xs[-1].index, first.index, second.index, at(rest)) == (1, 7, 1, 3, [5, 7])
    assert at(xs) == at(list(xs)) == at(x for x, _ in zip(xs, range(9))) == at(dict(enumerate(xs)).values()) == places
    assert at(reversed(xs)) == at(xs[::-1]) == places[::-1]
    assert (at(xs[1:3]), at(xs[::2]), at(xs[-2:][::-1])) == ([3, 5], [1, 5], [7, 5])
    extra = dy.inputVector([1, 2, 3])
    longer = [extra]
    assert at(xs + longer) == [*places, extra.index] and at(longer + xs) == [extra.index, *places]
    longer += xs
    assert at(longer) == [extra.index, *places]
    assert at(xs + xs) == places * 2 and at(2 * xs) == at(xs * 2) == places * 2
    assert at(functools.reduce(operator.add, [xs, xs], [])) == places * 2
    assert sum(xs, start=0.0).vec_value() == ROWS[IDS].sum(axis=0).tolist()
    assert xs[2] in xs and extra not in xs and 3 not in xs
    assert (xs.index(xs[2]), xs.index(xs[-1], 1), xs.count(xs[1]), xs.count(extra)) == (2, 3, 1, 0)
    assert at(xs.copy()) == at(copy.copy(xs)) == places
    assert repr(xs) == repr(list(xs)) and repr(xs).startswith("[expression 1/")
    for missing in (4, -5):
        with pytest.raises(IndexError):
            xs[missing]
    with pytest.raises(ValueError, match="is not in the sequence"):
        xs.index(extra)
    with pytest.raises(TypeError):
        operator.add(xs, (extra,))
    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(xs)


def test_parts_and_sums_stay_places(table: LookupParameters) -> None:
    xs, ys = dy.lookup_each(table, IDS), dy.lookup_each(table, IDS[:2])
    assert isinstance(xs[1:], Expressions) and xs[::-1].indices == range(7, -1, -2)
    both = xs + ys[::-1]
    assert isinstance(both, Expressions) and both.indices == [1, 3, 5, 7, 11, 9]
    assert isinstance(both[2:], Expressions) and both[2:].indices == [5, 7, 11, 9]
    wide = ParameterCollection().lookup_parameters_from_numpy(np.ones((2, 4)))
    with_others = xs + dy.lookup_each(wide, [1])
    assert isinstance(with_others, list) and [x.dim() for x in with_others] == [((3,), 1)] * 4 + [((4,), 1)]


CHANGES: dict[str, Callable[[Any, Expression], Any]] = {
    "append": lambda xs, x: xs.append(x),
    "insert": lambda xs, x: xs.insert(1, x),
    "extend": lambda xs, x: xs.extend([x, x]),
    "add in place": lambda xs, x: xs.__iadd__([x]),
    "set an item": lambda xs, x: xs.__setitem__(-1, x),
    "set a slice": lambda xs, x: xs.__setitem__(slice(1, 3), [x]),
    "delete": lambda xs, x: xs.__delitem__(0),
    "delete a slice": lambda xs, x: xs.__delitem__(slice(None, 2)),
    "pop": lambda xs, x: xs.pop(),
    "remove": lambda xs, x: xs.remove(xs[1]),
    "reverse": lambda xs, x: xs.reverse(),
    "clear": lambda xs, x: xs.clear(),
    "sort": lambda xs, x: xs.sort(key=lambda e: -e.index),
}


@pytest.mark.parametrize("change", CHANGES)
def test_changes_are_those_of_a_list(change: str, table: LookupParameters) -> None:
    xs = dy.lookup_each(table, IDS)
    part, as_list, x = xs[1:], list(xs), table[1]
    for target in (xs, as_list):
        CHANGES[change](target, x)
        CHANGES["append"](target, x)
    assert [e.index for e in xs] == [e.index for e in as_list] != [1, 3, 5, 7]
    assert (len(xs), xs[-1], xs[:1]) == (len(as_list), x, list(xs)[:1])
    assert xs[0] in xs and xs.index(x) == as_list.index(x) and [*reversed(xs)] == [*xs][::-1]
    # No one can take the places of a changed sequence for its items.
    assert not hasattr(xs, "indices")
    assert isinstance(xs + xs, list) and len(xs + xs) == 2 * len(xs) and repr(xs) == repr(list(xs))
    # What was taken before stays as it was.
    assert [e.index for e in part] == [3, 5, 7]


def test_forward_takes_sequences(table: LookupParameters) -> None:
    xs = dy.lookup_each(table, IDS)
    dy.forward(xs)
    assert dy.values(xs) == [ROWS[i].tolist() for i in IDS]
    with pytest.raises(IndexError, match="at least one"):
        dy.forward(xs[:0])


def test_a_sequence_of_a_dead_graph_is_stale(table: LookupParameters) -> None:
    xs = dy.lookup_each(table, IDS)
    dy.esum(xs)
    dy.renew_cg()
    for use in (dy.esum, dy.concatenate, dy.forward, lambda xs: xs[0].value(), lambda xs: dy.tanh(xs[-1]), values):
        with pytest.raises(StaleExpression):
            use(xs)
    with pytest.raises(StaleExpression):
        dy.esum([*xs, table[0]])


def test_a_sequence_of_a_reverted_part_is_stale(table: LookupParameters) -> None:
    dy.cg_checkpoint()
    xs = dy.lookup_each(table, IDS)
    dy.cg_revert()
    with pytest.raises(StaleExpression, match="checkpoint"):
        dy.forward(xs)
