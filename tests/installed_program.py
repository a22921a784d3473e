"""Learn XOR with an installed Weft: `nox -s build` runs this outside the tree, once per backend."""

import os
import sys

import weft as dy

EXAMPLES = [((0.0, 0.0), 0.0), ((0.0, 1.0), 1.0), ((1.0, 0.0), 1.0), ((1.0, 1.0), 0.0)]


def main() -> None:
    model = dy.ParameterCollection()
    W = model.add_parameters((8, 2))
    b = model.add_parameters(8)
    V = model.add_parameters((1, 8))
    c = model.add_parameters(1)
    trainer = dy.SimpleSGDTrainer(model, learning_rate=0.5)

    def output(x: tuple[float, float]) -> dy.Expression:
        return dy.logistic(V * dy.tanh(W * dy.inputTensor(x) + b) + c)

    losses = []
    for _ in range(1000):
        dy.renew_cg()
        loss = dy.esum([dy.binary_log_loss(output(x), dy.scalarInput(y)) for x, y in EXAMPLES])
        losses.append(loss.value())
        loss.backward()
        trainer.update()

    dy.renew_cg()
    answers = [output(x).value() for x, _ in EXAMPLES]

    wrong = any(abs(answer - y) > 0.2 for answer, (_, y) in zip(answers, EXAMPLES))
    if wrong or losses[-1] > 0.2 * losses[0]:
        sys.exit(f"XOR was not learned: loss {losses[0]:.3f} -> {losses[-1]:.3f}, answers {answers}")

    # Numba is imported when its backend is chosen, and only then: so its presence tells which backend ran.
    backend = os.environ["WEFT_BACKEND"]
    if ("numba" in sys.modules) != (backend == "numba"):
        sys.exit(f"WEFT_BACKEND={backend} was asked for, but another backend ran")
    print(f"{backend}: loss {losses[0]:.3f} -> {losses[-1]:.3f}, answers {[round(a, 2) for a in answers]}")


if __name__ == "__main__":
    main()
