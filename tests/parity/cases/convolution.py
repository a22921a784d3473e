"""Convolution, pooling, windows."""

from table import operation

ONE_EXAMPLE = "only the first example of a batch is computed"


def sizes(dy, function):
    """Convolutions or poolings with several strides and both ways to treat the border."""
    strides = ([1, 1], [2, 1], [2, 3])
    return [function(stride, valid) for stride in strides for valid in (True, False)]


@operation("conv2d", "6,5,2 3,2,2,3", "6,5 3,3,1,2", "6,5,2x3 3,2,2,3", "5,7,1 1,1,1,2", "5,4,3 2,4,3,1")
def conv2d(dy, x, f):
    return [*sizes(dy, lambda stride, valid: dy.conv2d(x, f, stride, is_valid=valid)), dy.conv2d(x, f, [1, 1])]


@operation("conv2d_bias", "6,5,2 3,2,2,3 3", "6,5,2x3 3,2,2,3 3", "5,4,3 2,4,3,1 1")
def conv2d_bias(dy, x, f, b):
    return [*sizes(dy, lambda stride, valid: dy.conv2d_bias(x, f, b, stride, valid)), dy.conv2d_bias(x, f, b, [1, 1])]


@operation("maxpooling2d", "6,5", "6,5,2", "6,5,2x3", "6,5x3")
def maxpooling2d(dy, x):
    made = sizes(dy, lambda stride, valid: dy.maxpooling2d(x, [3, 2], stride, is_valid=valid))
    return [*made, dy.maxpooling2d(x, [2, 2], [2, 2])]


@operation("kmax_pooling", "3,5", "3,5x2", "2,4,5x3")
def kmax_pooling(dy, x):
    return [dy.kmax_pooling(x, 2), dy.kmax_pooling(x, 2, 0), dy.kmax_pooling(x, k=3, d=1)]


@operation("filter1d_narrow", "3,5 3,2", "3,5 3,2,4", "3,5 3,5", beyond=("3,5x2 3,2,4", "3,5 3,2,1"),
           why=ONE_EXAMPLE + "; the gradient of a single filter with three axes is wrong")  # fmt: skip
def filter1d_narrow(dy, x, f):
    return dy.filter1d_narrow(x, f)


@operation("fold_rows", "6,3", "6,1", beyond=("6,3x2",), why=ONE_EXAMPLE)
def fold_rows(dy, x):
    return [dy.fold_rows(x), dy.fold_rows(x, 3), dy.fold_rows(x, nrows=6)]


@operation("kmh_ngram", "3,5", "1,5", beyond=("3,5x2",), why="it takes no batch")
def kmh_ngram(dy, x):
    return [dy.kmh_ngram(x, 2), dy.kmh_ngram(x, 5), dy.kmh_ngram(x, 1)]
