"""A tree LSTM learns the sentiment of generated phrases: each tree has a shape of its own, nothing is padded.

The composition is a cell in plain operations: one instruction for each node of a tree, and its gradients are derived.

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


# What a subtree is to the node above it: its output and its memory.
State = tuple[dy.Expression, dy.Expression]


class Classifier:
    """Word vectors, a binary tree LSTM (Tai et al. 2015), a linear layer on the root."""

    def __init__(self, embedding: int = 16, hidden: int = 32) -> None:
        vocabulary = [word for words in WORDS.values() for word in words] + FUNCTION_WORDS
        self.ids = {word: number for number, word in enumerate(vocabulary)}
        self.hidden = hidden
        self.model = dy.ParameterCollection()
        self.E = self.model.add_lookup_parameters((len(self.ids), embedding), name="E")
        self.L = self.model.add_parameters((3 * hidden, embedding), name="L")
        self.U = self.model.add_parameters((5 * hidden, 2 * hidden), name="U")
        self.u = self.model.add_parameters(5 * hidden, init=0, name="u")
        self.W = self.model.add_parameters((2, hidden), name="W")
        self.b = self.model.add_parameters(2, init=0, name="b")

    @dy.cell
    def leaf(self, word: dy.Expression) -> State:
        i, o, g = self.gates(self.L * word)
        c = dy.cmult(dy.logistic(i), dy.tanh(g))
        return dy.cmult(dy.logistic(o), dy.tanh(c)), c

    @dy.cell
    def compose(self, h1: dy.Expression, c1: dy.Expression, h2: dy.Expression, c2: dy.Expression) -> State:
        """The state of a node from those of its two children, each with a forget gate of its own."""
        i, o, g, f1, f2 = self.gates(self.U * dy.concatenate([h1, h2]) + self.u)
        c = dy.cmult(dy.logistic(i), dy.tanh(g))
        c += dy.cmult(dy.logistic(f1 + 1), c1) + dy.cmult(dy.logistic(f2 + 1), c2)
        return dy.cmult(dy.logistic(o), dy.tanh(c)), c

    @dy.cell
    def scores(self, root: dy.Expression) -> dy.Expression:
        return self.W * root + self.b

    @dy.cell
    def loss(self, root: dy.Expression, label: int) -> dy.Expression:
        return dy.pickneglogsoftmax(self.scores(root), label)

    def gates(self, sums: dy.Expression) -> list[dy.Expression]:
        """Equal parts of a vector, one for each gate."""
        return [sums[start : start + self.hidden] for start in range(0, sums.dim()[0][0], self.hidden)]

    def state(self, tree: Tree) -> State:
        if isinstance(tree, str):
            return self.leaf(self.E[self.ids[tree]])
        left, right = tree
        return self.compose(*self.state(left), *self.state(right))

    def roots(self, trees: list[tuple[Tree, int]]) -> list[dy.Expression]:
        return [self.state(tree)[0] for tree, _ in trees]

    def batch_loss(self, batch: list[tuple[Tree, int]]) -> dy.Expression:
        return dy.average(self.loss.map(self.roots(batch), [int(label > 0) for _, label in batch]))

    def accuracy(self, data: list[tuple[Tree, int]]) -> float:
        dy.renew_cg()
        scores = dy.npvalues(self.scores.map(self.roots(data)))
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
            loss = classifier.batch_loss(train[start : start + 25])
            losses.append(loss.scalar_value())
            counts = dy.cg().execution.counts()
            loss.backward()
            trainer.update()
        print(f"epoch {epoch}: loss {sum(losses) / len(losses):.4f}, accuracy {classifier.accuracy(dev):.3f}")
    print(f"the last graph of 25 trees: {counts['nodes']} instructions, run in {counts['steps']} steps")


if __name__ == "__main__":
    main()
