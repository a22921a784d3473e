"""One toolkit's times of a forward pass alone; what is measured stands in `latency.py`."""

from __future__ import annotations

import contextlib
import importlib
import itertools
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import peer
import programs
from arc_hybrid import SHAPES, ArcHybrid
from examples import Data, Example, load

SENTENCES, QUICK_SENTENCES, WARM_UP = 1000, 100, 50
BATCH, SECONDS, QUICK_SECONDS = 64, 2.0, 0.1


class DynamicNets:
    """The nets in the DyNet API."""

    def __init__(self, dy: Any, tagger: Any, language_model: Any, cells: bool) -> None:
        self.dy, self.tagger, self.language_model = dy, tagger, language_model
        self.hidden, self.bias, self.output = (
            tagger.collection.add_parameters(array.shape, init=array) for array in scorer_arrays()
        )
        self.scores: Any = dy.cell(self.scorer) if cells else self.scorer

    def inference(self) -> Any:
        """The context in which all of it runs."""
        return contextlib.nullcontext()

    def tags(self, sentences: list[list[int]]) -> Any:
        """The best tags of each sentence's words."""
        dy = self.dy
        dy.renew_cg()
        scores = [dy.concatenate_cols(self.tagger.scores(words)) for words in sentences]
        dy.forward(scores)
        return [matrix.npvalue().argmax(axis=0) for matrix in scores]

    def start(self, words: list[int]) -> Any:
        """The vectors of the words, computed; the last stands for what is not there."""
        self.dy.renew_cg()
        vectors = [*self.tagger.contexts(words), self.dy.inputVector([0.0] * SHAPES.vector)]
        self.dy.forward(vectors)
        return vectors

    def step(self, vectors: Any, places: list[int]) -> Any:
        """The scores of all transitions."""
        return self.scores(*[vectors[place] for place in places]).npvalue()

    def scorer(self, *vectors: Any) -> Any:
        dy = self.dy
        hidden = dy.affine_transform([self.bias, self.hidden, dy.concatenate(list(vectors))])
        return self.output * dy.tanh(hidden)

    def loss(self, group: list[Example]) -> float:
        return float(self.language_model.build(group).value())


class TorchNets:
    """The nets in PyTorch: nn.LSTM a sentence, packed sequences for many."""

    def __init__(self, tagger: Any, packed: Any, language_model: Any) -> None:
        self.torch = importlib.import_module("torch")
        self.tagger, self.packed, self.language_model = tagger, packed, language_model
        self.hidden, self.bias, self.output = map(self.torch.from_numpy, scorer_arrays())

    def inference(self) -> Any:
        return self.torch.inference_mode()

    def tags(self, sentences: list[list[int]]) -> Any:
        if len(sentences) == 1:
            vectors = self.vectors(sentences[0])
        else:
            group = [Example(words, [0] * len(words), [], []) for words in sentences]
            words, sizes, _, _ = self.packed.prepared(group)
            vectors = self.packed.contexts(self.packed.rows(words, self.packed.embedding), sizes)
        return self.tagger.scores(vectors).argmax(dim=1).numpy()

    def vectors(self, words: list[int]) -> Any:
        return self.tagger.rnn.outputs(self.tagger.words(words).unsqueeze(1)).squeeze(1)

    def start(self, words: list[int]) -> Any:
        return self.torch.cat([self.vectors(words), self.torch.zeros(1, SHAPES.vector)])

    def step(self, vectors: Any, places: list[int]) -> Any:
        hidden = self.torch.addmv(self.bias, self.hidden, vectors[places].flatten())
        return (self.output @ hidden.tanh()).numpy()

    def loss(self, group: list[Example]) -> float:
        return float(self.language_model.loss(self.language_model.prepared(group)).item())


def scorer_arrays() -> Iterator[Any]:
    """Weights, bias and output weights of the parser's scorer: its numbers do not matter, its sizes do."""
    rng = np.random.RandomState(0)
    for shape in (
        (SHAPES.hidden, SHAPES.features * SHAPES.vector),
        (SHAPES.hidden,),
        (SHAPES.transitions, SHAPES.hidden),
    ):
        yield rng.uniform(-0.1, 0.1, shape).astype(np.float32)


def nets(chosen: peer.Chosen, tagging: Data, language: Data) -> Any:
    """The nets of the chosen toolkit."""
    if chosen.toolkit == "torch":
        torch, torch_peer = importlib.import_module("torch"), importlib.import_module("torch_peer")
        torch.set_num_threads(1)
        tagger, packed = (torch_peer.program("tagger", mode)(tagging, mode, True) for mode in ("sequence", "packed"))
        return TorchNets(tagger, packed, torch_peer.program("lm", "sequence")(language, "sequence", True))
    dy = peer.dynamic_toolkit(chosen)
    if chosen.variant == "cells":
        weft_tasks = importlib.import_module("weft_tasks")
        return DynamicNets(dy, weft_tasks.program(tagging, "cells"), weft_tasks.program(language, "cells"), cells=True)
    builder = "CompactVanillaLSTMBuilder"
    tagger = programs.Tagger(dy, tagging, builder, True)
    return DynamicNets(dy, tagger, programs.BatchedLanguageModel(dy, language, builder, True), cells=False)


def percentiles(name: str, seconds: list[float]) -> dict[str, float]:
    return {f"{name}, p{p}": 1e6 * float(np.percentile(seconds, p)) for p in (50, 99)}


def tagging_latency(net: Any, sentences: list[list[int]]) -> dict[str, float]:
    """One sentence at a time, from its words to its tags."""
    spent = []
    for words in sentences:
        begin = time.perf_counter()
        net.tags([words])
        spent.append(time.perf_counter() - begin)
    return percentiles("tagging a sentence", spent[WARM_UP:])


def parsing_latency(net: Any, sentences: list[list[int]]) -> dict[str, float]:
    """One transition at a time: the scores, the best that is allowed, the next configuration."""
    spent = []
    for words in sentences:
        vectors = net.start(words)
        parser = ArcHybrid(len(words))
        while not parser.done():
            begin = time.perf_counter()
            parser.take_best(net.step(vectors, parser.places()))
            spent.append(time.perf_counter() - begin)
    return percentiles("step of a parser", spent[WARM_UP:])


def throughput(name: str, call: Callable[[list[Example]], Any], groups: Iterator[list[Example]], seconds: float) -> Any:
    """Microseconds a word."""
    for group in itertools.islice(groups, 3):
        call(group)
    spent, words = 0.0, 0
    while spent < seconds:
        group = next(groups)
        begin = time.perf_counter()
        call(group)
        spent += time.perf_counter() - begin
        words += sum(len(example.words) for example in group)
    return {f"{name}, {BATCH} sentences a graph, a word": 1e6 * spent / words}


def measured(chosen: peer.Chosen, folder: Path) -> dict[str, float]:
    """All figures, in microseconds."""
    tagging, language = load(folder, "tagger"), load(folder, "lm")
    net = nets(chosen, tagging, language)
    sentences = [example.words for example in tagging.examples[: QUICK_SENTENCES if chosen.quick else SENTENCES]]
    seconds = QUICK_SECONDS if chosen.quick else SECONDS

    def tag(group: list[Example]) -> Any:
        return net.tags([example.words for example in group])

    with net.inference():
        return {
            **tagging_latency(net, sentences),
            **parsing_latency(net, sentences),
            **throughput("tagging", tag, tagging.groups(BATCH), seconds),
            **throughput("scoring by the language model", net.loss, language.groups(BATCH), seconds),
        }


if __name__ == "__main__":
    settings = peer.chosen()
    peer.give(measured(settings, settings.data))
