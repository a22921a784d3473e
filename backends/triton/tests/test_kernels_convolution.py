"""Convolutions at sizes that take several tiles of places, filters, channels and positions, in groups of every kind."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import weft_core as w
from weft_core import ComputationGraph, Expression, ParameterCollection
from weft_core.numpy_backend import NumpyBackend
from weft_core.signature import signatures
from weft_triton.backend import TritonBackend
from weft_triton.convolution import FILTERS, FORWARD, IMAGE, SUMMED
from weft_triton.lowering import Tiles, Work, lower
from weft_triton.options import Options

Dims = tuple[int, ...]
Outcome = dict[str, NDArray[np.float64]]
BACKENDS: tuple[Any, Any] = (TritonBackend(), NumpyBackend("float64"))


def spread(seed: int, *dims: int) -> NDArray[np.float64]:
    """Distinct numbers between -1 and 1."""
    n = int(np.prod(dims))
    return (np.random.default_rng(seed).permutation(n).reshape(dims) - n / 2 + 0.75) * (2 / n)


def weighted(y: Expression, seed: int) -> Expression:
    dims, batch = y.dim()
    return w.sum_batches(w.sum_elems(w.cmult(y, w.inputTensor(spread(seed, *dims, batch), batched=True))))


def close(found: Outcome, wanted: Outcome, tolerance: float = 3e-6) -> None:
    """Equal up to `tolerance` of the largest number."""
    for name, right in wanted.items():
        largest = np.abs(right).max()
        assert largest > 1e-3, name
        np.testing.assert_allclose(found[name], right, rtol=0, atol=tolerance * largest, err_msg=name)


@dataclass
class Images:
    """Shapes of image and filters, strides, whether filters stay inside; examples of image, filters and bias."""

    x: Dims
    f: Dims
    stride: list[int]
    is_valid: bool
    batches: tuple[int, int, int] = (1, 1, 1)
    instances: int = 3

    def run(self, backend: Any, from_parameters: bool) -> Outcome:
        """Filters and bias are parameters of all instructions, or inputs of each."""
        model = ParameterCollection()
        arrays = {"F": spread(90, *self.f), "b": spread(91, self.f[3])}
        parameters = {name: model.parameters_from_numpy(a) for name, a in arrays.items()}
        with ComputationGraph(backend=backend) as graph:
            inputs: dict[str, Expression] = {}
            ys = []
            for n in range(self.instances):
                operands: dict[str, Expression] = {}
                for k, (name, dims) in enumerate((("x", self.x), ("F", self.f), ("b", self.f[3:]))):
                    if from_parameters and name != "x":
                        operands[name] = parameters[name]
                    else:
                        made = w.inputTensor(spread(10 * k + n, *dims, self.batches[k]), batched=True)
                        operands[name] = inputs[f"d{name} {n}"] = made
                # The last instruction has the image of the first one: gradients of both are added to it.
                image = inputs["dx 0"] if n == self.instances - 1 else operands["x"]
                inputs.pop(f"dx {n}") if image is not operands["x"] else None
                ys.append(w.conv2d_bias(image, operands["F"], operands["b"], self.stride, self.is_valid))
            w.esum([weighted(y, 50 + n) for n, y in enumerate(ys)]).backward(full=True)
            found = {f"y {n}": y.npvalue() for n, y in enumerate(ys)}
            found |= {name: x.gradient() for name, x in inputs.items()}
            if backend is BACKENDS[0]:
                assert graph.execution.counts()["host_steps"] == 0
        if from_parameters:
            found |= {f"d{name}": p.grad_as_array() for name, p in parameters.items()}
        return found


CONVOLUTIONS = {
    "many places": Images((23, 25, 2), (3, 2, 2, 3), [1, 1], True, instances=2),
    "many summed places": Images((34, 33), (2, 2, 1, 2), [1, 1], True, instances=1),
    "a border": Images((7, 9, 3), (4, 3, 3, 5), [1, 1], False),
    "strides": Images((11, 12, 2), (3, 2, 2, 3), [2, 3], True),
    "strides and a border": Images((11, 12, 2), (5, 4, 2, 3), [3, 2], False),
    "strides longer than filters": Images((9, 11, 2), (2, 2, 2, 3), [3, 4], True),
    "many channels": Images((4, 3, 37), (2, 2, 37, 3), [1, 1], True, (2, 1, 1)),
    "many filters": Images((4, 5, 3), (2, 2, 3, 37), [1, 1], True, (2, 1, 1)),
    "examples": Images((4, 4, 3), (2, 3, 3, 4), [1, 1], False, (9, 1, 1)),
    "examples with filters of their own": Images((4, 4, 3), (2, 3, 3, 4), [1, 1], False, (5, 5, 5)),
    "one image, many filters": Images((4, 4, 3), (2, 3, 3, 4), [1, 1], False, (1, 5, 1)),
    "one image, one filter, many biases": Images((4, 4, 3), (2, 3, 3, 4), [1, 1], False, (1, 1, 5)),
    "one bias": Images((4, 4, 3), (2, 3, 3, 4), [1, 1], True, (5, 5, 1)),
    "pixels": Images((5, 6, 4), (1, 1, 4, 3), [1, 1], True, (2, 1, 1)),
}


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_convolutions_with_computed_filters_are_those_of_the_reference(name: str) -> None:
    case = CONVOLUTIONS[name]
    close(*(case.run(backend, False) for backend in BACKENDS))


@pytest.mark.parametrize("name", [name for name, case in CONVOLUTIONS.items() if case.batches[1:] == (1, 1)])
def test_convolutions_with_parameters_are_those_of_the_reference(name: str) -> None:
    case = CONVOLUTIONS[name]
    close(*(case.run(backend, True) for backend in BACKENDS))


def test_these_sizes_take_several_tiles() -> None:
    def places(name: str) -> int:
        return (CONVOLUTIONS[name].x[0] - 1) * (CONVOLUTIONS[name].x[1] - 1)

    assert places("many places") > 2 * max(FORWARD[1], IMAGE[1]) and places("many summed places") > SUMMED
    assert CONVOLUTIONS["many channels"].x[2] > IMAGE[0]
    assert 4 * CONVOLUTIONS["many channels"].x[2] > max(FORWARD[2], FILTERS[1])
    assert CONVOLUTIONS["many filters"].f[3] > max(FORWARD[0], FILTERS[0])


# What several tiles of one instruction add to, of image, filters and bias: views 1, 2 and 3 of the signature.
SHARED: list[tuple[str, bool, set[int]]] = [
    ("examples", False, {3}),
    ("examples", True, {3}),
    ("examples with filters of their own", False, set()),
    ("one image, many filters", False, {1, 3}),
    ("one image, one filter, many biases", False, {1}),
    ("one bias", False, {3}),
    ("many summed places", False, {2}),
    ("many summed places", True, {2}),
]


@pytest.mark.parametrize(("name", "from_parameters", "shared"), SHARED)
def test_what_several_tiles_add_to_is_added_atomically(name: str, from_parameters: bool, shared: set[int]) -> None:
    works = works_of(CONVOLUTIONS[name], from_parameters)
    found = {ref.view: ref.shared for work in works for ref in work.views if ref.gradient and ref.view}
    assert found == {view: view in shared for view in (1, 2, 3)}


def works_of(case: Images, from_parameters: bool) -> list[Work]:
    """What one convolution becomes."""
    model = ParameterCollection()
    with ComputationGraph(backend=BACKENDS[1]) as graph:
        shapes = zip((case.x, case.f, case.f[3:]), case.batches, strict=True)
        x, f, b = (w.inputTensor(np.zeros((*dims, batch)), batched=True) for dims, batch in shapes)
        y = w.conv2d_bias(x, model.add_parameters(case.f) if from_parameters else f, b, case.stride, case.is_valid)
        signature = signatures[graph.code[y.index]]
    works = lower(signature, [False] * 4, [True] * 4, [False] * 4, Options())
    assert works is not None
    return works


def test_instructions_with_one_parameter_share_tiles() -> None:
    """Their places are counted through; computed filters have tiles of their own."""
    case = CONVOLUTIONS["examples"]
    together, apart = (works_of(case, from_parameters)[0].tiles for from_parameters in (True, False))
    assert together == Tiles(9 * 16, FORWARD[1]) and apart == Tiles(-(-9 * 16 // FORWARD[1]), 1)


NARROW: dict[str, tuple[Dims, Dims, int, int]] = {
    "one filter": ((5, 70), (5, 3), 1, 1),
    "a filter of a number": ((5, 7), (5, 1), 2, 1),
    "many filters": ((6, 12), (6, 4, 37), 3, 1),
    "many rows": ((70, 12), (70, 3, 5), 2, 1),
    "filters of examples": ((6, 12), (6, 4, 5), 1, 3),
    "as wide as the matrix": ((6, 4), (6, 4, 5), 3, 3),
}


@pytest.mark.parametrize("from_parameter", [False, True], ids=["computed", "parameter"])
@pytest.mark.parametrize("name", NARROW)
def test_narrow_filters_are_those_of_the_reference(name: str, from_parameter: bool) -> None:
    x_dims, f_dims, batch, filter_batch = NARROW[name]

    def run(backend: Any) -> Outcome:
        model = ParameterCollection()
        parameter = model.parameters_from_numpy(spread(9, *f_dims))
        with ComputationGraph(backend=backend) as graph:
            xs = [w.inputTensor(spread(n, *x_dims, batch), batched=True) for n in range(3)]
            fs = [w.inputTensor(spread(20 + n, *f_dims, filter_batch), batched=True) for n in range(3)]
            ys = [w.filter1d_narrow(x, parameter if from_parameter else f) for x, f in zip(xs, fs, strict=True)]
            w.esum([weighted(y, 50 + n) for n, y in enumerate(ys)]).backward(full=True)
            found = {f"y {n}": y.npvalue() for n, y in enumerate(ys)}
            found |= {f"dx {n}": x.gradient() for n, x in enumerate(xs)}
            if not from_parameter:
                found |= {f"df {n}": f.gradient() for n, f in enumerate(fs)}
            if backend is BACKENDS[0]:
                assert graph.execution.counts()["host_steps"] == 0
        return found | ({"df": parameter.grad_as_array()} if from_parameter else {})

    close(*map(run, BACKENDS))


def test_filters_inside_of_a_cell() -> None:
    model = ParameterCollection()
    F = model.parameters_from_numpy(spread(1, 3, 3, 4, 6))
    arrays = [spread(k, 5, 4, 4) for k in range(4)]

    def run(backend: Any) -> Outcome:
        model.store.gradients[:] = 0
        with ComputationGraph(backend=backend):
            cell = w.cell(lambda x: w.tanh(w.conv2d(w.square(x), F, [1, 1], False)))
            xs = [w.inputTensor(a) for a in arrays]
            ys = [cell(x) for x in xs]
            w.esum([weighted(y, 7) for y in ys]).backward(full=True)
            found = {f"y {k}": y.npvalue() for k, y in enumerate(ys)} | {"dx": xs[3].gradient()}
        return found | {"dF": F.grad_as_array()}

    close(*map(run, BACKENDS), 1e-5)
