"""Functions that only compiled code calls get no machine code of their own: it is in the functions that call them.

Numba optimizes and assembles every function that it meets by itself, and once more inside of each caller. Here a
function that is compiled because a kernel calls it stays as LLVM's intermediate code, which callers link. When Python
calls it, it is compiled as usual. Functions that are not Weft's are compiled as Numba does.

All that is private to Numba is used here, in `cache.py` and in `pipeline.py`.
"""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FunctionType
from typing import Any

from numba import _dynfunc  # type: ignore[attr-defined]
from numba.core.codegen import JITCodeLibrary, JITCPUCodegen
from numba.core.compiler_lock import global_compiler_lock
from numba.core.cpu import CPUContext
from numba.core.dispatcher import Dispatcher, _DispatcherBase
from numba.core.registry import CPUDispatcher

_state = threading.local()


def _levels() -> list[bool]:
    """For each function that is being compiled, the innermost last: whether it is a callee."""
    try:
        levels: list[bool] = _state.levels
    except AttributeError:
        levels = _state.levels = []
    return levels


def is_callee() -> bool:
    """Whether what is compiled or loaded now is called by compiled code only."""
    levels = _levels()
    return bool(levels) and levels[-1]


@contextmanager
def without_collection() -> Iterator[None]:
    """Python's garbage collector waits: it takes a sixth of the time of compiling."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _call(function: Callable[..., Any], *arguments: Any) -> Any:
    return function(*arguments)


# CPython keeps its frames in pieces of 16 KiB, and gives a piece back when it is empty. A loop that calls functions at
# the end of a piece takes and returns one at each call: a tenth of the time of compiling, whose stack is deep. A frame
# that itself needs more gets a larger piece, of which half is left for those it calls.
with_room: Callable[..., Any] = FunctionType(_call.__code__.replace(co_stacksize=(1 << 16) + 64), globals())


@contextmanager
def compiling(callee: bool) -> Iterator[None]:
    """A function is being compiled: for another one that is being compiled (`callee`), or for Python."""
    levels = _levels()
    levels.append(callee)
    try:
        with without_collection():
            yield
    finally:
        levels.pop()


class KernelLibrary(JITCodeLibrary):
    """Code of one function and of those that it calls; that of a callee is never assembled."""

    is_callee = False

    def _optimize_final_module(self) -> None:
        if not _levels():
            super()._optimize_final_module()
        elif not is_callee():
            # Numba runs LLVM's pipeline twice, to remove reference counts between: Weft's functions have none.
            manager, builder = self._codegen._module_pass_manager()
            manager.run(self._final_module, builder)

    def _finalize_final_module(self) -> None:
        if not is_callee():
            super()._finalize_final_module()
            return
        self._finalize_dynamic_globals()
        self.is_callee = self._finalized = True

    def get_pointer_to_function(self, name: str) -> int:
        self._ensure_finalized()
        return 0 if self.is_callee else super().get_pointer_to_function(name)


class KernelDispatcher(CPUDispatcher):
    """A jitted function that knows what it is compiled for."""

    def compile(self, sig: Any) -> Any:
        with global_compiler_lock, compiling(callee := bool(_levels())):
            if not callee:
                # Python calls: what callers have linked is of no use to it.
                overloads: dict[Any, Any] = self.overloads
                for arguments in [a for a, known in overloads.items() if _is_callee_code(known.library)]:
                    del overloads[arguments]
            compiler: Any = self._compiler  # type: ignore[attr-defined]
            options = compiler.targetoptions
            if callee:
                compiler.targetoptions = {**options, "no_cpython_wrapper": True, "no_cfunc_wrapper": True}
            try:
                return Dispatcher.compile(self, sig) if callee else with_room(Dispatcher.compile, self, sig)
            finally:
                compiler.targetoptions = options

    def add_overload(self, cres: Any) -> None:
        if _is_callee_code(cres.library):
            # Python's calls do not find it.
            self.overloads[tuple(cres.signature.args)] = cres
        else:
            _DispatcherBase.add_overload(self, cres)


def _is_callee_code(library: Any) -> bool:
    return getattr(library, "is_callee", False)


_executable = CPUContext.get_executable


def _get_executable(self: Any, library: Any, fndesc: Any, env: Any) -> Any:
    """As in Numba; for a callee an object that stands for it, and is never called."""
    library._ensure_finalized()
    if not _is_callee_code(library):
        return _executable(self, library, fndesc, env)
    name = fndesc.qualname.split(".")[-1]
    return _dynfunc.make_function(fndesc.lookup_module(), name, "called by compiled code only", 0, env, (library,))


JITCPUCodegen._library_class = KernelLibrary
CPUContext.get_executable = _get_executable  # type: ignore[method-assign]
