"""Templates: a function of expressions, traced once per operand shapes, then appended to tapes as a whole.

Recording a time step node by node costs a Python call a node. A template keeps the instructions of the step as one
list of integers, in which only the places of operands change; all steps of a sequence are appended in one go.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence

from weft_core.errors import WeftError
from weft_core.expression import Expression
from weft_core.graph import ComputationGraph
from weft_core.operation import check_expressions, graph_of
from weft_core.shape import Shape
from weft_core.signature import signatures

CellFunction = Callable[..., tuple[Expression, ...]]


class Template:
    """The instructions of one call of a function, for operands of given shapes.

    `results` are the places of the results from the start of the instructions, `shapes` their shapes.
    Raises `WeftError` for a function whose instructions carry constants, indices or random numbers (make these
    outside, and give them as operands), or that returns one of its operands.
    """

    __slots__ = ("inner", "instructions", "length", "outer", "results", "shapes")

    def __init__(self, function: CellFunction, shapes: Sequence[Shape]) -> None:
        # A bare tape: no number, which would shift the random streams, and no execution.
        tape = ComputationGraph.__new__(ComputationGraph)
        first = 1 + len(shapes)
        tape.code = [0] * first
        tape.data = array("f")
        results = function(*(Expression(tape, 1 + k, shape) for k, shape in enumerate(shapes)))
        if any(r.graph is not tape or r.index < first for r in results):
            raise WeftError("a cell returns values that it has computed; it must not return an operand or a parameter")
        self.instructions = tape.code[first:]
        self.length = len(self.instructions)
        self.results = [r.index - first for r in results]
        self.shapes = tuple(r.shape for r in results)
        # Slots that name an operand of the call, and slots that name a value of the template itself.
        self.outer: list[tuple[int, int]] = []
        self.inner: list[tuple[int, int]] = []
        self._find_slots(tape.code, first)

    def _find_slots(self, code: list[int], first: int) -> None:
        position = first
        while position < len(code):
            signature = signatures[code[position]]
            if signature.payload:
                raise WeftError(
                    f"a cell cannot hold {signature.operation.name}, whose instructions differ from call to call; "
                    "make it outside of the cell and give it as an operand"
                )
            for slot in range(position + 1, position + 1 + len(signature.operands)):
                source = code[slot]
                if source >= first:
                    self.inner.append((slot - first, source - first))
                elif source > 0:
                    self.outer.append((slot - first, source - 1))
            position += signature.length

    def append(self, code: list[int], operands: Sequence[int]) -> int:
        """Append the instructions once; returns where they start."""
        start = len(code)
        chunk = self.instructions[:]
        for slot, k in self.outer:
            chunk[slot] = operands[k]
        for slot, offset in self.inner:
            chunk[slot] = start + offset
        code.extend(chunk)
        return start

    def repeat(
        self,
        code: list[int],
        steps: int,
        inputs: Sequence[Sequence[int]],
        states: Sequence[int] = (),
        constants: Sequence[int] = (),
    ) -> range:
        """Append the instructions `steps` times; returns where each of them starts.

        The operands are: one of every sequence of `inputs` a step; the `states`, in later steps the results of the
        step before; the same `constants` in all steps.
        """
        start, length = len(code), self.length
        end = start + steps * length
        columns: list[Sequence[int]] = list(inputs)
        for state, offset in zip(states, self.results):
            columns.append([state, *range(start + offset, end - length, length)])
        columns.extend([constant] * steps for constant in constants)
        chunk = self.instructions * steps
        for slot, k in self.outer:
            chunk[slot::length] = columns[k]
        for slot, offset in self.inner:
            chunk[slot::length] = range(start + offset, end, length)
        code.extend(chunk)
        return range(start, end, length)


class Cell:
    """A function of expressions whose calls append a template: quicker than the function, and the same instructions.

    The function is traced once per operand shapes; parameters are not operands but part of the function.
    """

    def __init__(self, function: CellFunction) -> None:
        self.function = function
        self.templates: dict[tuple[Shape, ...], Template] = {}

    def template(self, shapes: tuple[Shape, ...]) -> Template:
        """The template for these operand shapes; raises what the function raises for them."""
        try:
            return self.templates[shapes]
        except KeyError:
            made = self.templates[shapes] = Template(self.function, shapes)
            return made

    def __call__(self, *operands: Expression) -> tuple[Expression, ...]:
        """Append the instructions for these operands; returns the results."""
        try:
            template = self.templates[tuple([x.shape for x in operands])]
        except (KeyError, AttributeError):
            check_expressions("a cell", operands)
            template = self.template(tuple([x.shape for x in operands]))
        graph = graph_of("a cell", operands)
        start = template.append(graph.code, [x.index for x in operands])
        return tuple([Expression(graph, start + r, s) for r, s in zip(template.results, template.shapes)])
