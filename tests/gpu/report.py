"""The results as a page of Markdown."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import aims
from results import Record, Results

REHEARSAL = (
    "> THIS IS A REHEARSAL. Tiny sizes, kernels interpreted on the CPU, PyTorch on the CPU: it shows that the command "
    "works, and no figure on this page means anything."
)
UNIT = {"lm": "words", "tagger": "words", "chars": "words", "tree": "nodes"}
CONTESTANTS = ("weft levels", "weft tape", "weft cpu", "torch stepwise", "torch prepared")
PHASES = ("build", "forward", "backward", "update")


def page(results: Results, rehearsal: bool) -> str:
    """The whole page."""
    parts = [
        ("Aims", _aims), ("Conformance", _conformance), ("Barriers", _barriers), ("Losses", _losses),
        ("Training", _training), ("Launches", _launches), ("LSTM tapes", _lstm), ("Matrix products", _products),
        ("Compiling", _compiling), ("Ended early", _ended), ("Left out", _left_out),
    ]  # fmt: skip
    blocks = ["# GPU benchmarks", *([REHEARSAL] if rehearsal else []), _head(results)]
    for title, write in parts:
        text = write(results)
        if text:
            blocks.append(f"## {title}\n\n{text}")
    return "\n\n".join(blocks) + "\n"


def _head(results: Results) -> str:
    facts = results.runs[-1]["facts"]
    versions = ", ".join(f"{package} {version}" for package, version in facts["versions"].items())
    driver = ", ".join(f"{what} {facts[what]}" for what in ("driver", "cuda") if what in facts)
    lines = [
        f"{facts['gpu']}{f' ({driver})' if driver else ''}; {facts['processor']}, {facts['cores']} cores; {versions}.",
        "",
        "Runs of these pages, newest last; a figure is of the last run that measured it:",
        "",
        *(f"- {run['date']}: `{run['command']}` ({run['seconds']:.0f} s)" for run in results.runs),
    ]
    return "\n".join(lines)


def table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table of Markdown; an empty text for no rows."""
    lines = [f"| {' | '.join(str(cell) for cell in row)} |" for row in rows]
    return "\n".join([f"| {' | '.join(heads)} |", "|" + "---|" * len(heads), *lines]) if lines else ""


def _aims(results: Results) -> str:
    return "\n".join(f"- {sentence}" for sentence in aims.statements(results))


def _conformance(results: Results) -> str:
    rows = [
        (r["mode"], r["rows"], r["passed"], r["failed"], r["not_run"], f"{r['seconds']:.0f}")
        for r in results.of("conformance")
    ]
    failures = [
        f"- `{row}` ({r['mode']}): {wrong}" for r in results.of("conformance") for row, wrong in r["failures"].items()
    ]
    text = table(("mode", "rows", "passed", "failed", "not run", "seconds"), rows)
    return "\n\n".join(filter(None, [text, "\n".join(failures)]))


def _barriers(results: Results) -> str:
    rows = [
        (r["kind"], r.get("programs", "-"), f"{r['launches']} x {r['levels']:,}", _number(r.get("us"), 2), _good(r))
        for r in results.of("soak")
    ]
    return table(("tape", "programs", "launches x barriers", "us a barrier", "result"), rows)


def _good(r: Record) -> str:
    if r["ok"]:
        return "ok"
    return f"FAILED: {r.get('lost') or ('gave up' if r['gave_up'] else str(r['wrong']) + ' wrong')}"


def _losses(results: Results) -> str:
    rows = [
        (r["task"], r["mode"], r["batch"], r["examples"], r["way"],
         f"{r['difference']:.1e}" if "difference" in r else "-", "ok" if r["ok"] else f"FAILED {r.get('lost', '')}")
        for r in results.of("tasks")
    ]  # fmt: skip
    heads = ("task", "program", "batch", "examples", "mode", "largest relative difference to the CPU", "result")
    return table(heads, rows)


def _launches(results: Results) -> str:
    rows = [(r["kind"], r["arguments"], _number(r["enqueued_us"], 2), _number(r["complete_us"], 2))
            for r in results.of("launches")]  # fmt: skip
    return table(("launch", "arguments", "us of the host", "us with the device"), rows)


def _lstm(results: Results) -> str:
    def cells(found: dict[str, Record]) -> list[str]:
        levels, tape = found.get("levels", {}), found.get("tape", {})
        each = [_rate(found.get(name, {}), _per_step) for name in ("levels", "tape", "nn.LSTM", "LSTMCell")]
        alone = [f"{_number(r.get('forward_us'), 1)} + {_number(r.get('backward_us'), 1)}" for r in (levels, tape)]
        counts = [f"{levels.get(what, '-')} / {tape.get(what, '-')}" for what in ("levels", "launches")]
        return [*each, *alone, *counts]

    rows = [(*place, *cells(found)) for place, found in _by(results.of("lstm"), "hidden", "batch").items()]
    heads = ("hidden", "batch", "levels", "tape", "nn.LSTM", "LSTMCell")
    text = table((*heads, "levels, alone", "tape, alone", "levels", "launches"), rows)
    says = (
        "Microseconds a step of the recurrence, forward and backward, from recording to the gradients. Alone: the same "
        "plan launched again, forward + backward, without recording and planning. Counts: by levels / as a tape.\n\n"
    )
    return says + text if text else ""


def _products(results: Results) -> str:
    def cells(found: dict[str, Record]) -> list[str]:
        ours, theirs = found.get("weft", {}), found.get("cuBLAS", {})
        return [_rate(ours, _tera), _rate(theirs, _tera), _ratio(ours, theirs)]

    # JSON has made a list of the weight's two sizes.
    records = [r | {"weight": " x ".join(map(str, r["weight"]))} for r in results.of("products")]
    rows = [
        (weight, columns, "gradient of W" if gradient else "W x", precision, *cells(found))
        for (weight, columns, gradient, precision), found in _by(
            records, "weight", "columns", "gradient", "precision"
        ).items()
    ]
    return table(("W", "columns", "product", "precision", "Weft TFLOP/s", "cuBLAS TFLOP/s", "Weft / cuBLAS"), rows)


def _training(results: Results) -> str:
    blocks = []
    for task, unit in UNIT.items():
        records = aims.training(results, task=task)
        places = _by(records, "hidden", "batch", "precision", "stored")
        rows = [(_own(h, stored), b, precision, *_cells(found)) for (h, b, precision, stored), found in places.items()]
        ratios = ("/ stepwise", "/ prepared", "/ cpu")
        text = table(("hidden", "batch", "precision", *CONTESTANTS, *ratios, "levels", "launches"), rows)
        if text:
            blocks.append(f"### {task}, {unit} a second\n\n{text}")
            blocks.append(_phases(places))
    if not blocks:
        return ""
    says = (
        "Training with Adam, the loss read at every step; medians of rounds in turns. Kernels of a task serve all its "
        "batches. Weft: written with cells, sparse updates; its CPU backend has one thread. PyTorch: eager, dense "
        "updates; stepwise is cell by cell (trees: node by node), prepared is nn.LSTM of padded sentences (lm), packed "
        "sequences (taggers), all nodes of a height together (tree). Precision is that of products, in cuDNN, too. "
        "Levels and launches: of a step by levels, forward and backward, without the update. * marks the task's own "
        "size. Ratios are of Weft's better mode."
    )
    return "\n\n".join([says, *filter(None, blocks)])


def _own(hidden: int, stored: bool) -> str:
    return f"{hidden}{' *' if stored else ''}"


def _cells(found: dict[str, Record]) -> list[str]:
    rates = [_rate(found.get(name, {}), lambda r: f"{r['rate']:,.0f}") for name in CONTESTANTS]
    best = max((found.get(name, {}) for name in aims.WEFT), key=lambda r: float(r.get("rate", 0.0)))
    ratios = [_ratio(best, found.get(name, {})) for name in ("torch stepwise", "torch prepared", "weft cpu")]
    counts = found.get("weft levels", {}).get("counts", {})
    launches = counts.get("launches", 0) + counts.get("large_launches", 0)
    return [*rates, *ratios, f"{counts['levels']:.0f}" if counts else "-", f"{launches:.0f}" if counts else "-"]


def _phases(places: dict[tuple[Any, ...], dict[str, Record]]) -> str:
    rows = [
        (_own(hidden, stored), batch, precision, name,
         *(_number(found[name]["split_us"][phase], 2) for phase in PHASES), _number(found[name]["first_seconds"], 1))
        for (hidden, batch, precision, stored), found in places.items()
        for name in CONTESTANTS
        if "split_us" in found.get(name, {})
    ]  # fmt: skip
    heads = ("hidden", "batch", "precision", "", *(f"{phase} us" for phase in PHASES), "first step s")
    text = table(heads, rows)
    return "Phases, the device waited for after each (a unit):\n\n" + text if text else ""


def _compiling(results: Results) -> str:
    rows = [(r["id"], _number(r["seconds"], 0)) for r in results.of("warm")]
    return table(("compiled code of the host for", "seconds of the first start"), rows)


def _ended(results: Results) -> str:
    return "\n".join(f"- {r['id']}: {r['how']}" for r in results.of("end") if r["how"] != "complete")


def _left_out(results: Results) -> str:
    lines = [f"- {r['id']}: {r['why']}" for r in results.of("left out")]
    lines += [
        f"- {part}: {r['id']}: {r[why]}"
        for part in ("training", "lstm", "products")
        for r in results.of(part)
        for why in ("lost", "slow")
        if why in r
    ]
    return "\n".join(lines)


def _by(records: Iterable[Record], *fields: str) -> dict[tuple[Any, ...], dict[str, Record]]:
    """Records by the values of these fields, and then by name."""
    found: dict[tuple[Any, ...], dict[str, Record]] = {}
    for record in records:
        found.setdefault(tuple(record[field] for field in fields), {})[record["name"]] = record
    return found


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:,.{digits}f}"


def _rate(record: Record, write: Callable[[Record], str]) -> str:
    return write(record) if "rate" in record else next((why for why in ("lost", "slow") if why in record), "-")


def _per_step(record: Record) -> str:
    return f"{1e6 / record['rate']:.1f}"


def _tera(record: Record) -> str:
    return f"{record['rate'] / 1e12:.2f}"


def _ratio(ours: Record, theirs: Record) -> str:
    return f"{ours['rate'] / theirs['rate']:.2f}" if "rate" in ours and "rate" in theirs else "-"
