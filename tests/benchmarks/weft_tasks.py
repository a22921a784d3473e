"""One run of one task in Weft: `weft_tasks.py --data FOLDER --task tagger --mode vanilla --batch 64`.

The programs are those of DyNet (`programs.py`), word for word: `vanilla`, `compact`, for the language model also with
`-single`; on trees `gates`, `fused`. `cells`, and for the language model `cells-batched`, are those of
`weft_programs.py`. Each may have `-unbatched`.
"""

from __future__ import annotations

from typing import Any

import measure
import programs
import weft_programs
from examples import Data, load

import weft as dy

BATCHED = ("vanilla", "compact", "vanilla-single", "compact-single", "cells", "cells-batched", "gates", "fused")
MODES = [*BATCHED, *(f"{mode}-unbatched" for mode in BATCHED)]
BUILDERS = {"vanilla": "VanillaLSTMBuilder", "compact": "CompactVanillaLSTMBuilder"}
TREES: dict[str, Any] = {"cells": weft_programs.CellTree, "gates": programs.GatewiseTree, "fused": programs.FusedTree}
SENTENCES: dict[str, dict[str, Any]] = {
    "lm": {
        "cells": weft_programs.CellLanguageModel,
        "cells-batched": weft_programs.CellBatchedLanguageModel,
        "vanilla-single": programs.LanguageModel,
        "compact-single": programs.LanguageModel,
        "vanilla": programs.BatchedLanguageModel,
        "compact": programs.BatchedLanguageModel,
    },
    "tagger": {"cells": weft_programs.CellTagger, "vanilla": programs.Tagger, "compact": programs.Tagger},
    "chars": {
        "cells": weft_programs.CellCharacterTagger,
        "vanilla": programs.CharacterTagger,
        "compact": programs.CharacterTagger,
    },
}


def program(data: Data, mode: str, sparse: bool = True) -> Any:
    """The program of a task in a mode, with its parameters; raises KeyError for a mode that the task does not have."""
    if mode.endswith("-unbatched"):
        dy.init(autobatch=False)
    mode = mode.removesuffix("-unbatched")
    kind = SENTENCES.get(data.task, TREES)[mode]
    return kind(dy, data, BUILDERS.get(mode.split("-")[0], "VanillaLSTMBuilder"), sparse)


def main() -> None:
    chosen = measure.settings(MODES)
    data = load(chosen.data, chosen.task)
    measure.run("weft", program(data, chosen.mode, chosen.update == "sparse"), data, chosen)


if __name__ == "__main__":
    main()
