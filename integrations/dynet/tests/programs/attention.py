"""An encoder-decoder with attention that learns to copy a word; what it has learnt is saved and loaded."""

import os
import tempfile

from fill import fill

import dynet as dy

CHARACTERS = list("abcdef") + ["<EOS>"]
EOS = CHARACTERS.index("<EOS>")
EMBEDDING, HIDDEN, ATTENTION, LAYERS = 6, 8, 5, 2

model = dy.Model()
encoder = dy.BiRNNBuilder(1, EMBEDDING, HIDDEN, model, dy.GRUBuilder)
decoder = dy.VanillaLSTMBuilder(LAYERS, HIDDEN + EMBEDDING, HIDDEN, model)
inputs = model.add_lookup_parameters((len(CHARACTERS), EMBEDDING), name="inputs")
W1 = model.add_parameters((ATTENTION, HIDDEN))
W2 = model.add_parameters((ATTENTION, 2 * HIDDEN * LAYERS))
v = model.add_parameters((1, ATTENTION))
W = model.add_parameters((len(CHARACTERS), HIDDEN), name="out")
b = model.add_parameters(len(CHARACTERS))
fill(model)


def columns(vectors):
    """A matrix of a list of vectors; of a matrix, the matrix."""
    return dy.concatenate_cols(vectors) if isinstance(vectors, list) else vectors


def attend(encoded, projected, state):
    scores = dy.tanh(dy.colwise_add(projected, W2 * dy.concatenate(list(state.s()))))
    weights = dy.softmax(dy.transpose(v * scores))
    return encoded * weights


def start(word):
    vectors = encoder.transduce([inputs[CHARACTERS.index(c)] for c in word])
    encoded = columns(vectors[:1] + vectors[1:])
    state = decoder.initial_state().add_input(dy.concatenate([dy.vecInput(HIDDEN), inputs[EOS]]))
    return encoded, W1 * encoded, state


def loss_of(word):
    dy.renew_cg()
    encoded, projected, state = start(word)
    last, losses = inputs[EOS], []
    for c in [CHARACTERS.index(c) for c in word] + [EOS]:
        state = state.add_input(dy.concatenate([attend(encoded, projected, state), last]))
        probabilities = dy.softmax(W * state.output() + b)
        losses.append(-dy.log(dy.pick(probabilities, c)))
        last = inputs[c]
    return dy.esum(losses)


def generate(word):
    dy.renew_cg()
    encoded, projected, state = start(word)
    last, out = inputs[EOS], ""
    for _ in range(2 * len(word)):
        state = state.add_input(dy.concatenate([attend(encoded, projected, state), last]))
        probabilities = dy.softmax(W * state.output() + b).vec_value()
        best = probabilities.index(max(probabilities))
        if best == EOS:
            break
        out += CHARACTERS[best]
        last = inputs[best]
    return out


trainer = dy.AdamTrainer(model, 0.01)
for step in range(60):
    loss = loss_of("fade")
    if step % 15 == 0:
        print("%.4f" % loss.value())
    loss.backward()
    trainer.update()
print("%.4f %s" % (loss_of("fade").value(), generate("fade")))

folder = tempfile.mkdtemp()
base = os.path.join(folder, "model")
dy.save(base, [encoder, decoder, inputs, W1, W2, v, W, b])
model = dy.ParameterCollection()
encoder, decoder, inputs, W1, W2, v, W, b = dy.load(base, model)
print("%.4f %s" % (loss_of("fade").value(), generate("fade")))
print(inputs.name(), W.name(), encoder.whoami(), decoder.spec)
for name in sorted(os.listdir(folder)):
    os.remove(os.path.join(folder, name))
os.rmdir(folder)
