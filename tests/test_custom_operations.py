"""Operations of users, made by the public door `weft_core.extend`, on every backend that is available here."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest

import weft_core as w
from weft_core import Expression, ParameterCollection
from weft_core.backend import backends, load_backend
from weft_core.extend import (
    Array,
    Attribute,
    Backend,
    Call,
    Operation,
    Shape,
    Signature,
    check_gradient,
    elementwise,
    gated,
    shape_of,
    unary_function,
)
from weft_core.plan import T_BATCH
from weft_core.settings import settings
from weft_testing import Case, check_case, check_reference, check_signatures

# --- one line: an elementwise operation with two operands, a setting and a number ------------------

damped = elementwise(
    "user_damped",
    "c * tanh(a) * exp(-rate * b * b)",
    scalars=("c",),
    da="dy * c * (1 - tanh(a) ** 2) * exp(-rate * b * b)",
    db="-2 * rate * b * y * dy",
    rate=0.5,
)

# --- a gated cell: the minimal gated unit of Zhou et al. 2016 in its simplest form -----------------

minimal = gated(
    "user_minimal_gate",
    gates="f g",
    states="s",
    results="h",
    forward="f = logistic(f)\ng = tanh(g)\nh = f * s + (1 - f) * g",
    backward="df = dh * (s - g) * f * (1 - f)\ndg = dh * (1 - f) * (1 - g * g)\nds = dh * f",
)

# --- a structured operation: the first axis backwards, times a factor ------------------------------


class Reversed(Operation):
    """`y_i = factor x_(n - 1 - i)` along the first axis; the attribute is the factor."""

    def infer(self, operands: tuple[Shape, ...], attributes: tuple[Attribute, ...]) -> Signature:
        (x,) = operands
        return Signature(self, operands, attributes, (shape_of(x.dims, x.batch),))

    def forward(self, call: Call, *operands: Array) -> tuple[Array, ...]:
        return (operands[0][::-1] * call.attributes[0],)

    def backward(
        self, call: Call, gradients: tuple[Array, ...], results: tuple[Array, ...], *operands: Array
    ) -> tuple[Array | None, ...]:
        return (gradients[0][::-1] * call.attributes[0],)


without_kernel, with_kernel = Reversed("user_reversed"), Reversed("user_reversed_compiled")
reverse_in_numpy = {factor: unary_function(without_kernel, (factor,)) for factor in (1.0, 2.0)}
reverse_compiled = {factor: unary_function(with_kernel, (factor,)) for factor in (1.0, 2.0)}

if find_spec("weft_numba") is not None:
    from weft_numba.kernels import kernel
    from weft_numba.pointers import floats, integers
    from weft_numba.views import batch_stride, gradient, layout, setting, size, value, view, wants_gradient

    def reversed_forward(record: int, start: int, count: int) -> None:
        y, x = view(record, 0), view(record, 1)
        n, factor = layout(record, 0), np.float32(setting(record, 0))
        for row in range(start, start + count):
            target, source = floats(value(y, row)), floats(value(x, row))
            for line in range(size(y) * integers(record)[T_BATCH] // n):
                for i in range(n):
                    target[line * n + i] = factor * source[line * n + n - 1 - i]

    def reversed_backward(record: int, start: int, count: int) -> None:
        y, x = view(record, 0), view(record, 1)
        if not wants_gradient(x):
            return
        n, factor = layout(record, 0), np.float32(setting(record, 0))
        for row in range(start, start + count):
            for b in range(integers(record)[T_BATCH]):
                dy = floats(gradient(y, row) + 4 * b * size(y))
                dx = floats(gradient(x, row) + 4 * b * batch_stride(x))
                for line in range(size(y) // n):
                    for i in range(n):
                        dx[line * n + n - 1 - i] += factor * dy[line * n + i]

    kernel(
        "user_reversed_compiled",
        forward=reversed_forward,
        backward=reversed_backward,
        table=lambda signature: [signature.operands[0].rows],
    )

# --- all of them, on all backends ------------------------------------------------------------------

CASES = [
    Case(
        "user_damped",
        lambda i, a, b: damped(a, b, 0.5 + i.number, rate=i.turn(1, 3) / 2),
        ((3, 2), (3, 2)),
        shapes={"one": ((1,), (1,)), "column": ((3, 2), (3,)), "wide": ((37,), (37,))},
    ),
    Case(
        "user_minimal_gate",
        lambda i, x, s: minimal([(i.parameter("W", 6, 2), x), (i.parameter("U", 6, 3), s)], i.parameter("b", 6), [s]),
        ((2,), (3,)),
    ),
    *[
        Case(
            name,
            lambda i, x, reverse=reverse: reverse[float(i.turn(1, 2))](x),
            ((3, 2),),
            shapes={"one": ((1,),), "cube": ((2, 3, 2),), "wide": ((37,),)},
        )
        for name, reverse in (("user_reversed", reverse_in_numpy), ("user_reversed_compiled", reverse_compiled))
    ],
]

names = [entry.name for entry in backends() if entry.available]
each_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


@pytest.fixture(params=names)
def backend(request: pytest.FixtureRequest) -> Iterator[Backend]:
    """Each available backend in turn, also as that of new graphs."""
    chosen = load_backend(request.param)
    before = settings.backend()
    settings.use(chosen)
    yield chosen
    settings.use(before)


def test_numpy_is_among_the_backends() -> None:
    assert "numpy" in names


@each_case
def test_a_case_on_every_backend(case: Case, backend: Backend) -> None:
    for variant in case.variants():
        check_case(backend, case, variant)


@each_case
def test_reference_and_signatures(case: Case) -> None:
    for variant in case.variants():
        check_reference(case, variant)
    check_signatures(case)


def test_gradients_of_parameters_through_all_of_them(backend: Backend) -> None:
    model = ParameterCollection()
    W, U, b = model.add_parameters((6, 2)), model.add_parameters((6, 3)), model.add_parameters(6)
    table = model.add_lookup_parameters((4, 2))

    def loss() -> Expression:
        h: Any = w.zeros(3)
        for row in (0, 2, 2, 3):
            (h,) = minimal([(W, table[row]), (U, h)], b, [h])
            h = damped(reverse_in_numpy[2.0](h), reverse_compiled[1.0](h), 1.5, rate=0.25)
        return w.squared_norm(h)

    assert check_gradient(loss, model).error < 1e-4


def test_several_uses_run_as_one_step(backend: Backend) -> None:
    with w.ComputationGraph(backend=backend) as graph:
        rows = [w.inputVector([float(k), 1.0, -1.0]) for k in range(8)]
        total = w.esum([reverse_compiled[2.0](damped(x, x, float(k))) for k, x in enumerate(rows)])
        total.npvalue()
        counts = graph.execution.counts()
    # Inputs, the elementwise operation, the structured one, the sum.
    assert counts["nodes"] == 8 + 8 + 8 + 1
    assert counts["steps"] == 4


def test_a_kernel_from_outside_runs_instead_of_the_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    if "numba" not in names:
        pytest.skip("the Numba backend is not installed")

    def refuse(*_: object) -> None:
        raise AssertionError("the NumPy reference ran")

    for method in ("forward", "backward"):
        for operation in (with_kernel, without_kernel):
            monkeypatch.setattr(operation, method, refuse)
    with w.ComputationGraph(backend=load_backend("numba")):
        x = w.inputVector([1.0, 2.0, 3.0])
        y = reverse_compiled[2.0](x)
        assert y.npvalue().tolist() == [6.0, 4.0, 2.0]
        w.pick(y, 0).backward(full=True)
        assert x.gradient().tolist() == [0.0, 0.0, 2.0]
        with pytest.raises(AssertionError, match="the NumPy reference ran"):
            reverse_in_numpy[2.0](x).npvalue()
