"""A language model of characters: minibatches of lines of different lengths, and text that it writes itself.

python docs/examples/dynet/rnnlm.py
"""

import argparse
import os
import tempfile

import dynet as dy
import numpy as np
from start_values import fill

# William Shakespeare, Sonnet 18.
SONNET = """\
Shall I compare thee to a summer's day?
Thou art more lovely and more temperate:
Rough winds do shake the darling buds of May,
And summer's lease hath all too short a date;
Sometime too hot the eye of heaven shines,
And often is his gold complexion dimm'd;
And every fair from fair sometime declines,
By chance or nature's changing course untrimm'd;
But thy eternal summer shall not fade,
Nor lose possession of that fair thou ow'st;
Nor shall death brag thou wander'st in his shade,
When in eternal lines to time thou grow'st:
So long as men can breathe or eyes can see,
So long lives this, and this gives life to thee.
"""
# It begins and ends every line, and fills up short ones.
END = 0
CHARACTERS = "\n" + "".join(sorted(set(SONNET) - {"\n"}))
LINES = [[END] + [CHARACTERS.index(c) for c in line] + [END] for line in SONNET.splitlines()]


class LanguageModel:
    """Vectors of characters, a layer of LSTM units, a score for each character that may come next."""

    def __init__(self, model, embedding=24, hidden=64):
        self.E = model.add_lookup_parameters((len(CHARACTERS), embedding))
        self.lstm = dy.LSTMBuilder(1, embedding, hidden, model)
        self.R = model.add_parameters((len(CHARACTERS), hidden))
        self.bias = model.add_parameters((len(CHARACTERS),))

    def scores(self, state):
        R = dy.parameter(self.R)
        bias = dy.parameter(self.bias)
        return dy.affine_transform([bias, R, state.output()])

    def loss(self, lines):
        """Negative log probability of a character, the mean over a minibatch, in nats.

        All lines go through the network side by side. A line that has ended goes on with padding; the mask takes
        what that costs out of the loss, and with it out of the gradient.
        """
        dy.renew_cg()
        longest = max(len(line) for line in lines)
        columns = list(zip(*[line + [END] * (longest - len(line)) for line in lines]))
        state = self.lstm.initial_state()
        losses = []
        for place in range(1, longest):
            state = state.add_input(dy.lookup_batch(self.E, columns[place - 1]))
            loss = dy.pickneglogsoftmax_batch(self.scores(state), columns[place])
            mask = [float(place < len(line)) for line in lines]
            if min(mask) == 0:
                loss = loss * dy.reshape(dy.inputVector(mask), (1,), len(lines))
            losses.append(loss)
        return dy.sum_batches(dy.esum(losses)) / sum(len(line) - 1 for line in lines)

    def write(self, seed, temperature=0.5):
        """A line, character by character. What comes next depends on what was drawn, so each is computed by itself."""
        dy.renew_cg()
        state = self.lstm.initial_state()
        rng = np.random.RandomState(seed)
        line = []
        character = END
        while len(line) < 60:
            state = state.add_input(self.E[character])
            probabilities = dy.softmax(self.scores(state) / temperature).npvalue()
            character = int(rng.choice(len(CHARACTERS), p=probabilities / probabilities.sum()))
            if character == END:
                break
            line.append(CHARACTERS[character])
        return "".join(line)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--updates", type=int, default=200)
    options, _ = parser.parse_known_args()

    model = dy.Model()
    lm = LanguageModel(model)
    fill(model)
    trainer = dy.AdamTrainer(model, alpha=0.01)
    rng = np.random.RandomState(1)
    for update in range(options.updates):
        batch = [LINES[k] for k in rng.permutation(len(LINES))[:7]]
        loss = lm.loss(batch)
        value = loss.scalar_value()
        loss.backward()
        trainer.update()
        if update % 25 == 0:
            print(f"update {update}: loss {value:.4f}, writes: {lm.write(seed=update)}")

    # The file holds numbers and no network: whoever reads it builds the same network first.
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "rnnlm.model")
        model.save(path)
        again = dy.Model()
        restored = LanguageModel(again)
        again.populate(path)
    print("The restored model writes:")
    for seed in range(4):
        print("  " + restored.write(seed))
    print(f"loss after {options.updates} updates: {restored.loss(LINES).value():.8g}")


if __name__ == "__main__":
    main()
