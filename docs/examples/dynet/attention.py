"""An encoder and a decoder with attention learn to write numbers in Roman numerals: 1994 is MCMXCIV.

Bahdanau et al. 2015. Decoding is greedy, or a beam search that follows the best few beginnings at once.

python docs/examples/dynet/attention.py
"""

import argparse

import dynet as dy
import numpy as np
from start_values import fill

DIGITS = "0123456789"
# The first symbol stands before and after every numeral.
SYMBOLS = ["<end>", *"IVXLCDM"]
END = 0
VALUES = [(1000, "M"), (900, "CM"), (500, "D"), (400, "CD"), (100, "C"), (90, "XC"), (50, "L"), (40, "XL"), (10, "X")]
VALUES += [(9, "IX"), (5, "V"), (4, "IV"), (1, "I")]


def numeral(number):
    """The answer: take the largest value that fits, again and again."""
    letters = ""
    for value, symbols in VALUES:
        letters += symbols * (number // value)
        number %= value
    return letters


class Translator:
    def __init__(self, model, embedding=16, hidden=48, attention=32):
        self.digits = model.add_lookup_parameters((len(DIGITS), embedding))
        self.symbols = model.add_lookup_parameters((len(SYMBOLS), embedding))
        self.forwards = dy.LSTMBuilder(1, embedding, hidden // 2, model)
        self.backwards = dy.LSTMBuilder(1, embedding, hidden // 2, model)
        self.decoder = dy.LSTMBuilder(1, hidden + embedding, hidden, model)
        self.attention_w1 = model.add_parameters((attention, hidden))
        self.attention_w2 = model.add_parameters((attention, 2 * hidden))
        self.attention_v = model.add_parameters((1, attention))
        self.W = model.add_parameters((len(SYMBOLS), hidden))
        self.b = model.add_parameters((len(SYMBOLS),))
        self.hidden = hidden

    def encode(self, number):
        """A column for each digit, which knows the digits on both sides, and what attention needs of it every time."""
        vectors = [self.digits[int(digit)] for digit in str(number)]
        left = self.forwards.initial_state().transduce(vectors)
        right = self.backwards.initial_state().transduce(vectors[::-1])[::-1]
        columns = dy.concatenate_cols([dy.concatenate([a, b]) for a, b in zip(left, right)])
        return columns, self.attention_w1 * columns

    def attend(self, encoded, state):
        """A mean of the columns. Their weights come from how well each fits the state of the decoder."""
        columns, keys = encoded
        query = self.attention_w2 * dy.concatenate(list(state.s()))
        fit = dy.transpose(self.attention_v * dy.tanh(dy.colwise_add(keys, query)))
        return columns * dy.softmax(fit)

    def start(self):
        """The decoder has no state to attend with before its first step, so that step gets zeros."""
        return self.decoder.initial_state().add_input(dy.concatenate([dy.vecInput(self.hidden), self.symbols[END]]))

    def step(self, encoded, state, symbol):
        """The state after `symbol`, and the probabilities of what comes next."""
        state = state.add_input(dy.concatenate([self.attend(encoded, state), self.symbols[symbol]]))
        return state, dy.softmax(self.W * state.output() + self.b)

    def loss(self, number):
        """Negative log probability of the right numeral; the decoder is told the right symbols as it goes."""
        encoded, state, symbol = self.encode(number), self.start(), END
        losses = []
        for following in [SYMBOLS.index(letter) for letter in numeral(number)] + [END]:
            state, probabilities = self.step(encoded, state, symbol)
            losses.append(-dy.log(dy.pick(probabilities, following)))
            symbol = following
        return dy.esum(losses)

    def greedy(self, number, longest=16):
        dy.renew_cg()
        encoded, state, symbol = self.encode(number), self.start(), END
        letters = ""
        while len(letters) < longest:
            state, probabilities = self.step(encoded, state, symbol)
            symbol = int(np.argmax(probabilities.npvalue()))
            if symbol == END:
                break
            letters += SYMBOLS[symbol]
        return letters

    def beam(self, number, width=3, longest=16):
        """Numerals with their log probabilities, the best first. A state may be continued in several ways."""
        dy.renew_cg()
        encoded = self.encode(number)
        beam, ended = [(0.0, [END], self.start())], []
        while beam and len(beam[0][1]) <= longest:
            longer = []
            for score, symbols, state in beam:
                following, probabilities = self.step(encoded, state, symbols[-1])
                for symbol, probability in enumerate(probabilities.vec_value()):
                    longer.append((score + np.log(probability), [*symbols, symbol], following))
            longer.sort(key=lambda candidate: -candidate[0])
            ended += [candidate for candidate in longer[:width] if candidate[1][-1] == END]
            beam = [candidate for candidate in longer[:width] if candidate[1][-1] != END]
        ended.sort(key=lambda candidate: -candidate[0])
        return [("".join(SYMBOLS[k] for k in symbols[1:-1]), score) for score, symbols, _ in ended[:width]]

    def mean_loss(self, numbers):
        dy.renew_cg()
        return dy.average([self.loss(number) for number in numbers])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--updates", type=int, default=1000)
    options, _ = parser.parse_known_args()

    rng = np.random.RandomState(1)
    numbers = [int(number) for number in 1 + rng.permutation(3999)]
    test, train = numbers[:40], numbers[40:]
    model = dy.ParameterCollection()
    translator = Translator(model)
    fill(model)
    trainer = dy.AdamTrainer(model, alpha=0.003)
    for update in range(options.updates):
        loss = translator.mean_loss([train[k] for k in rng.randint(len(train), size=16)])
        value = loss.value()
        loss.backward()
        trainer.update()
        if update % 100 == 0:
            right = sum(translator.greedy(number) == numeral(number) for number in test)
            print(f"update {update}: loss {value:.4f}, {right} of {len(test)} unseen numbers right")

    for number in test[:5]:
        found = ", ".join(f"{letters} ({score:.2f})" for letters, score in translator.beam(number))
        print(f"{number} is {numeral(number)}. Greedy: {translator.greedy(number)}. Beam: {found}")
    print(f"loss after {options.updates} updates: {translator.mean_loss(test).scalar_value():.8g}")


if __name__ == "__main__":
    main()
