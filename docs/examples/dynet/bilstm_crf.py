"""A tagger of names: a BiLSTM scores the tags of each word, a conditional random field the sequence of tags as a whole.

Lample et al. 2016. The sum over all sequences (forward algorithm) and the best of them (Viterbi) are loops in Python.

python docs/examples/dynet/bilstm_crf.py
"""

import argparse

import dynet as dy
import numpy as np
from start_values import fill

TAGS = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]
TEMPLATES = [
    "PER lives in LOC", "PER met PER near LOC yesterday", "we left LOC for LOC", "the mayor of LOC thanked PER",
    "PER wrote to PER from LOC", "yesterday PER sang in LOC", "in LOC they elected PER", "PER said that LOC is cold",
]  # fmt: skip
# Whether Florence or Lincoln is a person or a place only the words around them tell. The last two of each list occur
# in the test sentences alone.
FIRST = ["Anna", "Florence", "Victor", "Georgia", "Paul", "Sydney", "Irene", "Otto"]
LAST = ["Lincoln", "Meyer", "Jackson", "Okafor", "Chester", "Houston", "Silva", "Novak"]
PLACES = ["Florence", "Lincoln", "Georgia", "Chester", "Sydney", "Houston", "Jackson", "Oslo", "Lagos", "Quito"]


def sentence(rng, known):
    """Words and tags; with `known` only names that the training data have."""

    def pick(names):
        return names[rng.randint(len(names) - 2 * known)]

    words, tags = [], []
    for word in TEMPLATES[rng.randint(len(TEMPLATES))].split():
        if word == "PER":
            name = [pick(FIRST), pick(LAST)][: 1 + rng.randint(2)]
        elif word == "LOC":
            name = [["New"], ["Port"], ["San"], [], [], []][rng.randint(6)] + [pick(PLACES)]
        else:
            words.append(word)
            tags.append("O")
            continue
        tags += ["B-" + word] + ["I-" + word] * (len(name) - 1)
        words += name
    return words, [TAGS.index(tag) for tag in tags]


class Tagger:
    def __init__(self, model, vocabulary, embedding=24, hidden=32):
        self.ids = {word: row for row, word in enumerate(["<unknown>", *vocabulary])}
        self.words = model.add_lookup_parameters((len(self.ids), embedding))
        self.capital = model.add_lookup_parameters((2, 4))
        self.context = dy.BiRNNBuilder(1, embedding + 4, hidden, model, dy.LSTMBuilder)
        self.W = model.add_parameters((len(TAGS), hidden))
        self.b = model.add_parameters(len(TAGS))
        # How well a sequence begins with a tag, and how well a tag (the row) comes after another (the place in it).
        self.start = model.add_parameters(len(TAGS))
        self.transitions = model.add_lookup_parameters((len(TAGS), len(TAGS)))

    def emissions(self, words):
        """For each word the scores of its tags. What was never seen is told by its capital and by its context."""
        vectors = []
        for word in words:
            vectors.append(dy.concatenate([self.words[self.ids.get(word, 0)], self.capital[int(word[0].isupper())]]))
        return [self.W * h + self.b for h in self.context.transduce(vectors)]

    def all_sequences(self, emissions):
        """log of the sum of exp(score) over all sequences of tags, though there are exponentially many.

        alphas[k] is that sum over the sequences so far that end in tag k; the next word needs no more than these.
        """
        transitions = [self.transitions[k] for k in range(len(TAGS))]
        alphas = self.start + emissions[0]
        for emission in emissions[1:]:
            sums = [dy.logsumexp_dim(alphas + before) + score for before, score in zip(transitions, emission)]
            alphas = dy.concatenate(sums)
        return dy.logsumexp_dim(alphas)

    def one_sequence(self, emissions, tags):
        scores = [self.start[tags[0]]] + [emission[tag] for emission, tag in zip(emissions, tags)]
        scores += [self.transitions[tags[k]][tags[k - 1]] for k in range(1, len(tags))]
        return dy.esum(scores)

    def loss(self, words, tags):
        """Negative log probability of the whole sequence."""
        emissions = self.emissions(words)
        return self.all_sequences(emissions) - self.one_sequence(emissions, tags)

    def tag(self, words):
        """Viterbi: the same recursion with max instead of sum. It needs no gradient, so it is plain NumPy."""
        dy.renew_cg()
        emissions = dy.npvalues(self.emissions(words))
        transitions = self.transitions.as_array()
        best = self.start.as_array() + emissions[0]
        choices = []
        for emission in emissions[1:]:
            candidates = transitions + best
            choices.append(candidates.argmax(axis=1))
            best = candidates.max(axis=1) + emission
        tags = [best.argmax()]
        for choice in reversed(choices):
            tags.append(choice[tags[-1]])
        return [int(tag) for tag in reversed(tags)]

    def mean_loss(self, data):
        dy.renew_cg()
        return dy.esum([self.loss(*example) for example in data]) / len(data)

    def accuracy(self, data):
        pairs = [pair for words, tags in data for pair in zip(self.tag(words), tags)]
        return sum(found == gold for found, gold in pairs) / len(pairs)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--updates", type=int, default=200)
    parser.add_argument("--dropout", type=float, default=0.0)
    options, _ = parser.parse_known_args()

    rng = np.random.RandomState(1)
    train = [sentence(rng, known=True) for _ in range(300)]
    test = [sentence(rng, known=False) for _ in range(40)]
    model = dy.ParameterCollection()
    tagger = Tagger(model, sorted({word for words, _ in train for word in words}))
    fill(model)
    trainer = dy.SimpleSGDTrainer(model, learning_rate=0.2)
    for update in range(options.updates):
        if update % 40 == 0:
            print(f"update {update}: accuracy on unseen sentences {tagger.accuracy(test):.3f}")
        tagger.context.set_dropout(options.dropout)
        loss = tagger.mean_loss([train[k] for k in rng.randint(len(train), size=4)])
        loss.value()
        loss.backward()
        trainer.update()
        tagger.context.disable_dropout()

    for words, _ in test[:4]:
        print(" ".join(f"{word}/{TAGS[tag]}" for word, tag in zip(words, tagger.tag(words))))
    print(f"accuracy on unseen sentences {tagger.accuracy(test):.3f}")
    print(f"loss after {options.updates} updates: {tagger.mean_loss(test).scalar_value():.8g}")


if __name__ == "__main__":
    main()
