"""The tasks as DyNet programs: one text for DyNet and Weft, `dy` is either module (Python 3.8 and later)."""

from __future__ import annotations

from typing import Any

import numpy as np
from examples import Data, Example
from measure import Program


class DynetProgram(Program):
    """Phases of a training step in the DyNet API; a task says only how the loss of its examples is built."""

    def __init__(self, dy: Any, data: Data, builder: str, sparse: bool) -> None:
        self.dy = dy
        self.data = data
        self.collection = dy.ParameterCollection()
        self.builder = getattr(dy, builder)
        self.embedding = self.table("embedding")
        self.create()
        self.trainer = dy.AdamTrainer(self.collection)
        self.trainer.set_clip_threshold(-1.0)
        self.trainer.set_sparse_updates(sparse)

    def create(self) -> None:
        raise NotImplementedError

    def losses(self, example: Example) -> list[Any]:
        raise NotImplementedError

    def build(self, group: list[Example]) -> Any:
        self.dy.renew_cg()
        return self.dy.esum([loss for example in group for loss in self.losses(example)])

    def forward(self, loss: Any) -> float:
        return float(loss.value())

    def forward_again(self, loss: Any) -> bool:
        graph = getattr(loss, "graph", None)
        if graph is None:
            return False
        graph.invalidate()
        loss.value()
        return True

    def backward(self, loss: Any) -> None:
        loss.backward()

    def update(self) -> None:
        self.trainer.update()

    def parameter(self, name: str) -> Any:
        return self.array_parameter(self.data.parameters[name])

    def array_parameter(self, array: Any) -> Any:
        return self.collection.add_parameters(array.shape, init=array)

    def table(self, name: str) -> Any:
        array = self.data.parameters[name]
        return self.collection.add_lookup_parameters(array.shape, init=array)

    def lstm(self, name: str) -> Any:
        inputs = self.data.parameters[name + "_x"].shape[1]
        hidden = self.data.parameters[name + "_h"].shape[1]
        return self.load(self.builder(1, inputs, hidden, self.collection), name)

    def load(self, lstm: Any, name: str) -> Any:
        for parameter, part in zip(lstm.get_parameters()[0], "xhb"):
            parameter.set_value(self.data.parameters[name + "_" + part])
        return lstm


class LanguageModel(DynetProgram):
    """Sentences one by one."""

    def create(self) -> None:
        self.rnn = self.lstm("lstm")
        self.output = self.parameter("output")
        self.bias = self.parameter("output_bias")

    def losses(self, example: Example) -> list[Any]:
        dy = self.dy
        inputs = [self.embedding[word] for word in [0, *example.words[:-1]]]
        hidden = self.rnn.initial_state().transduce(inputs)
        return [
            dy.pickneglogsoftmax(dy.affine_transform([self.bias, self.output, h]), word)
            for h, word in zip(hidden, example.words)
        ]


class BatchedLanguageModel(LanguageModel):
    """Minibatches by hand: one word of every sentence a step, the losses of ended sentences masked."""

    def build(self, group: list[Example]) -> Any:
        dy = self.dy
        dy.renew_cg()
        state, words, losses = self.rnn.initial_state(), [0] * len(group), []
        for step in range(max(len(example.words) for example in group)):
            state = state.add_input(dy.lookup_batch(self.embedding, words))
            words = [example.words[step] if step < len(example.words) else 0 for example in group]
            logits = dy.affine_transform([self.bias, self.output, state.output()])
            loss = dy.pickneglogsoftmax_batch(logits, words)
            mask = [float(step < len(example.words)) for example in group]
            if 0.0 in mask:
                loss = dy.cmult(loss, dy.reshape(dy.inputVector(mask), (1,), len(group)))
            losses.append(loss)
        return dy.sum_batches(dy.esum(losses))


class Tagger(DynetProgram):
    """A bidirectional LSTM over word embeddings, a hidden layer and a softmax over tags at every word."""

    def create(self) -> None:
        inputs = self.data.parameters["forward_x"].shape[1]
        hidden = self.data.parameters["forward_h"].shape[1]
        self.rnn = self.dy.BiRNNBuilder(1, inputs, 2 * hidden, self.collection, self.builder)
        for lstm, name in zip(self.rnn.builder_layers[0], ("forward", "backward")):
            self.load(lstm, name)
        self.hidden = self.parameter("hidden")
        self.output = self.parameter("output")

    def word(self, word: int) -> Any:
        return self.embedding[word]

    def contexts(self, words: list[int]) -> Any:
        return self.rnn.transduce([self.word(word) for word in words])

    def scores(self, words: list[int]) -> Any:
        """The scores of all tags, for every word."""
        return [self.output * self.dy.tanh(self.hidden * context) for context in self.contexts(words)]

    def losses(self, example: Example) -> list[Any]:
        dy = self.dy
        return [dy.pickneglogsoftmax(score, tag) for score, tag in zip(self.scores(example.words), example.tags)]


class CharacterTagger(Tagger):
    """The tagger, with rare words read character by character by two LSTMs."""

    def create(self) -> None:
        super().create()
        self.characters = self.table("characters")
        self.left_to_right = self.lstm("character_forward")
        self.right_to_left = self.lstm("character_backward")

    def word(self, word: int) -> Any:
        spelling = self.data.spelling.get(word)
        if spelling is None:
            return self.embedding[word]
        letters = [self.characters[letter] for letter in spelling]
        ends = [
            self.left_to_right.initial_state().transduce(letters)[-1],
            self.right_to_left.initial_state().transduce(letters[::-1])[-1],
        ]
        return self.dy.concatenate(ends)


class TreeClassifier(DynetProgram):
    """A binary TreeLSTM (Tai et al., 2015) with a softmax over labels at every node."""

    def leaf(self, word: Any) -> tuple[Any, Any]:
        """(h, c) of a pre-terminal: c = i u, h = o tanh(c), gates from the word."""
        raise NotImplementedError

    def inner(self, left: tuple[Any, Any], right: tuple[Any, Any]) -> tuple[Any, Any]:
        """(h, c) of an inner node: c = i u + f1 c1 + f2 c2, h = o tanh(c), i, o, u from both children's h."""
        raise NotImplementedError

    def create(self) -> None:
        self.forget_left = self.parameter("forget_left")
        self.forget_right = self.parameter("forget_right")
        # The +1 of the equations: stored, it is one node less, and Adam trains a shifted parameter alike.
        self.forget_bias = self.array_parameter(self.data.parameters["forget_bias"] + 1.0)
        self.output = self.parameter("output")

    def forget_gates(self, left: Any, right: Any, both: Any) -> list[Any]:
        """Each forget gate from its own child's h, or from both (task `nary`)."""
        dy = self.dy
        reads = (both, both) if self.data.task == "nary" else (left, right)
        weights = (self.forget_left, self.forget_right)
        return [dy.logistic(dy.affine_transform([self.forget_bias, w, h])) for w, h in zip(weights, reads)]

    def losses(self, example: Example) -> list[Any]:
        states: list[tuple[Any, Any]] = []
        for word, left, right in zip(example.words, example.left, example.right):
            if left < 0:
                states.append(self.leaf(self.embedding[word]))
            else:
                states.append(self.inner(states[left], states[right]))
        return [self.dy.pickneglogsoftmax(self.output * h, label) for (h, _), label in zip(states, example.tags)]


class GatewiseTree(TreeClassifier):
    """One affine transformation per gate, as in the DyNet paper."""

    def create(self) -> None:
        super().create()
        arrays = self.data.parameters
        self.leaf_gates = [self.array_parameter(part) for part in np.split(arrays["leaf"], 3)]
        self.inner_gates = [self.array_parameter(part) for part in np.split(arrays["inner"], 3)]
        self.bias = [self.array_parameter(part) for part in np.split(arrays["bias"], 3)]

    def leaf(self, word: Any) -> tuple[Any, Any]:
        dy = self.dy
        i, o, u = [dy.affine_transform([b, w, word]) for b, w in zip(self.bias, self.leaf_gates)]
        c = dy.cmult(dy.logistic(i), dy.tanh(u))
        return dy.cmult(dy.logistic(o), dy.tanh(c)), c

    def inner(self, left: tuple[Any, Any], right: tuple[Any, Any]) -> tuple[Any, Any]:
        dy = self.dy
        h = dy.concatenate([left[0], right[0]])
        i, o, u = [dy.affine_transform([b, w, h]) for b, w in zip(self.bias, self.inner_gates)]
        f1, f2 = self.forget_gates(left[0], right[0], h)
        c = dy.cmult(dy.logistic(i), dy.tanh(u)) + dy.cmult(f1, left[1]) + dy.cmult(f2, right[1])
        return dy.cmult(dy.logistic(o), dy.tanh(c)), c


class FusedTree(TreeClassifier):
    """One affine transformation for i, o and u together, sliced afterwards."""

    def create(self) -> None:
        super().create()
        self.leaf_weight = self.parameter("leaf")
        self.inner_weight = self.parameter("inner")
        self.bias = self.parameter("bias")
        self.size = self.data.parameters["forget_bias"].shape[0]

    def gates(self, weight: Any, x: Any) -> list[Any]:
        dy, n = self.dy, self.size
        a = dy.affine_transform([self.bias, weight, x])
        i_o = dy.logistic(dy.pick_range(a, 0, 2 * n))
        return [
            dy.pick_range(i_o, 0, n),
            dy.pick_range(i_o, n, 2 * n),
            dy.tanh(dy.pick_range(a, 2 * n, 3 * n)),
        ]

    def leaf(self, word: Any) -> tuple[Any, Any]:
        dy = self.dy
        i, o, u = self.gates(self.leaf_weight, word)
        c = dy.cmult(i, u)
        return dy.cmult(o, dy.tanh(c)), c

    def inner(self, left: tuple[Any, Any], right: tuple[Any, Any]) -> tuple[Any, Any]:
        dy = self.dy
        h = dy.concatenate([left[0], right[0]])
        i, o, u = self.gates(self.inner_weight, h)
        f1, f2 = self.forget_gates(left[0], right[0], h)
        c = dy.cmult(i, u) + dy.cmult(f1, left[1]) + dy.cmult(f2, right[1])
        return dy.cmult(o, dy.tanh(c)), c
