"""XOR twice: with one graph that is built once and reused, and with a new graph for every update.

python docs/examples/xor.py
"""

from __future__ import annotations

import argparse

import weft as dy

EXAMPLES = [((0, 0), 0), ((0, 1), 1), ((1, 0), 1), ((1, 1), 0)]


class Network:
    """Two inputs, a layer of tanh units, one logistic output."""

    def __init__(self, hidden: int = 8) -> None:
        self.model = dy.ParameterCollection()
        self.W = self.model.add_parameters((hidden, 2), name="W")
        self.b = self.model.add_parameters(hidden, name="b")
        self.V = self.model.add_parameters((1, hidden), name="V")
        self.c = self.model.add_parameters(1, name="c")
        self.trainer = dy.SimpleSGDTrainer(self.model, learning_rate=0.5)

    def output(self, x: dy.Expression) -> dy.Expression:
        return dy.logistic(self.V * dy.tanh(self.W * x + self.b) + self.c)

    def update(self, loss: dy.Expression) -> float:
        value = loss.scalar_value()
        loss.backward()
        self.trainer.update()
        return value


def train_static(network: Network, epochs: int) -> list[float]:
    """One graph; its inputs are set for every example, and the graph computes again."""
    dy.renew_cg()
    x, y = dy.vecInput(2), dy.scalarInput(0)
    loss = dy.binary_log_loss(network.output(x), y)
    means = []
    for _ in range(epochs):
        total = 0.0
        for inputs, answer in EXAMPLES:
            x.set(inputs)
            y.set(answer)
            total += network.update(loss)
        means.append(total / len(EXAMPLES))
    return means


def train_dynamic(network: Network, epochs: int) -> list[float]:
    """A new graph for every update: all examples in it, their equal operations run together."""
    means = []
    for _ in range(epochs):
        dy.renew_cg()
        losses = [dy.binary_log_loss(network.output(dy.inputVector(x)), dy.scalarInput(y)) for x, y in EXAMPLES]
        means.append(network.update(dy.esum(losses)) / len(EXAMPLES))
    return means


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=500)
    options = parser.parse_args()

    for train in (train_static, train_dynamic):
        dy.init(seed=1)
        network = Network()
        means = train(network, options.epochs)
        print(f"{train.__name__}: first loss {means[0]:.4f}, last loss {means[-1]:.4f}")
        for x, y in EXAMPLES:
            dy.renew_cg()
            print(f"  {x} -> {network.output(dy.inputVector(x)).value():.3f} (wanted {y})")


if __name__ == "__main__":
    main()
