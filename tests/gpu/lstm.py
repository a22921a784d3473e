"""LSTM tapes: a launch for each level against one cooperative launch, beside PyTorch's nn.LSTM and LSTMCell."""

from __future__ import annotations

from importlib.util import find_spec

from contest import compete
from part import chosen, left_out, record
from worker import Worker

HIDDEN, BATCHES = (64, 256, 1024), (1, 16, 64, 256)
STEPS = 32
PYTORCH = ("nn.LSTM", "LSTMCell")
ROUND_SECONDS, REPLAY_SECONDS = 0.2, 0.1


def main() -> None:
    options = chosen(__doc__)
    workers = {name: Worker("lstm_weft.py", "--mode", name) for name in ("levels", "tape")}
    if find_spec("torch"):
        for way in options.pick(PYTORCH, PYTORCH, PYTORCH[:1]):
            workers[way] = Worker("lstm_torch.py", "--way", way, "--device", options.device)
    batches = options.pick(BATCHES, (1, 64), (2,))
    if options.quick:
        left_out("lstm", "batch 16 and 256", "not part of this length")
    steps, replay_seconds = options.pick(STEPS, STEPS, 2), options.pick(REPLAY_SECONDS, REPLAY_SECONDS, 0.0)
    good = True
    for hidden in options.pick(HIDDEN, HIDDEN, (4,)):
        for batch in batches:
            title = f"hidden {hidden}, batch {batch}"
            if options.left <= 0:
                left_out("lstm", title, "out of time")
                continue
            settings = {"hidden": hidden, "batch": batch, "steps": steps, "replay_seconds": replay_seconds}
            seconds = options.pick(ROUND_SECONDS, ROUND_SECONDS, 0.0)
            line = []
            results = compete(workers, dict.fromkeys(workers, settings), seconds, options)
            good &= not any("lost" in figures for figures in results.values())
            for name, figures in results.items():
                record("lstm", f"{title}, {name}", hidden=hidden, batch=batch, name=name, **figures)
                line.append(f"{name} {1e6 / figures['rate']:.1f}" if "rate" in figures else f"{name} lost")
            print(f"  {title}, us a step: {', '.join(line)}", flush=True)
    for worker in workers.values():
        worker.stop()
    if not good:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
