"""Updates by kernels under the interpreter, on memory of the host: against the kit, and against the NumPy backend."""

from __future__ import annotations

import gc
import json
import math
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("triton")

from weft_core.backend import load_backend
from weft_core.collection import ParameterCollection
from weft_core.extend import Idle, RuleState, UpdateRule
from weft_core.lazy import update_lazily
from weft_core.numpy_backend import NumpyBackend
from weft_core.settings import settings
from weft_core.store import ParameterStore
from weft_testing.updates import RULES, SITUATIONS, check_update
from weft_trainers import AdamTrainer, AmsgradTrainer, EGTrainer, MomentumSGDTrainer, Trainer
from weft_triton import gradient_norm, update
from weft_triton.errors import OutOfDeviceMemory
from weft_triton.host import HostMemory
from weft_triton.jobs import BLOCK
from weft_triton.residence import Residence
from weft_triton.toolchain import INTERPRETED

if not INTERPRETED:
    pytest.skip("kernels run on memory of the host with TRITON_INTERPRET=1 only", allow_module_level=True)

REFERENCE = NumpyBackend()
ADAPTIVE, NUMBERS = RULES["adaptive"]


class DeviceUpdates(NumpyBackend):
    """Graphs in NumPy, updates on a device."""

    name = "device updates"

    def __init__(self, limit: int | None = None) -> None:
        super().__init__()
        self.device = HostMemory(limit)
        self.residence = Residence(self.device)

    def update(
        self,
        rule: UpdateRule,
        state: RuleState,
        store: ParameterStore,
        settings: dict[str, float],
        scale: float,
        sparse: bool,
    ) -> None:
        update.apply_rule(self.residence, rule, state, store, settings, scale, sparse)

    def update_idle(
        self, rule: UpdateRule, state: RuleState, store: ParameterStore, settings: dict[str, float], scale: float
    ) -> bool:
        return update.apply_rule_and_idle_steps(self.residence, rule, state, store, settings, scale)

    def gradient_norm(self, store: ParameterStore) -> float:
        return gradient_norm.gradient_norm(self.residence, store)


def test_kernels_compile_and_spill_nothing() -> None:
    environment = {key: value for key, value in os.environ.items() if key != "TRITON_INTERPRET"}
    command = [sys.executable, str(Path(__file__).with_name("update_program.py"))]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert {name: kernel["spills"] for name, kernel in found.items()} == dict.fromkeys(found, 0)
    # The arena is read and written in the widest words: two for each of values, gradients and two moments.
    assert found["adaptive runs (9, 0)"]["wide"] == [8, 8]
    assert found["norm of_runs (9, 0)"]["wide"] == [2, 0]


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("situation", SITUATIONS)
def test_the_kit(rule: str, situation: str) -> None:
    check_update(DeviceUpdates(), rule, situation)


class Pair:
    """Two equal models, one for the device and one for the reference."""

    def __init__(self, make: Callable[[ParameterCollection], None]) -> None:
        self.models = ParameterCollection(), ParameterCollection()
        for model in self.models:
            make(model)
        self.states = RuleState(), RuleState()
        self.backend = DeviceUpdates()

    def gradients(self, turn: int, rows: dict[int, list[int]] | None = None) -> None:
        """Gradients of all parameters, and of these rows of the tables."""
        for model in self.models:
            for p in model.parameters_list():
                p.gradients[...] = np.linspace(-1, turn + 1, p.gradients.size).reshape(p.gradients.shape)
            for k, table in enumerate(model.store.tables):
                ids = (rows or {}).get(k, [])
                table.gradients[ids] = np.linspace(-2, turn + 1, len(ids) * table.row_size).reshape(len(ids), -1)
                table.touch(ids)

    def update(self, rule: UpdateRule, numbers: dict[str, float], scale: float = 0.5, sparse: bool = True) -> None:
        for backend, model, state in zip((self.backend, REFERENCE), self.models, self.states, strict=True):
            backend.update(rule, state, model.store, numbers, scale, sparse)

    def compare(self) -> None:
        found, wanted = (
            [
                *(a for p in (*m.parameters_list(), *m.lookup_parameters_list()) for a in (p.values, p.gradients)),
                *state.dense.values(),
                *state.tables.values(),
            ]
            for m, state in zip(self.models, self.states, strict=True)
        )
        for one, other in zip(found, wanted, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


def many_parameters(model: ParameterCollection) -> None:
    """So many runs that the search for a tile's job takes several steps: every other parameter is frozen."""
    for k in range(150):
        model.add_parameters(k % 40 + 1, "normal" if k % 3 else 0.5).set_updated(k % 2 == 0)
        model.parameters_list()[-1].set_value(np.linspace(-1, 1, k % 40 + 1))


def test_many_runs_between_frozen_parameters() -> None:
    pair = Pair(many_parameters)
    for turn in range(2):
        pair.gradients(turn)
        pair.update(ADAPTIVE, NUMBERS)
    pair.compare()
    wanted = math.sqrt(sum(float(np.square(p.grad_as_array()).sum()) for p in pair.models[1].parameters_list()))
    assert pair.backend.gradient_norm(pair.models[0].store) == pytest.approx(wanted, rel=1e-6)


def tables(*sizes: int, matrix: bool = False) -> Callable[[ParameterCollection], None]:
    """Makes tables with rows of these sizes, and perhaps a matrix."""

    def make(model: ParameterCollection) -> None:
        if matrix:
            model.add_parameters((2, 3), 1.0)
        for size in sizes:
            model.lookup_parameters_from_numpy(np.linspace(0.5, 1, 6 * size).reshape(6, size) / size)

    return make


@pytest.mark.parametrize("sparse", [True, False])
@pytest.mark.parametrize("rule", ["adaptive", "distribution"])
def test_rows_of_any_size(rule: str, sparse: bool) -> None:
    pair = Pair(tables(1, 3, BLOCK - 1, BLOCK, BLOCK + 500))
    for turn in range(2):
        pair.gradients(turn, {0: [5, 2], 1: [0, 4, 1], 2: [3, 5], 3: [1], 4: [turn, 4]})
        pair.update(*RULES[rule], sparse=sparse)
    pair.compare()


def test_a_distribution_larger_than_a_tile() -> None:
    size = 2 * BLOCK + 100
    pair = Pair(lambda model: model.add_parameters(size, 1 / size) and None)
    pair.gradients(0)
    pair.update(*RULES["distribution"])
    pair.compare()
    assert pair.models[0].parameters_list()[0].as_array().sum() == pytest.approx(1)


RULES_OF_ODD_TEXT = {
    # Functions of g in the idle step, where g is a number.
    "functions of zero": (
        UpdateRule("odd_zero", "m = m + abs(g)\nw = w - eta * sqrt(m + exp(g))", ("m",), ("eta",)),
        {},
    ),
    "a constant": (UpdateRule("odd_constant", "x = 2\nw = x * eta", (), ("eta",)), {}),
    "names of the kernel's own": (
        UpdateRule("odd_names", "tile = tile + scale * g\nw = w - eta * tile", ("tile",), ("eta", "scale")),
        {"scale": 0.5},
    ),
    "an unread moment": (UpdateRule("odd_moment", "w = w - eta * g", ("m",), ("eta",)), {}),
    "conditions": (UpdateRule("odd_where", "w = w - eta if g > 0 else (w + eta if g < -0.5 else w)", (), ("eta",)), {}),
}


@pytest.mark.parametrize("name", RULES_OF_ODD_TEXT)
def test_rules_of_odd_text(name: str) -> None:
    rule, numbers = RULES_OF_ODD_TEXT[name]
    pair = Pair(tables(3, matrix=True))
    for turn in range(2):
        pair.gradients(turn, {0: [1, 2]})
        for backend, model, state in zip((pair.backend, REFERENCE), pair.models, pair.states, strict=True):
            update_lazily(backend, rule, state, model.store, numbers | {"eta": 0.1}, 0.5)
    pair.compare()


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_norm_that_is_not_finite(bad: float) -> None:
    model = ParameterCollection()
    model.add_parameters(5).gradients[3] = bad
    norm = DeviceUpdates().gradient_norm(model.store)
    assert math.isnan(norm) if math.isnan(bad) else norm == bad


def test_the_norm_of_a_large_model_and_of_none() -> None:
    model = ParameterCollection()
    backend = DeviceUpdates()
    assert backend.gradient_norm(model.store) == 0
    sizes = [(40, 50), (7,), (BLOCK,)]
    table = model.add_lookup_parameters((9, 700))._slot
    for k, size in enumerate(sizes):
        model.add_parameters(size).gradients[...] = k + 1
    # A row without a note counts only with the whole table.
    table.gradients[[2, 5, 8]] = 3
    table.touch([5, 8])
    dense = 2000 + 4 * 7 + 9 * BLOCK
    assert backend.gradient_norm(model.store) == pytest.approx(math.sqrt(dense + 9 * 1400), rel=1e-6)
    table.meta[3] = 1
    assert backend.gradient_norm(model.store) == pytest.approx(math.sqrt(dense + 9 * 2100), rel=1e-6)


def test_frozen_parameters_count_in_the_norm() -> None:
    model = ParameterCollection()
    p = model.add_parameters(4)
    p.gradients[...] = 2
    p.set_updated(False)
    backend = DeviceUpdates()
    assert backend.gradient_norm(model.store) == 4
    backend.update(*RULES["momentum"][:1], RuleState(), model.store, RULES["momentum"][1], 1.0, True)
    assert backend.gradient_norm(model.store) == 4


def test_between_updates_only_jobs_and_norms_travel() -> None:
    model = ParameterCollection()
    model.add_parameters((60, 60), 1.0)
    table = model.add_lookup_parameters((500, 8), 1.0)._slot
    backend, state = DeviceUpdates(), RuleState()
    counters = backend.device.counters

    def step() -> tuple[int, int, int]:
        before = counters.bytes_up, counters.bytes_down, counters.allocations
        table.touch([3, 400])
        assert backend.gradient_norm(model.store) == 0
        backend.update(ADAPTIVE, state, model.store, NUMBERS, 1.0, True)
        return (
            counters.bytes_up - before[0],
            counters.bytes_down - before[1],
            counters.allocations - before[2],
        )

    step()
    step()
    prepared = state.prepared
    up, down, allocations = step()
    assert up < 300 and down == 8 and allocations == 0
    assert state.prepared is prepared


def test_nothing_is_left_of_a_model_that_nobody_refers_to() -> None:
    model = ParameterCollection()
    model.add_parameters((60, 60), 1.0)
    model.add_lookup_parameters((500, 8), 1.0)
    backend, state = DeviceUpdates(), RuleState()
    backend.gradient_norm(model.store)
    backend.update(ADAPTIVE, state, model.store, NUMBERS, 1.0, False)
    assert backend.residence.report()["moments"] == 2 * 4 * (4096 + 4000)
    # Without the help of the collector of cycles.
    gc.disable()
    try:
        del model, state
        assert backend.residence.report() == {}
    finally:
        gc.enable()


def test_frozen_tables_stay_on_the_host() -> None:
    model = ParameterCollection()
    model.add_parameters(3)
    frozen = model.add_lookup_parameters((500, 8), 1.0)
    frozen.set_updated(False)
    backend = DeviceUpdates()
    backend.update(ADAPTIVE, RuleState(), model.store, NUMBERS, 1.0, False)
    assert frozen._slot.value_arena.resident is None
    assert "look-up tables" not in backend.residence.report()


def test_without_room_for_moments_nothing_changes() -> None:
    model = ParameterCollection()
    p = model.add_parameters((40, 40), 1.0)
    p.gradients[...] = 1
    backend = DeviceUpdates(limit=20_000)
    with pytest.raises(OutOfDeviceMemory, match=r"moments need 8,192 bytes more .* In use: parameters 8,192"):
        backend.update(ADAPTIVE, RuleState(), model.store, NUMBERS, 1.0, True)
    assert (p.as_array() == 1).all() and (p.grad_as_array() == 1).all()


@pytest.mark.parametrize("rows_rest", [True, False])
def test_backends_take_turns_in_lazy_updates(rows_rest: bool) -> None:
    """What rows have missed on the CPU is made up for before the device goes on, and the other way round."""
    pair = Pair(tables(3, 20, matrix=True))
    backends = [load_backend("numba"), pair.backend, REFERENCE]
    rule = ADAPTIVE.with_decay(rows_rest=rows_rest)
    for turn in range(8):
        pair.gradients(turn, {0: [turn % 6, (turn + 2) % 6], 1: [turn // 2]})
        numbers = NUMBERS | {"kept": 0.75 + turn / 100}
        for backend, model, state in zip((backends[turn % 3], REFERENCE), pair.models, pair.states, strict=True):
            update_lazily(backend, rule, state, model.store, numbers, 0.5)
    for model in pair.models:
        for table in model.store.tables:
            table.clear_arrears()
    pair.compare()


def test_a_step_with_gradient_zero_that_is_not_the_rule_with_gradient_zero() -> None:
    rule = UpdateRule("odd_idle", "m = g\nw = w - eta * m", ("m",), ("eta",), Idle("w = 0.5 * w"))
    pair = Pair(tables(3))
    for turn in range(2):
        pair.gradients(turn, {0: [1, 4]})
        for backend, model, state in zip((pair.backend, REFERENCE), pair.models, pair.states, strict=True):
            update_lazily(backend, rule, state, model.store, {"eta": 0.1}, 1.0)
    pair.models[1].store.tables[0].clear_arrears()
    pair.compare()


@pytest.fixture
def device_updates() -> Iterator[DeviceUpdates]:
    previous = settings.backend()
    backend = DeviceUpdates()
    settings.use(backend)
    yield backend
    settings.use(previous)


def trained(kind: type[Trainer], decay: bool, sparse: bool | str) -> list[np.ndarray]:
    """Parameters after updates of everything, of some, with averages, and with parameters that were added."""
    model = ParameterCollection()
    below = model.add_subcollection("below")
    W, V = model.add_parameters((3, 2), 0.25), below.add_parameters((2, 2), 0.5)
    E = below.add_lookup_parameters((5, 3), 0.125)
    if decay:
        below.set_weight_decay(0.25)
    trainer = kind(model)  # type: ignore[call-arg]
    trainer.set_sparse_updates(sparse)  # type: ignore[arg-type]
    if kind is not EGTrainer:
        trainer.cumulative_moving_average()
    for turn in range(5):
        for p in model.parameters_list():
            p.gradients[...] = np.arange(p.gradients.size).reshape(p.gradients.shape) / 8 - turn
        E.gradients[turn] = turn
        model.store.tables[0].touch([turn])
        if turn == 3:
            trainer.update_subset([V], [E])
        else:
            trainer.update()
        if turn == 1:
            model.add_parameters((50, 50), 1 / 2500)
    averages = trainer.average
    if averages is not None:
        trainer.swap_params_to_moving_average()
    found = [a for p in model.parameters_list() for a in (p.as_array(), p.grad_as_array())]
    return [*found, W.as_array(), E.as_array(), *trainer.state.dense.values(), *trainer.state.tables.values()]


@pytest.mark.parametrize(
    ("kind", "decay"),
    [(AdamTrainer, True), (AdamTrainer, False), (AmsgradTrainer, True), (MomentumSGDTrainer, True), (EGTrainer, False)],
)
@pytest.mark.parametrize("sparse", [True, False, "lazy"])
def test_trainers(kind: type[Trainer], decay: bool, sparse: bool | str, device_updates: DeviceUpdates) -> None:
    found = trained(kind, decay, sparse)
    assert device_updates.device.counters.uploads
    settings.use(REFERENCE)
    for one, other in zip(found, trained(kind, decay, sparse), strict=True):
        np.testing.assert_allclose(one, other, rtol=2e-5, atol=1e-6)
