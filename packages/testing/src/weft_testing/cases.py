"""The table of cases: every operation of the catalogue, with its attributes, broadcasts and edge shapes.

Where an operation has attributes, the instances of one graph take different ones that give results of equal shape: so
an attribute that does not reach the signature is seen. Numbers of the payload differ between instances, too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import weft_core as w
from weft_core import Expression
from weft_core.ops.arithmetic import power, subtract
from weft_core.ops.products import multiply
from weft_core.ops.selection import select

from .case import Case, Dims, Instance
from .cells import CELLS
from .linear_cases import LINEAR
from .spatial_cases import SPATIAL

ZERO, STRAIGHT = "zero_gradient", "straight_through_gradient"
UNARY_SHAPES = {"one": ((1,),), "wide": ((37,),), "cube": ((2, 3, 2),)}
BINARY_SHAPES = {"one": ((1,), (1,)), "wide": ((37,), (37,)), "cube": ((2, 3, 2), (2, 3, 2))}


def case(name: str, f: Callable[..., Any], *dims: Dims, **options: Any) -> Case:
    """A case whose instances are alike: `f(*operands)`."""
    return Case(name, lambda instance, *xs: f(*xs), dims, **options)


def turning(name: str, f: Callable[..., Any], *dims: Dims, **options: Any) -> Case:
    """A case whose instances differ: `f(instance, *operands)`."""
    return Case(name, f, dims, **options)


def listed(name: str, f: Callable[[list[Expression]], Expression], *dims: Dims, **options: Any) -> Case:
    """A case of a function of a list: `f([operands])`."""
    return Case(name, lambda instance, *xs: f(list(xs)), dims, **options)


# --- elementwise ----------------------------------------------------------------------------------

_DOMAINS: tuple[tuple[str, float, float], ...] = (
    (
        "square cube exp abs tanh logistic rectify softsign erf log_sigmoid sin cos atan sinh cosh asinh elu selu silu",
        -2,
        2,
    ),
    ("sqrt log lgamma", 0.5, 3),
    ("tan asin acos atanh", -0.75, 0.75),
    ("acosh", 1.5, 3),
)

UNARY = [
    case(name, getattr(w, name), (3, 2), low=low, high=high, shapes=UNARY_SHAPES)
    for names, low, high in _DOMAINS
    for name in names.split()
]

ACTIVATIONS = [
    turning("elu-alpha", lambda i, x: w.elu(x, i.turn(1, 2) / 4), (4,)),
    turning("silu-beta", lambda i, x: w.silu(x, i.turn(1, 3) / 2), (4,)),
    *[case(f"{f}-{ZERO}", lambda x, f=f: getattr(w, f)(x, ZERO), (3, 2)) for f in ("round", "ceil", "floor")],
    *[
        case(f"{f}-{STRAIGHT}", lambda x, f=f: getattr(w, f)(x, STRAIGHT), (3, 2), differentiable=False)
        for f in ("round", "ceil", "floor")
    ],
    turning("argmax", lambda i, x: w.argmax(x, (ZERO, STRAIGHT)[i.number % 2]), (4, 2), differentiable=False),
    turning("argmax-wide", lambda i, x: w.argmax(x, (STRAIGHT, ZERO)[i.number % 2]), (37,), differentiable=False),
    case("nobackprop", w.nobackprop, (3, 2), differentiable=False),
    case("flip_gradient", w.flip_gradient, (3, 2), differentiable=False),
    turning("scale_gradient", lambda i, x: w.scale_gradient(x, i.turn(-1, 3) / 2), (3, 2), differentiable=False),
]

_BROADCASTS: dict[str, tuple[Dims, Dims]] = {
    "column": ((3, 2), (3,)),
    "row": ((3, 2), (1, 2)),
    "number": ((3, 2), (1,)),
    "left": ((1, 2), (3, 2)),
    "outer": ((3, 1), (1, 2)),
    "middle": ((2, 3, 2), (1, 3, 1)),
    "ends": ((2, 1, 3), (1, 2, 3)),
}

BINARY = [
    case(name, f, (3, 2), (3, 2), low=low, shapes=BINARY_SHAPES)
    for name, f, low in (
        ("add", lambda x, y: x + y, -2.0),
        ("subtract", lambda x, y: x - y, -2.0),
        ("cmult", w.cmult, -2.0),
        ("cdiv", w.cdiv, 0.5),
        ("power", power, 0.5),
        ("bmin", w.bmin, -2.0),
        ("bmax", w.bmax, -2.0),
    )
] + [
    case(f"{name}-{kind}", f, *dims, low=low)
    for name, f, low in (
        ("cmult", w.cmult, -2.0),
        ("cdiv", w.cdiv, 0.5),
        ("subtract", subtract, -2.0),
        ("bmax", w.bmax, -2.0),
    )
    for kind, dims in _BROADCASTS.items()
]

OPERATORS = [
    case("cmult-twice", lambda x: w.cmult(x, x), (3, 2)),
    case("colwise_add", w.colwise_add, (3, 2), (3,)),
    case("colwise_add-column", w.colwise_add, (3, 4), (3, 1)),
    case("addmv", w.addmv, (3, 2), (3,)),
    case("operator-truediv", lambda x, y: x / y, (3,), (3,), low=0.5),
    case("operator-neg", lambda x: -x, (3, 2), shapes=UNARY_SHAPES),
    turning("operator-add_number", lambda i, x: x + (0.5 + i.number), (3, 2), shapes=UNARY_SHAPES),
    turning("operator-radd", lambda i, x: (0.5 + i.number) + x, (3,)),
    turning("operator-sub_number", lambda i, x: x - (0.5 + i.number), (3, 2)),
    turning("operator-rsub", lambda i, x: (0.5 + i.number) - x, (3, 2)),
    turning("operator-mul_number", lambda i, x: x * (0.5 + i.number), (3, 2), shapes=UNARY_SHAPES),
    turning("operator-rmul", lambda i, x: (0.5 + i.number) * x, (3,)),
    turning("operator-div_number", lambda i, x: x / (0.5 + i.number), (3, 2)),
    turning("operator-rdiv", lambda i, x: (0.5 + i.number) / x, (3, 2), low=0.5),
    turning("operator-pow", lambda i, x: x ** i.turn(2, 3), (3, 2)),
    turning("pow", lambda i, x: w.pow(x, i.turn(1, 5) / 2), (3, 2), low=0.5, shapes=UNARY_SHAPES),
    case("pow-expression", w.pow, (3, 2), (1,), low=0.5, modes="unbatched"),
    case("pow-column", w.pow, (3,), (1, 1), low=0.5, modes="unbatched"),
]

# --- products -------------------------------------------------------------------------------------


def _affine(i: Instance, *xs: Expression) -> Expression:
    """`b + W0 x0 + W1 x1 + ...` with parameters of four rows."""
    terms: list[Expression] = [i.parameter("b", 4)]
    for k, x in enumerate(xs):
        terms += [i.parameter(f"W{k}", 4, x.shape.rows), x]
    return w.affine_transform(terms)


def _recurrent(i: Instance, h: Expression, x: Expression) -> Expression:
    """Two or three steps of a plain recurrence: products inside of it run level by level, those outside at once."""
    for _ in range(2 + i.number % 2):
        h = w.tanh(w.affine_transform([i.parameter("b", 3), i.parameter("W", 3, 3), h, i.parameter("U", 3, 2), x]))
    return h


PRODUCTS = [
    case("multiply", multiply, (3, 2), (2, 4), shapes={"one": ((1, 1), (1,)), "wide": ((5, 37), (37, 3))}),
    case("multiply-vector", multiply, (3, 2), (2,)),
    case("multiply-row", multiply, (1, 3), (3,)),
    case("multiply-outer", multiply, (3,), (1, 4)),
    case("multiply-twice", lambda x: x * x, (3, 3)),
    turning("multiply-parameter", lambda i, x: i.parameter("W", 4, 3) * x, (3,), shapes={"cube": ((3, 2),)}),
    turning("multiply-both_sides", lambda i, x: i.parameter("W", 4, 3) * x * i.parameter("V", 2, 5), (3, 2)),
    turning("multiply-constant", lambda i, x: w.const_parameter(i.parameter("W", 4, 3)) * x, (3,)),
    turning("multiply-wide", lambda i, x: i.parameter("W", 41, 37) * x, (37,), tolerance=2e-5),
    turning("affine_transform", _affine, (3,), shapes={"one": ((1,),), "wide": ((37,),), "cube": ((3, 2),)}),
    turning("affine_transform-two", _affine, (3,), (2,)),
    turning("affine_transform-three", _affine, (3, 2), (2, 2), (1, 2)),
    turning("affine_transform-column", _affine, (3, 1)),
    turning("affine_transform-mixed_columns", _affine, (3,), (2, 1)),
    turning(
        "affine_transform-wide_bias",
        lambda i, x: w.affine_transform([i.parameter("B", 4, 2), i.parameter("W", 4, 3), x]), (3, 2),
    ),
    turning(
        "affine_transform-computed_bias",
        lambda i, b, x: w.affine_transform([b, i.parameter("W", 4, 3), x]), (4,), (3,),
    ),
    turning(
        "affine_transform-computed_weight",
        lambda i, m, x: w.affine_transform([i.parameter("b", 4), m, x]), (4, 3), (3,),
    ),
    turning(
        "affine_transform-partly_constant",
        lambda i, x: w.affine_transform([i.parameter("b", 4), w.const_parameter(i.parameter("W", 4, 3)), x]), (3,),
    ),
    turning(
        "affine_transform-same_weight",
        lambda i, x, y: w.affine_transform([i.parameter("b", 4), i.parameter("W", 4, 3), x, i.parameter("W", 4, 3), y]),
        (3,), (3,),
    ),
    turning(
        "affine_transform-same_operand",
        lambda i, x: w.affine_transform([i.parameter("b", 4), i.parameter("W", 4, 3), x, i.parameter("V", 4, 3), x]),
        (3,),
    ),
    turning("affine_transform-recurrent", _recurrent, (3,), (2,)),
    case("affine_transform-computed", lambda b, m, x: w.affine_transform([b, m, x]), (4, 1), (4, 3), (3, 2)),
    case("affine_transform-alone", lambda b: w.affine_transform([b]), (4,)),
]  # fmt: skip

# --- structure and selection ----------------------------------------------------------------------

STRUCTURE = [
    turning("reshape", lambda i, x: w.reshape(x, ((2, 3), (6, 1))[i.number % 2]), (3, 2)),
    case("reshape-to_batch", lambda x: w.reshape(x, (2,), 3), (6,), modes="unbatched"),
    case("reshape-from_batch", lambda x: w.reshape(x, (x.shape.total,)), (3, 2)),
    turning("transpose", lambda i, x: w.transpose(x), (3, 2), shapes={"one": ((1, 1),), "wide": ((37, 3),)}),
    case("transpose-vector", w.transpose, (3,)),
    turning("transpose-axes", lambda i, x: w.transpose(x, ((2, 0, 1), (1, 2, 0))[i.number % 2]), (3, 3, 3)),
    listed(
        "concatenate", w.concatenate, (3,), (2,), (4,), shapes={"one": ((1,), (1,), (1,)), "wide": ((37,), (2,), (5,))}
    ),
    listed("concatenate-matrices", w.concatenate, (3, 2), (1, 2)),
    turning("concatenate-axis", lambda i, x, y: w.concatenate([x, y], i.number % 2), (3, 3), (3, 3)),
    listed("concatenate-last", lambda xs: w.concatenate(xs, 2), (3, 2), (3, 2, 2)),
    case("concatenate-twice", lambda x: w.concatenate([x, x]), (3,)),
    listed("concatenate_cols", w.concatenate_cols, (3,), (3, 2), (3,)),
    listed("concatenate_to_batch", w.concatenate_to_batch, (3, 2), (3, 2), (3, 2)),
    turning("pick", lambda i, x: w.pick(x, i.turn(2, 0, 3)), (4,), shapes={"wide": ((37,),)}),
    case("pick-one", w.pick, (1,)),
    turning("pick-row", lambda i, x: w.pick(x, i.turn(1, 2)), (3, 2)),
    turning("pick-axis", lambda i, x: w.pick(x, i.turn(1, 0, 2), i.turn(1, 0)), (3, 3)),
    turning("pick-middle", lambda i, x: w.pick(x, i.turn(1, 0), 1), (3, 2, 2)),
    turning("pick_batch", lambda i, x: w.pick_batch(x, (i.turn(2, 0, 1), 0, 3)), (4,)),
    turning("pick_batch-column", lambda i, x: w.pick_batch(x, (i.turn(1, 0), 0, 1), 1), (4, 2)),
    turning("pick_batch_elem", lambda i, x: w.pick_batch_elem(x, i.number % x.shape.batch), (3, 2)),
    turning("pick_batch_elems", lambda i, x: w.pick_batch_elems(x, [i.number % x.shape.batch, 0, 0]), (3,)),
    turning("pick_range", lambda i, x: w.pick_range(x, i.turn(1, 0, 2), i.turn(1, 0, 2) + 2), (4,)),
    turning("pick_range-rows", lambda i, x: w.pick_range(x, i.turn(1, 0, 2), i.turn(1, 0, 2) + 2), (4, 2)),
    turning("pick_range-columns", lambda i, x: w.pick_range(x, i.turn(1, 2), i.turn(1, 2) + 2, 1), (2, 4)),
    turning("pick_range-axis", lambda i, x: w.pick_range(x, 1, 3, i.number % 2), (3, 3)),
    turning("pickrange", lambda i, x: w.pickrange(x, i.turn(1, 0, 2), i.turn(1, 0, 2) + 2), (4, 2)),
    turning("select-axis", lambda i, x: select(x, (2, i.turn(0, 1), 1), i.number % 2), (3, 3)),
    turning("select_rows", lambda i, x: w.select_rows(x, [2, i.turn(0, 1), 2]), (3, 2)),
    turning("select_cols", lambda i, x: w.select_cols(x, [1, i.turn(1, 0), 0]), (3, 2)),
    turning("strided_select", lambda i, x: w.strided_select(x, [2, 1], [i.turn(1, 0), 0], [i.turn(5, 4), 2]), (5, 3)),
    case("strided_select-batch", lambda x: w.strided_select(x, [2, 1, 2], [1]), (5, 3)),
    case("strided_select-cube", lambda x: w.strided_select(x, [1, 2, 1], [0, 0, 1]), (2, 3, 2)),
    case("index-item", lambda x: x[-1], (4, 2)),
    turning("index-slice", lambda i, x: x[i.turn(1, 0) : i.turn(4, 3)], (5,)),
    case("index-step", lambda x: x[::2], (5, 2)),
    case("index-back", lambda x: x[::-1], (5, 2)),
    case("index-slices", lambda x: x[1:3, -2:], (4, 3)),
    case("index-slice_and_pick", lambda x: x[1:, 2], (4, 3)),
    turning("index-picks", lambda i, x: x[1, i.turn(2, 0)], (4, 3)),
]

# --- reductions -----------------------------------------------------------------------------------

_MANY = {"wide": ((37,),), "one": ((1,),), "cube": ((2, 3, 2),)}

REDUCTIONS = [
    case("sum_elems", w.sum_elems, (3, 2), shapes=_MANY),
    case("sum_batches", w.sum_batches, (3, 2), shapes=_MANY),
    turning("sum_dim", lambda i, x: w.sum_dim(x, [i.number % 2]), (3, 3)),
    turning("sum_dim-two", lambda i, x: w.sum_dim(x, ([2, 0], [1, 2])[i.number % 2]), (2, 2, 3)),
    case("sum_dim-batch", lambda x: w.sum_dim(x, [1], b=True), (3, 2)),
    turning("cumsum", lambda i, x: w.cumsum(x, i.number % 2), (4, 3), shapes={"wide": ((37, 2),)}),
    case("mean_elems", w.mean_elems, (3, 2)),
    case("mean_batches", w.mean_batches, (3,)),
    turning("mean_dim", lambda i, x: w.mean_dim(x, [i.number % 2], False), (3, 3)),
    case("mean_dim-divisor", lambda x: w.mean_dim(x, [1], True, 5), (3, 4)),
    turning("moment_elems", lambda i, x: w.moment_elems(x, i.turn(1, 2, 3)), (3, 2)),
    case("moment_batches", lambda x: w.moment_batches(x, 2), (3,)),
    turning("moment_dim", lambda i, x: w.moment_dim(x, [0], i.turn(3, 2), False), (3, 2)),
    case("std_elems", w.std_elems, (3, 2)),
    case("std_batches", w.std_batches, (3,), modes="batched"),
    turning("std_dim", lambda i, x: w.std_dim(x, [i.number % 2], False), (3, 3)),
    case("std_dim-batch", lambda x: w.std_dim(x, [1], True), (3, 4)),
    turning("max_dim", lambda i, x: w.max_dim(x, i.number % 2), (4, 4), shapes={"wide": ((37, 37),)}),
    turning("min_dim", lambda i, x: w.min_dim(x, i.turn(1, 2)), (2, 3, 3)),
    case("min_dim-vector", w.min_dim, (4,)),
    turning("logsumexp_dim", lambda i, x: w.logsumexp_dim(x, i.number % 2), (4, 4)),
    case("logsumexp_dim-vector", w.logsumexp_dim, (37,)),
    *[
        listed(f.__name__, f, (3, 2), (3, 2), (3, 2), shapes={"wide": ((37,), (37,), (37,)), "one": ((1,), (1,), (1,))})
        for f in (w.esum, w.average, w.emax, w.logsumexp)
    ],
    listed("esum-trailing", w.esum, (3,), (3, 1)),
    case("esum-twice", lambda x: w.esum([x, x, x]), (3,)),
    listed("esum-alone", w.esum, (3,)),
]

# --- softmax and losses ---------------------------------------------------------------------------


def _restricted(i: Instance, x: Expression) -> Expression:
    rows = ([3, 1], [0, 4])[i.number % 2]
    return w.select_rows(w.log_softmax(x, rows), sorted(rows))


def _classes(i: Instance, x: Expression) -> list[int]:
    return [(2 + i.number + b) % x.shape.size for b in range(x.shape.batch)]


def _softmax_loss(i: Instance, x: Expression, classes: int = 4, bias: bool = True) -> Expression:
    """The loss of an output layer; one class for each example."""
    wanted = [(2 + i.number + b) % classes for b in range(x.shape.batch)]
    b = i.parameter("b", classes) if bias else None
    return w.softmax_loss(x, wanted if x.shape.batch > 1 else wanted[0], i.parameter("W", classes, x.shape.rows), b)


def _recurrent_loss(i: Instance, x: Expression) -> Expression:
    """A loss that the next step reads: its operand is inside of the recurrence."""
    total: Expression = w.zeros((1,))
    for _ in range(2 + i.number % 2):
        total = total + _softmax_loss(i, w.tanh(x * (total + 0.5)))
    return total


LOSSES = [
    case("softmax", w.softmax, (4, 2), shapes=UNARY_SHAPES),
    turning("softmax-axis", lambda i, x: w.softmax(x, i.turn(1, 2)), (2, 3, 3)),
    turning("softmax-either", lambda i, x: w.softmax(x, i.number % 2), (3, 3)),
    case("log_softmax", w.log_softmax, (4, 2), shapes=UNARY_SHAPES),
    turning("log_softmax-restricted", _restricted, (5,)),
    case("sparsemax", w.sparsemax, (5,), shapes={"wide": ((37,),)}),
    case("constrained_softmax", w.constrained_softmax, (4,), (4,), low=0.26, high=0.9),
    case("constrained_softmax-columns", w.constrained_softmax, (4,), (4, 1), low=0.26, high=0.9),
    turning("pickneglogsoftmax", lambda i, x: w.pickneglogsoftmax(x, i.turn(2, 0, 3)), (4,), modes="unbatched"),
    turning("pickneglogsoftmax-wide", lambda i, x: w.pickneglogsoftmax(x, i.turn(2, 36)), (37,), modes="unbatched"),
    turning("pickneglogsoftmax_batch", lambda i, x: w.pickneglogsoftmax_batch(x, _classes(i, x)), (4,)),
    turning("softmax_loss", _softmax_loss, (3,), shapes={"one": ((1,),), "wide": ((37,),)}),
    turning("softmax_loss-column", _softmax_loss, (3, 1)),
    turning("softmax_loss-without_bias", lambda i, x: _softmax_loss(i, x, 5, False), (3,)),
    turning("softmax_loss-many_classes", lambda i, x: _softmax_loss(i, x, 137), (5,), tolerance=2e-5),
    turning("softmax_loss-weighted", lambda i, x: _softmax_loss(i, x) * i.turn(1, 3, -2), (3,)),
    turning("softmax_loss-recurrent", _recurrent_loss, (3,)),
    turning("softmax_loss-zero", lambda i, x: _softmax_loss(i, x, 3) + _softmax_loss(i, w.zeros((3,)), 3), (3,)),
    turning(
        "softmax_loss-constant",
        lambda i, x: w.softmax_loss(x, i.turn(1, 3), w.const_parameter(i.parameter("W", 4, 3)), i.parameter("b", 4)),
        (3,),
        modes="unbatched",
    ),
    turning(
        "softmax_loss-computed", lambda i, x, m: w.softmax_loss(x, i.turn(1, 3), m), (3,), (4, 3), modes="unbatched"
    ),
    turning("hinge", lambda i, x: w.hinge(x, i.turn(1, 3), i.turn(7, 12) / 10), (4,), modes="unbatched"),
    turning("hinge_batch", lambda i, x: w.hinge_batch(x, _classes(i, x), i.turn(7, 12) / 10), (4,)),
    turning("hinge_dim", lambda i, x: w.hinge_dim(x, [1, 0, 1], i.number % 2, i.turn(7, 12) / 10), (3, 3)),
    case("binary_log_loss", w.binary_log_loss, (3, 2), (3, 2), low=0.3, high=0.8),
    case("squared_distance", w.squared_distance, (3, 2), (3, 2)),
    case("l1_distance", w.l1_distance, (3,), (3, 1)),
    turning("huber_distance", lambda i, x, y: w.huber_distance(x, y, i.turn(7, 12) / 10), (4,), (4,)),
    case("dot_product", w.dot_product, (3, 2), (3, 2), shapes=BINARY_SHAPES),
    case("squared_norm", w.squared_norm, (3, 2)),
    case("l2_norm", w.l2_norm, (3, 2)),
    turning("pairwise_rank_loss", lambda i, x, y: w.pairwise_rank_loss(x, y, i.turn(7, 12) / 10), (1, 4), (1, 4)),
    turning("poisson_loss", lambda i, x: w.poisson_loss(x, i.turn(3, 0, 5)), (1,)),
]

# --- inputs, look-ups, random numbers -------------------------------------------------------------


def _set(expression: Any, value: Any) -> Expression:
    expression.set(value)
    return expression  # type: ignore[no-any-return]


INPUTS = [
    turning("scalarInput", lambda i: w.scalarInput(0.5 + i.number)),
    turning("vecInput", lambda i: _set(w.vecInput(3), [i.number, 1.5, -2.0])),
    turning("inputVector", lambda i: w.inputVector([i.number, 1.5, -2.0])),
    turning("inputTensor", lambda i: w.inputTensor([[i.number, 1.5], [-2.0, 0.25]])),
    turning("inputTensorTranspose", lambda i: w.inputTensorTranspose([i.number, 1.5, -2.0, 0.25], (2, 2))),
    turning("constant", lambda i: w.constant((3, 2), 0.5 + i.number, 2)),
    turning("zeros", lambda i: w.zeros((3, 2))),
    turning("zeroes", lambda i: w.zeroes((3,), 2)),
    turning("ones", lambda i: w.ones((3, 2), 2)),
    turning("one_hot", lambda i: w.one_hot(4, [i.turn(1, 3), 2])),
    turning("lookup", lambda i: w.lookup(i.table("E", 5, 3), i.turn(1, 4, 1))),
    turning("lookup-matrix", lambda i: w.lookup(i.table("E", 5, 3, 2), i.turn(0, 4))),
    turning("lookup-constant", lambda i: w.lookup(i.table("E", 5, 3), i.turn(1, 4), update=False)),
    turning("lookup-used", lambda i, x: w.cmult(i.table("E", 5, 3)[i.turn(1, 4, 1)], x), (3,)),
    turning("lookup_batch", lambda i: w.lookup_batch(i.table("E", 5, 3), [i.turn(1, 4), 2, 1])),
    turning("lookup_batch-constant", lambda i: w.lookup_batch(i.table("E", 5, 3), [i.turn(1, 4), 2], update=False)),
    turning("const_lookup", lambda i: w.const_lookup(i.table("E", 5, 3), i.turn(1, 4))),
    turning("const_lookup-batch", lambda i: w.const_lookup(i.table("E", 5, 3), [i.turn(1, 4), 2])),
    turning("lookup_each", lambda i: w.lookup_each(i.table("E", 5, 3), [i.turn(1, 4), 2, 2, 0])),
    turning("lookup_each-constant", lambda i: w.lookup_each(i.table("E", 5, 3), [i.turn(1, 4), 2], update=False)),
    turning(
        "lookup_each-used",
        lambda i, x: w.cmult(w.concatenate(w.lookup_each(i.table("E", 5, 3), [i.turn(1, 4), 2])), x),
        (6,),
    ),
    turning(
        "lookup-whole_table", lambda i, x: multiply(i.table("E", 5, 3), x) + i.table("E", 5, 3)[i.turn(1, 4)], (5,)
    ),
    turning("parameter", lambda i, x: w.cmult(w.parameter(i.parameter("p", 3)), x), (3,)),
    turning("const_parameter", lambda i, x: w.cmult(w.const_parameter(i.parameter("p", 3)), x), (3,)),
]

NOISE = [
    turning("dropout", lambda i, x: w.dropout(x, i.turn(1, 3) / 4), (3, 2), shapes=UNARY_SHAPES),
    turning("dropout_dim", lambda i, x: w.dropout_dim(x, i.number % 2, 0.5), (4, 4)),
    turning("dropout_batch", lambda i, x: w.dropout_batch(x, i.turn(1, 3) / 4), (3, 2)),
    turning("block_dropout", lambda i, x: w.block_dropout(x, i.turn(1, 3) / 4), (3, 2)),
    case("block_dropout-all", lambda x: w.block_dropout(x, 1), (3, 2)),
    turning("noise", lambda i, x: w.noise(x, i.turn(1, 3) / 4), (3, 2), shapes=UNARY_SHAPES),
    turning("random_normal", lambda i: w.random_normal((5, 3), i.turn(1, 2), i.turn(3, 1), 2)),
    turning("random_uniform", lambda i: w.random_uniform((5, 3), i.turn(1, 2), 3, 2)),
    turning("random_bernoulli", lambda i: w.random_bernoulli((5, 3), i.turn(1, 3) / 4, i.turn(1, 2), 2)),
    turning("random_gumbel", lambda i: w.random_gumbel((5, 3), i.turn(0, 1), i.turn(1, 2), 2)),
]

CASES: list[Case] = [
    *UNARY, *ACTIVATIONS, *BINARY, *OPERATORS, *PRODUCTS, *STRUCTURE, *REDUCTIONS, *LOSSES, *INPUTS, *NOISE, *CELLS,
    *LINEAR, *SPATIAL,
]  # fmt: skip


def add_case(new: Case) -> Case:
    """Add a case to the table: for your own operation or cell, before the suite is collected.

    Raises ValueError for a name that is taken.
    """
    if any(known.name == new.name for known in CASES):
        raise ValueError(f"there is a case {new.name!r} already; a case of another form is named {new.name}-<form>")
    CASES.append(new)
    return new
