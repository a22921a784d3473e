"""Kernels are compiled without the passes that find nothing in them; other functions with all of Numba's."""

from collections.abc import Callable
from typing import Any

import numba
import pytest
from numba.core.compiler_machinery import PassManager

from weft_numba.cache import cached_cfunc, cached_njit
from weft_numba.pipeline import NEEDLESS
from weft_numba.pointers import KERNEL

SKIPPED = {kind.name() for kind in NEEDLESS}


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> list[str]:
    """The names of the passes that have run."""
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))
    names: list[str] = []
    original: Callable[..., Any] = PassManager._runPass

    def noted(self: Any, index: int, one: Any, state: Any) -> Any:
        names.append(one.name())
        return original(self, index, one, state)

    monkeypatch.setattr(PassManager, "_runPass", noted)
    return names


def double(x: int) -> int:
    return 2 * x


def kernel(record: int, start: int, count: int) -> None:
    pass


def test_kernels_and_what_they_call_skip_them(passes: list[str]) -> None:
    assert cached_njit(double)(4) == 8
    cached_cfunc(kernel, KERNEL)
    assert passes.count("native_lowering") == 2
    assert not SKIPPED & set(passes)


def test_functions_that_are_not_wefts_do_not(passes: list[str]) -> None:
    assert numba.njit(double)(4) == 8
    assert set(passes) >= SKIPPED
