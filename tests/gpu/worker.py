"""A process that answers requests one by one: what it computes may crash or hang without taking others along.

Requests and answers are lines of JSON. `serve(handle)` is the inner side; whatever else the process prints goes to its
standard error.
"""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import processes
from uninstalled import HERE

Answer = dict[str, Any]
GIVEN_UP_AFTER = 2


class Lost(Exception):
    """A worker crashed, took too long, or could not do what it was asked."""


class Worker:
    """`ask` starts the process when there is none; one that is lost twice is not started again."""

    def __init__(self, program: str, *arguments: str, **environment: str) -> None:
        self.command = [sys.executable, str(HERE / program), *arguments]
        self.environment = environment
        self.losses = 0
        self._process: subprocess.Popen[str] | None = None

    def ask(self, timeout: float, **request: Any) -> Answer:
        """The answer to a request; raises `Lost` when there is none within `timeout` seconds, or it is an error."""
        if self.losses >= GIVEN_UP_AFTER:
            raise Lost("given up")
        process = self._process or self._start()
        try:
            assert process.stdin is not None
            process.stdin.write(json.dumps(request) + "\n")
            process.stdin.flush()
            line = self._lines.get(timeout=timeout)
        except queue.Empty:
            raise self._lost(f"no answer within {timeout:.0f} s") from None
        except OSError:
            line = ""
        if not line:
            raise self._lost(self._last_words())
        answer: Answer = json.loads(line)
        if "error" in answer:
            if answer.get("fatal"):
                self.stop()
            raise Lost(answer["error"])
        return answer

    def _start(self) -> subprocess.Popen[str]:
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115  closed with the process
        self._process = subprocess.Popen(
            self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, text=True,
            env=processes.environment(**self.environment),
        )  # fmt: skip
        self._lines: queue.Queue[str] = queue.Queue()
        threading.Thread(target=_pass_on, args=(self._process.stdout, self._lines), daemon=True).start()
        return self._process

    def _lost(self, reason: str) -> Lost:
        self.losses += 1
        self.stop()
        return Lost(reason)

    def _last_words(self) -> str:
        """Why the process ended: its last line, and its status."""
        assert self._process is not None
        try:
            status: int | str = self._process.wait(5)
        except subprocess.TimeoutExpired:
            status = "unknown"
        self._errors.seek(0)
        said = self._errors.read().strip().splitlines() or ["nothing said"]
        return f"ended with status {status}: {said[-1][:300]}"

    def stop(self) -> None:
        """End the process; the next request starts a new one."""
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        process.wait()
        self._errors.close()
        for pipe in (process.stdin, process.stdout):
            assert pipe is not None
            with suppress(OSError):
                pipe.close()


def _pass_on(source: Any, lines: queue.Queue[str]) -> None:
    """Lines of the process; an empty one when it has ended."""
    with suppress(ValueError, OSError):
        for line in source:
            lines.put(line)
    lines.put("")


def serve(handle: Callable[[Answer], Answer]) -> None:
    """Answer requests until there are no more. After an error of the device only a new process can go on."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        try:
            answer = handle(json.loads(line))
        except Exception as error:  # whatever goes wrong is the answer
            said = " ".join(str(error).split())[:500]
            answer = {"error": f"{type(error).__name__}: {said}", "fatal": is_fatal(error)}
        print(json.dumps(answer), file=answers, flush=True)


def is_fatal(error: Exception) -> bool:
    """Whether the process has lost its device: a kernel failed, in Weft or in PyTorch."""
    return type(error).__name__ in ("DeviceError", "AcceleratorError") or "CUDA error" in str(error)
