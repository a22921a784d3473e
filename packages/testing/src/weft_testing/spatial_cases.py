"""Cases of convolution and pooling: strides, borders, images of one row, filters of one position, shared filters."""

from __future__ import annotations

import weft_core as w
from weft_core import Expression

from .case import Case, Instance


def _shared_filters(i: Instance, x: Expression) -> Expression:
    """Filters and bias are parameters: instances share the blocks of patches."""
    return w.conv2d_bias(x, i.parameter("F", 2, 3, 2, 4), i.parameter("b", 4), [1, 2], False)


def _text(i: Instance, x: Expression) -> Expression:
    """A sentence as an image of one row: filters of three words, the largest of each over the sentence."""
    y = w.conv2d_bias(x, i.parameter("F", 1, 3, 4, 5), i.parameter("b", 5), [1, 1], False)
    return w.reshape(w.kmax_pooling(w.rectify(y), 2), (10,))


def _in_a_cell(i: Instance, x: Expression) -> Expression:
    """Inner instructions of one; the second call reads a result of the first."""
    f = i.parameter("F", 2, 2, 2, 2)

    def function(x: Expression) -> Expression:
        return w.tanh(w.maxpooling2d(w.conv2d(x, f, [1, 1], False), [2, 2], [1, 1], False))

    cell = w.cell(function)
    result: Expression = cell(cell(x))
    return result


CONVOLUTIONS = [
    Case(
        "conv2d",
        lambda i, x, f: w.conv2d(x, f, [1, 1]),
        ((4, 3, 2), (2, 2, 2, 3)),
        shapes={
            "one": ((1, 1, 1), (1, 1, 1, 1)),
            "plane": ((5, 4), (3, 2, 1, 2)),
            "whole": ((3, 4, 2), (3, 4, 2, 3)),
            "wide": ((9, 8, 3), (3, 3, 3, 5)),
        },
    ),
    Case("conv2d-stride", lambda i, x, f: w.conv2d(x, f, [i.turn(3, 4), 1]), ((5, 4, 2), (1, 2, 2, 3))),
    Case("conv2d-stride_of_columns", lambda i, x, f: w.conv2d(x, f, [1, i.turn(3, 4)]), ((4, 5, 2), (2, 1, 2, 3))),
    Case("conv2d-border", lambda i, x, f: w.conv2d(x, f, [2, 1], False), ((4, 5, 2), (3, 2, 2, 3))),
    Case("conv2d-sparse", lambda i, x, f: w.conv2d(x, f, [i.turn(5, 6), 5], False), ((8, 9, 1), (1, 2, 1, 2))),
    Case("conv2d-large", lambda i, x, f: w.conv2d(x, f, [1, 1], False), ((2, 3), (5, 4, 1, 2))),
    Case("conv2d-either", lambda i, x, f: w.conv2d(x, f, [1, 1], i.turn(0, 1) > 0), ((3, 4), (3, 2, 1, 2))),
    Case("conv2d-row", lambda i, x, f: w.conv2d(x, f, [1, 1], False), ((1, 7, 3), (1, 3, 3, 4))),
    Case("conv2d-height", lambda i, x, f: w.conv2d(x, f, [1, i.turn(2, 3)]), ((4, 6, 2), (4, 2, 2, 3))),
    Case("conv2d-columns", lambda i, x, f: w.conv2d(x, f, [1, 1], False), ((3, 5, 2), (1, 3, 2, 2))),
    Case("conv2d-pixels", lambda i, x, f: w.conv2d(x, f, [1, 1]), ((3, 4, 5), (1, 1, 5, 2))),
    Case("conv2d-many_pixels", lambda i, x, f: w.conv2d(x, f, [1, 1]), ((9, 8, 2), (1, 1, 2, 3))),
    Case("conv2d-in_a_cell", _in_a_cell, ((3, 4, 2),)),
    Case(
        "conv2d_bias",
        lambda i, x, f, b: w.conv2d_bias(x, f, b, [1, 1]),
        ((4, 3, 2), (2, 2, 2, 3), (3,)),
        shapes={"one": ((1, 1), (1, 1, 1, 1), (1,)), "column": ((4, 3, 2), (2, 2, 2, 3), (3, 1))},
    ),
    Case("conv2d_bias-shared", _shared_filters, ((4, 5, 2),)),
    Case("conv2d_bias-text", _text, ((1, 6, 4),)),
    Case(
        "filter1d_narrow",
        lambda i, x, f: w.filter1d_narrow(x, f),
        ((3, 6), (3, 2, 4)),
        shapes={
            "one": ((1, 1), (1, 1, 1)),
            "single": ((3, 5), (3, 2, 1)),
            "flat": ((3, 5), (3, 2)),
            "wide": ((19, 9), (19, 3, 5)),
        },
    ),
    Case("filter1d_narrow-parameter", lambda i, x: w.filter1d_narrow(x, i.parameter("F", 3, 2, 2)), ((3, 4),)),
]

POOLING = [
    Case(
        "maxpooling2d",
        lambda i, x: w.maxpooling2d(x, [2, 2], [2, 2]),
        ((4, 6),),
        shapes={"one": ((2, 2, 1),), "cube": ((3, 5, 2),), "wide": ((9, 20, 3),)},
    ),
    Case("maxpooling2d-size", lambda i, x: w.maxpooling2d(x, [i.turn(2, 3), 2], [2, 1]), ((5, 3),)),
    Case("maxpooling2d-size_of_columns", lambda i, x: w.maxpooling2d(x, [2, i.turn(2, 3)], [1, 2]), ((3, 5),)),
    Case("maxpooling2d-stride", lambda i, x: w.maxpooling2d(x, [2, 2], [1, i.turn(3, 2)]), ((3, 5),)),
    Case("maxpooling2d-border", lambda i, x: w.maxpooling2d(x, [3, 2], [i.turn(1, 2), 1], False), ((4, 3, 2),)),
    Case("maxpooling2d-sparse", lambda i, x: w.maxpooling2d(x, [2, 1], [5, i.turn(5, 6)], False), ((9, 8),)),
    Case("maxpooling2d-either", lambda i, x: w.maxpooling2d(x, [2, 3], [1, 1], i.turn(0, 1) > 0), ((3, 4),)),
    Case("maxpooling2d-row", lambda i, x: w.maxpooling2d(x, [1, 3], [1, 1]), ((1, 7, 2),)),
    Case("maxpooling2d-columns", lambda i, x: w.maxpooling2d(x, [1, 3], [1, 1], False), ((3, 5, 2),)),
    Case("maxpooling2d-height", lambda i, x: w.maxpooling2d(x, [4, 2], [1, 3]), ((4, 6, 2),)),
    Case("kmax_pooling", lambda i, x: w.kmax_pooling(x, 2), ((2, 4),), shapes={"wide": ((2, 37),), "one": ((1, 2),)}),
    Case("kmax_pooling-axis", lambda i, x: w.kmax_pooling(x, 2, i.turn(0, 1, 2)), ((4, 4, 4),)),
    Case("kmax_pooling-vector", lambda i, x: w.kmax_pooling(x, i.turn(1, 3, 5), 0), ((5,),)),
    Case("kmax_pooling-many", lambda i, x: w.kmax_pooling(x, 11), ((3, 23),)),
    Case("fold_rows", lambda i, x: w.fold_rows(x, i.turn(2, 3)), ((6, 3),), shapes={"wide": ((36, 5),)}),
    Case("fold_rows-vector", lambda i, x: w.fold_rows(x), ((4,),)),
    Case("kmh_ngram", lambda i, x: w.kmh_ngram(x, i.turn(2, 3, 1)), ((3, 4),), shapes={"wide": ((19, 6),)}),
]

SPATIAL = [*CONVOLUTIONS, *POOLING]
