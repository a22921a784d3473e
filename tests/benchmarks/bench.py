"""Runs all benchmarks in order, and records the run in docs/benchmarks/history.

python bench.py                                 everything: hours
python bench.py --quick                         one short repetition of each, not recorded
python bench.py latency mlp                     some of them
python bench.py throughput --tasks tree         options that are not common to all go to throughput (run.py), ...
python bench.py cold --tasks lm                 ... or to the only command that is named
"""

from __future__ import annotations

import argparse
import itertools
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import history
import processes

COMMANDS = {
    "throughput": "run.py",
    "nodes": "recording.py",
    "scaling": "scaling.py",
    "latency": "latency.py",
    "mlp": "mlp.py",
    "old": "old_programs.py",
    "memory": "peak_memory.py",
    "cold": "cold.py",
    "counts": "counts.py",
}


def options() -> tuple[argparse.Namespace, list[str]]:
    """What is chosen here, and the options of one command alone."""
    parser = argparse.ArgumentParser(
        usage="bench.py [COMMAND ...] [OPTION ...]",
        description=__doc__,
        epilog=f"commands: {', '.join(COMMANDS)}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--quick", action="store_true", help="one short repetition of everything")
    parser.add_argument("--torch", action="store_true", help="fail if PyTorch is not installed here")
    parser.add_argument("--dynet", metavar="PYTHON", help="an interpreter with DyNet")
    parser.add_argument("--make-dynet", action="store_true", help="make one with pip if none is found")
    parser.add_argument("--no-history", action="store_true", help="do not record the run")
    # What stands after the first option may be that option's value, so names of commands stand before it.
    arguments = sys.argv[1:]
    names = list(itertools.takewhile(lambda argument: not argument.startswith("-"), arguments))
    chosen, rest = parser.parse_known_args(arguments[len(names) :])
    chosen.commands = names
    unknown = [name for name in names if name not in COMMANDS]
    if unknown:
        parser.error(f"there is no command {unknown[0]}, only {', '.join(COMMANDS)}")
    chosen.commands = chosen.commands or list(COMMANDS)
    if rest and len(chosen.commands) > 1 and "throughput" not in chosen.commands:
        parser.error(f"{rest[0]} is not an option of all commands: name one command")
    return chosen, rest


def common(chosen: argparse.Namespace) -> list[str]:
    """The options that every command gets."""
    flags = [f"--{name.replace('_', '-')}" for name in ("quick", "torch", "make_dynet") if getattr(chosen, name)]
    return flags + (["--dynet", chosen.dynet] if chosen.dynet else [])


def main() -> None:
    chosen, rest = options()
    parts: dict[str, Any] = {}
    failed = []
    with tempfile.TemporaryDirectory(prefix="weft-bench-") as folder:
        for name in chosen.commands:
            print(f"\n== {name}", flush=True)
            result = Path(folder, f"{name}.json")
            own = rest if name == "throughput" or len(chosen.commands) == 1 else []
            command = [sys.executable, str(processes.HERE / COMMANDS[name]), *common(chosen), "--json", str(result)]
            finished = subprocess.run([*command, *own], env=processes.environment(), check=False)
            if finished.returncode:
                failed.append(name)
            elif result.exists():
                parts[name] = json.loads(result.read_text())
    if not (chosen.quick or chosen.no_history or failed):
        machine = processes.outcome(sys.executable, "machine.py")
        print(f"\nrecorded in {history.add(machine, parts).name}; python history.py compares it with the run before")
    if failed:
        raise SystemExit(f"failed, nothing is recorded: {', '.join(failed)}")


if __name__ == "__main__":
    main()
