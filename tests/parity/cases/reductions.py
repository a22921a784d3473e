"""Sums, means, moments, maxima along axes and over the batch."""

from table import operation

MATRICES = ("4", "3,2", "3,2x4", "5x3")
BATCHES = ("4", "4x3", "3,2x4")


@operation("sum_elems", *MATRICES, "2,3,2", "2,3,2x3")
def sum_elems(dy, x):
    return dy.sum_elems(x)


@operation("mean_elems std_elems moment_elems", *MATRICES)
def mean_elems(dy, x):
    return [dy.mean_elems(x), dy.std_elems(x), dy.moment_elems(x, 1), dy.moment_elems(x, 2), dy.moment_elems(x, 3)]


@operation("sum_batches", *BATCHES, "2,3,2x3")
def sum_batches(dy, x):
    return dy.sum_batches(x)


@operation("mean_batches std_batches moment_batches", "4x3", "3,2x4")
def mean_batches(dy, x):
    return [dy.mean_batches(x), dy.std_batches(x), dy.moment_batches(x, 2), dy.moment_batches(x, 3)]


@operation("sum_dim", "3,2", "3,2x4", "2,3,4", "2,3,4x2")
def sum_dim(dy, x):
    made = [dy.sum_dim(x, [0]), dy.sum_dim(x, [1]), dy.sum_dim(x, [0, 1]), dy.sum_dim(x, [1, 0])]
    return [*made, dy.sum_dim(x, [0], True), dy.sum_dim(x, [], True)]


@operation("sum_dim", "5", "5x3", name="sum_dim of vectors")
def sum_dim_of_vectors(dy, x):
    return [dy.sum_dim(x, [0]), dy.sum_dim(x, [0], b=True)]


@operation("cumsum", "5", "3,2", "3,2x4", "2,3,2x2")
def cumsum(dy, x):
    return [dy.cumsum(x), dy.cumsum(x, len(x.dim()[0]) - 1)]


@operation("mean_dim moment_dim", "3,2", "3,2x4", "2,3,4", "2,3,4x2")
def mean_dim(dy, x):
    made = [dy.mean_dim(x, [0], False), dy.mean_dim(x, [1], True), dy.mean_dim(x, [0, 1], False)]
    made += [dy.mean_dim(x, [0], False, 5), dy.moment_dim(x, [1], 2, False), dy.moment_dim(x, [0], 3, True)]
    return [*made, dy.moment_dim(x, [0], 2, False, 7)]


@operation("std_dim", "3,2", "3,2x4", "2,3,4", "2,3,4x2")
def std_dim(dy, x):
    return [dy.std_dim(x, [0], False), dy.std_dim(x, [1], True), dy.std_dim(x, [0, 1], False)]


@operation("max_dim min_dim", "5", "3,2", "3,2x4", "2,3,4", "2,3,4x2")
def max_dim(dy, x):
    axes = range(len(x.dim()[0]))
    return [dy.max_dim(x), dy.min_dim(x), *[f(x, d) for f in (dy.max_dim, dy.min_dim) for d in axes]]


@operation("logsumexp_dim", "5", "5x3", "3,2", "3,2x4", "3,3x2")
def logsumexp_dim(dy, x):
    return dy.logsumexp_dim(x)


@operation("logsumexp_dim", "3,3", "3,3x2", beyond=("4,2", "2,4x3"), name="logsumexp_dim of rows",
           why="of a matrix that is not square the values are wrong, or written outside of the buffer")  # fmt: skip
def logsumexp_of_rows(dy, x):
    return dy.logsumexp_dim(x, 1)
