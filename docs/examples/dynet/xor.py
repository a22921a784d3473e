"""XOR in two ways: one graph that is built once and gets new inputs, and a new graph for every example.

python docs/examples/dynet/xor.py
"""

import argparse

import dynet as dy
from start_values import fill

EXAMPLES = [([0, 0], 0), ([0, 1], 1), ([1, 0], 1), ([1, 1], 0)]
HIDDEN = 8


class Network:
    """Two inputs, a layer of tanh units, one logistic unit: the smallest network that can tell XOR."""

    def __init__(self):
        self.model = dy.ParameterCollection()
        self.W = self.model.add_parameters((HIDDEN, 2))
        self.b = self.model.add_parameters(HIDDEN)
        self.V = self.model.add_parameters((1, HIDDEN))
        self.c = self.model.add_parameters(1)
        fill(self.model)
        self.trainer = dy.SimpleSGDTrainer(self.model, learning_rate=0.5)

    def output(self, x):
        return dy.logistic(self.V * dy.tanh(self.W * x + self.b) + self.c)


def train_static(network, updates):
    """Build once, then only set the inputs: `set` makes the graph forget its values, so all is computed again."""
    dy.renew_cg()
    x = dy.vecInput(2)
    y = dy.scalarInput(0)
    output = network.output(x)
    loss = dy.binary_log_loss(output, y)

    def mean_loss():
        total = 0.0
        for inputs, answer in EXAMPLES:
            x.set(inputs)
            y.set(answer)
            total += loss.scalar_value()
        return total / len(EXAMPLES)

    for update in range(updates):
        if update % max(updates // 5, 1) == 0:
            print(f"  static graph, update {update}: loss {mean_loss():.4f}")
        inputs, answer = EXAMPLES[update % len(EXAMPLES)]
        x.set(inputs)
        y.set(answer)
        loss.forward()
        loss.backward()
        network.trainer.update()

    for inputs, answer in EXAMPLES:
        x.set(inputs)
        print(f"  {inputs} -> {output.value():.3f} (wanted {answer})")
    return mean_loss()


def example_loss(network, inputs, answer):
    """A graph for this example alone. Its shape could depend on the example; that is what dynamic graphs are for."""
    dy.renew_cg()
    return dy.binary_log_loss(network.output(dy.inputVector(inputs)), dy.scalarInput(answer))


def train_dynamic(network, updates):
    """A new graph for each update. The parameters outlive the graphs: they belong to the model."""
    for update in range(updates):
        inputs, answer = EXAMPLES[update % len(EXAMPLES)]
        loss = example_loss(network, inputs, answer)
        if update % max(updates // 5, 1) == 0:
            print(f"  dynamic graphs, update {update}: loss of this example {loss.value():.4f}")
        loss.backward()
        network.trainer.update()

    for inputs, answer in EXAMPLES:
        dy.renew_cg()
        print(f"  {inputs} -> {network.output(dy.inputVector(inputs)).value():.3f} (wanted {answer})")
    return sum(example_loss(network, *example).value() for example in EXAMPLES) / len(EXAMPLES)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--updates", type=int, default=2000)
    options, _ = parser.parse_known_args()

    # Two networks that begin equal and see the same examples: how the graphs are built makes no difference.
    static = train_static(Network(), options.updates)
    dynamic = train_dynamic(Network(), options.updates)
    print(f"static graph: {static:.6f}, dynamic graphs: {dynamic:.6f}")
    print(f"loss after {options.updates} updates: {(static + dynamic) / 2:.8g}")


if __name__ == "__main__":
    main()
