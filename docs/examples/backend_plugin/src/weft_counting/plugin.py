"""What the entry point names. Weft loads it whenever it looks for backends, so only `make` imports the backend."""

from __future__ import annotations

from weft_core.extend import Backend, BackendEntry, hookimpl


def make() -> Backend:
    """Import and build the backend."""
    from .backend import CountingBackend

    return CountingBackend()


@hookimpl
def weft_backends() -> list[BackendEntry]:
    """The one backend of this package. A backend that cannot run here gives its reason as third argument."""
    return [BackendEntry("counting", make)]
