"""A transition parser: what it computes next depends on what it has decided, so every sentence has a graph of its own.

The arc-hybrid system with a dynamic oracle (Goldberg and Nivre 2013), scored from a BiLSTM (Kiperwasser and Goldberg
2016). In training it sometimes follows its own mistakes, and the oracle says what is best from there.

python docs/examples/dynet/arc_hybrid.py
"""

import argparse

import dynet as dy
import numpy as np
from start_values import fill

SHIFT, LEFT, RIGHT = range(3)
# Some words are nouns and verbs: which of them the words around it tell.
NOUNS, VERBS = ["cat", "hill", "boat", "watch", "play"], ["sees", "watch", "play"]


def phrase(left, head, right):
    """Words with the distance from each to its head: the words on both sides that have none yet get this one."""
    words = [*left, (head, 0), *right]
    return [(word, distance or len(left) - k) for k, (word, distance) in enumerate(words)]


def noun(rng, depth):
    left = [("the", 0), ("old", 0), ("red", 0)][: 1 + rng.randint(3)]
    right = phrase([], "of", noun(rng, depth - 1)) if depth and rng.rand() < 0.5 else []
    return phrase(left, NOUNS[rng.randint(len(NOUNS))], right)


def sentence(rng):
    """Words, the root last, and the head of each other word. `of` belongs to the noun before it, `near` to the verb."""
    place = phrase([], "near", noun(rng, 1)) if rng.rand() < 0.5 else []
    verb = phrase(noun(rng, 1), VERBS[rng.randint(len(VERBS))], noun(rng, 1) + place)
    words = phrase(verb, "<root>", [])
    return [word for word, _ in words], [k + distance for k, (_, distance) in enumerate(words[:-1])]


class Configuration:
    """Words on the stack are read and have no head yet; the buffer begins at `front` and ends with the root."""

    def __init__(self, words):
        self.stack, self.front, self.root = [], 0, len(words) - 1
        self.heads = [None] * self.root

    def legal(self):
        """The actions that lead to a tree with one word below the root; none at the end."""
        more, height = self.front < self.root, len(self.stack)
        return [SHIFT] * more + [LEFT] * (height == 1 or (more and height > 1)) + [RIGHT] * (height > 1)

    def take(self, action):
        """The head of the top of the stack: with LEFT the front of the buffer, with RIGHT the word below it."""
        if action == SHIFT:
            self.stack.append(self.front)
            self.front += 1
        else:
            dependent = self.stack.pop()
            self.heads[dependent] = self.front if action == LEFT else self.stack[-1]

    def cost(self, action, gold):
        """How many right arcs that could still be made no longer can after this action."""
        if action == SHIFT:
            return sum(gold[word] == self.front for word in self.stack) + (gold[self.front] in self.stack[:-1])
        top = self.stack[-1]
        dependents = gold[self.front :].count(top)
        if action == LEFT:
            return dependents + (gold[top] > self.front or gold[top] in self.stack[-2:-1])
        return dependents + (gold[top] >= self.front)


class Parser:
    def __init__(self, model, vocabulary, embedding=24, hidden=32):
        self.ids = {word: row for row, word in enumerate(vocabulary)}
        self.words = model.add_lookup_parameters((len(vocabulary), embedding))
        self.context = dy.BiRNNBuilder(1, embedding, hidden, model, dy.LSTMBuilder)
        self.nothing = model.add_parameters(hidden)
        self.W = model.add_parameters((hidden, 4 * hidden))
        self.b = model.add_parameters(hidden)
        self.V = model.add_parameters((3, hidden))

    def vectors(self, words):
        return self.context.transduce([self.words[self.ids[word]] for word in words])

    def scores(self, vectors, state):
        """One for each action, from the first word of the buffer and the top three of the stack."""
        read = [vectors[place] for place in [state.front, *state.stack[:-4:-1]]]
        read = read + [self.nothing] * (4 - len(read))
        return self.V * dy.tanh(self.W * dy.concatenate(read) + self.b)

    def loss(self, words, gold, rng=None):
        """Negative log probability that the action is a right one, summed over the steps.

        With `rng` the parser follows its own scores now and then; without, it stays on the way to the right tree.
        """
        dy.renew_cg()
        vectors, state, losses = self.vectors(words), Configuration(words), [dy.zeros(1)]
        while state.legal():
            legal = state.legal()
            costs = [state.cost(action, gold) for action in legal]
            right = [action for action, cost in zip(legal, costs) if cost == min(costs)]
            scores = self.scores(vectors, state)
            if len(right) < len(legal):
                of_all, of_right = [dy.logsumexp([scores[action] for action in some]) for some in (legal, right)]
                losses.append(of_all - of_right)
            values = scores.npvalue()
            wander = rng is not None and rng.rand() < 0.2
            state.take(max(legal if wander else right, key=lambda action: values[action]))
        return dy.esum(losses)

    def parse(self, words):
        dy.renew_cg()
        vectors, state = self.vectors(words), Configuration(words)
        while state.legal():
            values = self.scores(vectors, state).npvalue()
            state.take(max(state.legal(), key=lambda action: values[action]))
        return state.heads

    def attachment_score(self, data):
        right = [found == head for words, gold in data for found, head in zip(self.parse(words), gold)]
        return sum(right) / len(right)


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--updates", type=int, default=200)
    options, _ = arguments.parse_known_args()

    rng = np.random.RandomState(1)
    test, train = [sentence(rng) for _ in range(20)], [sentence(rng) for _ in range(200)]
    model = dy.ParameterCollection()
    parser = Parser(model, sorted({word for words, _ in train for word in words}))
    fill(model)
    trainer = dy.AdamTrainer(model, alpha=0.002)
    for update in range(options.updates):
        if update % 50 == 0:
            print(f"update {update}: {parser.attachment_score(test):.3f} of the heads are right")
        parser.loss(*train[update % len(train)], rng=rng).backward()
        trainer.update()

    words, _ = test[0]
    print(", ".join(f"{word} < {words[head]}" for word, head in zip(words, parser.parse(words))))
    print(f"{parser.attachment_score(test):.3f} of the heads are right")
    mean_loss = sum(parser.loss(*example).scalar_value() for example in test) / len(test)
    print(f"loss after {options.updates} updates: {mean_loss:.8g}")


if __name__ == "__main__":
    main()
