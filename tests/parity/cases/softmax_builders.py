"""Softmax builders: losses of single examples and of batches, distributions, gradients."""

import os
import tempfile

import numpy as np
from table import fill, gradients, program

SIZE, CLASSES = 5, 6
# A class of one word is among them.
CLUSTERS = "7 the\n7 cat\n0 dog\nlast a\n0 sat\n7 ran\n"
DIC = {"cat": 0, "the": 1, "dog": 2, "a": 3, "ran": 4, "sat": 5}


def losses(dy, builder, model, numbers, classes):
    """Losses and their gradients, of examples and of a batch."""
    dy.renew_cg()
    xs = [model.add_parameters(SIZE) for _ in classes]
    fill(model, numbers)
    single = [builder.neg_log_softmax(x, c) for x, c in zip(xs, classes)]
    results = {"value single": np.array([y.npvalue() for y in single])}
    dy.esum(single).backward()
    results.update((key + " single", array) for key, array in gradients(model).items())
    dy.renew_cg()
    batch = dy.inputTensor(numbers.uniform(-1, 1, (SIZE, 5)).astype(np.float32), batched=True)
    together = builder.neg_log_softmax_batch(batch, classes[:5])
    results["value batch"] = together.npvalue()
    dy.sum_batches(together).backward()
    results.update((key + " batch", array) for key, array in gradients(model).items())
    described = [repr((p.name(), p.shape())) for p in builder.param_collection().parameters_list()]
    results["exact"] = np.array([*described, builder.param_collection().name()])
    dy.renew_cg()
    constant = builder.neg_log_softmax(xs[0], 1, update=False)
    before = gradients(model)
    constant.backward()
    after = gradients(model)
    results.update((key + " constant", after[key] - before[key]) for key in after)
    results["value constant"] = constant.npvalue()
    dy.renew_cg()
    drawn = {builder.sample(dy.inputVector([float(k) for k in range(SIZE)])) for _ in range(3)}
    results["exact drawn"] = np.array([type(c) is int and 0 <= c < CLASSES for c in drawn]).all()
    return results


@program("StandardSoftmaxBuilder", name="StandardSoftmaxBuilder")
def standard(dy, numbers):
    results = {}
    for bias in (True, False):
        model = dy.ParameterCollection()
        builder = dy.StandardSoftmaxBuilder(SIZE, CLASSES, model, bias)
        found = losses(dy, builder, model, numbers, [2, 0, 5, 5, 1, 3])
        x = dy.inputVector(numbers.uniform(-1, 1, SIZE).astype(np.float32))
        found["value logits"] = builder.full_logits(x).npvalue()
        found["value distribution"] = builder.full_log_distribution(x).npvalue()
        results.update((f"{key} {bias}", array) for key, array in found.items())
    return results


def class_factored_builder(dy, model, bias):
    """A class-factored softmax from a file."""
    handle, path = tempfile.mkstemp()
    with os.fdopen(handle, "w") as file:
        file.write(CLUSTERS)
    builder = dy.ClassFactoredSoftmaxBuilder(SIZE, path, DIC, model, bias)
    os.remove(path)
    return builder


@program("ClassFactoredSoftmaxBuilder", name="ClassFactoredSoftmaxBuilder")
def class_factored(dy, numbers):
    results = {}
    for bias in (True, False):
        model = dy.ParameterCollection()
        dy.renew_cg()
        builder = class_factored_builder(dy, model, bias)
        found = losses(dy, builder, model, numbers, [2, 0, 5, 5, 3, 1, 4])
        x = dy.inputVector(numbers.uniform(-1, 1, SIZE).astype(np.float32))
        found["value class logits"] = builder.class_logits(x).npvalue()
        found["value class distribution"] = builder.class_log_distribution(x).npvalue()
        found["value logits"] = builder.subclass_logits(x, 0).npvalue()
        found["value distribution"] = builder.subclass_log_distribution(x, 1).npvalue()
        results.update((f"{key} {bias}", array) for key, array in found.items())
    return results


@program("ClassFactoredSoftmaxBuilder", lacks="logits are probabilities; a class of one word ends the process")
def class_factored_distribution(dy, numbers):
    model = dy.ParameterCollection()
    builder = class_factored_builder(dy, model, True)
    fill(model, numbers)
    dy.renew_cg()
    x = dy.inputVector(numbers.uniform(-1, 1, SIZE).astype(np.float32))
    full = builder.full_log_distribution(x).npvalue()
    single = [-builder.neg_log_softmax(x, c).value() for c in range(CLASSES)]
    one = builder.subclass_log_distribution(x, 2).npvalue()
    return {"exact": np.array([np.allclose(full, single, atol=1e-5), abs(np.exp(full).sum() - 1) < 1e-5, one[0] == 0])}
