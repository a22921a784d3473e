"""What the backend is held to on a GPU, and what a run says of it."""

from __future__ import annotations

from collections.abc import Sequence

from results import Record, Results

STEPWISE_TIMES = 5.0
CPU_FROM_BATCH = 16
WEFT = ("weft levels", "weft tape")


def rate(results: Results, names: Sequence[str], **where: object) -> float:
    """The highest rate of these contestants on the task's own sizes in float32; 0 where there is none."""
    wanted = {"stored": True, "precision": "float32", **where}
    return max((r["rate"] for r in training(results, **wanted) if r["name"] in names and "rate" in r), default=0.0)


def training(results: Results, **where: object) -> list[Record]:
    """Records of training with these fields."""
    return [r for r in results.of("training") if all(r[field] == value for field, value in where.items())]


def statements(results: Results) -> list[str]:
    """One sentence for each aim: met, not met, or not measured, with the figures."""
    return [
        *(_stepwise(results, task, name) for task, name in (("tree", "TreeLSTM"), ("tagger", "tagger"))),
        _packed(results),
        *(_cpu(results, task) for task in ("tagger", "tree", "chars", "lm")),
    ]


def _verdict(aim: str, ratio: float | None, least: float) -> str:
    if ratio is None:
        return f"{aim}: not measured."
    return f"{aim}: {'met' if ratio >= least else 'NOT MET'}, {ratio:.2f} times."


def _ratio(weft: float, peer: float) -> float | None:
    return weft / peer if weft and peer else None


def _stepwise(results: Results, task: str, name: str) -> str:
    where = {"task": task, "batch": 64}
    ratio = _ratio(rate(results, WEFT, **where), rate(results, ("torch stepwise",), **where))
    aim = f"{name} training, batch 64, at least {STEPWISE_TIMES:.0f} times PyTorch eager, cell by cell, on the same GPU"
    return _verdict(aim, ratio, STEPWISE_TIMES)


def _packed(results: Results) -> str:
    where = {"task": "tagger", "batch": 64}
    ratio = _ratio(rate(results, WEFT, **where), rate(results, ("torch prepared",), **where))
    return _verdict("Tagger training, batch 64, ahead of PyTorch's packed cuDNN LSTM", ratio, 1.0)


def _cpu(results: Results, task: str) -> str:
    aim = f"{task} training ahead of Weft's CPU backend from batch {CPU_FROM_BATCH} on"
    batches = {r["batch"] for r in training(results, task=task, stored=True) if r["batch"] >= CPU_FROM_BATCH}
    ratios = {}
    for batch in sorted(batches):
        where = {"task": task, "batch": batch}
        ratio = _ratio(rate(results, WEFT, **where), rate(results, ("weft cpu",), **where))
        if ratio is not None:
            ratios[batch] = ratio
    if not ratios:
        return f"{aim}: not measured."
    figures = ", ".join(f"{ratio:.2f} times at {batch}" for batch, ratio in ratios.items())
    return f"{aim}: {'met' if min(ratios.values()) > 1.0 else 'NOT MET'}, {figures}."
