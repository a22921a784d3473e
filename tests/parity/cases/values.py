"""Boxes for numbers and arrays."""

import numpy as np
from table import program


@program("UnsignedValue FloatValue UnsignedVectorValue FloatVectorValue", extra=True)
def boxes(dy, numbers):
    unsigned, number = dy.UnsignedValue(7), dy.FloatValue(0.1)
    several, reals = dy.UnsignedVectorValue([1, 2, 3]), dy.FloatVectorValue([0.1, -2])
    results = {
        "exact": np.array([unsigned.get(), dy.UnsignedValue().get(), several.size(), reals.size(), *several.get()]),
        "value": np.array([number.get(), dy.FloatValue().get(), *reals.get()]),
    }
    unsigned.set(9)
    number.set(0.3)
    several.set([4, 5])
    reals.set([0.5])
    results["exact set"] = np.array([unsigned.get(), several.size(), *several.get()])
    results["value set"] = np.array([number.get(), *reals.get()])
    return results
