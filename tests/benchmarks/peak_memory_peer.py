"""Peak memory of one toolkit's training of one task; what is measured stands in `peak_memory.py`.

`--size` is the size of DyNet's pool in megabytes.
"""

from __future__ import annotations

import gc
import importlib
import itertools
from typing import Any

import peer
import programs
import resident
from examples import Data, Example, load

EXAMPLES, QUICK_EXAMPLES = 640, 64
MEGABYTE = 1e6


def imported(chosen: peer.Chosen) -> Any:
    """The toolkit before it has taken memory for pools and parameters: DyNet is initialised later."""
    if chosen.toolkit == "torch":
        importlib.import_module("torch").set_num_threads(1)
        return importlib.import_module("torch_peer")
    if chosen.toolkit == "dynet":
        return importlib.import_module("_dynet")
    toolkit = importlib.import_module("weft")
    toolkit.init(backend="numba")  # imports Numba and SciPy, which otherwise waits for the first graph
    return importlib.import_module("weft_tasks") if chosen.variant == "cells" else toolkit


def program(toolkit: Any, chosen: peer.Chosen, data: Data) -> Any:
    """The program that is the toolkit's best for a task."""
    if chosen.toolkit == "torch":
        mode = {"lm": "sequence", "tagger": "packed", "chars": "packed"}.get(chosen.task, "levels")
        return toolkit.program(chosen.task, mode)(data, mode, True)
    if chosen.variant == "cells":
        return toolkit.program(data, "cells")
    if chosen.toolkit == "dynet":
        settings = toolkit.DynetParams()
        settings.set_mem(chosen.size)
        settings.set_autobatch(1)
        settings.init()
    kinds = {"lm": programs.LanguageModel, "tagger": programs.Tagger, "chars": programs.CharacterTagger}
    return kinds.get(chosen.task, programs.GatewiseTree)(toolkit, data, "CompactVanillaLSTMBuilder", True)


def train(instance: Any, group: list[Example]) -> None:
    """One step."""
    loss = instance.build(group)
    instance.forward(loss)
    instance.backward(loss)
    instance.update()


def main() -> None:
    chosen = peer.chosen()
    data = load(chosen.data, chosen.task)
    toolkit = imported(chosen)
    gc.collect()
    resident.forget_peak()
    after_imports = resident.now()
    instance = program(toolkit, chosen, data)
    created = resident.now()
    groups = data.groups(chosen.batch)
    train(instance, next(groups)[:1])
    begun = resident.now()
    examples = QUICK_EXAMPLES if chosen.quick else EXAMPLES
    for group in itertools.islice(groups, max(1, examples // chosen.batch)):
        train(instance, group)
    peak = resident.peak()
    name = f"{chosen.task}, {chosen.batch}"
    held = {
        "whole process": peak,
        "beyond imports": peak - after_imports,
        "beyond imports and model": peak - created,
        "beyond the first example": peak - begun,
    }
    peer.give({f"{name}, {part}": number / MEGABYTE for part, number in held.items()})


if __name__ == "__main__":
    main()
