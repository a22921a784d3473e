"""Matrix products: with parameters (affine), and of computed matrices."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..errors import ShapeError
from ..expression import Expression
from ..gated import gated
from ..operation import (
    Array,
    Attribute,
    Call,
    Operation,
    Pairs,
    binary_function,
    check_expressions,
    check_list,
    graph_of,
)
from ..shape import Shape, common_batch, shape_of
from ..signature import Signature

# W x + U y + ... + b with parameters W, U, b: one instruction, one product per parameter and graph.
affine = gated("affine", gates="y", results="y")


class MatrixProduct(Operation):
    """`X Y` of two computed values, `{r,k} {k,c} -> {r,c}`; a vector is one column."""

    name = "matrix_product"

    def infer(self, operands: tuple[Shape, ...], attributes: tuple[Attribute, ...]) -> Signature:
        x, y = operands
        if len(x.dims) > 2 or len(y.dims) > 2 or x.dim(1) != y.rows:
            raise ShapeError(
                f"matrix product {x} * {y}: the columns of the left operand must equal the rows of the right one, "
                "and both have at most 2 dims; use cmult for the elementwise product"
            )
        dims = (x.rows,) if len(y.dims) == 1 else (x.rows, y.dims[1])
        return Signature(self, operands, attributes, (shape_of(dims, common_batch("matrix product", operands)),))

    def forward(self, call: Call, *operands: Array) -> tuple[Array, ...]:
        x, y = matrices(operands)
        return (np.einsum("rkn,kcn->rcn", x, y).reshape((*call.signature.results[0].dims, -1)),)

    def backward(
        self, call: Call, gradients: tuple[Array, ...], results: tuple[Array, ...], *operands: Array
    ) -> tuple[Array | None, ...]:
        x, y = matrices(operands)
        dz = gradients[0].reshape((x.shape[0], y.shape[1], -1))
        dx = np.einsum("rcn,kcn->rkn", dz, y)
        dy = np.einsum("rkn,rcn->kcn", x, dz)
        return dx.reshape((*operands[0].shape[:-1], -1)), dy.reshape((*operands[1].shape[:-1], -1))


def matrices(operands: Sequence[Array]) -> list[Array]:
    """Operands as `(rows, columns, N)`."""
    return [x if x.ndim == 3 else x.reshape((x.shape[0] if x.ndim > 1 else 1, 1, x.shape[-1])) for x in operands]


matrix_product = MatrixProduct()
_new = object.__new__
_multiply = binary_function(matrix_product)
affine_products: Pairs = {}


def multiply(x: Expression, y: Expression) -> Expression:
    """Matrix product `x y`; with a parameter on the left all uses of it in a graph become one product."""
    shape = x.shape
    if shape.parameter < 0 or len(shape.dims) != 2 or y.shape.parameter >= 0:
        return _multiply(x, y)
    try:
        sid, result = affine_products[shape][y.shape]
    except KeyError:
        if shape.dims[1] != y.shape.rows or len(y.shape.dims) > 2:
            return _multiply(x, y)
        signature = affine.bind((y.shape,), (), (shape,), None)
        sid, result = affine_products.setdefault(shape, {})[y.shape] = signature.id, signature.results[0]
    graph = y.graph
    index = len(graph.code)
    graph.code.append(sid)
    graph.code.append(y.index)
    return Expression(graph, index, result)


# Signature id and result shape by the shapes of all expressions; for one product, by weight, operand and bias.
_affine_forms: dict[tuple[Shape, ...], tuple[int, Shape]] = {}
_one_product: dict[Shape, dict[Shape, dict[Shape, tuple[int, Shape]]]] = {}


def affine_transform(exprs: Sequence[Expression]) -> Expression:
    """`e0 + e1 e2 + e3 e4 + ...`; e0 is added to every column.

    With parameters as e0, e1, e3, ... this is one instruction. A result of one column is a vector.
    Raises ValueError for an even number of expressions, `ShapeError` where rows and columns do not fit.
    """
    if exprs.__class__ is not list:
        return _affine_sum(exprs)
    count = len(exprs)
    try:
        if count == 3:
            bias, weight, operand = exprs
            sid, shape = _one_product[weight.shape][operand.shape][bias.shape]
        elif count == 5:
            bias, weight, operand, other_weight, other = exprs
            sid, shape = _affine_forms[bias.shape, weight.shape, operand.shape, other_weight.shape, other.shape]
            if other.graph is not operand.graph:
                return _affine_sum(exprs)
        else:
            return _affine_sum(exprs)
    except (KeyError, AttributeError):
        return _affine_sum(exprs)
    result: Expression = _new(Expression)
    result.graph = graph = operand.graph
    result.shape = shape
    code = graph.code
    result.index = len(code)
    code.append(sid)
    code.append(operand.index)
    if count == 5:
        code.append(other.index)
    return result


def _affine_sum(exprs: Sequence[Expression]) -> Expression:
    """Any number of products; the first use of these shapes makes the signature."""
    if exprs.__class__ is not list:
        check_list("affine_transform", exprs)
    try:
        key = tuple([x.shape for x in exprs])
        sid, shape = _affine_forms[key]
    except AttributeError:
        check_expressions("affine_transform", exprs)
        raise
    except KeyError:
        return _affine_first(exprs, key)
    operands = exprs[2::2]
    graph = graph_of("affine_transform", operands)
    code = graph.code
    index = len(code)
    code.append(sid)
    code.extend([x.index for x in operands])
    return Expression(graph, index, shape)


def _affine_first(exprs: Sequence[Expression], key: tuple[Shape, ...]) -> Expression:
    """The first use of these shapes, or a form with computed matrices, which is composed of products and sums."""
    from .arithmetic import add

    check_expressions("affine_transform", exprs)
    if len(exprs) % 2 == 0:
        raise ValueError(
            f"affine_transform takes a bias and pairs of matrix and operand: an odd number, got {len(exprs)}"
        )
    if len(exprs) == 1:
        return exprs[0]
    weights, operands, bias = key[1::2], key[2::2], key[0]
    one_columns = {x.dim(1) for x in operands}
    if (
        all(w.parameter >= 0 and len(w.dims) == 2 for w in weights)
        and all(x.parameter < 0 for x in operands)
        and bias.parameter >= 0
        and bias.is_vector
        and len({x.dims[1:] for x in operands}) == 1
        and (len(operands[0].dims) == 1 or one_columns != {1})
    ):
        signature = affine.bind(operands, (), weights, bias)
        _affine_forms[key] = found = signature.id, signature.results[0]
        if len(weights) == 1:
            _one_product.setdefault(weights[0], {}).setdefault(operands[0], {})[bias] = found
        return _affine_sum(exprs)
    total = None
    for w, x in zip(exprs[1::2], exprs[2::2], strict=True):
        product = multiply(w, x)
        if len(product.shape.dims) == 2 and product.shape.dims[1] == 1:
            product = as_vector(product)
        total = product if total is None else add(total, product)
    assert total is not None
    first = exprs[0]
    if first.shape.rows != total.shape.rows or first.shape.dim(1) not in (1, total.shape.dim(1)):
        raise ShapeError(
            f"affine_transform: the first operand {first.shape} is added to products of shape {total.shape}; "
            "it must have the same rows, and the same columns or one"
        )
    if first.shape.is_vector and len(first.shape.dims) == 2:
        first = as_vector(first)
    return add(first, total)


def as_vector(x: Expression) -> Expression:
    """`{r,1}` as `{r}`."""
    from .structure import reshape

    return reshape(x, (x.shape.rows,))
