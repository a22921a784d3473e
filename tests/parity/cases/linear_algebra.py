"""Linear algebra, similarities, contractions."""

import numpy as np
from table import operation

SAME = ("4 4", "3,2 3,2")
NO_BATCH = "it takes no batch"


@operation("transpose", "4", "3,2", "3,2x4", "1,5")
def transpose(dy, x):
    return dy.transpose(x)


@operation("transpose", "2,3,4", "2,3,4x2", name="transpose of three axes")
def transpose_three(dy, x):
    return [dy.transpose(x, [2, 0, 1]), dy.transpose(x, [1, 0, 2]), dy.transpose(x, dims=[0, 2, 1])]


@operation("transpose", "2,3,2,4", name="transpose of four axes")
def transpose_four(dy, x):
    return dy.transpose(x, [3, 1, 0, 2])


@operation("inverse logdet", "1,1", "3,3", "5,5", beyond=("3,3x2",), why=NO_BATCH)
def inverse(dy, x):
    # The larger diagonal keeps the matrix away from singular ones.
    y = x + dy.inputTensor(4 * np.eye(x.dim()[0][0]))
    return [dy.inverse(y), dy.logdet(y)]


@operation("trace_of_product", "3,3 3,3", "3,2 3,2", "4 4", beyond=("3,2x4 3,2x4",), why=NO_BATCH)
def trace_of_product(dy, x, y):
    return dy.trace_of_product(x, y)


@operation("dot_product", *SAME, "3,2x4 3,2x4", "3,2x4 3,2", "4 4x3", "2,3,2 2,3,2")
def dot_product(dy, x, y):
    return dy.dot_product(x, y)


@operation("squared_norm l2_norm", "4", "3,2", "3,2x4", "2,3,2x2")
def squared_norm(dy, x):
    return [dy.squared_norm(x), dy.l2_norm(x)]


@operation("squared_distance", *SAME, "3,2x4 3,2x4", "3,2x4 3,2", "4 4x3", "4,1 4", "4 4,1x2")
def squared_distance(dy, x, y):
    return dy.squared_distance(x, y)


@operation("l1_distance", *SAME, "4,1 4", beyond=("4x3 4x3", "4x3 4"), why=NO_BATCH)
def l1_distance(dy, x, y):
    return dy.l1_distance(x, y)


@operation("huber_distance", *SAME, "4,1 4", low=-2.0, high=2.0, beyond=("4x3 4x3", "4x3 4"), why=NO_BATCH)
def huber_distance(dy, x, y):
    return [dy.huber_distance(x, y), dy.huber_distance(x, y, c=0.4)]


@operation("circ_conv circ_corr", "1 1", "4 4", "5 5", "9 9", beyond=("5x3 5x3",), why=NO_BATCH)
def circ_conv(dy, x, y):
    return [dy.circ_conv(x, y), dy.circ_corr(x, y)]


@operation("contract3d_1d_bias", "2,3,4 4 2,3", "2,3,4x5 4x5 2,3x5", "2,3,4 4x5 2,3", "2,3,4x5 4 2,3")
def contract3d_1d_bias(dy, x, y, b):
    return dy.contract3d_1d_bias(x, y, b)


@operation("contract3d_1d", beyond=("2,3,4 4", "2,3,4x5 4x5"), why="it adds to memory that nobody has cleared")
def contract3d_1d(dy, x, y):
    return dy.contract3d_1d(x, y)


@operation("contract3d_1d_1d", "2,3,4 4 3", "1,2,2 2 2", beyond=("2,3,4x5 4x5 3x5",), why=NO_BATCH)
def contract3d_1d_1d(dy, x, y, z):
    return dy.contract3d_1d_1d(x, y, z)


@operation("contract3d_1d_1d_bias", "2,3,4 4 3 2", beyond=("2,3,4x5 4x5 3x5 2x5",), why=NO_BATCH)
def contract3d_1d_1d_bias(dy, x, y, z, b):
    return dy.contract3d_1d_1d_bias(x, y, z, b)
