"""Parts of values, other shapes, values one after another."""

from table import operation


@operation("pick", "5", "5x3", "4,3", "4,3x2", "2,3,4")
def pick(dy, x):
    axes = range(len(x.dim()[0]))
    return [dy.pick(x), *[dy.pick(x, 1, d) for d in axes], dy.pick(x, index=0, dim=0)]


@operation("pick", "5", "4,3x2", name="pick another")
def pick_another(dy, x):
    y = dy.pick(x, 3)
    y.forward()
    y.set_index(2)
    return y


@operation("pick_batch", "5x3", "5", "4,3x3", "4,3", "2,4,3x3")
def pick_batch(dy, x):
    return [dy.pick_batch(x, [1, 0, 1]), dy.pick_batch(x, [0, 0, 0], len(x.dim()[0]) - 1)]


@operation("pick_batch", "5x3", "5", name="pick another batch")
def pick_another_batch(dy, x):
    y = dy.pick_batch(x, [1, 4, 0])
    y.forward()
    y.set_index([2, 2, 3])
    return y


@operation("pick_range pickrange", "5", "5x3", "4,3", "4,3x2", "4,3,3x2")
def pick_range(dy, x):
    return [dy.pick_range(x, 1, 3), dy.pickrange(x, 0, 2), dy.pick_range(x, 0, 1, 0)]


@operation("pick_range", "4,3", "4,3x2", "2,3,4x2", name="pick_range of columns")
def pick_range_of_columns(dy, x):
    return [dy.pick_range(x, 1, 3, 1), dy.pick_range(x, s=0, e=3, d=1)]


@operation("pick_batch_elem pick_batch_elems", "5x3", "4,3x5", "2,3,2x3", "4")
def pick_batch_elem(dy, x):
    last = x.dim()[1] - 1
    return [dy.pick_batch_elem(x, last), dy.pick_batch_elems(x, [last, 0, last]), dy.pick_batch_elems(x, [0])]


@operation("strided_select", "7", "7x3", "6,4", "6,4x3", "4,3,2x3")
def strided_select(dy, x):
    n = len(x.dim()[0])
    made = [dy.strided_select(x, [2], [], []), dy.strided_select(x, [3], [1], [4]), dy.strided_select(x, [], [2], [])]
    return [*made, dy.strided_select(x, [1] * n + [2], [0] * n + [x.dim()[1] - 1], [])]


@operation("Expression", "7", "7x3", "6,4", "6,4x3", name="slices")
def indexing(dy, x):
    made = [x[0], x[-1], x[2], x[1:4], x[:3], x[2:], x[1:6:2]]
    if len(x.dim()[0]) > 1:
        made += [x[1:3, 0:2], x[:, 1:4:2]]
    return made


@operation("select_rows", "5", "5x3", "4,3", "4,3x2", "4,3,2")
def select_rows(dy, x):
    return [dy.select_rows(x, [2, 0, 2]), dy.select_rows(x, (1,))]


@operation("select_cols", "4,3", "4,3x2", "1,3")
def select_cols(dy, x):
    return [dy.select_cols(x, [2, 0, 2]), dy.select_cols(x, (1,))]


@operation("reshape", "6", "3,4", "3,4x2", "2,3,2x4")
def reshape(dy, x):
    (dims, batch), size = x.dim(), 1
    for d in dims:
        size *= d
    made = [dy.reshape(x, (size,)), dy.reshape(x, (2, size // 2)), dy.reshape(x, (1, size, 1))]
    return [y * 1 for y in [*made, dy.reshape(x, (2,), size * batch // 2)]]


@operation("concatenate concatenate_cols", "3 3", "3", "3,2 3,2 3,2", "3,2x4 3,2 3,2x4", "3x2 3x2", "3 3,2")
def concatenate(dy, *xs):
    return [dy.concatenate(list(xs), 1), dy.concatenate_cols(list(xs)), dy.concatenate(list(xs[:1]) * 3)]


@operation("concatenate", "3 2 4", "3,2 1,2", "3,2x4 1,2", "2,3,2 1,3,2", name="concatenate of rows")
def concatenate_rows(dy, *xs):
    return dy.concatenate(list(xs))


@operation("concatenate", "2,3,2 2,3,1", "2,3,2x3 2,3,1", name="concatenate of slices")
def concatenate_slices(dy, *xs):
    return dy.concatenate(list(xs), d=2)


@operation("concatenate_to_batch", "4 4", "4x3 4", "3,2x2 3,2x3 3,2", "4")
def concatenate_to_batch(dy, *xs):
    return dy.concatenate_to_batch(list(xs))
