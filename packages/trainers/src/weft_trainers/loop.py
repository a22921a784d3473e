"""The training loop: epochs over batches, an evaluation after each, the best model kept, Ctrl-C respected."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Iterable, Sequence, Sized
from dataclasses import dataclass
from typing import Any, Protocol, TextIO, TypeVar

from tqdm import tqdm

from .errors import LossError

Batch = TypeVar("Batch", contravariant=True)


class Loss(Protocol):
    """What the loop needs of a loss: an expression of one element."""

    def value(self) -> Any: ...

    def backward(self) -> None: ...


class Trainer(Protocol):
    """What the loop needs of a trainer."""

    def update(self) -> None: ...


class Progress(Protocol):
    """Is told what happens in the loop."""

    def start(self, epoch: int, epochs: int, batches: int) -> None: ...

    def step(self, size: int, loss: float) -> None: ...

    def end(self) -> None: ...


class Silence:
    """Shows nothing."""

    def start(self, epoch: int, epochs: int, batches: int) -> None:
        pass

    def step(self, size: int, loss: float) -> None:
        pass

    def end(self) -> None:
        pass


class Bar:
    """A progress bar an epoch, with the mean loss and the rate in items (`unit`) a second."""

    def __init__(self, unit: str = "words", file: TextIO | None = None) -> None:
        self._unit = unit
        self._file = file
        self._bar: tqdm | None = None
        self._items = 0
        self._loss = 0.0
        self._started = 0.0

    def start(self, epoch: int, epochs: int, batches: int) -> None:
        self._items, self._loss, self._started = 0, 0.0, time.perf_counter()
        self._bar = tqdm(
            total=batches,
            desc=f"epoch {epoch}/{epochs}",
            unit="batch",
            file=self._file if self._file is not None else sys.stderr,
            leave=False,
            bar_format="{desc} {percentage:3.0f}% |{bar}| {elapsed}<{remaining}{postfix}",
            dynamic_ncols=True,
        )

    def step(self, size: int, loss: float) -> None:
        if self._bar is None:
            raise RuntimeError("Bar.step() before Bar.start(): start an epoch first")
        self._items += size
        self._loss += loss * size
        rate = self._items / max(time.perf_counter() - self._started, 1e-9)
        mean = self._loss / max(self._items, 1)
        self._bar.set_postfix_str(f"loss {mean:.4f}, {rate:,.0f} {self._unit}/s", refresh=False)
        self._bar.update()

    def end(self) -> None:
        if self._bar is not None:
            # The bar draws at intervals; a short epoch would otherwise end without its figures.
            self._bar.refresh()
            self._bar.close()
            self._bar = None


@dataclass(frozen=True)
class Epoch:
    """One epoch: number from 1, mean loss an item, score (higher is better), items, seconds of training."""

    number: int
    loss: float
    score: float
    items: int
    seconds: float
    best: bool


@dataclass(frozen=True)
class Fit:
    """What came of a training: its epochs in order, and why it ended."""

    epochs: tuple[Epoch, ...]
    interrupted: bool = False
    out_of_time: bool = False

    @property
    def best(self) -> Epoch | None:
        """The epoch whose model was kept, None when not one was evaluated."""
        return next((epoch for epoch in reversed(self.epochs) if epoch.best), None)


def fit(
    model_loss: Callable[[Batch], Loss],
    batches: Callable[[int], Sequence[Batch]],
    trainer: Trainer,
    evaluate: Callable[[], float],
    on_best: Callable[[Epoch], None],
    epochs: int,
    progress: Progress | None = None,
    *,
    size: Callable[[Batch], int] = lambda batch: len(batch) if isinstance(batch, Sized) else 1,
    on_epoch: Callable[[Epoch], None] = lambda epoch: None,
    time_limit: float = math.inf,
) -> Fit:
    """Train for `epochs` epochs: a loss, its gradient and an update for each batch, a score after each epoch.

    model_loss(batch): the mean loss of an item, in a graph of its own
    batches(epoch): the batches of this epoch (from 1), in the order wanted
    evaluate(): the score of the present model; on_best(epoch): called when it is above all before
    size(batch): items in a batch, for mean loss and rate; on_epoch(epoch): called after every epoch
    time_limit: seconds of training after which the epoch is cut short, evaluated, and the last

    Ctrl-C ends the loop between two updates or within one; what `on_best` has kept stays, and
    `Fit.interrupted` is set. Raises `LossError`, a FloatingPointError, when a loss is not finite, before it
    can reach the parameters, and ValueError when there is no epoch or no batch.
    """
    if epochs < 1:
        raise ValueError(f"fit() needs at least one epoch, not {epochs}")
    if progress is not None and not hasattr(progress, "start"):
        raise TypeError(f"fit() tells its progress to an object with start(), got {type(progress).__name__}")
    shown = progress if progress is not None else Silence()
    done: list[Epoch] = []
    best = -math.inf
    spent = 0.0
    try:
        for number in range(1, epochs + 1):
            order = batches(number)
            if not order:
                raise ValueError(f"fit() was given no batch for epoch {number}")
            shown.start(number, epochs, len(order))
            try:
                loss, items, seconds = _epoch(model_loss, order, trainer, shown, size, time_limit - spent, number)
            finally:
                shown.end()
            spent += seconds
            score = evaluate()
            epoch = Epoch(number, loss, score, items, seconds, best=score > best)
            if epoch.best:
                on_best(epoch)
                best = score
            done.append(epoch)
            on_epoch(epoch)
            if spent >= time_limit:
                return Fit(tuple(done), out_of_time=number < epochs)
    except KeyboardInterrupt:
        return Fit(tuple(done), interrupted=True)
    return Fit(tuple(done))


def _epoch(
    model_loss: Callable[[Batch], Loss],
    order: Iterable[Batch],
    trainer: Trainer,
    progress: Progress,
    size: Callable[[Batch], int],
    seconds_left: float,
    number: int,
) -> tuple[float, int, float]:
    """One pass: mean loss an item, items, seconds."""
    started = time.perf_counter()
    total = 0.0
    items = 0
    for place, batch in enumerate(order, start=1):
        loss = model_loss(batch)
        value = float(loss.value())
        if not math.isfinite(value):
            raise LossError(f"the loss of batch {place} in epoch {number} is {value}; the parameters are as before it")
        loss.backward()
        trainer.update()
        count = size(batch)
        total += value * count
        items += count
        progress.step(count, value)
        if time.perf_counter() - started >= seconds_left:
            break
    return total / max(items, 1), items, time.perf_counter() - started
