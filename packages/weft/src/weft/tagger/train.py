"""Training a tagger: shuffled batches, accuracy beside the baseline each epoch, the best model on disk."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import weft as dy
from weft_trainers.loop import Bar, Epoch, Fit, Silence, fit

from .accuracy import MostFrequentTag, accuracy
from .files import save_tagger
from .model import Tagger, TaggerSettings
from .sentence import Sentence
from .stdlib_corpus import Corpus
from .vocabulary import Vocabulary

_TAGGING_BATCH = 64


@dataclass(frozen=True)
class TrainingSettings:
    """How to train: epochs, sentences a batch, Adam's learning rate, seed of shuffling, seconds at most."""

    epochs: int = 10
    batch: int = 16
    learning_rate: float = 0.003
    seed: int = 1
    time_limit: float = math.inf

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.batch < 1:
            raise ValueError(f"epochs and batch must be at least 1, not {self.epochs} and {self.batch}")
        if not (math.isfinite(self.learning_rate) and self.learning_rate > 0):
            raise ValueError(f"the learning rate must be above 0, not {self.learning_rate}")
        if not self.time_limit > 0:
            raise ValueError(f"the time limit must be above 0 seconds, not {self.time_limit}")


@dataclass(frozen=True)
class Training:
    """What came of it: the epochs, accuracy of the most frequent tag per word, the epoch saved last."""

    fit: Fit
    baseline: float
    best: Epoch | None


def tag_all(tagger: Tagger, sentences: Sequence[Sentence]) -> list[list[str]]:
    """Tags of all sentences, some sentences a graph."""
    return [
        tags
        for start in range(0, len(sentences), _TAGGING_BATCH)
        for tags in tagger.tag(sentences[start : start + _TAGGING_BATCH])
    ]


def train_tagger(
    corpus: Corpus,
    folder: Path,
    settings: TrainingSettings,
    sizes: TaggerSettings,
    *,
    bar: bool = True,
    report: Callable[[str], None] = print,
) -> Training:
    """Train on `corpus.train` and keep in `folder` the model that is best on `corpus.dev`.

    One line of figures an epoch goes to `report`. Ctrl-C ends the training and keeps the best model so far.
    Raises ValueError for a corpus that cannot be trained on, FloatingPointError when the loss is not finite.
    """
    counted = corpus.counted_tags
    baseline = accuracy(corpus.dev, MostFrequentTag(corpus.train, counted).tag(corpus.dev), counted)
    tagger = Tagger(Vocabulary.of(corpus.train, sizes.rare), sizes)
    trainer = dy.AdamTrainer(tagger.collection, settings.learning_rate)
    saved: list[Epoch] = []

    def batches(epoch: int) -> list[list[Sentence]]:
        # One generator an epoch: the order of an epoch does not depend on the epochs before it.
        order = random.Random(f"{settings.seed} {epoch}").sample(corpus.train, len(corpus.train))
        return [order[start : start + settings.batch] for start in range(0, len(order), settings.batch)]

    def evaluate() -> float:
        return accuracy(corpus.dev, tag_all(tagger, corpus.dev), counted)

    def keep(epoch: Epoch) -> None:
        figures = {"epoch": epoch.number, "dev_accuracy": epoch.score, "baseline_accuracy": baseline}
        save_tagger(tagger, folder, figures)
        saved.append(epoch)

    def tell(epoch: Epoch) -> None:
        rate = epoch.items / max(epoch.seconds, 1e-9)
        report(
            f"epoch {epoch.number:2d}  loss {epoch.loss:.4f}  dev {epoch.score:6.2%}  "
            f"(most frequent tag {baseline:.2%})  {rate:,.0f} words/s{'  best, saved' if epoch.best else ''}"
        )

    result = fit(
        tagger.loss,
        batches,
        trainer,
        evaluate,
        keep,
        settings.epochs,
        Bar() if bar else Silence(),
        size=lambda batch: sum(map(len, batch)),
        on_epoch=tell,
        time_limit=settings.time_limit,
    )
    return Training(result, baseline, saved[-1] if saved else None)
