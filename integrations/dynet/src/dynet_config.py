"""Settings of a DyNet program, made before `import dynet`; they take the place of the command line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

_config: dict[str, Any] | None = None
_gpu: bool | None = None


def set(
    mem: int | str = "512",
    random_seed: int = 0,
    autobatch: int = 0,
    profiling: int = 0,
    weight_decay: float = 0,
    shared_parameters: int = 0,
    requested_gpus: int = 0,
    gpu_mask: Sequence[int] | None = None,
) -> None:
    """Choose the settings; those that are not named get their defaults, also in a second call."""
    global _config
    _config = {
        "mem": mem,
        "seed": random_seed,
        "autobatch": autobatch,
        "profiling": profiling,
        "weight_decay": weight_decay,
        "shared_params": shared_parameters,
        "requested_gpus": requested_gpus,
        "gpu_mask": list(gpu_mask or ()),
    }


def set_gpu(flag: bool = True) -> None:
    """Ask for one GPU, or for none."""
    global _gpu
    _gpu = flag
    if _config is None:
        set(requested_gpus=int(flag))
    else:
        _config["requested_gpus"] = int(flag)


def gpu() -> bool | None:
    """What `set_gpu` was given; None before."""
    return _gpu


def get() -> dict[str, Any] | None:
    """The settings by their keys; None where nothing was set."""
    return _config
