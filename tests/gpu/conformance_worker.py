"""Runs rows of the conformance kit on the device: `{"row": id}` is answered with how it went.

`{"prepare": ids}` comes before the rows of a group: they are surveyed (`survey.py`). The rows are those of
`BackendConformance`, read from its parameters as pytest would.
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from worker import Answer, is_fatal, serve

from weft_testing import BackendConformance, running

Check = Callable[[Any], None]


def rows() -> dict[str, Check]:
    """Every row of the kit by its name in pytest; a check of a backend each."""
    kit = BackendConformance()
    return {
        f"{name}{id}": partial(getattr(kit, name), **arguments)
        for name, function in vars(BackendConformance).items()
        if name.startswith("test_")
        for id, arguments in _parameters(function)
    }


def _parameters(function: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Identifiers and arguments of all combinations of the function's parameters."""
    marks = [mark for mark in getattr(function, "pytestmark", []) if mark.name == "parametrize"]
    for chosen in itertools.product(*(list(mark.args[1]) for mark in marks)):
        arguments: dict[str, Any] = {}
        ids = []
        for mark, one in zip(marks, chosen, strict=True):
            names = mark.args[0].replace(" ", "").split(",") if isinstance(mark.args[0], str) else mark.args[0]
            values = getattr(one, "values", None)
            arguments |= dict(zip(names, values if isinstance(values, tuple) else (one,), strict=True))
            ids.append(str(getattr(one, "id", None) or one))
        yield f"[{'-'.join(ids)}]" if ids else "", arguments


def _nothing(*arguments: object, **more: object) -> None:
    pass


@contextmanager
def without_comparisons() -> Iterator[None]:
    """What was not computed cannot be compared.

    Whoever has imported the kit's comparisons has the functions themselves: only their code is exchanged everywhere.
    """
    functions: list[Any] = [running.compare, running.require]
    before = [function.__code__ for function in functions]
    for function in functions:
        function.__code__ = _nothing.__code__
    try:
        yield
    finally:
        for function, code in zip(functions, before, strict=True):
            function.__code__ = code


def checked(backend: Any, check: Check) -> Answer:
    """How a row went: seconds, and what was wrong."""
    start = time.perf_counter()
    try:
        check(backend)
    except Exception as error:  # any exception is a failure of the row
        said = " ".join(f"{type(error).__name__}: {error}".split())
        return {"seconds": time.perf_counter() - start, "wrong": said[:400], "fatal": is_fatal(error)}
    return {"seconds": time.perf_counter() - start, "wrong": ""}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mode", default="levels")
    mode = parser.parse_args().mode
    known = rows()
    backend: list[Any] = []

    def handle(request: Answer) -> Answer:
        if not backend:
            from survey import prepare
            from weft_device import device_backend

            backend.append(device_backend(mode=mode))
        if "prepare" in request:
            with without_comparisons():
                return {"opcodes": prepare(backend[0], [partial(known[row], backend[0]) for row in request["prepare"]])}
        return checked(backend[0], known[request["row"]])

    serve(handle)


if __name__ == "__main__":
    main()
