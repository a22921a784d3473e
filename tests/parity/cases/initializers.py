"""Initializers: exact values where they are certain, bounds and spread where they are drawn."""

import os
import tempfile

import numpy as np
from table import program, raised

# So many numbers that the largest is near the bound, and the variance near the true one.
SIDE = 120


def drawn(array, bound=None, deviation=None, mean=0.0):
    """Whether numbers fill (-bound, bound) evenly, or have this standard deviation."""
    n = array.size
    if bound is not None:
        even = abs((array**2).mean() - bound**2 / 3) < 5 * bound**2 * np.sqrt(4 / 45 / n)
        return [np.abs(array).max() <= bound * 1.000001, np.abs(array).max() > bound * (1 - 30 / n), even]
    spread = abs(((array - mean) ** 2).mean() - deviation**2) < 5 * deviation**2 * np.sqrt(2 / n)
    return [abs(array.mean() - mean) < 5 * deviation / np.sqrt(n), spread]


@program("GlorotInitializer UniformInitializer NormalInitializer")
def drawn_values(dy, numbers):
    model = dy.ParameterCollection()
    glorot, half = np.sqrt(6 / (2 * SIDE)), SIDE // 2
    square = (SIDE, SIDE)
    found = []
    for init in (None, "glorot", dy.GlorotInitializer()):
        found += drawn(model.add_parameters(square, init=init).as_array(), glorot)
    found += drawn(model.add_parameters(square, init=dy.GlorotInitializer(gain=0.5)).as_array(), glorot / 2)
    found += drawn(model.add_parameters(20 * SIDE).as_array(), np.sqrt(3 / (20 * SIDE)))
    found += drawn(model.add_parameters((10, 20, half)).as_array(), np.sqrt(9 / (30 + half)))
    found += drawn(model.add_parameters((4, 5, 10, half)).as_array(), np.sqrt(6 / ((10 + half) * 20)))
    # The rows of a table count, unless the initializer says that it is one.
    found += drawn(model.add_lookup_parameters((SIDE, half)).as_array(), np.sqrt(6 / (SIDE + half)))
    alone = dy.GlorotInitializer(is_lookup=True)
    found += drawn(model.add_lookup_parameters((SIDE, half), init=alone).as_array(), np.sqrt(3 / half))
    found += drawn(model.add_parameters(square, init=dy.UniformInitializer(0.3)).as_array(), 0.3)
    found += drawn(model.add_parameters(square, init="uniform", scale=0.7).as_array(), 0.7)
    found += drawn(
        model.add_parameters(square, init=dy.NormalInitializer(1.0, 4.0)).as_array(), deviation=2.0, mean=1.0
    )
    found += drawn(model.add_parameters(square, init="normal", mean=-1.0, std=0.5).as_array(), None, 0.5, -1.0)
    found += drawn(model.add_parameters(square, init="he").as_array(), None, np.sqrt(1 / (2 * SIDE)))
    return {"exact": np.array(found)}


@program("ConstInitializer IdentityInitializer NumpyInitializer SaxeInitializer FromFileInitializer")
def certain_values(dy, numbers):
    model = dy.ParameterCollection()
    array = numbers.uniform(-1, 1, (3, 2))
    saxe = model.add_parameters((20, 20), init=dy.SaxeInitializer(0.5)).as_array()
    handle, path = tempfile.mkstemp()
    with os.fdopen(handle, "w") as file:
        file.write("1.5 -2\n0.25 3e-1 4 5")
    results = {
        "value constant": model.add_parameters((3, 2), init=dy.ConstInitializer(1.25)).as_array(),
        "value number": model.add_parameters(3, init=0.75).as_array(),
        "value int": model.add_parameters(3, init=2).as_array(),
        "value table": model.add_lookup_parameters((3, 2), init=dy.ConstInitializer(-0.5)).as_array(),
        "value identity": model.add_parameters((4, 4), init=dy.IdentityInitializer()).as_array(),
        "value identity by name": model.add_parameters((4, 4), init="identity").as_array(),
        "value array": model.add_parameters((3, 2), init=dy.NumpyInitializer(array)).as_array(),
        "value file": model.add_parameters((3, 2), init=dy.FromFileInitializer(path.encode())).as_array(),
        "value saxe": saxe.dot(saxe.T),
    }
    os.remove(path)
    refused = [
        raised(lambda: model.add_parameters((3, 2), init=dy.IdentityInitializer()), RuntimeError),
        raised(lambda: model.add_parameters((3, 2), init=dy.SaxeInitializer()), RuntimeError),
        raised(lambda: model.add_parameters(3, init="unknown"), ValueError),
    ]
    results["exact"] = np.array(refused)
    return results
