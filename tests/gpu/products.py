"""Matrix products by Weft's tiles against cuBLAS, as PyTorch calls it: the sizes of LSTM gates and of output layers."""

from __future__ import annotations

import itertools
from importlib.util import find_spec
from typing import Any

from contest import compete
from part import Chosen, chosen, left_out, record
from worker import Worker

PRECISIONS = ("float32", "tf32", "bfloat16")
# Rows and width of the weight: gates of hidden 64, 256 and 1024, and a vocabulary.
WEIGHTS = ((256, 64), (1024, 256), (4096, 1024), (7596, 256))
# A step of the recurrence, and all words of a batch.
COLUMNS = (64, 256, 1472)
ROUND_SECONDS = 0.05


def measure(workers: dict[str, Worker], size: dict[str, Any], options: Chosen) -> bool:
    """One product by everyone; False when somebody was lost."""
    rows, inner = size["weight"]
    what = "gradient" if size["gradient"] else "forward"
    title = f"{rows} x {inner}, {size['columns']} columns, {what}, {size['precision']}"
    if options.left <= 0:
        left_out("products", title, "out of time")
        return True
    seconds = options.pick(ROUND_SECONDS, ROUND_SECONDS, 0.0)
    line = []
    results = compete(workers, dict.fromkeys(workers, size), seconds, options)
    for name, figures in results.items():
        record("products", f"{title}, {name}", **size, name=name, **figures)
        line.append(f"{name} {figures['rate'] / 1e12:.3f}" if "rate" in figures else f"{name} lost")
    print(f"  {title}: {', '.join(line)} TFLOP/s", flush=True)
    return not any("lost" in figures for figures in results.values())


def main() -> None:
    options = chosen(__doc__)
    workers = {"weft": Worker("products_weft.py")}
    if find_spec("torch"):
        workers["cuBLAS"] = Worker("products_torch.py", "--device", options.device)
    columns = options.pick(COLUMNS, (64, 1472), (3,))
    if options.quick:
        left_out("products", "256 columns", "not part of this length")
    weights = options.pick(WEIGHTS, WEIGHTS, ((8, 4),))
    precisions = options.pick(PRECISIONS, PRECISIONS, ("bfloat16",))
    good = True
    for weight, count, gradient, precision in itertools.product(weights, columns, (False, True), precisions):
        size = {"weight": weight, "columns": count, "gradient": gradient, "precision": precision}
        good &= measure(workers, size, options)
    for worker in workers.values():
        worker.stop()
    if not good:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
