"""Methods of expressions and of tensors."""

import numpy as np
from table import program, raised


@program("Expression")
def ways_to_read_a_value(dy, numbers):
    dy.renew_cg()
    arrays = {
        "number": numbers.uniform(-1, 1, (1,)),
        "vector": numbers.uniform(-1, 1, 3),
        "matrix": numbers.uniform(-1, 1, (3, 2)),
        "one by one": numbers.uniform(-1, 1, (1, 1)),
    }
    results = {}
    for name, a in arrays.items():
        x = dy.inputTensor(a) * 1
        results["value " + name] = np.asarray(x.value())
        results["value flat " + name] = np.array(x.vec_value())
        results["exact type " + name] = np.array(type(x.value()).__name__)
        results["value tensor " + name] = x.tensor_value().as_numpy()
    batches = {"numbers": (1, 4), "vectors": (3, 4), "matrices": (3, 2, 4)}
    for name, shape in batches.items():
        x = dy.inputTensor(numbers.uniform(-1, 1, shape), batched=True) * 1
        results["value " + name] = np.asarray(x.value())
        results["value np " + name] = x.npvalue()
        results["value flat " + name] = np.array(x.vec_value())
        results["exact type " + name] = np.array(type(x.value()).__name__)
    results["value scalar"] = dy.scalarInput(0.7).scalar_value()
    results["exact dtype"] = np.array(str(dy.inputVector([1, 2]).npvalue().dtype))
    return results


@program("Expression values npvalues forward")
def many_values(dy, numbers):
    dy.renew_cg()
    x = dy.inputTensor(numbers.uniform(-1, 1, 3))
    expressions = [dy.tanh(x), dy.sum_elems(x), x + 1]
    dy.forward(expressions)
    dy.forward(expressions, recalculate=True)
    results = {f"value{k}": np.asarray(v) for k, v in enumerate(dy.values(expressions))}
    results.update((f"value np{k}", v) for k, v in enumerate(dy.npvalues(expressions)))
    results["exact"] = np.array(
        [raised(lambda: dy.forward([]), IndexError), expressions[0].forward() is None, bool(expressions[0])]
    )
    return results


@program("Expression")
def gradients_of_nodes(dy, numbers):
    dy.renew_cg()
    p = dy.ParameterCollection().add_parameters((3,))
    p.set_value(numbers.uniform(-1, 1, 3))
    x = dy.inputTensor(numbers.uniform(-1, 1, 3))
    y = dy.cmult(x, dy.tanh(p))
    z = dy.tanh(x)
    first, second = dy.squared_norm(y), dy.sum_elems(z)
    (first + second).backward()
    results = {"gradient y": y.gradient(), "gradient x": x.gradient(), "gradient z": z.gradient()}
    results["gradient p"] = p.gradient()
    (first + second).backward(full=True)
    results.update(
        {"gradient full x": x.gradient(), "gradient full z": z.gradient(), "gradient twice": p.grad_as_array()}
    )
    refused = [
        raised(lambda: (x + 1).gradient(), RuntimeError),
        raised(lambda: y.backward(), ValueError),
        raised(lambda: dy.sum_elems(dy.inputTensor(np.ones((2, 3)), batched=True)).backward(), ValueError),
    ]
    results["exact"] = np.array(refused)
    return results


@program("Expression")
def stale_expressions(dy, numbers):
    dy.renew_cg()
    x = dy.inputVector([1, 2])
    dy.renew_cg()
    y = dy.inputVector([1, 2])
    refused = [
        raised(x.value, RuntimeError),
        raised(x.dim, RuntimeError),
        raised(lambda: dy.esum([y, x]), ValueError, RuntimeError),
        raised(lambda: y + x, ValueError, RuntimeError),
    ]
    dy.renew_cg()
    return {"exact": np.array(refused)}


@program("Expression")
def refused_operands(dy, numbers):
    dy.renew_cg()
    x, y = dy.inputTensor(np.ones((3, 2))), dy.inputTensor(np.ones((2, 3)))
    refused = [
        raised(lambda: dy.tanh(3), TypeError),
        raised(lambda: dy.cmult(x, 2), TypeError),
        raised(lambda: dy.esum([]), AssertionError, ValueError),
        raised(lambda: dy.esum([x, 3]), TypeError),
        raised(lambda: dy.dot_product(x, y), ValueError),
        raised(lambda: x * x, ValueError),
        raised(lambda: dy.concatenate([x, y]), ValueError),
        raised(lambda: dy.reshape(x, (4, 2)), ValueError),
        raised(lambda: x[3], IndexError),
        raised(lambda: x[-4], IndexError),
    ]
    dy.renew_cg()
    return {"exact": np.array(refused)}


@program("Tensor", name="Tensor")
def tensors(dy, numbers):
    dy.renew_cg()
    a = numbers.permutation(24).reshape(4, 3, 2) / 10.0
    x = dy.inputTensor(a, batched=True)
    t = x.tensor_value()
    results = {"value": t.as_numpy()}
    for dim in (0, 1):
        results[f"exact argmax {dim}"] = t.argmax(dim).as_numpy()
        values, indices = t.topk(dim, 2)
        results[f"value topk {dim}"] = values.as_numpy()
        results[f"exact topk {dim}"] = indices.as_numpy()
    # Distributions with one certain outcome.
    certain = np.full((5, 3), -1e9)
    certain[[4, 0, 2], [0, 1, 2]] = 0
    drawn = dy.inputTensor(certain).tensor_value().categorical_sample_log_prob()
    results["exact drawn"] = drawn.as_numpy()
    results["exact dtype"] = np.array([str(t.argmax().as_numpy().dtype), str(t.as_numpy().dtype)])
    return results
