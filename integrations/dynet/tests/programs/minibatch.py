"""A language model on padded minibatches, with masked losses; Adam and a status line."""

import sys

import numpy as np
from fill import fill

import dynet as dy

SENTENCES = [[0, 3, 5, 2, 6, 1], [0, 4, 4, 1], [0, 2, 1], [0, 6, 5, 1]]
WORDS, EMBEDDING, HIDDEN = 7, 4, 5


class LanguageModel(object):
    def __init__(self, model, builder=dy.LSTMBuilder):
        self.builder = builder(2, EMBEDDING, HIDDEN, model)
        self.lookup = model.add_lookup_parameters((WORDS, EMBEDDING), init=dy.NormalInitializer(0, 0.1))
        self.R = model.add_parameters((WORDS, HIDDEN))
        self.bias = model.add_parameters((WORDS), init=dy.ConstInitializer(0))

    def loss(self, sentences):
        dy.renew_cg()
        R = dy.parameter(self.R)
        bias = dy.parameter(self.bias)
        longest = max(len(s) for s in sentences)
        ids = [[s[t] if t < len(s) else 1 for s in sentences] for t in range(longest)]
        masks = [[1 if t < len(s) else 0 for s in sentences] for t in range(longest)]
        state = self.builder.initial_state().add_input(dy.lookup_batch(self.lookup, ids[0]))
        losses = []
        for words, mask in zip(ids[1:], masks[1:]):
            score = dy.affine_transform([bias, R, state.output()])
            loss = dy.pickneglogsoftmax_batch(score, words)
            if 0 in mask:
                loss = loss * dy.reshape(dy.inputVector(mask), (1,), len(sentences))
            losses.append(loss)
            state = state.add_input(self.lookup.batch(words))
        return dy.sum_batches(dy.esum(losses)) / sum(map(sum, masks))

    def best(self, first, length):
        dy.renew_cg()
        state = self.builder.initial_state()
        words = [first]
        while len(words) < length:
            state = state.add_input(dy.lookup(self.lookup, words[-1]))
            scores = dy.softmax(dy.parameter(self.bias) + dy.parameter(self.R) * state.output())
            words.append(int(np.argmax(scores.npvalue())))
        return words


model = dy.Model()
trainer = dy.AdamTrainer(model, alpha=0.02)
lm = LanguageModel(model)
fill(model)
for epoch in range(40):
    error = lm.loss(SENTENCES)
    value = error.scalar_value()
    error.backward()
    trainer.update()
    if epoch % 10 == 9:
        print("%.4f" % value)
        trainer.status()
        sys.stderr.write("\n")
print(lm.best(0, 4))
print("%.4f" % np.linalg.norm(lm.lookup.as_array()), lm.R.shape(), len(model.parameters_list()))
