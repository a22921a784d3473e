"""One run of one task in DyNet 2.1.2: `dynet_peer.py --data FOLDER --task tagger --mode compact` (CPython
3.8).

A mode is a builder (`vanilla`, `compact`; on trees `gates`, `fused`), optionally `single` (the language
model's sentences one by one instead of minibatched by hand), and optionally `autobatch`, joined by hyphens.
"""

from __future__ import annotations

import importlib
from typing import Any

import dynet_config  # type: ignore[import-not-found]
import measure
import programs
from examples import load

BUILDERS = {"vanilla": "VanillaLSTMBuilder", "compact": "CompactVanillaLSTMBuilder"}
MODES: list[str] = [
    f"{builder}{single}{batching}"
    for builder in ("vanilla", "compact", "gates", "fused")
    for single in ("", "-single")
    for batching in ("", "-autobatch")
]


def program(dy: Any, task: str, mode: str) -> Any:
    """The program class of a task in a mode."""
    if task in ("tree", "nary"):
        return programs.FusedTree if mode.startswith("fused") else programs.GatewiseTree
    if task == "lm":
        return programs.LanguageModel if "-single" in mode else programs.BatchedLanguageModel
    return programs.Tagger if task == "tagger" else programs.CharacterTagger


def main() -> None:
    chosen = measure.settings(MODES)
    dynet_config.set(mem=1024, random_seed=1, autobatch=int(chosen.mode.endswith("-autobatch")))
    dy = importlib.import_module("dynet")
    data = load(chosen.data, chosen.task)
    builder = BUILDERS.get(chosen.mode.split("-")[0], "VanillaLSTMBuilder")
    instance = program(dy, chosen.task, chosen.mode)(dy, data, builder, chosen.update == "sparse")
    measure.run("dynet", instance, data, chosen)


if __name__ == "__main__":
    main()
