"""Filters along the columns of a matrix."""

from __future__ import annotations

import numpy as np

from ..errors import ShapeError
from ..expression import Expression
from ..operation import Array, Attribute, Call, Operation
from ..shape import Shape, common_batch, shape_of
from ..signature import Signature


class NarrowFilter(Operation):
    """Filters as high as a matrix, which move along its columns; filters of two axes are one filter."""

    name = "filter1d_narrow"

    def infer(self, operands: tuple[Shape, ...], attributes: tuple[Attribute, ...]) -> Signature:
        x, f = operands
        if len(x.dims) != 2 or len(f.dims) not in (2, 3) or f.rows != x.rows or f.dims[1] > x.dims[1]:
            raise ShapeError(
                f"{self.name}: the filters {f} do not fit the matrix {x}; filters are {{rows,width}} or "
                "{rows,width,filters} with the rows of the matrix, and at most as wide as it has columns"
            )
        dims = (f.dim(2), x.dims[1] - f.dims[1] + 1)
        return Signature(self, operands, attributes, (shape_of(dims, common_batch(self.name, operands)),))

    def forward(self, call: Call, *operands: Array) -> tuple[Array, ...]:
        x, f = self._by_example(*operands)
        columns = call.signature.results[0].dims[1]
        y = sum(f[k].swapaxes(-1, -2) @ x[:, :, k : k + columns] for k in range(len(f)))
        return (np.moveaxis(np.asarray(y), 0, -1),)

    def backward(
        self, call: Call, gradients: tuple[Array, ...], results: tuple[Array, ...], *operands: Array
    ) -> tuple[Array | None, ...]:
        x, f = self._by_example(*operands)
        dy = np.moveaxis(gradients[0], -1, 0)
        n, columns = len(dy), dy.shape[-1]
        dx = np.zeros((n, *x.shape[1:]), dy.dtype)
        df = np.zeros((len(f), n, *f.shape[2:]), dy.dtype)
        for k in range(len(f)):
            dx[:, :, k : k + columns] += f[k] @ dy
            df[k] = x[:, :, k : k + columns] @ dy.swapaxes(-1, -2)
        return np.moveaxis(dx, 0, -1), df.transpose((2, 0, 3, 1)).reshape((*operands[1].shape[:-1], n))

    def _by_example(self, x: Array, f: Array) -> tuple[Array, Array]:
        """The matrix as `(N, rows, columns)`, filters as `(width, N, rows, filters)`."""
        filters = f.reshape((*f.shape[:2], -1, f.shape[-1]))
        return np.moveaxis(x, -1, 0), filters.transpose((1, 3, 0, 2))


_filter1d_narrow = NarrowFilter()


def filter1d_narrow(x: Expression, f: Expression) -> Expression:
    """Filters along the columns of a matrix: `y[n,j] = sum over i, k of x[i,j+k] f[i,k,n]`.

    x is `{rows,columns}`, f `{rows,width,filters}` or `{rows,width}` for one filter, the result
    `{filters,columns-width+1}`. Each example of a batch by itself; an operand without a batch is repeated. Source:
    Kalchbrenner et al. 2014, narrow convolution.

    Raises `ShapeError` unless both have the same rows and the filters are at most as wide as the matrix.
    """
    return _filter1d_narrow.record((x, f))
