"""The plug-in module: light, so that finding backends costs nothing; Numba is imported when the backend is chosen."""

from __future__ import annotations

from importlib.util import find_spec

from weft_core.backend import Backend, BackendEntry, hookimpl


def make() -> Backend:
    """Import Numba and build the backend."""
    from .backend import NumbaBackend

    return NumbaBackend()


@hookimpl
def weft_backends() -> list[BackendEntry]:
    """The Numba backend, or why it is absent."""
    missing = [name for name in ("numba", "scipy", "threadpoolctl", "platformdirs") if find_spec(name) is None]
    reason = f"not installed: {', '.join(missing)} (pip install weft[cpu])" if missing else ""
    return [BackendEntry("numba", make, reason)]
