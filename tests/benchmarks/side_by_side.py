"""Figures of several toolkits side by side: what the commands share that measure a few named quantities.

A program that measures runs once a column and repetition, in a process of its own (`peer.py`), columns in turns, and
prints its figures by name; medians go into one table, whose first column is compared with the others.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import statistics
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import data
import processes
import pythons

TOOLKITS = ("weft", "dynet", "torch")
# Line of a table -> column -> figure: the form in which figures are kept in the history.
Figures = dict[str, dict[str, float]]


@dataclass(frozen=True)
class Column:
    """A toolkit in one of its ways of use."""

    toolkit: str
    variant: str = ""

    @property
    def name(self) -> str:
        return f"{self.toolkit} {self.variant}".strip()


def options(description: str | None, repeats: int) -> argparse.ArgumentParser:
    """The options that all commands have."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", nargs="+", choices=TOOLKITS, default=list(TOOLKITS))
    parser.add_argument("--torch", action="store_true", help="fail if PyTorch is not installed here")
    parser.add_argument("--dynet", metavar="PYTHON", help=f"an interpreter with DyNet (or {pythons.VARIABLE})")
    parser.add_argument("--make-dynet", action="store_true", help="make one with pip if none is found")
    parser.add_argument("--repeats", type=int, default=repeats, help=f"runs of each line, in turns (default {repeats})")
    parser.add_argument("--quick", action="store_true", help="one short repetition")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here, too")
    return parser


def available(chosen: argparse.Namespace) -> dict[str, str]:
    """The interpreter of each toolkit that can run; says on stdout which cannot."""
    peers = {}
    for peer in chosen.peers:
        if peer == "dynet":
            try:
                python = pythons.dynet_python(chosen.dynet, pythons.ENVIRONMENT, chosen.make_dynet)
            except ValueError as reason:
                raise SystemExit(str(reason)) from None
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


def measured(
    program: str, columns: Iterable[Column], chosen: argparse.Namespace, *arguments: object, **variables: str
) -> Figures:
    """The medians of all figures that the program prints, columns in turns; a run that fails ends the command."""
    folder = data.cache_folder()
    data.prepare(folder)
    peers = available(chosen)
    runs: dict[Column, list[dict[str, Any]]] = {column: [] for column in columns if column.toolkit in peers}
    for _ in range(1 if chosen.quick else chosen.repeats):
        for column, results in runs.items():
            command = ["--data", folder, "--toolkit", column.toolkit, "--variant", column.variant, *arguments]
            command += ["--quick"] if chosen.quick else []
            result = processes.outcome(peers[column.toolkit], program, *command, **variables)
            if "error" in result:
                raise SystemExit(f"{program}, {column.name}: {result['error']}")
            results.append(result)
    figures: Figures = {}
    for column, results in runs.items():
        for name in results[0]:
            figures.setdefault(name, {})[column.name] = statistics.median(result[name] for result in results)
    return figures


def table(figures: Figures, title: str, digits: int = 0, ratios: bool = True) -> str:
    """One line a figure, one column a toolkit, and the first column over each of the others."""
    columns = list(dict.fromkeys(column for line in figures.values() for column in line))
    first, others = columns[0], columns[1:] if ratios else []
    width = max(map(len, (title, *figures))) + 2
    head = "".join(f"{column:>{_width(column)}}" for column in columns)
    lines = [f"{title:{width}}{head}" + "".join(f"{'/ ' + other:>{_width(other) + 2}}" for other in others)]
    for name, line in figures.items():
        text = f"{name:{width}}" + "".join(_number(line.get(column), _width(column), digits) for column in columns)
        text += "".join(_number(_ratio(line, first, other), _width(other) + 2, 2) for other in others)
        lines.append(text.rstrip())
    return "\n".join(lines)


def _width(column: str) -> int:
    return max(11, len(column) + 2)


def _number(number: float | None, width: int, digits: int) -> str:
    return " " * width if number is None else f"{number:{width},.{digits}f}"


def _ratio(line: dict[str, float], first: str, other: str) -> float | None:
    return line[first] / line[other] if line.get(first) and line.get(other) else None


def keep(chosen: argparse.Namespace, figures: Figures, **more: Any) -> None:
    """Writes what `--json` asks for."""
    if chosen.json:
        chosen.json.write_text(json.dumps({"figures": figures, **more}, indent=1) + "\n")
