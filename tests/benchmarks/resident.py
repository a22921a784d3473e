"""How much memory a process holds, now and at its peak (Python 3.8 and later)."""

from __future__ import annotations

import os
import resource
import sys
from pathlib import Path

STATUS = Path("/proc/self/status")
# Of getrusage's ru_maxrss: kilobytes, on macOS bytes.
UNIT = 1 if sys.platform == "darwin" else 1024


def now() -> int:
    """Bytes of this process in memory; where the system does not say, its peak so far."""
    if STATUS.exists():
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return peak()


def peak() -> int:
    """The most bytes that this process has held.

    Linux's own figure where there is one: getrusage's begins with what the parent held when it made this process.
    """
    if STATUS.exists():
        for line in STATUS.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * UNIT


def forget_peak() -> None:
    """The peak begins anew at what is held now, where the system can do that (Linux)."""
    control = Path("/proc/self/clear_refs")
    if control.exists():
        control.write_text("5")
