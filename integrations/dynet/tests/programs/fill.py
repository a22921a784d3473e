"""First values that are the same under every toolkit: the programs then print the same numbers."""

import numpy as np


def fill(collection):
    for k, p in enumerate(collection.parameters_list()):
        size = int(np.prod(p.shape()))
        p.set_value(0.4 * np.sin(1.7 * np.arange(size) + k).reshape(p.shape()))
    for k, table in enumerate(collection.lookup_parameters_list()):
        size = int(np.prod(table.shape()))
        table.init_from_array(0.5 * np.cos(1.3 * np.arange(size) + k).reshape(table.shape()))
