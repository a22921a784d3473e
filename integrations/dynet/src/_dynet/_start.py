"""The start of DyNet: settings go to Weft, once a process."""

from __future__ import annotations

import atexit
import secrets
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import weft

from ._options import Options, from_command_line, from_config

_started = False


def start(options: Options) -> None:
    """Hand the settings to Weft and say on stderr which they are; a second call changes nothing and says so."""
    global _started
    if _started:
        print("[dynet] already initialised; this initialisation is ignored", file=sys.stderr)
        return
    _started = True
    seed = options.seed or 1 + secrets.randbelow(2**32 - 1)
    weft.reset_random_seed(seed)
    _say(f"random seed: {seed}")
    if options.weight_decay:
        weft.init(weight_decay=options.weight_decay)
    if options.autobatch:
        _say("using autobatching")
    if options.profiling:
        _say(f"using profiling level {options.profiling}")
        atexit.register(_print_times, weft.Profile().start())
    for remark in options.remarks:
        _say(remark)


def _say(line: str) -> None:
    print(f"[dynet] {line}", file=sys.stderr)


def _print_times(profile: weft.Profile) -> None:
    print(f"Timing Info:\n{profile.stop().table()}")


def init(shared_parameters: bool | None = None) -> None:
    """Start with the options of the command line; `import dynet` has done it already.

    Raises ValueError for an option with an impossible value.
    """
    params = DynetParams()
    params.from_args(shared_parameters)
    params.init()


def init_from_params(p: DynetParams) -> None:
    """`p.init()`."""
    p.init()


class DynetParams:
    """Settings to start with, for programs that `import _dynet`: `from_args()` and the setters, then `init()`."""

    def __init__(self) -> None:
        self._options = Options()

    def from_args(self, shared_parameters: bool | None = None) -> None:
        """Take the options of the command line. Raises ValueError for an impossible value."""
        self._options = from_command_line(sys.argv[1:])
        if shared_parameters:
            self.set_shared_parameters(True)

    def from_config(self, conf: Mapping[str, Any]) -> None:
        """Take the settings of `dynet_config.get()`. Raises ValueError for an impossible value."""
        self._options = from_config(conf)

    def init(self) -> None:
        """Start with these settings; once started, nothing changes."""
        start(self._options)

    def set_mem(self, mem: int) -> None:
        """No effect: memory grows as it is needed."""
        self._options.take("mem", mem)

    def set_random_seed(self, random_seed: int) -> None:
        """The seed of all random numbers; 0 chooses one."""
        self._options.take("seed", random_seed)

    def set_autobatch(self, autobatch: bool) -> None:
        """Accepted: Weft batches always."""
        self._options.take("autobatch", int(autobatch))

    def set_profiling(self, profiling: int) -> None:
        """With 1 or more, print a table of times at exit."""
        self._options.take("profiling", profiling)

    def set_weight_decay(self, weight_decay: float) -> None:
        """The weight decay of new collections. Raises ValueError outside of [0, 1)."""
        self._options.take("weight-decay", weight_decay)

    def set_shared_parameters(self, shared_parameters: bool) -> None:
        """No effect: each process has parameters of its own."""
        if shared_parameters:
            self._options.take("shared-params", shared_parameters)

    def set_requested_gpus(self, requested_gpus: int) -> None:
        """No effect: the CPU computes."""
        if requested_gpus:
            self._options.take("gpus", requested_gpus)

    def set_gpu_mask(self, gpu_mask: Sequence[int]) -> None:
        """No effect: the CPU computes. Raises ValueError for anything else than a list of 0 and 1."""
        if not all(bit in (0, 1) for bit in gpu_mask):
            raise ValueError(f"set_gpu_mask takes a list of 0 and 1, got {gpu_mask!r}")
        if any(gpu_mask):
            self._options.take("gpu-mask", gpu_mask)

    def set_cpu_mode(self) -> None:
        """What is so anyway."""
