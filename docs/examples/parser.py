"""A transition parser learns the dependency trees of a small grammar, deciding step by step in many sentences at once.

The arc-hybrid system (Kuhlmann et al. 2011) over the vectors of a BiLSTM (Kiperwasser and Goldberg 2016).

python docs/examples/parser.py
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Sequence

import weft as dy

SHIFT, LEFT, RIGHT = range(3)
# Some words are nouns and verbs: which of them the words around it tell.
NOUNS = ["dog", "river", "garden", "saw", "watch", "duck"]
VERBS = ["paints", "saw", "watch", "duck"]
# Words with the distance from each to its head; 0 while it has none.
Words = list[tuple[str, int]]


def phrase(left: Words, head: str, right: Words) -> Words:
    """A word with what depends on it: the words on both sides that have no head yet."""
    words = [*left, (head, 0), *right]
    return [(word, distance or len(left) - k) for k, (word, distance) in enumerate(words)]


def noun(rng: random.Random, depth: int) -> Words:
    """A noun with a determiner and adjectives, and maybe `of` and another noun after it."""
    left = [(word, 0) for word in rng.choice([["the"], ["a"], ["a", "green"], ["the", "old", "green"]])]
    right = phrase([], "of", noun(rng, depth - 1)) if depth and rng.random() < 0.5 else []
    return phrase(left, rng.choice(NOUNS), right)


def sentence(rng: random.Random) -> tuple[list[str], list[int]]:
    """Words, the root last, and the place of the head of each other word; `near` belongs to the verb."""
    place = phrase([], "near", noun(rng, 1)) if rng.random() < 0.5 else []
    words = phrase(phrase(noun(rng, 2), rng.choice(VERBS), noun(rng, 2) + place), "<root>", [])
    return [word for word, _ in words], [k + distance for k, (_, distance) in enumerate(words[:-1])]


class Configuration:
    """A stack, the next word, and the heads found so far."""

    def __init__(self, root: int) -> None:
        self.root, self.next, self.heads = root, 0, [root] * root
        self.stack: list[int] = []

    def legal(self) -> list[int]:
        """The transitions that lead to a tree with one word below the root; none at the end."""
        more, height = self.next < self.root, len(self.stack)
        return [SHIFT] * more + [LEFT] * (height == 1 or (more and height > 1)) + [RIGHT] * (height > 1)

    def take(self, transition: int) -> None:
        """Shift the next word, or attach the top of the stack to the next word (left) or to the word below (right)."""
        if transition == SHIFT:
            self.stack.append(self.next)
            self.next += 1
        else:
            dependent = self.stack.pop()
            self.heads[dependent] = self.next if transition == LEFT else self.stack[-1]

    def oracle(self, heads: list[int]) -> int:
        """The transition towards these heads: a word is attached once it has all its dependents."""
        head = heads[self.stack[-1]] if self.stack else -1
        if head == self.next:
            return LEFT
        return RIGHT if head in self.stack and self.stack[-1] not in heads[self.next :] else SHIFT

    def places(self) -> list[int]:
        """What the scorer reads: the next word and three of the stack, -1 where there is none."""
        return [self.next, *[*reversed(self.stack[-3:]), -1, -1, -1][:3]]


class Parser:
    """Word vectors, a BiLSTM, and a scorer of transitions with one hidden layer."""

    def __init__(self, words: list[str], embedding: int = 24, hidden: int = 32) -> None:
        self.ids = {word: row for row, word in enumerate(["<none>", *words])}
        self.model = dy.ParameterCollection()
        self.E = self.model.add_lookup_parameters((len(self.ids), embedding), name="E")
        self.context = dy.BiRNNBuilder(1, embedding, hidden, self.model, dy.LSTMBuilder)
        self.W = self.model.add_parameters((hidden, 4 * hidden), name="W")
        self.V = self.model.add_parameters((3, hidden), name="V")

    @dy.cell
    def scores(self, *vectors: dy.Expression) -> dy.Expression:
        return self.V * dy.tanh(self.W * dy.concatenate(vectors))

    @dy.cell
    def step_loss(self, transition: int, *vectors: dy.Expression) -> dy.Expression:
        return dy.pickneglogsoftmax(self.scores(*vectors), transition)

    def vectors(self, words: list[str]) -> Sequence[dy.Expression]:
        """One for each word; one more, at place -1, for a word that is not there."""
        return self.context.transduce(dy.lookup_each(self.E, [self.ids[word] for word in [*words, "<none>"]]))

    def loss(self, words: list[str], heads: list[int]) -> dy.Expression:
        """Mean negative log probability of the oracle's transitions. No value is needed: all steps are one `map`."""
        vectors, state, steps = self.vectors(words), Configuration(len(words) - 1), []
        while state.legal():
            transition = state.oracle(heads)
            steps.append((transition, *[vectors[place] for place in state.places()]))
            state.take(transition)
        return dy.average(self.step_loss.map(*zip(*steps, strict=True)))

    def parse(self, sentences: list[list[str]]) -> list[list[int]]:
        """Heads by the best transition at every step; the steps of all sentences are computed together."""
        dy.renew_cg()
        going = everything = [(Configuration(len(words) - 1), self.vectors(words)) for words in sentences]
        while going := [(state, vectors) for state, vectors in going if state.legal()]:
            scores = dy.npvalues([self.scores(*[vectors[p] for p in state.places()]) for state, vectors in going])
            for (state, _), score in zip(going, scores, strict=True):
                state.take(max(state.legal(), key=score.__getitem__))
        return [state.heads for state, _ in everything]

    def attachment_score(self, data: list[tuple[list[str], list[int]]]) -> float:
        """Share of the words that have the right head."""
        parsed = zip(self.parse([words for words, _ in data]), data, strict=True)
        right = [found == gold for heads, (_, golds) in parsed for found, gold in zip(heads, golds, strict=True)]
        return sum(right) / len(right)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--quick", action="store_true", help="200 sentences and 3 epochs instead of 500 and 4")
    size, epochs = (200, 3) if arguments.parse_args().quick else (500, 4)
    dy.init(seed=1)
    rng = random.Random(1)
    train, dev = [sentence(rng) for _ in range(size)], [sentence(rng) for _ in range(100)]
    parser = Parser(sorted({word for words, _ in train for word in words}))
    trainer = dy.AdamTrainer(parser.model, alpha=0.005)
    print(f"before training: attachment score {parser.attachment_score(dev):.3f}")
    for epoch in range(1, epochs + 1):
        losses = []
        for start in range(0, size, 10):
            dy.renew_cg()
            loss = dy.average([parser.loss(*example) for example in train[start : start + 10]])
            losses.append(loss.scalar_value())
            loss.backward()
            trainer.update()
        print(f"epoch {epoch}: loss {sum(losses) / len(losses):.4f}")
    print(f"after training: attachment score {parser.attachment_score(dev):.3f}")


if __name__ == "__main__":
    main()
