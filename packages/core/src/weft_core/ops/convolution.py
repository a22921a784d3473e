"""Convolutions of images with filters."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..errors import ShapeError
from ..expression import Expression
from ..operation import Array, Attribute, Call, Operation
from ..shape import Shape, common_batch, shape_of
from ..signature import Signature
from .attributes import integer
from .windows import Windows, padded, positions, slide, two_numbers, without_padding


class Convolution(Operation):
    """Attributes: strides of rows and columns, and whether windows stay inside; a third operand is the bias."""

    def infer(self, operands: tuple[Shape, ...], attributes: tuple[Attribute, ...]) -> Signature:
        x, f = operands[:2]
        if len(x.dims) not in (2, 3) or len(f.dims) != 4 or f.dims[2] != x.dim(2):
            raise ShapeError(
                f"{self.name}: the filters {f} do not fit the image {x}; an image is {{rows,columns,channels}} or "
                "{rows,columns}, and filters are {rows,columns,channels of the image,channels of the result}"
            )
        for bias in operands[2:]:
            if not bias.is_vector or bias.rows != f.dims[3]:
                raise ShapeError(
                    f"{self.name}: the bias {bias} must have one number for each of the {f.dims[3]} filters of {f}"
                )
        rows, columns = self.slide(operands, attributes)
        result = shape_of((rows.places, columns.places, f.dims[3]), common_batch(self.name, operands))
        return Signature(self, operands, attributes, (result,))

    def slide(self, operands: tuple[Shape, ...], attributes: tuple[Attribute, ...]) -> Windows:
        """Where the filters go."""
        down, right, is_valid = map(integer, attributes)
        return slide(self.name, operands[0], operands[1].dims[:2], (down, right), bool(is_valid))

    def windows(self, signature: Signature) -> Windows:
        """Where the filters of these instructions go."""
        return self.slide(signature.operands, signature.attributes)

    def forward(self, call: Call, *operands: Array) -> tuple[Array, ...]:
        windows = self.windows(call.signature)
        x, f = self._by_example(windows, *operands[:2])
        # (N, rows, columns, channels) times (N, 1, channels, filters), for each position in the filter.
        y = sum(x[:, *at] @ f[a, b, :, None] for a, b, at in positions(windows))
        y = np.moveaxis(np.asarray(y), 0, -1)
        for bias in operands[2:]:
            y = y + bias.reshape((-1, bias.shape[-1]))
        return (y,)

    def backward(
        self, call: Call, gradients: tuple[Array, ...], results: tuple[Array, ...], *operands: Array
    ) -> tuple[Array | None, ...]:
        windows = self.windows(call.signature)
        x, f = self._by_example(windows, *operands[:2])
        dy = np.moveaxis(gradients[0], -1, 0)
        n, filters = len(dy), dy.shape[-1]
        dx = np.zeros((n, *x.shape[1:]), dy.dtype)
        df = np.zeros((*f.shape[:2], n, *f.shape[3:]), dy.dtype)
        for a, b, at in positions(windows):
            dx[:, *at] += dy @ f[a, b, :, None].swapaxes(-1, -2)
            met = x[:, *at].reshape((len(x), -1, x.shape[-1]))
            df[a, b] = met.swapaxes(-1, -2) @ dy.reshape((n, -1, filters))
        image = without_padding(np.moveaxis(dx, 0, -1), windows).reshape((*operands[0].shape[:-1], n))
        biases = (dy.sum(axis=(1, 2)).T.reshape((*bias.shape[:-1], n)) for bias in operands[2:])
        return image, np.moveaxis(df, 2, -1), *biases

    def _by_example(self, windows: Windows, x: Array, f: Array) -> tuple[Array, Array]:
        """The padded image as `(N, rows, columns, channels)`, filters as `(rows, columns, N, channels, filters)`."""
        image = x.reshape((*x.shape[:2], f.shape[2], x.shape[-1]))
        return np.moveaxis(padded(image, windows), -1, 0), np.moveaxis(f, -1, 2)


_conv2d, _conv2d_bias = Convolution("conv2d"), Convolution("conv2d_bias")


def conv2d(x: Expression, f: Expression, stride: Sequence[int], is_valid: bool = True) -> Expression:
    """Images with filters: `y[i,j,o] = sum over a, b, c of x[i s0 + a, j s1 + b, c] f[a,b,c,o]`.

    Filters are not turned. x is `{rows,columns,channels}`, or `{rows,columns}` for one channel, f
    `{rows,columns,channels,filters}`, the result has a channel for each filter; `stride` has two numbers, for rows and
    for columns. With `is_valid` a filter stays inside of the image: H rows give `ceil((H - FH + 1) / s0)`. Otherwise
    they give `ceil(H / s0)`, and the image has a border of zeros, of `(YH - 1) s0 + FH - H` rows if that is not
    negative, the smaller half of them above. Columns likewise. Each example of a batch by itself; an operand without a
    batch is repeated. Source: LeCun et al. 1989.

    Raises `ShapeError` for shapes that do not fit, or a filter larger than the image that must stay inside; ValueError
    for a stride that is not two numbers of at least 1.
    """
    return _conv2d.record((x, f), (*two_numbers("conv2d", "stride", stride), bool(is_valid)))


def conv2d_bias(
    x: Expression, f: Expression, b: Expression, stride: Sequence[int], is_valid: bool = True
) -> Expression:
    """`conv2d(x, f, stride, is_valid)` plus `b[o]` in channel o; b is a vector with a number for each filter.

    Raises what `conv2d` does, and `ShapeError` for a bias of another size.
    """
    return _conv2d_bias.record((x, f, b), (*two_numbers("conv2d_bias", "stride", stride), bool(is_valid)))
