"""Templates append what the function would have recorded."""

import numpy as np
import pytest

from weft_builders import Cell
from weft_core.collection import ParameterCollection
from weft_core.errors import WeftError
from weft_core.expression import Expression
from weft_core.graph import current, renew_cg
from weft_core.ops.arithmetic import cmult
from weft_core.ops.inputs import inputVector
from weft_core.ops.noise import dropout


def test_a_cell_appends_the_instructions_of_its_function() -> None:
    w = ParameterCollection().add_parameters((3, 3))

    def function(x: Expression, y: Expression) -> tuple[Expression, ...]:
        return cmult(w * x, y), x + y

    tapes = []
    for call in (function, Cell(function)):
        renew_cg()
        x, y = inputVector([1, 2, 3]), inputVector([4, 5, 6])
        for _ in range(2):
            x, y = call(x, y)
        tapes.append((list(current().code), x.npvalue(), y.npvalue()))
    assert tapes[0][0] == tapes[1][0]
    np.testing.assert_array_equal(tapes[0][1:], tapes[1][1:])


def test_repeating_is_calling_again_with_the_results() -> None:
    cell = Cell(lambda x, h, m: (cmult(x, h) + m,))
    tapes = []
    for repeated in (True, False):
        renew_cg()
        xs = [inputVector([k, 2]) for k in range(4)]
        h, m = inputVector([3, 4]), inputVector([5, 6])
        template = cell.template((h.shape,) * 3)
        if repeated:
            starts = template.repeat(current().code, 4, [[x.index for x in xs]], [h.index], [m.index])
            h = Expression(current(), starts[-1] + template.results[0], template.shapes[0])
        else:
            for x in xs:
                (h,) = cell(x, h, m)
        tapes.append((list(current().code), h.npvalue().tolist()))
    assert tapes[0] == tapes[1]


def test_what_a_cell_cannot_hold_is_refused() -> None:
    x = inputVector([1, 2])
    with pytest.raises(WeftError, match="cannot hold dropout"):
        Cell(lambda x: (dropout(x, 0.5),))(x)
    with pytest.raises(WeftError, match="must not return an operand"):
        Cell(lambda x: (x,))(x)
