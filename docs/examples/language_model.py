"""An LSTM language model of characters, trained on the source of a module of the standard library.

It is written for one window of text; what several windows have in common is run together by itself.

python docs/examples/language_model.py
"""

from __future__ import annotations

import argparse
import importlib
import inspect
import random

import numpy as np

import weft as dy


class LanguageModel:
    """Vectors of characters, a layer of LSTM units, scores of the next character."""

    def __init__(self, characters: str, embedding: int = 32, hidden: int = 96) -> None:
        self.characters = characters
        self.ids = {character: number for number, character in enumerate(characters)}
        self.model = dy.ParameterCollection()
        self.E = self.model.add_lookup_parameters((len(characters), embedding), name="E")
        self.lstm = dy.LSTMBuilder(1, embedding, hidden, self.model)
        self.W = self.model.add_parameters((len(characters), hidden), name="W")
        self.b = self.model.add_parameters(len(characters), init=0, name="b")

    @dy.cell
    def scores(self, h: dy.Expression) -> dy.Expression:
        return self.W * h + self.b

    @dy.cell
    def loss(self, h: dy.Expression, character: int) -> dy.Expression:
        """Negative log probability of the next character, in nats."""
        return dy.pickneglogsoftmax(self.scores(h), character)

    def window_loss(self, window: list[int]) -> dy.Expression:
        """The mean over a window. Nothing here is done character by character in Python."""
        inputs = dy.lookup_each(self.E, window[:-1])
        outputs = self.lstm.initial_state().transduce(inputs)
        return dy.average(self.loss.map(outputs, window[1:]))

    def sample(self, start: str, length: int, rng: np.random.Generator) -> str:
        """Text that goes on after `start`, character by character: what comes next depends on what was drawn."""
        text = start
        dy.renew_cg()
        state = self.lstm.initial_state().add_inputs(dy.lookup_each(self.E, [self.ids[c] for c in start]))[-1]
        for _ in range(length):
            probabilities = dy.softmax(self.scores(state.output())).npvalue()
            number = int(rng.choice(len(self.characters), p=probabilities / probabilities.sum()))
            text += self.characters[number]
            state = state.add_input(self.E[number])
        return text


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--module", default="textwrap", help="a module of the standard library")
    parser.add_argument("--characters", type=int, default=20_000, help="length of the text")
    parser.add_argument("--epochs", type=int, default=15)
    options = parser.parse_args()

    dy.init(seed=1)
    rng = random.Random(1)
    text = inspect.getsource(importlib.import_module(options.module))[: options.characters]
    lm = LanguageModel("".join(sorted(set(text))))
    trainer = dy.AdamTrainer(lm.model, alpha=0.005)

    steps, batch = 32, 16
    ids = [lm.ids[character] for character in text]
    windows = [ids[start : start + steps + 1] for start in range(0, len(ids) - steps, steps)]
    for epoch in range(1, options.epochs + 1):
        rng.shuffle(windows)
        losses = []
        for start in range(0, len(windows), batch):
            dy.renew_cg()
            loss = dy.average([lm.window_loss(window) for window in windows[start : start + batch]])
            losses.append(loss.scalar_value())
            loss.backward()
            trainer.update()
        print(f"epoch {epoch}: loss {sum(losses) / len(losses):.4f}")
    print(lm.sample(text[0], 200, np.random.default_rng(1)))


if __name__ == "__main__":
    main()
