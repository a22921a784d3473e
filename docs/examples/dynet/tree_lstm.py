"""A tree LSTM tells the sentiment of every phrase of a sentence: the network has the shape of the sentence.

The child-sum tree LSTM over dependency trees (Tai et al. 2015), written by hand: any number of children, a forget gate
for each. Trees are not padded to one form; equal work of several trees is found when the graph is computed.

python docs/examples/dynet/tree_lstm.py
"""

import argparse

import dynet as dy
import numpy as np
from start_values import fill

WORDS = {1: ["good", "warm", "witty", "bright"], -1: ["bad", "dull", "flat", "cold"], 0: ["film", "plot", "cast"]}
LABELS = {-1: "negative", 0: "neutral", 1: "positive"}


class Tree:
    """A word, the words that depend on it, and the sentiment of all of it together: -1, 0 or 1."""

    def __init__(self, word, children, sentiment):
        self.word, self.children, self.sentiment = word, children, sentiment

    def __str__(self):
        return " ".join([self.word] + [f"({child})" for child in self.children])

    def nodes(self):
        return [self] + [node for child in self.children for node in child.nodes()]


def opinion(rng, depth):
    """An adjective: `not` turns it round, and the one after `but` decides."""
    sentiment = 1 - 2 * rng.randint(2)
    word, children = WORDS[sentiment][rng.randint(4)], []
    if rng.rand() < 0.3:
        children.append(Tree("very", [], 0))
    if rng.rand() < 0.4:
        children.append(Tree("not", [], 0))
        sentiment = -sentiment
    if depth and rng.rand() < 0.4:
        later = opinion(rng, depth - 1)
        children.append(Tree("but", [later], later.sentiment))
        sentiment = later.sentiment
    return Tree(word, children, sentiment)


def sentence(rng):
    """A noun, with an opinion or without."""
    noun = WORDS[0][rng.randint(3)]
    children = [opinion(rng, 2)] if rng.rand() < 0.8 else []
    return Tree(noun, [Tree("the", [], 0), *children], children[0].sentiment if children else 0)


class Classifier:
    def __init__(self, model, vocabulary, embedding=16, hidden=24):
        self.ids = {word: row for row, word in enumerate(vocabulary)}
        self.words = model.add_lookup_parameters((len(vocabulary), embedding))
        self.Wi, self.Wo, self.Wu, self.Wf = [model.add_parameters((hidden, embedding)) for _ in range(4)]
        self.Ui, self.Uo, self.Uu, self.Uf = [model.add_parameters((hidden, hidden)) for _ in range(4)]
        self.bi, self.bo, self.bu, self.bf = [model.add_parameters(hidden) for _ in range(4)]
        self.W = model.add_parameters((3, hidden))
        self.b = model.add_parameters(3)
        self.hidden = hidden

    def states(self, tree):
        """Output and memory of every node, as `tree.nodes()` has them: the node itself first, then its children's."""
        below = [self.states(child) for child in tree.children]
        children = [states[0] for states in below]
        x = self.words[self.ids[tree.word]]
        h = dy.esum([h for h, _ in children]) if children else dy.zeros(self.hidden)
        i = dy.logistic(dy.affine_transform([self.bi, self.Wi, x, self.Ui, h]))
        o = dy.logistic(dy.affine_transform([self.bo, self.Wo, x, self.Uo, h]))
        u = dy.tanh(dy.affine_transform([self.bu, self.Wu, x, self.Uu, h]))
        c = dy.cmult(i, u)
        for child_h, child_c in children:
            # A gate for this child alone: `not` may be remembered and `very` be forgotten.
            f = dy.logistic(dy.affine_transform([self.bf, self.Wf, x, self.Uf, child_h]))
            c = c + dy.cmult(f, child_c)
        return [(dy.cmult(o, dy.tanh(c)), c)] + [state for states in below for state in states]

    def scores(self, tree):
        return [self.W * h + self.b for h, _ in self.states(tree)]

    def mean_loss(self, trees):
        """Negative log probability of the right sentiment, the mean over all nodes of all trees: one graph."""
        dy.renew_cg()
        losses = []
        for tree in trees:
            for scores, node in zip(self.scores(tree), tree.nodes()):
                losses.append(dy.pickneglogsoftmax(scores, node.sentiment + 1))
        return dy.average(losses)

    def classify(self, tree):
        dy.renew_cg()
        return [int(np.argmax(scores.npvalue())) - 1 for scores in self.scores(tree)]

    def accuracy(self, trees):
        """Share of the sentences whose sentiment, that of the root, is right."""
        return sum(self.classify(tree)[0] == tree.sentiment for tree in trees) / len(trees)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--updates", type=int, default=200)
    options, _ = parser.parse_known_args()

    rng = np.random.RandomState(1)
    train, test = [sentence(rng) for _ in range(500)], [sentence(rng) for _ in range(100)]
    model = dy.ParameterCollection()
    classifier = Classifier(model, sorted({node.word for tree in train for node in tree.nodes()}))
    fill(model)
    trainer = dy.AdagradTrainer(model, learning_rate=0.05)
    for update in range(options.updates):
        if update % 50 == 0:
            print(f"update {update}: {classifier.accuracy(test):.2f} of the unseen sentences right")
        loss = classifier.mean_loss([train[k] for k in rng.randint(len(train), size=10)])
        loss.value()
        loss.backward()
        trainer.update()

    for tree in sorted(test, key=lambda tree: -len(tree.nodes()))[:2]:
        print(tree)
        for node, found in zip(tree.nodes(), classifier.classify(tree)):
            print(f"  {LABELS[found]:8} {node}")
    print(f"{classifier.accuracy(test):.2f} of the unseen sentences right")
    print(f"loss after {options.updates} updates: {classifier.mean_loss(test).scalar_value():.8g}")


if __name__ == "__main__":
    main()
