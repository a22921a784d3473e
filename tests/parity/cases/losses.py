"""The softmax family, losses, normalisation."""

import numpy as np
from table import operation, program, raised

NO_BATCH = "it takes no batch"


@operation("softmax", "5", "5x3", "4,3", "4,3x2", low=-3.0, high=3.0)
def softmax(dy, x):
    return [dy.softmax(x), *[dy.softmax(x, d) for d in range(len(x.dim()[0]))]]


@operation("log_softmax", "5", "5x3", "4,3", "4,3x2", "1", low=-3.0, high=3.0)
def log_softmax(dy, x):
    return dy.log_softmax(x)


@operation("log_softmax", "6", low=-3.0, high=3.0, name="log_softmax of some", beyond=("6x3",), why=NO_BATCH)
def log_softmax_of_some(dy, x):
    # The others are -inf, which has no product with a number.
    return [dy.select_rows(dy.log_softmax(x, [4, 1, 2]), [1, 2, 4]), dy.pick(dy.log_softmax(x, [3]), 3)]


@operation("sparsemax", "5", "5,1", "9", low=-1.0, high=1.0, beyond=("5x3",), why=NO_BATCH)
def sparsemax(dy, x):
    return dy.sparsemax(x)


@operation("constrained_softmax", "5 5", "9 9", low=0.25, high=0.6, beyond=("5x3 5x3",), why=NO_BATCH)
def constrained_softmax(dy, x, y):
    return dy.constrained_softmax(x * 4, y)


@operation("pickneglogsoftmax", "5", "5,1", "1", low=-3.0, high=3.0)
def pickneglogsoftmax(dy, x):
    last = x.dim()[0][0] - 1
    return [dy.pickneglogsoftmax(x, 0), dy.pickneglogsoftmax(x, last)]


@operation("pickneglogsoftmax_batch", "5x3", "5,1x3", low=-3.0, high=3.0)
def pickneglogsoftmax_batch(dy, x):
    return dy.pickneglogsoftmax_batch(x, [4, 0, 4])


@operation("hinge", "5", "5,1", low=-2.0, high=2.0)
def hinge(dy, x):
    return [dy.hinge(x, 2), dy.hinge(x, 0, 0.3), dy.hinge(x, 1, m=0.0)]


@operation("hinge_batch", "5x3", low=-2.0, high=2.0)
def hinge_batch(dy, x):
    return [dy.hinge_batch(x, [4, 0, 4]), dy.hinge_batch(x, [1, 1, 2], 0.3)]


@operation("hinge_dim", "4,3", "4,3x2", low=-2.0, high=2.0)
def hinge_dim(dy, x):
    return [dy.hinge_dim(x, [3, 0, 2]), dy.hinge_dim(x, [2, 0, 2, 1], d=1, m=0.4)]


@operation("hinge_dim", beyond=("2,5",), low=-2.0, high=2.0, name="hinge_dim of long rows",
           why="the index bound is that of the rows for both axes")  # fmt: skip
def hinge_dim_of_long_rows(dy, x):
    return dy.hinge_dim(x, [4, 3], d=1)


@operation("binary_log_loss", "4 4", "3,2 3,2", low=0.05, high=0.95, skip=(1,), beyond=("4x3 4x3",),
           why="the gradient of the target has the operands exchanged; it takes no batch")  # fmt: skip
def binary_log_loss(dy, x, y):
    return dy.binary_log_loss(x, y)


@operation("pairwise_rank_loss", "1 1", "1,4 1,4", "1,4x3 1,4x3", "1x5 1x5")
def pairwise_rank_loss(dy, x, y):
    return [dy.pairwise_rank_loss(x, y), dy.pairwise_rank_loss(x, y, 0.2)]


@operation("poisson_loss", "1", "1,1", unit=True, beyond=("1x3",), why=NO_BATCH)
def poisson_loss(dy, x):
    return dy.poisson_loss(x, 3)


@operation("poisson_loss", "1", name="poisson_loss scaled", skip="all", why="the gradient ignores that of the loss")
def poisson_loss_scaled(dy, x):
    return [dy.poisson_loss(x, 0), dy.poisson_loss(x, 7) * 2]


@operation("layer_norm", "5 5 5", "5x3 5 5", "3,2 3,2 3,2", "3,2x4 3,2 3,2", "3,2x4 3 3")
def layer_norm(dy, x, g, b):
    return dy.layer_norm(x, g, b)


@operation("weight_norm", "5 1", "3,4 1", "2,3,2 1", beyond=("3,4x2 1",), why=NO_BATCH)
def weight_norm(dy, w, g):
    return dy.weight_norm(w, g)


@program("pickneglogsoftmax pick lookup")
def indices_that_are_not_there(dy, numbers):
    # An index is refused when it is given, or when the value is computed.
    model = dy.ParameterCollection()
    table = model.add_lookup_parameters((4, 3))
    calls = [
        lambda x: dy.pickneglogsoftmax(x, 5),
        lambda x: dy.pickneglogsoftmax(x, -1),
        lambda x: dy.pick(x, 5),
        lambda x: dy.pick_range(x, 3, 6),
        lambda x: dy.lookup(table, 4),
        lambda x: dy.lookup_batch(table, [0, 4]),
        lambda x: dy.hinge(x, 5),
    ]
    refused = []
    for call in calls:
        dy.renew_cg()
        x = dy.inputVector([1.0, 2.0, 3.0, 4.0, 5.0])
        refused.append(raised(lambda: call(x).value(), ValueError, IndexError, OverflowError))  # noqa: B023
    dy.renew_cg()
    return {"exact": np.array(refused)}
