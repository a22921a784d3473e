"""A convolutional network tells good reviews from bad ones: it looks for short phrases wherever they stand.

Windows of three words go through `conv2d` and max pooling over time (Kim 2014), windows of two through
`filter1d_narrow` and k-max pooling, which keeps the order of what it keeps (Kalchbrenner et al. 2014).

python docs/examples/dynet/cnn_text.py
"""

import argparse

import dynet as dy
import numpy as np
from start_values import fill

GOOD, BAD = ["good", "fresh", "tasty", "friendly"], ["bad", "stale", "bland", "rude"]
SUBJECTS = ["the soup was ", "the waiter was ", "the bread is ", "everything was ", ""]
TURNS = {"": 1, "very ": 1, "so ": 1, "not ": -1, "never ": -1}
# They hold words that turn a verdict round elsewhere, so that single words do not give a review away. No two words
# stand side by side twice in a review: of equal values DyNet's `kmax_pooling` may keep two and drop a larger one.
ASIDES = ["we did not wait", "it felt very late", "they never take cards", "guests were not many", "you sat outside"]
WINDOW = 3


def review(rng):
    """Words, and 1 for a good review, 0 for a bad one: `not bad` and `never rude` are good."""
    good = rng.randint(2)
    before = list(TURNS)[rng.randint(len(TURNS))]
    verdict = SUBJECTS[rng.randint(len(SUBJECTS))] + before + (GOOD if good else BAD)[rng.randint(4)]
    parts = [ASIDES[k] for k in rng.permutation(len(ASIDES))[: rng.randint(3)]]
    parts.insert(rng.randint(len(parts) + 1), verdict)
    return " and ".join(parts).split(), good if TURNS[before] == 1 else 1 - good


class Classifier:
    def __init__(self, model, vocabulary, embedding=16, filters=12):
        self.ids = {word: row for row, word in enumerate(["<padding>", *vocabulary])}
        # A word is a pixel with many channels, a sentence a picture that is one pixel high.
        self.words = model.add_lookup_parameters((len(self.ids), 1, 1, embedding))
        self.W_three = model.add_parameters((1, WINDOW, embedding, filters))
        self.b_three = model.add_parameters(filters)
        self.W_two = model.add_parameters((embedding, 2, filters))
        self.W = model.add_parameters((2, 3 * filters))
        self.b = model.add_parameters(2)
        self.embedding, self.filters = embedding, filters

    def padded(self, words):
        return words + ["<padding>"] * (WINDOW - len(words))

    def picture(self, words):
        """{1, words, channels}"""
        return dy.concatenate([dy.lookup(self.words, self.ids[word]) for word in self.padded(words)], d=1)

    def windows_of_three(self, picture):
        """How much each filter likes each window: {1, windows, filters}."""
        return dy.conv2d_bias(picture, self.W_three, self.b_three, stride=(1, 1), is_valid=True)

    def windows_of_two(self, picture):
        """The same for the other filters, which take a matrix with a column for each word: {filters, windows}."""
        length = picture.dim()[0][1]
        columns = dy.transpose(dy.reshape(picture, (length, self.embedding)))
        return dy.filter1d_narrow(columns, self.W_two)

    def scores(self, words):
        """Of each filter the best window, and of each filter for two words the best two windows in their order."""
        picture = self.picture(words)
        best = dy.reshape(dy.max_dim(self.windows_of_three(picture), d=1), (self.filters,))
        best_two = dy.reshape(dy.kmax_pooling(self.windows_of_two(picture), 2), (2 * self.filters,))
        return self.W * dy.concatenate([dy.rectify(best), dy.tanh(best_two)]) + self.b

    def mean_loss(self, reviews):
        dy.renew_cg()
        return dy.average([dy.pickneglogsoftmax(self.scores(words), good) for words, good in reviews])

    def accuracy(self, reviews):
        dy.renew_cg()
        scores = dy.npvalues([self.scores(words) for words, _ in reviews])
        return sum(int(np.argmax(values)) == good for values, (_, good) in zip(scores, reviews)) / len(reviews)

    def liked_most(self, reviews, number):
        """The three words that filter `number` likes most, of all that stand next to each other somewhere."""
        found = []
        for words, _ in reviews:
            dy.renew_cg()
            likes = self.windows_of_three(self.picture(words)).npvalue()[0, :, number]
            place = int(likes.argmax())
            found.append((likes[place], self.padded(words)[place : place + WINDOW]))
        return " ".join(max(found)[1])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--updates", type=int, default=300)
    options, _ = parser.parse_known_args()

    rng = np.random.RandomState(1)
    train, test = [review(rng) for _ in range(500)], [review(rng) for _ in range(100)]
    model = dy.ParameterCollection()
    classifier = Classifier(model, sorted({word for words, _ in train + test for word in words}))
    fill(model)
    trainer = dy.AdamTrainer(model, alpha=0.01)
    for update in range(options.updates):
        if update % 50 == 0:
            print(f"update {update}: {classifier.accuracy(test):.2f} of the unseen reviews right")
        loss = classifier.mean_loss([train[k] for k in rng.randint(len(train), size=16)])
        loss.value()
        loss.backward()
        trainer.update()

    for number in range(4):
        good, bad = classifier.W.as_array()[::-1, number]
        print(f"filter {number} ({'good' if good > bad else 'bad'}): {classifier.liked_most(test, number)}")
    print(f"{classifier.accuracy(test):.2f} of the unseen reviews right")
    print(f"loss after {options.updates} updates: {classifier.mean_loss(test).scalar_value():.8g}")


if __name__ == "__main__":
    main()
