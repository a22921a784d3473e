"""Arithmetic: operators, elementwise functions of several operands, lists of operands."""

from table import operation

PAIRS = ("4 4", "3,2 3,2", "3,2x4 3,2x4", "3,2x4 3,2", "3,2 3,2x4", "2,3,2 2,3,2")
BROADCAST = ("3,2 3,1", "3,2 1,2", "3 3,2", "3,1x4 1,2", "3,2 1", "3,2x4 3", "2,3,2 2,1,2", "1x4 5")


@operation("Expression", *(PAIRS + BROADCAST), name="x + y")
def add(dy, x, y):
    return [x + y, x - y]


@operation("Expression", "5", "3,2x4", name="x + number", low=0.5, high=2.0)
def with_numbers(dy, x):
    return [x + 2, 2 + x, x - 0.5, 1.5 - x, -x, x * 3, 0.25 * x, x / 4, x**2, x**0.5]


@operation("Expression", "3,4 4", "3,4 4,2", "3,4x2 4,2x2", "3,4 4x5", "3,4x5 4", "3,4 4,2x3", "3 1", "3,4 4,1",
           "1,4 4", name="x * y")  # fmt: skip
def multiply(dy, x, y):
    return x * y


@operation("cmult", *(PAIRS + BROADCAST))
def cmult(dy, x, y):
    return dy.cmult(x, y)


@operation("cdiv", "4 4", "3,2 3,2", "3,2x4 3,2x4", "3,2x4 3,2", "2,3,2 2,3,2", "3,2 3,1", "3,2 1,2", "3,2 1",
           "3,2x4 3", "2,3,2 2,1,2", low=0.5, high=2.0, beyond=("3,2 3,2x4", "3 3,2", "1x4 5"),
           why="only the right operand is broadcast")  # fmt: skip
def cdiv(dy, x, y):
    return dy.cdiv(x, y)


@operation("colwise_add", "3,4 3", "3,4x2 3", "3,4 3,1", "3,4 3x2", "3,4x2 3x2")
def colwise_add(dy, x, y):
    return dy.colwise_add(x, y)


@operation("pow", "4 1", "3,2 1", "3,2x4 1", low=0.3, high=2.0)
def pow_(dy, x, y):
    return dy.pow(x, y)


@operation("bmin bmax", "4 4", "3,2 3,2", "3,2x4 3,2x4", "2,3,2 2,3,2", beyond=("3,2x4 3,2",),
           why="both operands must have the same batch")  # fmt: skip
def bmin(dy, x, y):
    return [dy.bmin(x, y), dy.bmax(x, y)]


LISTS = ("4", "4 4", "4 4 4 4", "3,2x4 3,2x4 3,2x4", "2,3,2 2,3,2")
MIXED = ("3,2x4 3,2 3,2x4", "4 4x3")


@operation("emax", *LISTS, beyond=MIXED, why="it is made of bmax, whose operands must have the same batch")
def emax(dy, *xs):
    return dy.emax(list(xs))


@operation("esum", *(LISTS + MIXED))
def esum(dy, *xs):
    return dy.esum(list(xs))


@operation("average", *LISTS)
def average(dy, *xs):
    return dy.average(list(xs))


@operation("average", *MIXED, name="average of mixed batches", skip="all",
           why="of the gradient of an operand with batch 1 only that of the first example arrives")  # fmt: skip
def average_mixed(dy, *xs):
    return dy.average(list(xs))


@operation("logsumexp", *(LISTS + MIXED))
def logsumexp(dy, *xs):
    return dy.logsumexp(list(xs))


@operation("affine_transform", "4", "3 3,4 4", "3 3,4 4x5", "3x5 3,4 4x5", "3 3,4 4x5 3,2 2x5", "3,2 3,4 4,2",
           "3 3,4 4,2", "3 3,4 4,2 3,2 2,2", "3,1 3,4 4,1", "3x2 3,4x2 4x2")  # fmt: skip
def affine_transform(dy, *xs):
    return dy.affine_transform(list(xs))
