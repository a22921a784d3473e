"""The computation graph: versions, marks, recomputation."""

import numpy as np
from table import program, raised


@program("renew_cg cg cg_version ComputationGraph", extra=True)
def versions(dy, numbers):
    before = dy.cg_version()
    graph = dy.renew_cg()
    after = dy.cg_version()
    dy.renew_cg(autobatching=False)
    exact = [after - before, dy.cg_version() - before, graph is dy.cg(), dy.cg().version() == dy.cg_version()]
    dy.cg().renew()
    exact += [dy.cg_version() - before, raised(dy.ComputationGraph, RuntimeError, TypeError)]
    return {"exact": np.array(exact, int)}


@program("ComputationGraph", extra=True)
def nodes_by_number(dy, numbers):
    dy.renew_cg()
    x = dy.inputVector([1.0, 2.0, 4.0])
    y = dy.square(x)
    z = dy.sum_elems(y)
    graph = dy.cg()
    del z
    results = {
        "value scalar": graph.inc_forward_scalar(2),
        "value again": graph.forward_scalar(2),
        "value vector": np.array(graph.inc_forward_vec(1)),
        "value vector again": np.array(graph.forward_vec(1)),
    }
    literal = graph.inputMatrixLiteral([1.0, 2.0, 3.0, 4.0, 5.0, 6.0], (3, 2))
    sparse = graph.inputSparseTensor([1, 3], [2.0, 0.5], (5,), 1, -1.0)
    results.update({"value literal": literal.npvalue(), "value sparse": sparse.npvalue()})
    dy.renew_cg()
    return results


@program("cg_checkpoint cg_revert")
def marks(dy, numbers):
    dy.renew_cg()
    x = dy.inputVector([1.0, 2.0])
    y = dy.square(x)
    dy.cg_checkpoint()
    first = (y + 1).npvalue()
    dy.cg_checkpoint()
    second = (y * 3).npvalue()
    dy.cg_revert()
    third = (y + 2).npvalue()
    dy.cg_revert()
    dy.cg_revert()
    last = dy.sum_elems(y)
    return {"value1": first, "value2": second, "value3": third, "value4": last.npvalue()}


@program("renew_cg")
def recalculation(dy, numbers):
    dy.renew_cg()
    p = dy.ParameterCollection().add_parameters((3,))
    p.set_value(np.array([1.0, 2.0, 3.0]))
    y = dy.sum_elems(dy.square(p))
    results = {"value": y.value()}
    p.set_value(np.array([2.0, 2.0, 3.0]))
    results["value kept"] = y.value()
    results["value anew"] = y.value(recalculate=True)
    return results


@program("renew_cg")
def immediate_computation(dy, numbers):
    dy.renew_cg(immediate_compute=True, check_validity=True)
    x = dy.inputVector([1.0, -1.0])
    results = {"value": (x + 1).npvalue(), "exact": np.array([raised(lambda: dy.log(x).value(), RuntimeError)])}
    dy.renew_cg()
    return results


@program("available_devices get_device_info DeviceInfo", extra=True)
def devices(dy, numbers):
    found = dy.get_device_info("CPU")
    made = dy.DeviceInfo(b"x", 3, 2)
    names = [str(dy.available_devices()), repr(found.name), repr(made.name)]
    unknown = raised(lambda: dy.get_device_info("GPU:7"), RuntimeError)
    return {"exact": np.array([*names, str(found.id), str(made.id), str(found.type), str(unknown)])}


@program("to_device", extra=True, lacks="the value is memory that nobody has written")
def to_device(dy, numbers):
    dy.renew_cg()
    return {"value": dy.to_device(dy.inputVector([1.0, 2.0]), "CPU").npvalue()}
