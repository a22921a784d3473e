"""Collections, parameters, look-up tables: names, values, gradients."""

import numpy as np
from table import fill, fill_rows, gradients, program, raised


@program("ParameterCollection Model Parameters LookupParameters")
def names(dy, numbers):
    model = dy.Model()
    members = [model.add_parameters(3), model.add_parameters((3, 2), name="a"), model.add_parameters((2,), name="a")]
    members.append(model.add_lookup_parameters((4, 2), name="a"))
    inner, other = model.add_subcollection("enc"), model.add_subcollection("enc")
    unnamed = model.add_subcollection()
    deeper = inner.add_subcollection("deep")
    for collection in (inner, other, unnamed, deeper):
        members += [collection.add_parameters(2), collection.add_parameters((2,), name="w")]
    members += [deeper.add_lookup_parameters(5), model.add_parameters(1), model.add_lookup_parameters((3, 2, 2))]
    listed = [p.name() for p in model.parameters_list()] + [t.name() for t in model.lookup_parameters_list()]
    collections = [c.name() for c in (model, inner, other, unnamed, deeper)]
    shapes = [repr(p.shape()) for p in members] + [repr(p.dim()) for p in members]
    counts = [c.parameter_count() for c in (model, inner, unnamed)]
    strings = [str(members[0]), str(members[3])]
    bad = [raised(lambda: model.add_parameters(1, name="a/b"), RuntimeError)]
    bad.append(raised(lambda: model.add_parameters(1, name="a_b"), RuntimeError))
    return {
        "exact names": np.array([p.name() for p in members] + listed + collections + shapes + strings),
        "exact counts": np.array(
            [*counts, *bad, model is not dy.ParameterCollection, dy.Model is dy.ParameterCollection]
        ),
    }


@program("Parameters")
def parameter_values(dy, numbers):
    model = dy.ParameterCollection()
    p = model.add_parameters((3, 2))
    results = {}
    p.set_value(numbers.uniform(-1, 1, (3, 2)))
    results["value"] = p.as_array()
    p.scale(0.5)
    results["value scaled"] = p.as_array()
    p.clip_inplace(-0.2, 0.3)
    results["value clipped"] = p.as_array()
    dy.renew_cg()
    dy.squared_norm(p + 1).backward()
    results["gradient"] = p.grad_as_array()
    p.scale_gradient(0.25)
    results["gradient scaled"] = p.grad_as_array()
    exact = [p.is_updated(), raised(lambda: p.set_value(np.ones((2, 3))), ValueError)]
    p.set_updated(False)
    exact.append(p.is_updated())
    dy.renew_cg()
    constant = p.expr()
    both = (
        dy.sum_elems(dy.square(constant)) + dy.sum_elems(p.expr(True)) + dy.sum_elems(dy.square(p.expr(update=False)))
    )
    both.backward()
    results["gradient of uses"] = p.grad_as_array()
    results["value of uses"] = both.npvalue()
    p.zero()
    results["value zero"], results["gradient zero"] = p.as_array(), p.grad_as_array()
    results["exact"] = np.array(exact)
    return results


@program("Parameters")
def parameters_as_expressions(dy, numbers):
    model = dy.ParameterCollection()
    p, q = model.add_parameters((3, 2)), model.add_parameters(2)
    fill(model, numbers)
    dy.renew_cg()
    results = {
        "value rows": (p[0] + p[2]).npvalue(),
        "value slice": p[1:3].npvalue(),
        "value product": (p * q).npvalue(),
    }
    results.update({"value": p.npvalue(), "value list": np.array(q.value()), "value flat": np.array(p.vec_value())})
    loss = dy.sum_elems(dy.tanh(p * q)) + dy.sum_elems(dy.square(p[1])) + dy.squared_norm(q)
    loss.backward()
    results.update(gradients(model))
    loss.backward()
    results["gradient twice"] = p.grad_as_array()
    return results


@program("LookupParameters")
def table_values(dy, numbers):
    model = dy.ParameterCollection()
    table, deep = model.add_lookup_parameters((5, 3)), model.add_lookup_parameters((4, 2, 3))
    for t in (table, deep):
        fill_rows(t, numbers)
    results = {"value": table.as_array(), "value deep": deep.as_array()}
    results["value row"], results["value rows"] = table.row_as_array(2), np.array(table.rows_as_array([4, 1, 1]))
    results["value deep row"] = deep.row_as_array(3)
    table.init_from_array(numbers.uniform(-1, 1, (2, 3)))
    results["value initialised"] = table.as_array()
    table.scale(0.5)
    results["value scaled"] = table.as_array()
    dy.renew_cg()
    (dy.squared_norm(table[1]) + dy.sum_elems(table[3]) + dy.sum_elems(dy.square(deep[2]))).backward()
    results.update(gradients(model))
    results["gradient row"], results["gradient rows"] = (
        table.row_grad_as_array(1),
        np.array(table.rows_grad_as_array([3, 0])),
    )
    table.scale_gradient(0.5)
    results["gradient scaled"] = table.grad_as_array()
    dy.renew_cg()
    results["value whole"], results["exact shapes"] = (
        table.npvalue(),
        np.array([repr(table.shape()), repr(table.dim())]),
    )
    table.zero()
    results["value zero"], results["gradient kept"] = table.as_array(), table.grad_as_array()
    results["exact"] = np.array([len(table), len(deep), table.is_updated()])
    return results


@program("ParameterCollection")
def parameters_from_numpy(dy, numbers):
    model = dy.ParameterCollection()
    vector, matrix, cube = (numbers.uniform(-1, 1, shape) for shape in ((3,), (3, 2), (2, 3, 2)))
    made = [model.parameters_from_numpy(a) for a in (vector, matrix, cube)]
    made += [model.add_parameters((7, 7), init=matrix), model.lookup_parameters_from_numpy(matrix)]
    made += [model.add_lookup_parameters((3, 2), init=matrix)]
    return {f"value{k}": p.as_array() for k, p in enumerate(made)}


@program("ParameterCollection", lacks="rows of more than one axis get the elements of others")
def tables_of_matrices_from_numpy(dy, numbers):
    array = numbers.uniform(-1, 1, (4, 2, 3)).astype(np.float32)
    table = dy.ParameterCollection().lookup_parameters_from_numpy(array)
    return {"exact": np.array_equal(table.as_array(), array)}
