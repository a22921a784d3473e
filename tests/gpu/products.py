"""Matrix products by Weft's tiles against cuBLAS, as PyTorch calls it: the sizes of LSTM gates and of output layers."""

from __future__ import annotations

from importlib.util import find_spec

from contest import compete
from part import chosen, left_out, record
from worker import Worker

PRECISIONS = ("float32", "tf32", "bfloat16")
# Rows and width of the weight: gates of hidden 64, 256 and 1024, and a vocabulary.
WEIGHTS = ((256, 64), (1024, 256), (4096, 1024), (7596, 256))
# A step of the recurrence, and all words of a batch.
COLUMNS = (64, 256, 1472)
ROUND_SECONDS = 0.05


def main() -> None:
    options = chosen(__doc__)
    workers = {"weft": Worker("products_weft.py")}
    if find_spec("torch"):
        workers["cuBLAS"] = Worker("products_torch.py", "--device", options.device)
    columns = options.pick(COLUMNS, (64, 1472), (3,))
    if options.quick:
        left_out("products", "256 columns", "not part of this length")
    for rows, inner in options.pick(WEIGHTS, WEIGHTS, ((8, 4),)):
        for count in columns:
            for gradient in (False, True):
                for precision in PRECISIONS:
                    title = f"{rows} x {inner}, {count} columns, {'gradient' if gradient else 'forward'}, {precision}"
                    if options.left <= 0:
                        left_out("products", title, "out of time")
                        continue
                    size = {"rows": rows, "inner": inner, "columns": count, "precision": precision, "gradient": gradient}
                    seconds = options.pick(ROUND_SECONDS, ROUND_SECONDS, 0.0)
                    line = []
                    for name, figures in compete(workers, dict.fromkeys(workers, size), seconds, options).items():
                        record("products", f"{title}, {name}", **size, name=name, **figures)
                        line.append(f"{name} {figures['rate'] / 1e12:.3f}" if "rate" in figures else f"{name} lost")
                    print(f"  {title}: {', '.join(line)} TFLOP/s", flush=True)
    for worker in workers.values():
        worker.stop()


if __name__ == "__main__":
    main()
