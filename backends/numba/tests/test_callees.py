"""Functions that only compiled code calls: linked, not assembled; compiled as usual when Python calls them."""

import gc
import sys
from collections.abc import Callable
from types import FunctionType
from typing import Any

import numba
import pytest
from numba.core.codegen import JITCodeLibrary

from weft_numba import callees
from weft_numba.cache import cached_njit


def pair() -> tuple[Any, Any]:
    """A function, and another that calls it."""

    def inner(x: int) -> int:
        return 3 * x + 1

    inner_compiled = cached_njit(inner)

    def outer(x: int) -> int:
        return int(inner_compiled(x)) - 1

    return inner_compiled, cached_njit(outer)


@pytest.fixture(autouse=True)
def empty_cache(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))


def test_a_callee_has_no_code_of_its_own_until_python_calls_it() -> None:
    inner, outer = pair()
    assert outer(5) == 15
    (linked,) = inner.overloads.values()
    assert linked.library.is_callee
    assert inner(5) == 16
    (compiled,) = inner.overloads.values()
    assert not compiled.library.is_callee
    assert outer(6) == 18


def test_a_new_caller_links_the_callee_from_the_cache() -> None:
    pair()[1](5)
    inner, _ = pair()

    def other(x: int) -> int:
        return 2 * int(inner(x))

    assert cached_njit(other)(5) == 32
    assert sum(inner._cache_hits.values()) == 1 and not inner._cache_misses
    assert inner(7) == 22


def test_a_function_that_names_others_holds_no_address() -> None:
    """An address would keep it from the cache."""
    _, outer = pair()

    @numba.njit
    def not_wefts(x: int) -> int:
        return x + 7

    def between(x: int) -> int:
        return int(outer(x)) + int(not_wefts(x))

    between_compiled = cached_njit(between)

    def outermost(x: int) -> int:
        return int(between_compiled(x)) + int(outer(2 * x))

    assert cached_njit(outermost)(5) == 57
    for function in (outer, between_compiled):
        (linked,) = function.overloads.values()
        assert linked.library.is_callee and not linked.library.has_dynamic_globals


@pytest.mark.skipif(sys.platform == "win32", reason="Windows does not count page faults of a process")
def test_calls_from_a_deep_stack_take_no_memory() -> None:
    import resource

    def faults() -> int:
        return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

    def small() -> None:
        pass

    # It needs most of a piece of the stack, so at most depths it begins a new one.
    leaf = FunctionType(small.__code__.replace(co_stacksize=1500), {})

    def work() -> int:
        before = faults()
        for _ in range(1000):
            leaf()
        return faults() - before

    def deep(levels: int) -> int:
        return work() if levels == 0 else deep(levels - 1)

    assert max(deep(levels) for levels in range(100)) >= 1000
    assert max(callees.with_room(deep, levels) for levels in range(100)) < 100


def test_functions_that_are_not_wefts_are_optimized_as_numba_does(monkeypatch: pytest.MonkeyPatch) -> None:
    optimized: list[str] = []
    original: Callable[[Any], None] = JITCodeLibrary._optimize_final_module

    def noted(self: Any) -> None:
        optimized.append(self.name)
        original(self)

    monkeypatch.setattr(JITCodeLibrary, "_optimize_final_module", noted)
    assert pair()[1](1) == 3
    assert optimized == []

    @numba.njit
    def words(n: int) -> int:
        return len(["weft"] * n)

    assert words(4) == 4
    assert any("words" in name for name in optimized)


def test_the_garbage_collector_waits_and_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bool] = []
    original = callees.KernelLibrary._optimize_final_module

    def noted(self: Any) -> None:
        seen.append(gc.isenabled())
        original(self)

    monkeypatch.setattr(callees.KernelLibrary, "_optimize_final_module", noted)
    assert gc.isenabled()
    pair()[1](2)
    assert seen and not any(seen) and gc.isenabled()
    gc.disable()
    try:
        pair()[1](2.5)
        assert not gc.isenabled()
    finally:
        gc.enable()
