"""The same start values for the same model, whichever toolkit fills its parameters.

DyNet and Weft draw different random numbers. These programs draw theirs with NumPy, so that both toolkits begin at the
same place and can be compared number by number. A program of its own needs nothing of this.
"""

import numpy as np


def fill(model, seed=1):
    """Biases (vectors) become 0; everything else gets Glorot's range (Glorot and Bengio 2010), as new parameters do."""
    rng = np.random.RandomState(seed)

    def uniform(shape):
        bound = (3.0 * len(shape) / sum(shape)) ** 0.5
        return rng.uniform(-bound, bound, shape)

    for parameter in model.parameters_list():
        shape = parameter.shape()
        parameter.set_value(uniform(shape) if len(shape) > 1 else np.zeros(shape))
    for table in model.lookup_parameters_list():
        for row, values in enumerate(uniform(table.shape())):
            table.init_row(row, values.ravel(order="F"))
