"""The table of docs/dynet.md: where each of the 217 names of the release is.

python dynet_names.py           write the table between the markers of the page
python dynet_names.py --check   exit with 1 where the page has another table
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import dynet_config

# The command line is this script's.
dynet_config.set(random_seed=1)

import dynet  # noqa: E402

import weft  # noqa: E402

HERE = Path(__file__).resolve().parent
PAGE = HERE.parents[2] / "docs" / "dynet.md"
BEGIN, END = "<!-- names: begin -->\n", "<!-- names: end -->\n"

SUBJECTS = {
    "1": "module",
    "2": "graph, start, devices",
    "3": "inputs",
    "4.1": "collections",
    "4.2": "parameters",
    "4.3": "look-up tables",
    "5": "expressions",
    "6": "tensors",
    "7": "arithmetic, sums",
    "8": "elementwise functions",
    "9": "gradient control",
    "10": "reductions",
    "11": "linear algebra, distances",
    "12": "selection, shape",
    "13": "softmax, losses",
    "14": "convolution, pooling",
    "15": "noise, dropout",
    "16": "normalisation",
    "17": "LSTM gates",
    "18": "recurrent builders",
    "19": "softmax builders",
    "21": "trainers",
    "22": "initializers",
    "23": "files, boxes of numbers",
}


def table() -> str:
    """One row for each subject: names of both modules, names of `dynet` alone, names that are missing."""
    both: dict[str, list[str]] = {subject: [] for subject in SUBJECTS.values()}
    alone: dict[str, list[str]] = {subject: [] for subject in SUBJECTS.values()}
    missing: dict[str, list[str]] = {subject: [] for subject in SUBJECTS.values()}
    for name, section in (line.split() for line in (HERE / "names.txt").read_text(encoding="utf-8").splitlines()):
        state = missing if not hasattr(dynet, name) else both if hasattr(weft, name) else alone
        state[SUBJECTS[section]].append(name)
    columns = {"`import weft` and `import dynet`": both, "only `import dynet`": alone, "missing": missing}
    columns = {title: cells for title, cells in columns.items() if any(cells.values())}
    return "".join(_lines(columns))


def _lines(columns: dict[str, dict[str, list[str]]]) -> Iterator[str]:
    counts = [f"{sum(map(len, cells.values()))} {title}" for title, cells in columns.items()]
    yield f"Names by where they are: {', '.join(counts)}.\n\n"
    yield f"| subject | {' | '.join(columns)} |\n"
    yield "|---" * (1 + len(columns)) + "|\n"
    for subject in SUBJECTS.values():
        cells = [", ".join(f"`{name}`" for name in sorted(cells[subject], key=str.lower)) for cells in columns.values()]
        yield f"| {subject} | {' | '.join(cells)} |\n"


def main() -> int:
    page = PAGE.read_text(encoding="utf-8")
    before, rest = page.split(BEGIN)
    _, after = rest.split(END)
    new = f"{before}{BEGIN}\n{table()}\n{END}{after}"
    if "--check" in sys.argv:
        return int(new != page)
    PAGE.write_text(new, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
