"""What a profile counts: steps and instructions exactly, times plausibly; results stay the same."""

from time import perf_counter

import numpy as np
import pytest

import weft_core as w
from weft_core.backend import backends, load_backend

BACKENDS = [entry.name for entry in backends() if entry.available]


@pytest.fixture
def weights() -> w.Parameters:
    return w.ParameterCollection().parameters_from_numpy(np.eye(3) / 2)


def losses(weights: w.Parameters) -> w.Expression:
    return w.esum([w.squared_norm(w.tanh(weights * w.inputVector([k, 1, -k]))) for k in range(4)])


@pytest.mark.parametrize("backend", BACKENDS)
def test_every_step_is_counted(backend: str, weights: w.Parameters) -> None:
    with w.ComputationGraph(backend=load_backend(backend)):
        plain = losses(weights)
        plain.backward()
        expected, gradient = plain.value(), weights.grad_as_array()
    weights.scale_gradient(0)
    began = perf_counter()
    with w.Profile() as profile, w.ComputationGraph(backend=load_backend(backend)):
        loss = losses(weights)
        loss.backward()
        assert loss.value() == expected
    elapsed = perf_counter() - began
    np.testing.assert_array_equal(weights.grad_as_array(), gradient)
    lines = {f"{direction} {kind.partition('(')[0]}": line for (direction, kind), line in profile.lines.items()}
    for direction in ("FWD", "BWD"):
        assert (lines[f"{direction} tanh"].steps, lines[f"{direction} tanh"].instructions) == (1, 4)
        assert lines[f"{direction} esum"].instructions == 1
        assert f"{direction} plan" in lines
    assert 0 < profile.total() <= elapsed
    assert profile.table().splitlines()[-1].endswith("total")
    assert str(profile) == profile.table()


def test_nothing_is_counted_after_the_end(weights: w.Parameters) -> None:
    with w.Profile() as profile:
        pass
    w.renew_cg()
    losses(weights).backward()
    assert profile.lines == {} and profile.total() == 0


def test_another_profile_takes_over(weights: w.Parameters) -> None:
    first = w.Profile().start()
    second = w.Profile().start()
    first.stop()
    w.renew_cg()
    losses(weights).value()
    second.stop()
    assert not first.lines and second.lines
