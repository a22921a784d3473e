"""Cases of linear algebra, contractions, circular products, normalisation and sparse inputs."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

import weft_core as w
from weft_core import Expression

from .case import Case, Dims, Instance


def case(name: str, f: Callable[..., Expression], *dims: Dims, **options: object) -> Case:
    """A case whose instances are alike: `f(*operands)`."""
    return Case(name, lambda instance, *xs: f(*xs), dims, **options)  # type: ignore[arg-type]


def dominant(x: Expression) -> Expression:
    """A square matrix with a diagonal that outweighs the rest: a regular one with a positive determinant."""
    n = x.shape.rows
    return x + w.inputTensor((2.0 + n) * np.eye(n))


def swapped(x: Expression) -> Expression:
    """`dominant` with its first two rows exchanged, and a sign: elimination has to look for its pivots."""
    n = x.shape.rows
    return w.select_rows(dominant(x), [1, 0, *range(2, n)]) * -1.0


def _sparse(i: Instance) -> Expression:
    """Two elements of a matrix, one of them named twice."""
    return w.sparse_inputTensor([[0, i.turn(1, 2), 0], [1, 0, 1]], [4.0, -2.5, i.number + 0.5], (3, 2), defval=0.25)


_SQUARE: dict[str, tuple[Dims, ...]] = {"one": ((1, 1),), "wide": ((19, 19),)}
_TENSOR: dict[str, tuple[Dims, ...]] = {"one": ((1, 1, 1), (1,)), "wide": ((5, 7, 37), (37,))}
_VECTORS: dict[str, tuple[Dims, ...]] = {"one": ((1,), (1,)), "even": ((8,), (8,)), "wide": ((37,), (37,))}

LINEAR = [
    case("inverse", lambda x: w.inverse(dominant(x)), (3, 3), low=-1.0, high=1.0, shapes=_SQUARE),
    case("inverse-pivots", lambda x: w.inverse(swapped(x)), (5, 5), low=-1.0, high=1.0),
    case("inverse-number", w.inverse, (1,), low=0.5, high=2.0),
    Case("inverse-parameter", lambda i, x: w.inverse(i.parameter("regular", 3, 3)) * x, ((3,),)),
    case("logdet", lambda x: w.logdet(dominant(x)), (3, 3), low=-1.0, high=1.0, shapes=_SQUARE),
    case("logdet-pivots", lambda x: w.logdet(swapped(x)), (5, 5), low=-1.0, high=1.0),
    case("logdet-number", w.logdet, (1,), low=0.5, high=2.0),
    case("trace_of_product", w.trace_of_product, (3, 2), (3, 2), shapes={"one": ((1,), (1,))}),
    case("contract3d_1d", w.contract3d_1d, (2, 3, 4), (4,), shapes=_TENSOR),
    case("contract3d_1d-column", w.contract3d_1d, (2, 3, 4), (4, 1)),
    Case("contract3d_1d-parameter", lambda i, y: w.contract3d_1d(i.parameter("T", 2, 3, 4), y), ((4,),)),
    case("contract3d_1d_bias", w.contract3d_1d_bias, (2, 3, 4), (4,), (2, 3)),
    case("contract3d_1d_1d", w.contract3d_1d_1d, (2, 3, 4), (4,), (3,), shapes={"column": ((2, 3, 4), (4, 1), (3, 1))}),
    case("contract3d_1d_1d_bias", w.contract3d_1d_1d_bias, (2, 3, 4), (4,), (3,), (2,)),
    case("circ_conv", w.circ_conv, (5,), (5,), shapes=_VECTORS),
    case("circ_conv-twice", lambda u: w.circ_conv(u, u), (5,)),
    case("circ_corr", w.circ_corr, (5,), (5,), shapes=_VECTORS),
    case("circ_corr-twice", lambda u: w.circ_corr(u, u), (5,)),
    case("layer_norm", w.layer_norm, (5,), (5,), (5,), shapes={"one": ((1,),) * 3, "wide": ((37,),) * 3}),
    case("layer_norm-columns", w.layer_norm, (3, 4), (3,), (3, 1)),
    case("layer_norm-numbers", w.layer_norm, (2, 3, 2), (1,), (1, 3)),
    Case(
        "layer_norm-parameters",
        lambda i, x: w.layer_norm(x + i.parameter("shift", 4), i.parameter("g", 4), i.parameter("b", 4)), ((4,),),
    ),
    case("weight_norm", w.weight_norm, (3, 2), (1,), shapes={"one": ((1,), (1,)), "wide": ((37,), (1, 1))}),
    Case(
        "weight_norm-parameters",
        lambda i, x: w.weight_norm(i.parameter("W", 4, 3), i.parameter("g", 1)) * x, ((3,),),
    ),
    Case("sparse_inputTensor", _sparse),
    Case(
        "sparse_inputTensor-batched",
        lambda i: w.sparse_inputTensor([[0, 2], [1, i.turn(0, 1)]], [1.0, 2.0], (3, 2), batched=True),
    ),
]  # fmt: skip
