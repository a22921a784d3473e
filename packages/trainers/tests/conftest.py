"""Every test of a trainer runs on every backend that is installed here."""

from collections.abc import Iterator

import pytest

from weft_core.backend import backends
from weft_core.graph import init
from weft_core.settings import settings

NAMES = [entry.name for entry in backends() if entry.available and entry.name in ("numpy", "numba")]


@pytest.fixture(params=NAMES, autouse=True)
def backend(request: pytest.FixtureRequest) -> Iterator[str]:
    previous = settings.backend()
    init(request.param, seed=1, autobatch=True)
    yield request.param
    settings.use(previous)
