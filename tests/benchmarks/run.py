"""Trains the tasks of the DyNet paper in Weft, the DyNet wheel and PyTorch, and compares speed and losses.

    python run.py                       all tasks, three repetitions of three seconds each; then recording.py
    python run.py --quick --tasks tree  one short repetition

Every run is its own process on one core with one thread; the peers of a task take turns, medians are shown.
All read the same examples in the same order and the same initial parameters, and losses must agree.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import statistics
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import data
import pythons
import recording

HERE = Path(__file__).parent
UNIT = {"lm": "words/s", "tagger": "words/s", "chars": "words/s", "tree": "nodes/s", "nary": "nodes/s"}
BATCHES = {"lm": (1, 16, 64), "tagger": (1, 64), "chars": (1, 64), "tree": (1, 64), "nary": (1, 64)}
TREES = ("tree", "nary")
PROGRAMS = {"weft": "weft_tasks.py", "dynet": "dynet_peer.py", "torch": "torch_peer.py"}
LIBRARIES = ("OMP", "OPENBLAS", "MKL", "NUMBA")
ONE_THREAD = {f"{library}_NUM_THREADS": "1" for library in LIBRARIES}

Result = dict[str, Any]


@dataclass(frozen=True)
class Run:
    """One line of the table: a peer in a mode."""

    peer: str
    mode: str
    update: str


def modes(peer: str, task: str, batch: int, thorough: bool) -> list[str]:
    """The modes in which a peer may be at its best, for a task and a number of examples per graph.

    `thorough`: also those that have not been the best so far, and Weft without batching, whose losses must agree.
    """
    if peer == "weft":
        if task in TREES:
            return ["cells", "gates"] + (["cells-unbatched"] if thorough else [])
        single = ["vanilla", "vanilla-single"] if task == "lm" and batch > 1 else ["vanilla", "compact"]
        return single + (["vanilla-unbatched"] if thorough else [])
    if peer == "torch":
        if task in TREES:
            return ["levels"]
        return ["sequence"] if task == "lm" else ["sequence", "packed"]
    if task == "lm":
        singles = ["compact-single-autobatch"] + (["vanilla-single-autobatch"] if thorough else [])
        return ["vanilla", "compact", *singles]
    builders = ["gates", "fused"] if task in TREES else ["vanilla", "compact"]
    batched = [f"{builder}-autobatch" for builder in builders]
    if thorough:
        return builders + batched
    return batched if batch > 1 else builders


def runs(peers: dict[str, str], task: str, batch: int, options: argparse.Namespace) -> list[Run]:
    """All lines of one table; `options.dynamic` adds PyTorch written node by node, as a dynamic program is."""
    lines = [
        Run(peer, mode, update)
        for peer in peers
        for mode in modes(peer, task, batch, options.thorough)
        for update in options.updates
    ]
    if options.dynamic and "torch" in peers:
        lines += [Run("torch", "node" if task in TREES else "cell", update) for update in options.updates]
    return lines


def measure(python: str, run: Run, task: str, batch: int, options: argparse.Namespace) -> Result:
    """One process, one result; a failed run is a result with the key `error`."""
    command = [python, str(HERE / PROGRAMS[run.peer]), "--data", str(data.cache_folder()), "--task", task]
    command += ["--batch", str(batch), "--mode", run.mode, "--update", run.update]
    command += ["--seconds", str(options.seconds), "--loss-examples", str(options.loss_examples)]
    environment = {**os.environ, **ONE_THREAD}
    finished = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if finished.returncode == 0:
        return dict(json.loads(finished.stdout.splitlines()[-1]))
    reason = (finished.stderr.strip().splitlines() or [f"ended with code {finished.returncode}"])[-1]
    return {**vars(run), "task": task, "batch": batch, "error": reason}


def compare(task: str, batch: int, peers: dict[str, str], options: argparse.Namespace) -> list[Result]:
    """Runs all peers of one task in turns and prints their table; returns the median run of every line."""
    lines = runs(peers, task, batch, options)
    repeated: dict[Run, list[Result]] = {line: [] for line in lines}
    for _ in range(options.repeats):
        for line in lines:
            repeated[line].append(measure(peers[line.peer], line, task, batch, options))
    results = [_median(repetitions) for repetitions in repeated.values()]
    print(f"\n{task}, {batch} example{'s' if batch > 1 else ''} a graph")
    print(f"  {'':36}{UNIT[task]:>10}{'GF/s':>7}{'loss':>12}   build   plan forward backward update  us per unit")
    for result in results:
        print(_line(result))
    print(_verdict(results), flush=True)
    return results


def _median(repetitions: list[Result]) -> Result:
    good = sorted((r for r in repetitions if "error" not in r), key=lambda r: float(r["units_per_s"]))
    if not good:
        return repetitions[0]
    losses = {r["loss_total"] for r in good}
    speeds = [r["units_per_s"] for r in good]
    return {
        **good[(len(good) - 1) // 2],
        "units_per_s": statistics.median(speeds),
        "repeatable": len(losses) == 1,
    }


def _line(result: Result) -> str:
    name = f"  {result['peer']:6} {result['mode']:22} {result['update']:6}"
    if "error" in result:
        return f"{name} failed: {result['error']}"
    split = result["split_us"]
    return (
        f"{name}{result['units_per_s']:10,.0f}{result['gflops']:7.1f}{result['loss_total']:12.3f}"
        f"{split['build']:8.1f}{result['planning_us']:7.1f}{split['forward'] - result['planning_us']:8.1f}"
        f"{split['backward']:9.1f}{split['update']:7.1f}"
        f"{'' if result['repeatable'] else '  loss differs between repetitions'}"
    )


def _verdict(results: list[Result]) -> str:
    """Ratios of the best lines and the largest relative difference of losses under the same update rule."""
    good = [result for result in results if "error" not in result]
    best = {r["peer"]: r for r in sorted(good, key=lambda r: float(r["units_per_s"]))}
    parts = [
        f"weft / {name} {best['weft']['units_per_s'] / best[peer]['units_per_s']:.2f} ({best[peer]['mode']})"
        for peer, name in (("dynet", "DyNet wheel"), ("torch", "PyTorch"))
        if peer in best and "weft" in best
    ]
    for update in sorted({r["update"] for r in good}):
        losses = [r["loss_total"] for r in good if r["update"] == update]
        examples = good[0]["loss_examples"]
        difference = (max(losses) - min(losses)) / abs(min(losses))
        parts.append(f"losses after {examples} examples ({update}) within {difference:.1e}")
    return "  " + "; ".join(parts) if parts else "  no peer finished"


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", nargs="+", choices=data.TASKS, default=list(data.TASKS))
    parser.add_argument("--batches", nargs="+", type=int, help="examples a graph (default: by task)")
    parser.add_argument("--peers", nargs="+", choices=tuple(PROGRAMS), default=list(PROGRAMS))
    parser.add_argument("--updates", nargs="+", choices=("sparse", "dense"), default=["sparse"], help="of tables")
    parser.add_argument("--torch", action="store_true", help="fail if PyTorch is not installed here")
    parser.add_argument("--dynamic", action="store_true", help="also PyTorch cell by cell and node by node")
    parser.add_argument("--thorough", action="store_true", help="all modes of DyNet, and Weft without batching")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3.0, help="timed training per run")
    parser.add_argument("--loss-examples", type=int, default=256)
    parser.add_argument("--quick", action="store_true", help="one repetition of half a second")
    parser.add_argument("--dynet", metavar="PYTHON", help=f"an interpreter with DyNet (or {pythons.VARIABLE})")
    parser.add_argument("--make-dynet", action="store_true", help="make one with pip if none is found")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results here, too")
    chosen = parser.parse_args()
    if chosen.quick:
        chosen.repeats, chosen.seconds = 1, 0.5
    return chosen


def available(chosen: argparse.Namespace) -> dict[str, str]:
    """The interpreter of each peer that can run; says on stdout which cannot."""
    peers = {}
    for peer in chosen.peers:
        if peer == "dynet":
            python = pythons.dynet_python(chosen.dynet, pythons.ENVIRONMENT, chosen.make_dynet)
        else:
            python = sys.executable if importlib.util.find_spec(peer) else None
        if peer == "torch" and chosen.torch and python is None:
            raise SystemExit("--torch was asked for, and PyTorch is not installed here: pip install torch")
        if python is None:
            hint = " (see --make-dynet)" if peer == "dynet" else ""
            print(f"{peer} is not installed here and is left out{hint}")
        else:
            peers[peer] = python
    return peers


def main() -> None:
    chosen = options()
    data.prepare(data.cache_folder())
    print(data.figures(data.cache_folder()))
    try:
        peers = available(chosen)
    except ValueError as reason:
        raise SystemExit(str(reason)) from None
    results: list[Result] = []
    for task in chosen.tasks:
        for batch in chosen.batches or BATCHES[task]:
            results += compare(task, batch, peers, chosen)
    if chosen.tasks == list(data.TASKS):
        print()
        recording.compare(chosen.dynet, chosen.make_dynet)
    if chosen.json:
        chosen.json.write_text(json.dumps(results, indent=1) + "\n")
    if any("error" in result for result in results):
        raise SystemExit("some runs failed, see above")


if __name__ == "__main__":
    main()
