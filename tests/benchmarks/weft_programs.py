"""The tasks as one writes them for Weft: the same functions and losses, with what repeats made a cell.

A cell is the plain function of `programs.py`; a call of it is one instruction, and `map` records it for a whole
sequence. Rows of tables and outputs of recurrent networks stay sequences and are never taken apart.
"""

from __future__ import annotations

from typing import Any

import programs
from examples import Example

State = tuple[Any, Any]


class CellLanguageModel(programs.LanguageModel):
    """Sentences one by one: their steps meet in groups by autobatching."""

    def create(self) -> None:
        super().create()
        dy, bias, output = self.dy, self.bias, self.output
        self.loss = dy.cell(lambda h, word: dy.pickneglogsoftmax(dy.affine_transform([bias, output, h]), word))

    def losses(self, example: Example) -> list[Any]:
        inputs = self.dy.lookup_each(self.embedding, [0, *example.words[:-1]])
        hidden = self.rnn.initial_state().transduce(inputs)
        return [self.dy.esum(self.loss.map(hidden, example.words))]


class CellBatchedLanguageModel(programs.BatchedLanguageModel):
    """Minibatches by hand, sorted by length: a sentence that has ended leaves the batch, and nothing is masked."""

    def build(self, group: list[Example]) -> Any:
        dy = self.dy
        dy.renew_cg()
        sentences = sorted((example.words for example in group), key=len, reverse=True)
        longest = len(sentences[0])
        padded = [[0, *words[:-1], *[0] * (longest - len(words))] for words in sentences]
        inputs = [dy.lookup_batch(self.embedding, column) for column in zip(*padded)]
        losses = []
        for step, hidden in enumerate(self.rnn.initial_state().transduce(inputs)):
            words = [words[step] for words in sentences if step < len(words)]
            if len(words) < len(sentences):
                hidden = dy.pick_batch_elems(hidden, list(range(len(words))))
            losses.append(dy.sum_batches(dy.softmax_loss(hidden, words, self.output, self.bias)))
        return dy.esum(losses)


class CellTagger(programs.Tagger):
    """The hidden layer, the softmax and its loss are one cell, mapped over a sentence."""

    def create(self) -> None:
        super().create()
        dy, hidden, output = self.dy, self.hidden, self.output
        self.score = dy.cell(lambda context: output * dy.tanh(hidden * context))
        self.loss = dy.cell(lambda context, tag: dy.pickneglogsoftmax(output * dy.tanh(hidden * context), tag))

    def contexts(self, words: list[int]) -> Any:
        return self.rnn.transduce(self.dy.lookup_each(self.embedding, words))

    def scores(self, words: list[int]) -> Any:
        return self.score.map(self.contexts(words))

    def losses(self, example: Example) -> list[Any]:
        return [self.dy.esum(self.loss.map(self.contexts(example.words), example.tags))]


class CellCharacterTagger(CellTagger, programs.CharacterTagger):
    """The same for words of which the rare ones are spelled."""

    def contexts(self, words: list[int]) -> Any:
        return self.rnn.transduce([self.word(word) for word in words])

    def word(self, word: int) -> Any:
        dy = self.dy
        spelling = self.data.spelling.get(word)
        if spelling is None:
            return self.embedding[word]
        letters = dy.lookup_each(self.characters, spelling)
        to_the_right = self.left_to_right.initial_state().transduce(letters)
        to_the_left = self.right_to_left.initial_state().transduce(letters[::-1])
        return dy.concatenate([to_the_right[-1], to_the_left[-1]])


class CellTree(programs.FusedTree):
    """A leaf, an inner node and a node's loss are cells: one instruction each."""

    def create(self) -> None:
        super().create()
        dy, output = self.dy, self.output
        self.leaf_cell = dy.cell(super().leaf)
        self.compose = dy.cell(lambda lh, lc, rh, rc: super(CellTree, self).inner((lh, lc), (rh, rc)))
        self.loss = dy.cell(lambda h, label: dy.pickneglogsoftmax(output * h, label))

    def losses(self, example: Example) -> list[Any]:
        dy, compose = self.dy, self.compose
        words = [word for word, left in zip(example.words, example.left, strict=True) if left < 0]
        leaves = zip(*self.leaf_cell.map(dy.lookup_each(self.embedding, words)), strict=True)
        states: list[State] = []
        for left, right in zip(example.left, example.right, strict=True):
            states.append(next(leaves) if left < 0 else compose(*states[left], *states[right]))
        return [dy.esum(self.loss.map([h for h, _ in states], example.tags))]
