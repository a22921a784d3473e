"""Inputs, constants and looked-up rows."""

import numpy as np
from table import fill_rows, gradients, program, raised


def shown(*expressions):
    """Values and shapes of expressions."""
    results = {f"value{k}": e.npvalue() for k, e in enumerate(expressions)}
    results["exact dims"] = np.array([repr(e.dim()) for e in expressions])
    return results


@program("inputTensor")
def input_tensor(dy, numbers):
    dy.renew_cg()
    a = numbers.uniform(-1, 1, (3, 2, 4))
    expressions = [
        dy.inputTensor(a),
        dy.inputTensor(a, batched=True),
        dy.inputTensor(a[:, :, 0]),
        dy.inputTensor(np.asfortranarray(a)),
        dy.inputTensor(a[:, 0, :], batched=True),
        dy.inputTensor(a[0, 0], batched=True),
        dy.inputTensor([[1, 2, 3], [4, 5, 6]]),
        dy.inputTensor([a[:, 0, 0], a[:, 1, 0], a[:, 0, 3]]),
        dy.inputTensor([1.5, -2]),
        dy.inputTensor(np.array([True, False])),
        dy.inputTensor(np.arange(4, dtype=np.int64)),
    ]
    results = shown(*expressions)
    x = dy.inputTensor(a, reusable_expr=True)
    y = x * 2
    y.forward()
    x.set(numbers.uniform(-1, 1, 24).astype(np.float32).tolist())
    results["value set"] = y.npvalue()
    return results


@program("inputTensor", name="what is no input")
def bad_inputs(dy, numbers):
    dy.renew_cg()
    refused = [
        raised(lambda: dy.inputTensor(1.0), TypeError),
        raised(lambda: dy.inputTensor(None), TypeError),
        raised(lambda: dy.inputTensor([[1, 2], [3]]), ValueError, TypeError),
        raised(lambda: dy.inputTensor([]), ValueError),
        raised(lambda: dy.inputTensor(np.array(2.0)), TypeError, ValueError),
    ]
    return {"exact": np.array(refused)}


@program("inputVector vecInput scalarInput")
def vectors(dy, numbers):
    dy.renew_cg()
    v, w, s = dy.inputVector([1.5, -2, 0.25]), dy.vecInput(3), dy.scalarInput(2.5)
    results = shown(v, w, s, dy.inputVector(np.array([3.0, 4.0])))
    y = dy.cmult(v, w) + s
    results["value before"] = y.npvalue()
    v.set([1, 2, 3])
    w.set([4, 5, 6])
    s.set(-1)
    results["value after"] = y.npvalue()
    return results


@program("inputTensorTranspose")
def input_tensor_transpose(dy, numbers):
    dy.renew_cg()
    v = numbers.uniform(-1, 1, 12).astype(np.float32)
    return shown(dy.inputTensorTranspose(v, (3, 4)), dy.inputTensorTranspose(v), dy.inputTensorTranspose(v, (3, 2), 2))


@program("sparse_inputTensor")
def sparse_input_tensor(dy, numbers):
    dy.renew_cg()
    ids = ([0, 2, 1, 0], [1, 0, 1, 1])
    return shown(
        dy.sparse_inputTensor([[1, 3]], [2.0, 0.5], (5,)),
        dy.sparse_inputTensor(ids, [1.0, 2.0, 3.0, 4.0], (3, 2)),
        dy.sparse_inputTensor(ids, np.array([1.0, 2.0, 3.0, 4.0]), (3, 2), batched=True, defval=-1),
    )


@program("one_hot zeros zeroes ones constant")
def constants(dy, numbers):
    dy.renew_cg()
    return shown(
        dy.one_hot(4, 2),
        dy.one_hot(4, [2, 0, 2]),
        dy.one_hot(3, (1,)),
        dy.zeros((3, 2)),
        dy.zeroes(3),
        dy.zeros((3,), batch_size=2),
        dy.ones((2, 2), 3),
        dy.ones(4),
        dy.constant((2, 3), 1.25),
        dy.constant(2, -0.5, batch_size=3),
    )


@program("matInput inputMatrix")
def removed_inputs(dy, numbers):
    dy.renew_cg()
    calls = [lambda: dy.matInput(2, 2), lambda: dy.inputMatrix([1, 2, 3, 4], (2, 2))]
    return {"exact": np.array([raised(call, DeprecationWarning) for call in calls])}


@program("lookup lookup_batch")
def lookups(dy, numbers):
    model = dy.ParameterCollection()
    table, matrices = model.add_lookup_parameters((6, 4)), model.add_lookup_parameters((5, 2, 3))
    for t in (table, matrices):
        fill_rows(t, numbers)
    dy.renew_cg()
    rows = [dy.lookup(table, 2), table[4], dy.lookup_batch(table, [1, 1, 5]), table.batch([0, 3])]
    rows += [dy.lookup(matrices, 3), dy.lookup_batch(matrices, [4, 0]), dy.lookup(table, 3, update=False)]
    rows += [dy.lookup_batch(table, [2, 2], update=False)]
    results = shown(*rows)
    loss = None
    for k, row in enumerate(rows):
        part = dy.sum_batches(dy.sum_elems(dy.square(row))) * (k + 1)
        loss = part if loss is None else loss + part
    loss.backward()
    results.update(gradients(model))
    rows[0].set(5)
    rows[2].set([0, 2, 4])
    results["value set"] = rows[0].npvalue()
    results["value set batch"] = rows[2].npvalue()
    dy.renew_cg()
    whole = dy.sum_elems(dy.tanh(table))
    results["value whole"] = whole.npvalue()
    whole.backward()
    results["gradient whole"] = table.grad_as_array()
    return results


@program("parameter const_parameter")
def uses_of_parameters(dy, numbers):
    model = dy.ParameterCollection()
    p, q = model.add_parameters((3, 2)), model.add_parameters(4)
    for parameter in (p, q):
        parameter.set_value(numbers.uniform(-1, 1, parameter.shape()))
    dy.renew_cg()
    same = [dy.parameter(p) is p, dy.parameter(p, q) == (p, q)]
    constant, constants = dy.const_parameter(p), dy.const_parameter(p, q)
    loss = dy.sum_elems(dy.square(p)) + dy.sum_elems(constant) + dy.sum_elems(dy.square(q)) + dy.sum_elems(constants[1])
    loss.backward()
    results = gradients(model)
    results.update({"exact": np.array([*same, type(constants) is list]), "value": loss.npvalue()})
    return results
