"""Trains the tasks of the DyNet paper in Weft, the DyNet wheel and PyTorch, and compares speed and losses.

    python run.py                       all tasks, five repetitions of three seconds each
    python run.py --quick --tasks tree  one short repetition

Every run is its own process on one core with one thread; the peers of a task take turns, medians are shown. All read
the same examples in the same order and the same initial parameters, and losses must agree. Variables that steer a BLAS
library's choice of kernels (anything that begins with OPENBLAS_ or MKL_, but the number of threads) are taken out of
the environment of every run, so that each peer runs as on its user's machine.

"x floor" is the time over the least that this machine needs (`floor.py`, its best repetition). The last table compares
with `bars.py`.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from dataclasses import dataclass
from typing import Any

import data
import processes
import side_by_side
from bars import BARS, PLAIN

UNIT = {"lm": "words/s", "tagger": "words/s", "chars": "words/s", "tree": "nodes/s", "nary": "nodes/s"}
BATCHES = {"lm": (1, 16, 64), "tagger": (1, 64), "chars": (1, 64), "tree": (1, 64), "nary": (1, 64)}
TREES = ("tree", "nary")
PROGRAMS = {"weft": "weft_tasks.py", "dynet": "dynet_peer.py", "torch": "torch_peer.py"}

Result = dict[str, Any]


@dataclass(frozen=True)
class Run:
    """One line of the table: a peer in a mode."""

    peer: str
    mode: str
    update: str


def modes(peer: str, task: str, batch: int, thorough: bool) -> list[str]:
    """The modes in which a peer may be at its best, and its plain ones, for a task and a number of examples a graph.

    `thorough`: also those that have not been the best so far, and Weft without batching, whose losses must agree.
    """
    if peer == "weft":
        if task in TREES:
            return ["cells", "gates", *(["cells-unbatched", "fused"] if thorough else [])]
        builders = ["vanilla", "vanilla-single"] if task == "lm" else ["vanilla", "compact"]
        cells = ["cells", "cells-batched"] if task == "lm" and batch > 1 else ["cells"]
        return [*cells, *builders, *(["vanilla-unbatched", "cells-unbatched"] if thorough else [])]
    if peer == "torch":
        if task in TREES:
            return ["levels"]
        return ["sequence"] if task == "lm" else ["sequence", "packed"]
    plain = list(PLAIN[task][1])
    if task == "lm":
        return [*plain, "compact", "compact-single-autobatch"]
    other = "fused" if task in TREES else "compact"
    return [*plain, *([other] if thorough or batch == 1 else []), *([f"{other}-autobatch"])]


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
    command = ["--data", data.cache_folder(), "--task", task, "--batch", batch, "--mode", run.mode]
    command += ["--update", run.update, "--seconds", options.seconds, "--loss-examples", options.loss_examples]
    return {**vars(run), "task": task, "batch": batch, **processes.outcome(python, PROGRAMS[run.peer], *command)}


def floor(task: str, batch: int, update: str) -> Result:
    """The least that this machine needs for a unit, measured once."""
    arguments = ["--data", data.cache_folder(), "--task", task, "--batch", batch, "--update", update]
    outcome = processes.outcome(sys.executable, "floor.py", *arguments)
    if "error" in outcome:
        raise SystemExit(f"floor.py: {outcome['error']}")
    return outcome


def compare(task: str, batch: int, peers: dict[str, str], options: argparse.Namespace) -> list[Result]:
    """Runs all peers of one task in turns and prints their table; returns the median run of every line."""
    lines = runs(peers, task, batch, options)
    floors: dict[str, list[Result]] = {update: [] for update in options.updates}
    repeated: dict[Run, list[Result]] = {line: [] for line in lines}
    for _ in range(options.repeats):
        for update, found in floors.items():
            found.append(floor(task, batch, update))
        for line in lines:
            repeated[line].append(measure(peers[line.peer], line, task, batch, options))
    least = {update: min(found, key=lambda f: float(f["seconds"])) for update, found in floors.items()}
    results = [_median(repetitions) for repetitions in repeated.values()]
    for result in results:
        if "error" not in result:
            result["floors"] = 1.0 / (result["units_per_s"] * least[result["update"]]["seconds"])
    print(f"\n{task}, {batch} example{'s' if batch > 1 else ''} a graph")
    for update, of_update in least.items():
        print(
            f"  floor, {update} update: {1e6 * of_update['products']:.2f} us a unit of products at "
            f"{of_update['gflops']:.0f} GF/s, {1e6 * of_update['update']:.2f} us of update"
        )
    heading = f"{UNIT[task]:>10}{'GF/s':>7}{'x floor':>9}{'loss':>12}"
    print(f"  {'':40}{heading}   build   plan forward backward update  us per unit")
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
        "spread": (max(speeds) - min(speeds)) / statistics.median(speeds),
        "repetitions": len(good),
        "repeatable": len(losses) == 1,
    }


def _line(result: Result) -> str:
    name = f"  {result['peer']:6} {result['mode']:26} {result['update']:6}"
    if "error" in result:
        return f"{name} failed: {result['error']}"
    split = result["split_us"]
    return (
        f"{name}{result['units_per_s']:10,.0f}{result['gflops']:7.1f}{result['floors']:9.2f}{result['loss_total']:12.3f}"
        f"{split['build']:8.1f}{result['planning_us']:7.1f}{split['forward'] - result['planning_us']:8.1f}"
        f"{split['backward']:9.1f}{split['update']:7.1f}"
        f"{'' if result['repeatable'] else '  loss differs between repetitions'}"
    )


def best(results: list[Result], peer: str, modes: tuple[str, ...] | None = None) -> Result | None:
    """The fastest line of a peer, or of these modes of it."""
    lines = [r for r in results if r["peer"] == peer and "error" not in r and (modes is None or r["mode"] in modes)]
    return max(lines, key=lambda r: float(r["units_per_s"]), default=None)


def ratios(results: list[Result]) -> dict[str, float]:
    """Weft over the best of the wheel, the best of PyTorch, and the plain program over the wheel's plain ones."""
    plain, of_wheel = PLAIN[results[0]["task"]]
    pairs = {
        "wheel": (best(results, "weft"), best(results, "dynet")),
        "torch": (best(results, "weft"), best(results, "torch")),
        "plain": (best(results, "weft", (plain,)), best(results, "dynet", of_wheel)),
    }
    return {
        name: float(weft["units_per_s"] / peer["units_per_s"]) for name, (weft, peer) in pairs.items() if weft and peer
    }


def _verdict(results: list[Result]) -> str:
    """Ratios of the best lines, of the plain ones, and the largest relative difference of losses by update rule."""
    found, parts = ratios(results), []
    for key, peer, name in (("wheel", "dynet", "DyNet wheel"), ("torch", "torch", "PyTorch")):
        fastest, weft = best(results, peer), best(results, "weft")
        if key in found and fastest and weft:
            parts.append(f"weft / {name} {found[key]:.2f} ({weft['mode']} / {fastest['mode']})")
    good = [result for result in results if "error" not in result]
    for update in sorted({r["update"] for r in good}):
        losses = [r["loss_total"] for r in good if r["update"] == update]
        examples = good[0]["loss_examples"]
        difference = (max(losses) - min(losses)) / abs(min(losses))
        parts.append(f"losses after {examples} examples ({update}) within {difference:.1e}")
    verdict = "  " + "; ".join(parts) if parts else "  no peer finished"
    if "plain" in found:
        plain, of_wheel = PLAIN[results[0]["task"]]
        fastest = best(results, "dynet", of_wheel)
        other = fastest["mode"] if fastest else ""
        verdict += f"\n  plain program: weft / DyNet wheel {found['plain']:.2f} ({plain} / {other})"
    return verdict


def summary(tables: list[list[Result]]) -> str:
    """One line a task: the best of each peer, and each ratio beside its bar; `!` marks a bar that is not met."""
    head = f"{'task, examples a graph':24}{'weft':>10}{'DyNet':>10}{'PyTorch':>10}{'x floor':>9}"
    head += "".join(f"{name:>10}{'bar':>6}" for name in ("/ DyNet", "/ PyTorch", "plain"))
    lines = [head]
    for results in tables:
        task, batch = results[0]["task"], results[0]["batch"]
        line = f"{f'{task}, {batch}':24}"
        for peer in ("weft", "dynet", "torch"):
            fastest = best(results, peer)
            line += f"{fastest['units_per_s']:10,.0f}" if fastest else f"{'-':>10}"
        weft = best(results, "weft")
        line += f"{weft['floors']:9.2f}" if weft else f"{'-':>9}"
        found, bars = ratios(results), BARS.get((task, batch))
        for key in ("wheel", "torch", "plain"):
            bar = getattr(bars, key) if bars else None
            line += f"{found[key]:10.2f}" if key in found else f"{'-':>10}"
            missed = bar is not None and key in found and found[key] < bar
            line += (f"{bar:5.1f}" if bar is not None else f"{'-':>5}") + ("!" if missed else " ")
        lines.append(line.rstrip())
    return "\n".join(lines)


def figures(tables: list[list[Result]]) -> side_by_side.Figures:
    """The best of each peer, and Weft's plain program, as the history keeps them."""
    found: side_by_side.Figures = {}
    for results in tables:
        line = found.setdefault(f"{results[0]['task']}, {results[0]['batch']}", {})
        for peer in PROGRAMS:
            fastest = best(results, peer)
            if fastest:
                line[peer] = fastest["units_per_s"]
        plain = best(results, "weft", (PLAIN[results[0]["task"]][0],))
        if plain:
            line["weft plain"] = plain["units_per_s"]
    return found


def options() -> argparse.Namespace:
    parser = side_by_side.options(__doc__, repeats=5)
    parser.add_argument("--tasks", nargs="+", choices=data.TASKS, default=list(data.TASKS))
    parser.add_argument("--batches", nargs="+", type=int, help="examples a graph (default: by task)")
    parser.add_argument("--updates", nargs="+", choices=("sparse", "dense"), default=["sparse"], help="of tables")
    parser.add_argument("--dynamic", action="store_true", help="also PyTorch cell by cell and node by node")
    parser.add_argument("--thorough", action="store_true", help="all modes of DyNet, and Weft without batching")
    parser.add_argument("--seconds", type=float, default=3.0, help="timed training per run")
    parser.add_argument("--loss-examples", type=int, default=256)
    chosen = parser.parse_args()
    if chosen.quick:
        chosen.repeats, chosen.seconds = 1, 0.5
    return chosen


def main() -> None:
    chosen = options()
    data.prepare(data.cache_folder())
    print(data.figures(data.cache_folder()))
    peers = side_by_side.available(chosen)
    tables = [compare(task, batch, peers, chosen) for task in chosen.tasks for batch in chosen.batches or BATCHES[task]]
    print("\n" + summary(tables))
    results = [result for table in tables for result in table]
    side_by_side.keep(chosen, figures(tables), higher_is_better=True, runs=results)
    if any("error" in result for result in results):
        raise SystemExit("some runs failed, see above")


if __name__ == "__main__":
    main()
