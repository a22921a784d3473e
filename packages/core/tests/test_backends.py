"""How backends are found: plug-ins, absent ones, broken ones, other versions of the contract."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

import weft_core as dy
from weft_core import backend as registry
from weft_core.backend import BackendEntry, default_backend, hookimpl, load_backend
from weft_core.numpy_backend import NumpyBackend


class Plugin:
    """A plug-in module with these entries."""

    def __init__(self, *entries: BackendEntry) -> None:
        self.entries = list(entries)

    @hookimpl
    def weft_backends(self) -> list[BackendEntry]:
        return self.entries


class FutureBackend(NumpyBackend):
    name = "future"
    api_version = (registry.API_VERSION[0] + 1, 0)


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """Entry points of a pretended installation: name to what loading gives, or the exception that it raises."""
    points: dict[str, Any] = {"numpy": Plugin(BackendEntry("numpy", NumpyBackend))}

    def load(name: str) -> Any:
        if isinstance(points[name], Exception):
            raise points[name]
        return points[name]

    def entry_points(group: str) -> list[Any]:
        assert group == "weft"
        return [SimpleNamespace(name=name, load=lambda name=name: load(name)) for name in points]

    monkeypatch.setattr(registry, "entry_points", entry_points)
    monkeypatch.setattr(registry, "_loaded", {})
    yield points


def test_the_numpy_backend_comes_through_the_same_door() -> None:
    assert "numpy" in {entry.name for entry in dy.backends() if entry.available}
    assert isinstance(load_backend("numpy"), NumpyBackend)
    assert load_backend("numpy") is load_backend("numpy")


def test_an_unknown_name_lists_what_there_is(found: dict[str, Any]) -> None:
    with pytest.raises(dy.BackendError, match="no backend 'tpu'; found: numpy"):
        load_backend("tpu")


def test_an_absent_backend_says_why(found: dict[str, Any]) -> None:
    found["gpu"] = Plugin(BackendEntry("gpu", NumpyBackend, "no NVIDIA driver"))
    assert [(entry.name, entry.reason) for entry in dy.backends()] == [("gpu", "no NVIDIA driver"), ("numpy", "")]
    with pytest.raises(dy.BackendError, match="'gpu' is not available: no NVIDIA driver"):
        load_backend("gpu")


def test_a_broken_plugin_is_an_absent_backend_and_the_others_work(found: dict[str, Any]) -> None:
    found["broken"] = ImportError("libfoo is missing")
    entry = next(entry for entry in dy.backends() if entry.name == "broken")
    assert entry.reason == "ImportError: libfoo is missing"
    assert isinstance(load_backend("numpy"), NumpyBackend)
    with pytest.raises(dy.BackendError, match="libfoo is missing"):
        entry.make()


def test_another_major_version_is_refused(found: dict[str, Any]) -> None:
    found["future"] = Plugin(BackendEntry("future", FutureBackend))
    with pytest.raises(dy.BackendError, match=r"speaks version .* install releases with the same major version"):
        load_backend("future")


def test_the_environment_chooses(found: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WEFT_BACKEND", raising=False)
    assert default_backend().name == "numpy"
    found["other"] = Plugin(BackendEntry("other", lambda: NumpyBackend("float64")))
    monkeypatch.setenv("WEFT_BACKEND", "other")
    chosen = default_backend()
    assert isinstance(chosen, NumpyBackend) and chosen.dtype == "float64"
    monkeypatch.setenv("WEFT_BACKEND", "none")
    with pytest.raises(dy.BackendError, match="no backend 'none'"):
        default_backend()


def test_threads_that_a_backend_does_not_have_are_refused() -> None:
    dy.init(backend="numpy", threads=1)
    with pytest.raises(dy.BackendError, match="runs on one thread, 3 were asked for"):
        dy.init(threads=3)
    with pytest.raises(dy.WeftError, match="at least 1"):
        dy.init(threads=0)
