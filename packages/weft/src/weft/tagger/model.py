"""The tagger: a bidirectional LSTM over word vectors, with a character LSTM for rare words.

    x_t = E[w_t]                                        for words of the vocabulary
    x_t = [last state of -> chars ; last state of <- chars]   for all other words
    h_t = BiLSTM(x_1 ... x_n)_t
    p(tag_t) = softmax(V tanh(W h_t + b) + c)

After Plank, Søgaard and Goldberg, "Multilingual part-of-speech tagging with bidirectional long short-term
memory models" (2016). It is written one word and one sentence at a time; several sentences in one graph
are batched by the engine.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import weft as dy

from .sentence import Sentence
from .vocabulary import Vocabulary

# One operation as a cell: its `map` records it for a whole sentence.
_dropout = dy.cell(dy.dropout)


@dataclass(frozen=True)
class TaggerSettings:
    """Sizes of the model. `word`, and `hidden`, are two directions side by side and so must be even.

    rare: words seen at most so often in training are spelled; dropout: rate on word vectors and states.
    """

    word: int = 64
    character: int = 16
    hidden: int = 128
    scorer: int = 48
    layers: int = 1
    rare: int = 5
    dropout: float = 0.25

    def __post_init__(self) -> None:
        for name in ("word", "character", "hidden", "scorer", "layers"):
            value = getattr(self, name)
            if type(value) is not int or value < 1:
                raise ValueError(f"tagger setting {name!r} must be a whole number of at least 1, not {value!r}")
        if self.word % 2 or self.hidden % 2:
            raise ValueError(f"tagger settings 'word' and 'hidden' must be even, not {self.word} and {self.hidden}")
        if type(self.rare) is not int or self.rare < 0:
            raise ValueError(f"tagger setting 'rare' must be a whole number of at least 0, not {self.rare!r}")
        if type(self.dropout) not in (int, float) or not 0 <= self.dropout < 1:
            raise ValueError(f"tagger setting 'dropout' must be at least 0 and below 1, not {self.dropout!r}")

    def to_record(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> TaggerSettings:
        """The inverse of `to_record`; ValueError naming the settings that are missing, unknown or wrong."""
        names = {one.name for one in fields(cls)}
        if set(record) != names:
            raise ValueError(
                f"expected the settings {', '.join(sorted(names))}; "
                f"missing: {', '.join(sorted(names - set(record))) or 'none'}; "
                f"unknown: {', '.join(sorted(set(record) - names)) or 'none'}"
            )
        return cls(**record)


class Tagger:
    """A tagger with its parameters in `collection`, of the given vocabulary and settings."""

    def __init__(self, vocabulary: Vocabulary, settings: TaggerSettings) -> None:
        self.vocabulary = vocabulary
        self.settings = settings
        self.collection = pc = dy.ParameterCollection()
        # A table has at least one row: with `rare` high enough every word is spelled.
        self._words = pc.add_lookup_parameters((max(1, len(vocabulary.words)), settings.word), name="words")
        self._characters = pc.add_lookup_parameters((vocabulary.character_count, settings.character), name="characters")
        self._spell_forward = dy.VanillaLSTMBuilder(1, settings.character, settings.word // 2, pc)
        self._spell_backward = dy.VanillaLSTMBuilder(1, settings.character, settings.word // 2, pc)
        self._context = dy.BiRNNBuilder(settings.layers, settings.word, settings.hidden, pc, dy.VanillaLSTMBuilder)
        self._W = pc.add_parameters((settings.scorer, settings.hidden), name="W")
        self._b = pc.add_parameters(settings.scorer, init=0.0, name="b")
        self._V = pc.add_parameters((len(vocabulary.tags), settings.scorer), name="V")
        self._c = pc.add_parameters(len(vocabulary.tags), init=0.0, name="c")

    def loss(self, sentences: Sequence[Sentence]) -> dy.Expression:
        """Mean over all tokens of -log p(tag), in a new graph."""
        states = self._states(sentences, self.settings.dropout)
        tags = [self.vocabulary.tag_row(tag) for sentence in sentences for tag in sentence.tags]
        return dy.average(self._loss.map(states, tags, self.settings.dropout))

    def tag(self, sentences: Sequence[Sentence]) -> list[list[str]]:
        """The most probable tag of every word, in a new graph."""
        scores = self._scores.map(self._states(sentences, dropout=0.0))
        best = iter([self.vocabulary.tags[int(one.argmax())] for one in dy.npvalues(scores)])
        return [[next(best) for _ in sentence.words] for sentence in sentences]

    def _states(self, sentences: Sequence[Sentence], dropout: float) -> list[dy.Expression]:
        """One expression {hidden} for each word of all sentences, in a new graph."""
        dy.renew_cg()
        spelled: dict[str, dy.Expression] = {}
        states: list[dy.Expression] = []
        for sentence in sentences:
            vectors = [self._vector(word, spelled) for word in sentence.words]
            if dropout:
                vectors = _dropout.map(vectors, dropout)
            states += self._context.transduce(vectors)
        return states

    def _vector(self, word: str, spelled: dict[str, dy.Expression]) -> dy.Expression:
        """Vector {word} of a word; a word is spelled once a graph, however often it occurs."""
        row = self.vocabulary.word_row(word)
        if row is not None:
            return self._words[row]
        if word not in spelled:
            characters = dy.lookup_each(self._characters, self.vocabulary.spelling(word))
            forward = self._spell_forward.initial_state().transduce(characters)[-1]
            backward = self._spell_backward.initial_state().transduce(characters[::-1])[-1]
            spelled[word] = dy.concatenate([forward, backward])
        return spelled[word]

    @dy.cell
    def _scores(self, state: dy.Expression) -> dy.Expression:
        """{tags}: before the softmax."""
        return self._V * dy.tanh(self._W * state + self._b) + self._c

    @dy.cell
    def _loss(self, state: dy.Expression, tag: int, dropout: float) -> dy.Expression:
        """-log p(tag) of one word."""
        return dy.pickneglogsoftmax(self._scores(dy.dropout(state, dropout) if dropout else state), tag)
