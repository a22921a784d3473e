"""The backend contract, and how backends are found.

A backend executes tapes and runs update rules. It registers through pluggy: a module named in the entry-point group
`weft` implements `weft_backends()`. The built-in NumPy backend comes through the same door.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

import pluggy

from .errors import BackendError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from .graph import ComputationGraph
    from .lazy import LazyRows, UpdateLog
    from .rules import RuleState, UpdateRule
    from .shape import Shape
    from .store import Floats, ParameterStore

API_VERSION = (1, 0)

hookspec = pluggy.HookspecMarker("weft")
hookimpl = pluggy.HookimplMarker("weft")


@dataclass(frozen=True)
class Group:
    """Instructions of one type in a plan, and in how many steps they run; `kind` shows operation and shapes.

    `on_host`: for want of a kernel of the backend, the operation's reference runs.
    """

    kind: str
    instructions: int
    steps: int
    on_host: bool = False


class Execution(ABC):
    """A backend's side of one computation graph: its plan and its memory."""

    @abstractmethod
    def forward(self, indices: Sequence[int]) -> None:
        """Compute the values at these positions of the tape, and all that they need and that has no value."""

    @abstractmethod
    def backward(self, index: int, full: bool) -> None:
        """Add the gradient of the scalar at `index` into the parameters; keep the gradients of nodes.

        Never called for a graph with `inference`, whose hidden results may be overwritten as soon as they were read.
        """

    @abstractmethod
    def value(self, index: int, shape: Shape) -> NDArray[np.float32]:
        """A flat copy of a computed value, column-major, examples last."""

    def scalar(self, index: int) -> float:
        """A computed value of one element."""
        from .shape import shape_of

        return float(self.value(index, shape_of((1,)))[0])

    @abstractmethod
    def gradient(self, index: int, shape: Shape) -> NDArray[np.float32] | None:
        """A flat copy of a node's gradient from the last backward; None when there is none."""

    @abstractmethod
    def invalidate(self, redraw: bool) -> None:
        """Forget all values; `redraw` also moves random operations to new numbers."""

    @abstractmethod
    def rewrite(self, position: int, number: int) -> None:
        """A payload integer of the tape has changed; `invalidate` follows."""

    @abstractmethod
    def drop(self, start: int, end: int) -> None:
        """Values at these positions are gone for good (revert)."""

    @abstractmethod
    def close(self) -> None:
        """The graph is dead; its memory may be used for the next one."""

    def counts(self) -> dict[str, int]:
        """Figures of the last plan: nodes, types, steps, bytes; for tests and `profile`."""
        return {}

    def groups(self) -> list[Group]:
        """What the last plan runs together, type by type, in the order in which they first run."""
        return []


class Backend(ABC):
    """What runs graphs and updates: NumPy, Numba, Triton, or a third party's."""

    name: str
    api_version: tuple[int, int] = API_VERSION
    capabilities: frozenset[str] = frozenset()

    @abstractmethod
    def execution(self, graph: ComputationGraph) -> Execution:
        """Memory and plan for a new graph."""

    @abstractmethod
    def update(
        self,
        rule: UpdateRule,
        state: RuleState,
        store: ParameterStore,
        settings: dict[str, float],
        scale: float,
        sparse: bool,
    ) -> None:
        """Apply a rule to every parameter that is not frozen, gradients times `scale`, and clear those gradients.

        `sparse`: only to those rows of look-up tables that have a gradient; they are current.
        """

    def update_idle(
        self, rule: UpdateRule, state: RuleState, store: ParameterStore, settings: dict[str, float], scale: float
    ) -> bool:
        """`update`, sparse, and the rule's step with gradient zero for all other rows of look-up tables, at once.

        False, and nothing has happened, where rows rather miss that step until they are used: only for a backend whose
        updates leave tables on the host, where missed steps are made up for.
        """
        return False

    def lazy_rows(self, rule: UpdateRule, values: Floats, moments: list[Floats], log: UpdateLog) -> LazyRows:
        """What makes up for the updates that rows of a look-up table have missed; here the reference.

        Kernels that read a row call the function in the table's `meta` first, where there is one.
        """
        from .lazy import LazyRows

        return LazyRows(rule, values, moments, log)

    @abstractmethod
    def gradient_norm(self, store: ParameterStore) -> float:
        """Square root of the sum of squares of all gradients of a store."""

    @abstractmethod
    def set_threads(self, threads: int) -> None:
        """Use up to this many threads; a backend may know only one."""


@dataclass(frozen=True)
class BackendEntry:
    """A backend that was found: `make` imports and builds it; `reason` says why it is not available, or is empty."""

    name: str
    make: Callable[[], Backend]
    reason: str = ""

    @property
    def available(self) -> bool:
        return not self.reason


class BackendHooks:
    """Hooks that a plug-in module implements, with `weft_core.extend.hookimpl`."""

    @hookspec
    def weft_backends(self) -> list[BackendEntry]:  # type: ignore[empty-body]
        """The backends of this plug-in. Keep this module light: import the heavy parts in `make`."""


_loaded: dict[str, Backend] = {}


def plugin_manager() -> pluggy.PluginManager:
    """A manager with every plug-in of the entry-point group registered; a broken plug-in becomes an absent backend."""
    manager = pluggy.PluginManager("weft")
    manager.add_hookspecs(BackendHooks)
    for entry in sorted(entry_points(group="weft"), key=lambda e: e.name):
        if manager.has_plugin(entry.name):
            continue
        try:
            manager.register(entry.load(), name=entry.name)
        except Exception as error:  # a third party's module may fail in any way; the others must still work
            manager.register(_Broken(entry.name, f"{type(error).__name__}: {error}"), name=entry.name)
    return manager


class _Broken:
    """Takes the place of a plug-in whose import failed."""

    def __init__(self, name: str, reason: str) -> None:
        self.entry = BackendEntry(name, self._refuse, reason)

    def _refuse(self) -> Backend:
        raise BackendError(f"backend {self.entry.name!r} is not available: {self.entry.reason}")

    @hookimpl
    def weft_backends(self) -> list[BackendEntry]:
        return [self.entry]


def backends() -> list[BackendEntry]:
    """All backends that were found, available or not, sorted by name."""
    found: Iterator[Any] = (entry for group in plugin_manager().hook.weft_backends() for entry in group)
    return sorted(found, key=lambda entry: entry.name)


def load_backend(name: str) -> Backend:
    """The backend of this name; loaded once.

    Raises `BackendError` when there is none, when it is not available here, or when it was made for another major
    version.
    """
    if name in _loaded:
        return _loaded[name]
    entries = {entry.name: entry for entry in backends()}
    if name not in entries:
        raise BackendError(
            f"there is no backend {name!r}; found: {', '.join(entries)}. Install one, e.g. pip install weft[cpu]"
        )
    entry = entries[name]
    if not entry.available:
        raise BackendError(f"backend {name!r} is not available: {entry.reason}")
    backend = entry.make()
    if backend.api_version[0] != API_VERSION[0]:
        raise BackendError(
            f"backend {name!r} speaks version {backend.api_version} of the backend contract, this core {API_VERSION}; "
            "install releases with the same major version"
        )
    _loaded[name] = backend
    return backend


def default_backend() -> Backend:
    """`WEFT_BACKEND` if set, else Numba where available, else NumPy."""
    wanted = os.environ.get("WEFT_BACKEND")
    if wanted:
        return load_backend(wanted)
    available = {entry.name for entry in backends() if entry.available}
    return load_backend("numba" if "numba" in available else "numpy")
