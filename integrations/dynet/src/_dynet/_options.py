"""Start-up options: what the command line or `dynet_config` says, checked."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

_OPTION = re.compile(r"--dynet[-_]([^=]+)(?:=(.*))?", re.DOTALL)
_FLAGS = frozenset({"gpu", "viz"})

_CPU = "the CPU computes, unless WEFT_BACKEND names another backend"

# Options that mean nothing to Weft, and what happens instead.
IGNORED = {
    "mem": "memory grows as it is needed",
    "gpu": _CPU,
    "gpus": _CPU,
    "gpu-mask": _CPU,
    "gpu-ids": _CPU,
    "devices": _CPU,
    "shared-params": "each process has parameters of its own",
}


@dataclass
class Options:
    """What a program has asked for; `remarks` are lines about what has no effect."""

    seed: int = 0
    weight_decay: float = 0.0
    autobatch: int = 0
    profiling: int = 0
    remarks: list[str] = field(default_factory=list)

    def take(self, name: str, value: Any) -> None:
        """One option, by its name on the command line.

        Raises ValueError for a value that it cannot have.
        """
        match name:
            case "seed":
                # As an unsigned number of 32 bits, so that -1 is one, too.
                self.seed = _number(name, value, int, "an integer") % 2**32
            case "autobatch" | "profiling":
                level = _number(name, value, int, "an integer from 0")
                if level < 0:
                    raise ValueError(f"--dynet-{name} takes an integer from 0, got {level}")
                setattr(self, name, level)
            case "weight-decay":
                self.weight_decay = _number(name, value, float, "a number from 0 to below 1")
                if not 0 <= self.weight_decay < 1:
                    raise ValueError(f"--dynet-weight-decay takes a number from 0 to below 1, got {value}")
            case _ if name in IGNORED:
                self._remark(f"{name} has no effect: {IGNORED[name]}")
            case _:
                self._remark(f"--dynet-{name} is not known and has no effect")

    def _remark(self, line: str) -> None:
        if line not in self.remarks:
            self.remarks.append(line)


def from_command_line(arguments: Sequence[str]) -> Options:
    """Options among these arguments, in the forms `--dynet-x v`, `--dynet-x=v` and `--dynet_x v`.

    Raises ValueError for a missing or impossible value.
    """
    options = Options()
    words = iter(arguments)
    for word in words:
        found = _OPTION.fullmatch(word)
        if found is None:
            continue
        name, value = found[1].replace("_", "-"), found[2]
        if name not in _FLAGS and value is None and is_known(name):
            value = next(words, None)
            if value is None:
                raise ValueError(f"{word} needs a value: {word} VALUE or {word}=VALUE")
        if name != "viz" and not (name == "devices" and value == "CPU"):
            options.take(name, value)
    return options


def from_config(config: Mapping[str, Any]) -> Options:
    """Options of `dynet_config.set`; what has no effect is remarked only where it differs from the default.

    Raises ValueError for an impossible value.
    """
    options = Options()
    for key, value in config.items():
        name = {"requested_gpus": "gpus"}.get(key, key.replace("_", "-"))
        if name not in IGNORED or (value and str(value) != "512"):
            options.take(name, value)
    return options


def is_known(name: str) -> bool:
    """Whether DyNet has an option of this name."""
    return name in IGNORED or name in ("seed", "weight-decay", "autobatch", "profiling")


def _number(name: str, value: Any, kind: Callable[[Any], Any], wanted: str) -> Any:
    try:
        return kind(value)
    except (TypeError, ValueError):
        raise ValueError(f"--dynet-{name} takes {wanted}, got {value!r}") from None
