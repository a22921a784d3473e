"""Distributions, forms of `init=`, and the one random stream."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from weft_core.collection import ParameterCollection
from weft_core.initializers import (
    ConstInitializer,
    FromFileInitializer,
    GlorotInitializer,
    IdentityInitializer,
    Initializer,
    InitializerError,
    NormalInitializer,
    NumpyInitializer,
    PyInitializer,
    SaxeInitializer,
    UniformInitializer,
    UnknownInitializer,
    generator,
)
from weft_core.settings import settings
from weft_core.store import Floats


@pytest.fixture(autouse=True)
def seeded() -> None:
    settings.reseed(11)


def drawn(dim: Any, init: Any = None, **keywords: Any) -> np.ndarray:
    return ParameterCollection().add_parameters(dim, init=init, **keywords).as_array()


def drawn_table(dim: Any, init: Any = None, **keywords: Any) -> np.ndarray:
    return ParameterCollection().add_lookup_parameters(dim, init=init, **keywords).as_array()


def check_uniform(values: np.ndarray, bound: float) -> None:
    assert np.abs(values).max() <= bound * (1 + 1e-6)
    assert np.abs(values).max() > 0.95 * bound
    assert abs(values.mean()) < 5 * bound / math.sqrt(3 * values.size)
    assert values.std() == pytest.approx(bound / math.sqrt(3), rel=0.1)


def check_normal(values: np.ndarray, mean: float, deviation: float) -> None:
    assert values.mean() == pytest.approx(mean, abs=5 * deviation / math.sqrt(values.size))
    assert values.std() == pytest.approx(deviation, rel=0.1)


@pytest.mark.parametrize(
    ("dims", "bound"),
    [
        ((1000,), math.sqrt(3 / 1000)),
        ((40, 20), math.sqrt(6 / 60)),
        ((10, 20, 5), math.sqrt(9 / 35)),
        ((3, 5, 7, 9), math.sqrt(6 / ((7 + 9) * 3 * 5))),
        ((2, 3, 4, 5, 6), math.sqrt(15 / 20)),
    ],
)
@pytest.mark.parametrize("init", [None, "glorot"])
def test_glorot(dims: tuple[int, ...], bound: float, init: str | None) -> None:
    check_uniform(drawn(dims, init), bound)
    assert GlorotInitializer().bound(dims) == pytest.approx(bound)
    assert GlorotInitializer(gain=3).bound(dims) == pytest.approx(3 * bound)


def test_glorot_of_tables_counts_rows_unless_told() -> None:
    check_uniform(drawn_table((100, 20)), math.sqrt(6 / 120))
    check_uniform(drawn_table((100, 20), GlorotInitializer(is_lookup=True)), math.sqrt(3 / 20))
    check_uniform(drawn_table((90, 4, 6), GlorotInitializer(True, 2.0)), 2 * math.sqrt(6 / 10))


def test_glorot_of_a_number() -> None:
    assert abs(float(drawn(()))) <= math.sqrt(3)


def test_uniform_and_normal() -> None:
    check_uniform(drawn((50, 40), "uniform", scale=0.25), 0.25)
    check_uniform(drawn((50, 40), "uniform"), 1.0)
    check_uniform(drawn((50, 40), UniformInitializer(3)), 3)
    check_normal(drawn((50, 40), "normal", mean=2.0, std=0.5), 2.0, 0.5)
    check_normal(drawn((50, 40), "normal"), 0.0, 1.0)
    check_normal(drawn((50, 40), NormalInitializer(-1, 4)), -1, 2)


def test_he_looks_at_the_last_dim_as_given() -> None:
    check_normal(drawn((40, 50), "he"), 0, math.sqrt(1 / 100))
    check_normal(drawn_table((400, 8), "he"), 0, math.sqrt(1 / 16))


@pytest.mark.parametrize("number", [0, 2, -1.5, True, np.float64(0.25), np.float32(0.5), np.int32(3)])
def test_numbers_are_constants(number: float) -> None:
    np.testing.assert_array_equal(drawn((2, 3), number), np.full((2, 3), float(number)))
    np.testing.assert_array_equal(drawn_table((2, 3), number), np.full((2, 3), float(number)))


def test_constant_identity_and_array_objects() -> None:
    np.testing.assert_array_equal(drawn(3, ConstInitializer(4)), [4, 4, 4])
    np.testing.assert_array_equal(drawn((3, 3), "identity"), np.eye(3))
    np.testing.assert_array_equal(drawn((4, 4), IdentityInitializer()), np.eye(4))
    # Flattened column-major, into whatever dims of that size.
    array = np.arange(6.0).reshape(2, 3)
    np.testing.assert_array_equal(drawn((2, 3), NumpyInitializer(array)), array)
    np.testing.assert_array_equal(drawn(6, NumpyInitializer(array)), array.ravel(order="F"))


@pytest.mark.parametrize(("init", "scale"), [("saxe", 1.0), (SaxeInitializer(0.5), 0.5)])
def test_saxe_is_orthogonal(init: Any, scale: float) -> None:
    matrix = drawn((12, 12), init)
    np.testing.assert_allclose(matrix @ matrix.T, scale**2 * np.eye(12), atol=1e-6)
    assert np.abs(matrix - scale * np.eye(12)).max() > 0.1


@pytest.mark.parametrize("init", ["identity", "saxe"])
@pytest.mark.parametrize("dims", [(3,), (2, 3), (2, 2, 2)])
def test_square_only(init: str, dims: tuple[int, ...]) -> None:
    with pytest.raises(InitializerError, match=f"{init} initializer fills square matrices, got dims"):
        drawn(dims, init)
    assert issubclass(InitializerError, RuntimeError)


def test_file(tmp_path: Path) -> None:
    path = tmp_path / "numbers.txt"
    path.write_text("1 2.5\n-3\t4e1  5 6\n")
    for name in (path, str(path), str(path).encode()):
        np.testing.assert_array_equal(drawn((2, 3), FromFileInitializer(name)), [[1, -3, 5], [2.5, 40, 6]])
    with pytest.raises(ValueError, match=r"numbers.txt holds 6 numbers, a parameter of dims \(5,\) needs 5"):
        drawn(5, FromFileInitializer(path))
    path.write_text("1 two")
    with pytest.raises(ValueError, match="must hold numbers"):
        drawn(2, FromFileInitializer(path))
    with pytest.raises(FileNotFoundError):
        drawn(2, FromFileInitializer(tmp_path / "absent"))


@pytest.mark.parametrize("init", ["Glorot", "", [1.0, 2.0], object(), 1j, UniformInitializer])
def test_unknown_forms_are_named_with_the_known_ones(init: Any) -> None:
    for draw in (drawn, drawn_table):
        with pytest.raises(UnknownInitializer, match=r"'glorot', 'he', .*'saxe', a number, an array") as raised:
            draw((2, 2), init)
        assert isinstance(raised.value, ValueError)


@pytest.mark.parametrize(
    "make",
    [
        lambda: UniformInitializer(0),
        lambda: UniformInitializer(-1),
        lambda: UniformInitializer(math.nan),
        lambda: NormalInitializer(0, -1),
        lambda: NormalInitializer(math.inf),
        lambda: GlorotInitializer(gain=0),
        lambda: NumpyInitializer([[1], [2, 3]]),
    ],
)
def test_bad_arguments(make: Callable[[], object]) -> None:
    with pytest.raises(ValueError, match=r"needs|must be"):
        make()


def test_array_of_another_size() -> None:
    with pytest.raises(ValueError, match=r"shape \(4,\), 4 elements; a parameter of dims \(3,\) needs 3"):
        drawn(3, NumpyInitializer(np.ones(4)))


def test_reseeding_restarts_the_stream() -> None:
    first = drawn((3, 3)), drawn_table((4, 2), "normal")
    assert not np.array_equal(first[0], drawn((3, 3)))
    settings.reseed(11)
    again = drawn((3, 3)), drawn_table((4, 2), "normal")
    for x, y in zip(first, again, strict=True):
        np.testing.assert_array_equal(x, y)
    settings.reseed(12)
    assert not np.array_equal(first[0], drawn((3, 3)))
    assert generator() is generator()


def test_values_come_in_memory_order() -> None:
    flat = drawn(6, "uniform")
    settings.reseed(11)
    np.testing.assert_array_equal(drawn((2, 3), "uniform"), flat.reshape((2, 3), order="F"))
    settings.reseed(11)
    np.testing.assert_array_equal(drawn_table((3, 2), "uniform"), flat.reshape(3, 2))


def test_own_initializer() -> None:
    seen = []

    class Counting(Initializer):
        def fill(self, values: Floats, dims: tuple[int, ...]) -> None:
            seen.append(dims)
            values[:] = range(len(values))

    np.testing.assert_array_equal(drawn((2, 2), Counting()), [[0, 2], [1, 3]])
    np.testing.assert_array_equal(drawn_table((2, 3), Counting()), [[0, 1, 2], [3, 4, 5]])
    assert seen == [(2, 2), (3, 2)]
    with pytest.raises(TypeError):
        PyInitializer()  # type: ignore[abstract]
