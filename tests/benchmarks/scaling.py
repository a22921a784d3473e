"""Whether the cost of a node, of a word and of a node's memory stays the same while graphs grow.

    python scaling.py

* nanoseconds a node for a chain of h = tanh(W h + b), 8 wide, three nodes a step, and for as many independent ones:
  building, the first forward (with planning), forward again (Weft: without), backward; after one warm-up a size;
* microseconds a word of the tagger in training, from 1 to 1,024 sentences a graph;
* bytes a node: growth of the resident set over build, forward and backward, each in a process of its own.

"largest / smallest" is the flatness of a line's sizes: over all, and over those from 1,000 on, where what a graph costs
once no longer counts.
"""

from __future__ import annotations

import argparse
import statistics
import sys

import data
import processes
import side_by_side
from bars import FLAT
from side_by_side import Column, Figures

SIZES = (10, 100, 1_000, 10_000, 100_000, 1_000_000)
MEMORY_SIZES = (10_000, 100_000, 1_000_000)
BATCHES = (1, 4, 16, 64, 256, 1024)
QUICK, QUICK_MEMORY = 3, 2
LARGE = 1_000
COLUMNS = (Column("weft"), Column("dynet"), Column("torch"))


def node_times(chosen: argparse.Namespace) -> Figures:
    """Nanoseconds a node by graph, size and phase."""
    figures: Figures = {}
    for size in SIZES[:QUICK] if chosen.quick else SIZES:
        figures |= side_by_side.measured("scaling_peer.py", COLUMNS, chosen, "--size", size)
    return {line: figures[line] for line in sorted(figures, key=lambda line: line.split(", ")[::2])}


def word_times(chosen: argparse.Namespace) -> Figures:
    """Microseconds a word of the tagger by sentences a graph, of Weft as one writes it."""
    repeated: dict[str, list[float]] = {}
    for _ in range(1 if chosen.quick else chosen.repeats):
        for batch in BATCHES[:QUICK] if chosen.quick else BATCHES:
            arguments = ["--data", data.cache_folder(), "--task", "tagger", "--mode", "cells", "--batch", batch]
            arguments += ["--seconds", 0.2 if chosen.quick else 2.0, "--loss-examples", max(batch, 64)]
            outcome = processes.outcome(sys.executable, "weft_tasks.py", *arguments)
            if "error" in outcome:
                raise SystemExit(f"weft_tasks.py: {outcome['error']}")
            line = f"tagger, {batch} sentences a graph, training"
            repeated.setdefault(line, []).append(1e6 / outcome["units_per_s"])
    return {line: {"weft": statistics.median(costs)} for line, costs in repeated.items()}


def node_bytes(chosen: argparse.Namespace) -> Figures:
    """Bytes a node by size; DyNet's with a pool that grows, as the whole one is there from the start."""
    figures: Figures = {}
    columns = (Column("weft"), Column("dynet", "growing"), Column("dynet", "autobatch growing"), Column("torch"))
    for size in MEMORY_SIZES[:QUICK_MEMORY] if chosen.quick else MEMORY_SIZES:
        arguments = ["--task", "memory", "--size", size]
        figures |= side_by_side.measured("scaling_peer.py", columns, chosen, *arguments)
    return figures


def flatness(figures: Figures) -> str:
    """Largest over smallest of each series of sizes, over all and over the large ones."""
    series: dict[str, dict[str, dict[int, float]]] = {}
    for line, costs in figures.items():
        graph, size, *phase = line.split(", ")
        for column, cost in costs.items():
            of_line = series.setdefault(", ".join([graph, *phase]), {})
            of_line.setdefault(column, {})[int(size.split()[0])] = cost
    spreads: Figures = {}
    for name, of_columns in series.items():
        for column, by_size in of_columns.items():
            spreads.setdefault(name, {})[column] = max(by_size.values()) / min(by_size.values())
            large = [cost for size, cost in by_size.items() if size >= LARGE]
            if 1 < len(large) < len(by_size):
                spreads.setdefault(f"{name}, from {LARGE:,}", {})[column] = max(large) / min(large)
    return side_by_side.table(spreads, f"largest / smallest (Weft's: at most {FLAT})", 2, ratios=False)


def main() -> None:
    chosen = side_by_side.options(__doc__, repeats=5).parse_args()
    kept: Figures = {}
    parts = (
        (node_times, "nanoseconds a node", 0),
        (word_times, "microseconds a word", 2),
        (node_bytes, "bytes a node", 0),
    )
    for measure, title, digits in parts:
        figures = measure(chosen)
        print(f"{side_by_side.table(figures, title, digits)}\n\n{flatness(figures)}\n", flush=True)
        kept |= {f"{line} ({title})": costs for line, costs in figures.items()}
    side_by_side.keep(chosen, kept)


if __name__ == "__main__":
    main()
