"""One case on one backend, compared with the float64 reference: values, gradients of operands and parameters."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np

from weft_core import ComputationGraph, Expression, ParameterCollection, esum, inputTensor, lookup_batch
from weft_core.extend import Backend
from weft_core.ops.inputs import InputExpression

from .case import INSTANCES, Case, Floats, Instance, Variant, grid_step
from .running import (
    REFERENCE,
    Outcome,
    clear_gradients,
    compare,
    parameter_gradients,
    projection,
    require,
    same_random_numbers,
)


class Program:
    """A graph with several instances of a case: on fresh, shared and computed inputs, on parameters and rows of tables.

    Instances 0, 1 and 4 take inputs; 2 shares its first operand with 0, its others are computed; 3 takes parameters,
    or rows of look-up tables where the operand is batched.
    """

    def __init__(self, case: Case, variant: Variant) -> None:
        self.case = case
        self.variant = variant
        self.model = ParameterCollection()
        self.shared: dict[str, object] = {}
        self.instances = [Instance(k, self.model, self.shared) for k in range(INSTANCES)]  # type: ignore[arg-type]
        self.values = [case.values(variant, k) for k in range(INSTANCES)]
        self.owned = [
            self.model.parameters_from_numpy(v[..., 0]) if batch == 1
            else self.model.lookup_parameters_from_numpy(np.moveaxis(v, -1, 0))
            for v, batch in zip(self.values[3], variant.batches, strict=True)
        ]  # fmt: skip

    def operands(self) -> list[list[Expression]]:
        """Operands of every instance, recorded in the current graph."""
        fresh = {k: [inputTensor(v, batched=True) for v in self.values[k]] for k in (0, 1, 2, 4)}
        computed: list[Expression] = [*fresh[0][:1], *(x + 0.0 for x in fresh[2][1:])]
        owned: list[Expression] = [
            p if batch == 1 else lookup_batch(p, range(batch))  # type: ignore[arg-type]
            for p, batch in zip(self.owned, self.variant.batches, strict=True)
        ]
        return [list(fresh[0]), list(fresh[1]), computed, owned, list(fresh[4])]

    def results(self, operands: list[list[Expression]]) -> list[list[Expression]]:
        """Results of every instance."""
        return [as_list(self.case.build(i, *xs)) for i, xs in zip(self.instances, operands, strict=True)]

    def loss(self, results: list[list[Expression]]) -> Expression:
        """One number that depends on every element of every result."""
        return esum([projection(y, seed) for seed, y in enumerate(y for ys in results for y in ys)])

    def run(self, backend: Backend, autobatch: bool) -> Outcome:
        """Values and gradients; backward runs twice, first for parameters only, then for every node."""
        clear_gradients(self.model)
        with same_random_numbers(), ComputationGraph(autobatch=autobatch, backend=backend):
            operands = self.operands()
            results = self.results(operands)
            loss = self.loss(results)
            outcome = {"the loss": np.array(loss.scalar_value())}
            loss.backward()
            outcome |= parameter_gradients(self.model, "gradient after one backward")
            loss.backward(full=True)
            outcome |= parameter_gradients(self.model, "gradient after two backwards")
            for k, (xs, ys) in enumerate(zip(operands, results, strict=True)):
                for n, y in enumerate(ys):
                    outcome[f"result {n} of instance {k}"] = y.npvalue()
                    outcome[f"gradient of result {n} of instance {k}"] = y.gradient()
                for n, x in enumerate(xs):
                    if x.graph is not None:
                        outcome[f"gradient of operand {n} of instance {k}"] = x.gradient()
        clear_gradients(self.model)
        return outcome

    def run_in_a_row(self, backend: Backend, autobatch: bool) -> Outcome:
        """Inputs only, and each operand's inputs recorded side by side: memory of a group without gaps."""
        chosen = (0, 1, 4)
        clear_gradients(self.model)
        with same_random_numbers(), ComputationGraph(autobatch=autobatch, backend=backend):
            columns = [
                [inputTensor(self.values[k][n], batched=True) for k in chosen] for n in range(len(self.variant.dims))
            ]
            results = [
                as_list(self.case.build(self.instances[k], *[c[j] for c in columns])) for j, k in enumerate(chosen)
            ]
            # The last result first: the order of use is not that of recording.
            loss = self.loss(results[::-1])
            loss.backward(full=True)
            outcome = {"the loss": np.array(loss.scalar_value()), **parameter_gradients(self.model)}
            for n, column in enumerate(columns):
                outcome |= {
                    f"gradient of operand {n} of instance {k}": x.gradient()
                    for k, x in zip(chosen, column, strict=True)
                }
        clear_gradients(self.model)
        return outcome


def as_list(results: Expression | Sequence[Expression]) -> list[Expression]:
    """Results of an operation with one or with several."""
    return [results] if isinstance(results, Expression) else list(results)


@cache
def _programs() -> dict[tuple[int, str], tuple[Program, Outcome, Outcome]]:
    return {}


def program_of(case: Case, variant: Variant) -> tuple[Program, Outcome, Outcome]:
    """The program of a variant and what the float64 reference makes of it, unbatched; made once per process."""
    key = id(case), variant.name
    known = _programs()
    if key not in known:
        program = Program(case, variant)
        known[key] = program, program.run(REFERENCE, autobatch=False), program.run_in_a_row(REFERENCE, autobatch=False)
    return known[key]


def check_case(backend: Backend, case: Case, variant: Variant) -> None:
    """Compare a backend with the float64 reference, autobatching on and off.

    Raises `ConformanceError` naming case, variant and the first number that differs.
    """
    program, wanted, wanted_in_a_row = program_of(case, variant)
    for autobatch in (True, False):
        where = f"{backend.name}: {case.name}, {variant.name}, autobatch={autobatch}"
        compare(program.run(backend, autobatch), wanted, where, case.tolerance)
        compare(program.run_in_a_row(backend, autobatch), wanted_in_a_row, f"{where}, in a row", case.tolerance)


def check_signatures(case: Case) -> None:
    """Instances side by side give what each gives alone with a signature made for it.

    A parameter's shape is its own, so an instruction on a new parameter never finds a signature that another
    instance, with other attributes, has left. Raises `ConformanceError`.
    """
    variant = next(case.variants())
    if variant.name != "unbatched" or not case.dims:
        return
    program = Program(case, variant)
    with same_random_numbers(), ComputationGraph(backend=REFERENCE):
        together = [[y.npvalue() for y in ys] for ys in program.results(program.operands())]
    for k, instance in enumerate(program.instances):
        values = [program.values[0][0], *program.values[2][1:]] if k == 2 else program.values[k]
        owned = [program.model.parameters_from_numpy(v[..., 0]) for v in values]
        with same_random_numbers(), ComputationGraph(backend=REFERENCE):
            # The instances before it are recorded, too: random operations draw by their position on the tape.
            operands = program.operands()
            for earlier in range(k):
                case.build(program.instances[earlier], *operands[earlier])
            alone = [y.npvalue() for y in as_list(case.build(instance, *owned))]
        for n, (a, b) in enumerate(zip(together[k], alone, strict=True)):
            compare({"it": a}, {"it": b}, f"{case.name}: result {n} of instance {k} beside other instances", 1e-6)


def check_reference(case: Case, variant: Variant) -> None:
    """Gradients of the float64 reference against its central differences along random directions.

    This is how the reference itself is checked. Raises `ConformanceError`.
    """
    if not case.differentiable or not case.dims:
        return
    program = Program(case, variant)
    rng = np.random.default_rng(3)
    step = grid_step(case, variant) / 16
    with same_random_numbers(), ComputationGraph(backend=REFERENCE):
        inputs = [inputTensor(v, batched=True) for v in program.values[0]]
        loss = program.loss([as_list(case.build(program.instances[0], *inputs))])
        loss.backward(full=True)
        gradients = [x.gradient().reshape(v.shape) for x, v in zip(inputs, program.values[0], strict=True)]
        for n, (x, v, gradient) in enumerate(zip(inputs, program.values[0], gradients, strict=True)):
            direction = rng.choice([-1.0, 1.0], v.shape)
            slope = (_moved(x, v + step * direction, loss) - _moved(x, v - step * direction, loss)) / (2 * step)
            _moved(x, v, loss)
            analytic = float((gradient * direction).sum())
            require(
                abs(analytic - slope) <= 1e-4 * max(1.0, abs(slope), float(np.abs(gradient).sum())),
                f"{case.name}, {variant.name}: the gradient of operand {n} along a direction is {analytic:.9g}, "
                f"central differences of the reference give {slope:.9g}",
            )


def _moved(x: InputExpression, values: Floats, loss: Expression) -> float:
    x.set(values.ravel(order="F").tolist())
    return loss.scalar_value()
