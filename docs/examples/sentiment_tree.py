"""A tree LSTM learns the sentiment of generated phrases: each tree has a shape of its own, nothing is padded.

python docs/examples/sentiment_tree.py
"""

from __future__ import annotations

import argparse
import random

import weft as dy

WORDS = {1: ["good", "warm", "witty", "bright"], -1: ["bad", "dull", "flat", "cold"], 0: ["really", "quite", "so"]}
FUNCTION_WORDS = ["not", "but"]

# A tree is a word, or a pair of trees.
Tree = str | tuple["Tree", "Tree"]


def phrase(rng: random.Random, depth: int) -> tuple[Tree, int]:
    """A random tree and its sentiment, 1 or -1: `not` turns it round, after `but` the right side counts."""
    if depth == 0 or rng.random() < 0.1:
        sentiment = rng.choice([1, -1])
        return rng.choice(WORDS[sentiment]), sentiment
    tree, sentiment = phrase(rng, depth - 1)
    form = rng.choice(["not", "but", "adverb"])
    if form == "not":
        return ("not", tree), -sentiment
    if form == "but":
        return (phrase(rng, depth - 1)[0], ("but", tree)), sentiment
    return (rng.choice(WORDS[0]), tree), sentiment


class Classifier:
    """Word vectors, a binary tree LSTM, a linear layer on the root."""

    def __init__(self, embedding: int = 16, hidden: int = 32) -> None:
        vocabulary = [word for words in WORDS.values() for word in words] + FUNCTION_WORDS
        self.ids = {word: number for number, word in enumerate(vocabulary)}
        self.model = dy.ParameterCollection()
        self.E = self.model.add_lookup_parameters((len(self.ids), embedding), name="E")
        self.tree = dy.NaryTreeLSTMBuilder(2, embedding, hidden, self.model, inner_inputs=False)
        self.W = self.model.add_parameters((2, hidden), name="W")
        self.b = self.model.add_parameters(2, init=0, name="b")

    def state(self, tree: Tree) -> dy.TreeState:
        if isinstance(tree, str):
            return self.tree.leaf(self.E[self.ids[tree]])
        return self.tree.compose([self.state(child) for child in tree])

    def scores(self, tree: Tree) -> dy.Expression:
        return self.W * self.state(tree).h + self.b

    def loss(self, batch: list[tuple[Tree, int]]) -> dy.Expression:
        return dy.average([dy.pickneglogsoftmax(self.scores(tree), int(label > 0)) for tree, label in batch])

    def accuracy(self, data: list[tuple[Tree, int]]) -> float:
        dy.renew_cg()
        scores = dy.npvalues([self.scores(tree) for tree, _ in data])
        return sum(int(s.argmax()) == int(label > 0) for s, (_, label) in zip(scores, data, strict=True)) / len(data)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trees", type=int, default=1000)
    parser.add_argument("--epochs", type=int, default=10)
    options = parser.parse_args()

    rng = random.Random(1)
    dy.init(seed=1)
    train = [phrase(rng, depth=5) for _ in range(options.trees)]
    dev = [phrase(rng, depth=5) for _ in range(options.trees // 5)]
    classifier = Classifier()
    trainer = dy.AdamTrainer(classifier.model, alpha=0.005)

    for epoch in range(1, options.epochs + 1):
        rng.shuffle(train)
        losses = []
        for start in range(0, len(train), 25):
            dy.renew_cg()
            loss = classifier.loss(train[start : start + 25])
            losses.append(loss.scalar_value())
            counts = dy.cg().execution.counts()
            loss.backward()
            trainer.update()
        print(f"epoch {epoch}: loss {sum(losses) / len(losses):.4f}, accuracy {classifier.accuracy(dev):.3f}")
    print(f"the last graph of 25 trees: {counts['nodes']} operations, run in {counts['steps']} steps")


if __name__ == "__main__":
    main()
