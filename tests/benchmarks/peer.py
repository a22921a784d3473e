"""The inner side of a run that measures a few named quantities (Python 3.8 and later); see `side_by_side.py`."""

from __future__ import annotations

import argparse
import importlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# DyNet's pools: its default, all of which it takes at the start, and the least, which grows as a graph needs it.
DYNET_MEGABYTES, GROWING_MEGABYTES = 512, 4


@dataclass
class Chosen:
    """What one run measures; the fields are its command line."""

    toolkit: str
    variant: str
    data: Path
    quick: bool
    task: str
    batch: int
    size: int


def chosen() -> Chosen:
    """Reads the command line and pins the process to a core where it can."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--toolkit", choices=("weft", "dynet", "torch"), required=True)
    parser.add_argument("--variant", default="", help="the way in which the toolkit is used")
    parser.add_argument("--data", type=Path, required=True, help="folder written by data.py")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--task", default="")
    parser.add_argument("--batch", type=int, default=1, help="examples a graph")
    parser.add_argument("--size", type=int, default=0, help="nodes a graph")
    settings = Chosen(**vars(parser.parse_args()))
    pin()
    return settings


def pin() -> None:
    """One core for this process, where the system can."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def dynamic_toolkit(settings: Chosen) -> Any:
    """The module that speaks the DyNet API; of DyNet, the variant may name `autobatch` and `growing` (pools)."""
    if settings.toolkit == "dynet":
        configuration = importlib.import_module("dynet_config")
        autobatch = int("autobatch" in settings.variant)
        megabytes = GROWING_MEGABYTES if "growing" in settings.variant else DYNET_MEGABYTES
        configuration.set(mem=megabytes, random_seed=1, autobatch=autobatch)
    return importlib.import_module(settings.toolkit)


def give(figures: dict[str, float]) -> None:
    """Prints the figures as the last line."""
    print(json.dumps(figures), flush=True)
