"""Compiled updates: prepared addresses, lazy rows, and threads."""

import os
import signal
import threading
from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

import weft_core as dy
import weft_numba.update
from weft_core.collection import ParameterCollection
from weft_core.graph import init
from weft_core.lazy import LazyRows, UpdateLog
from weft_core.rules import Idle, UpdateRule
from weft_core.settings import settings
from weft_core.store import aligned_zeros
from weft_numba import threads
from weft_numba.lazy import CompiledRows
from weft_trainers import (
    AdadeltaTrainer,
    AdamTrainer,
    AmsgradTrainer,
    EGTrainer,
    MomentumSGDTrainer,
    RMSPropTrainer,
    SimpleSGDTrainer,
    Trainer,
)


@pytest.fixture(autouse=True)
def numba_backend() -> Iterator[None]:
    previous = settings.backend()
    init("numba", seed=1, threads=1)
    yield
    init("numba", threads=1)
    settings.use(previous)


def filled(collection: ParameterCollection, value: float) -> None:
    for parameter in collection.parameters_list():
        parameter.gradients[...] = value


def test_addresses_are_prepared_once_and_anew_after_changes() -> None:
    model = ParameterCollection()
    first = model.add_parameters((5, 5), 0.0)
    second = model.add_parameters((3,), 0.0)
    table = model.add_lookup_parameters((4, 2), 0.0)
    trainer = AdamTrainer(model, alpha=0.5)
    filled(model, 1.0)
    trainer.update()
    prepared = trainer.state.prepared
    filled(model, 1.0)
    trainer.update()
    assert trainer.state.prepared is prepared
    second.set_updated(False)
    before = second.as_array()
    filled(model, 1.0)
    trainer.update()
    np.testing.assert_array_equal(second.as_array(), before)
    np.testing.assert_array_equal(second.gradients, 1.0)
    assert not first.gradients.any()
    second.set_updated(True)
    table.set_updated(False)
    table._slot.touch([1])
    table.gradients[1] = 1.0
    trainer.update()
    assert (second.as_array() < before).all() and not table.as_array().any()
    late = model.add_parameters((5000,), 0.0)
    assert model.store.gradients is not None
    filled(model, 1.0)
    trainer.update()
    assert (late.values < 0).all() and not model.store.gradients.any()


def test_one_state_may_serve_another_store() -> None:
    models = ParameterCollection(), ParameterCollection()
    trainers = [AdamTrainer(model, alpha=0.5) for model in models]
    for model in models:
        model.add_parameters((5,), 0.0)
        filled(model, 1.0)
    backend = settings.backend()
    for model in models:
        backend.update(AdamTrainer.rule, trainers[0].state, model.store, trainers[0].numbers(1), 1.0, True)
    assert all((model.parameters_list()[0].values < 0).all() for model in models)


def test_the_norm_follows_tables_and_new_parameters() -> None:
    model = ParameterCollection()
    backend = settings.backend()
    first = model.add_parameters((2,), 0.0)
    first.gradients[...] = 3.0
    assert backend.gradient_norm(model.store) == pytest.approx(18**0.5)
    table = model.add_lookup_parameters((4, 2), 0.0)
    table.gradients[...] = 1.0
    assert backend.gradient_norm(model.store) == pytest.approx(18**0.5)
    table._slot.touch([0, 3])
    assert backend.gradient_norm(model.store) == pytest.approx(22**0.5)
    table._slot.meta[3] = 1
    assert backend.gradient_norm(model.store) == pytest.approx(26**0.5)


def adam_log(steps: int) -> UpdateLog:
    log = UpdateLog(AdamTrainer.rule)
    trainer = AdamTrainer(ParameterCollection())
    for step in range(1, steps + 1):
        log.append(trainer.numbers(step))
    return log


RULES = {
    "adam": AdamTrainer.rule,
    "momentum": MomentumSGDTrainer.rule,
    "no idle program": UpdateRule("test_plain", "v = mom * v - rate * g\nw = w + v", ("v",), ("rate", "mom")),
    "adadelta": AdadeltaTrainer.rule,
    "rmsprop": RMSPropTrainer.rule,
    "amsgrad": AmsgradTrainer.rule,
    "descent, decay": SimpleSGDTrainer.rule.with_decay(rows_rest=True),
    "adam, sparse decay": AdamTrainer.rule.with_decay(rows_rest=True),
    "adam, decay": AdamTrainer.rule.with_decay(rows_rest=False),
    "momentum, decay": MomentumSGDTrainer.rule.with_decay(rows_rest=False),
    "rmsprop, decay": RMSPropTrainer.rule.with_decay(rows_rest=False),
    "no idle program, decay": UpdateRule(
        "test_plain", "v = mom * v - rate * g\nw = w + v", ("v",), ("rate", "mom")
    ).with_decay(rows_rest=False),
    "no decays": UpdateRule("test_idle", "v = v + g\nw = w * v * mom", ("v",), ("mom",), Idle("w = w * v * mom")),
}


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("size", [1, 5, 37])
def test_compiled_rows_make_up_as_the_reference_does(name: str, size: int) -> None:
    rule = RULES[name]
    numbers = {"rate": 0.01, "mom": 0.9, "keep_m": 0.9, "take_m": 0.1, "keep_v": 0.999, "take_v": 0.001, "eps": 1e-8}
    numbers |= {"keep": 0.99, "take": 0.01, "kept": 0.995}
    found: list[list[NDArray[np.float32]]] = []
    for kind in (LazyRows, CompiledRows):
        random = np.random.default_rng(2)
        arrays = []
        for _ in ("w", *rule.state):
            array = aligned_zeros(6 * size).reshape(6, size)
            array[...] = random.uniform(0.01, 1.0, (6, size))
            arrays.append(array)
        log = UpdateLog(rule)
        rows = kind(rule, arrays[0], arrays[1:], log)
        for step in range(300):
            if step in (3, 40):
                rows.join_update(np.array([0, 2, 5]))
            elif step == 20:
                rows.make_up(np.array([1]))
            log.append(numbers | {"rate": 0.01 / (step + 1)})
            if step == 40:
                assert rows.current.tolist() == [41, 20, 41, 0, 0, 41]
        rows.settle()
        assert rows.current.tolist() == [300] * 6
        found.append([array.copy() for array in arrays])
    for ours, reference in zip(*found, strict=True):
        np.testing.assert_allclose(ours, reference, rtol=2e-5, atol=1e-12)


def test_a_row_at_rest_is_not_stepped_through() -> None:
    """Where `w` no longer moves, the rest of the log is one factor for each moment."""
    log = adam_log(2000)
    w, m, v = (aligned_zeros(8).reshape(1, 8) for _ in range(3))
    w[...], m[...], v[...] = 1.0, 1e-3, 1e-4
    rows = CompiledRows(AdamTrainer.rule, w, [m, v], log)
    rows.current[0] = 0
    rows.make_up(np.array([0]))
    # Single steps stop at the smallest number above zero, whose tenth part rounds to itself.
    assert m.max() == 0.0
    np.testing.assert_allclose(v, 1e-4 * np.float64(np.float32(0.999)) ** 2000, rtol=2e-5)
    assert (w < 1.0).all()


def test_decay_alone_is_one_multiplication() -> None:
    """Not one for each update that was missed: float32 would have rounded away what this much is left of."""
    rule = SimpleSGDTrainer.rule.with_decay(rows_rest=True)
    log, w = UpdateLog(rule), aligned_zeros(8).reshape(1, 8)
    rows, kept = CompiledRows(rule, w, [], log), float(np.float32(1 - 1e-6))
    w[...] = 0.7
    for _ in range(4000):
        log.append({"rate": 0.1, "kept": kept})
    rows.make_up(np.array([0]))
    np.testing.assert_array_equal(w, np.float32(0.7) * np.float32(kept**4000))


def test_a_softmax_is_not_shared_between_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weft_numba.update, "SHARED_FROM", 16)
    init(threads=2)
    model = ParameterCollection()
    p, table = model.add_parameters((100,), 1.0), model.add_lookup_parameters((50, 3), 1.0)
    trainer = EGTrainer(model)
    trainer.set_sparse_updates(False)
    p.gradients[...] = np.linspace(-1, 1, 100)
    table.gradients[...] = [0.1, 0.2, 0.3]
    table._slot.touch(range(50))
    trainer.set_clip_threshold(0)
    trainer.update()
    powers = np.exp(-0.1 * np.linspace(-1, 1, 100))
    np.testing.assert_allclose(p.as_array(), powers / powers.sum(), rtol=1e-5)
    np.testing.assert_allclose(table.as_array().sum(axis=1), 1, rtol=1e-6)
    assert threads._pool is None


def test_a_lookup_makes_its_rows_current_and_no_others() -> None:
    model = ParameterCollection()
    table = model.add_lookup_parameters((6, 3), 1.0)
    trainer = AdamTrainer(model)
    trainer.set_sparse_updates("lazy")
    for rows in ([0, 1, 2], [3], [3]):
        dy.renew_cg()
        dy.squared_norm(dy.sum_batches(dy.lookup_batch(table, rows))).backward()
        trainer.update()
    before = table._slot.memory.copy()
    dy.renew_cg()
    found = dy.lookup_batch(table, [1, 1, 3, 5]).npvalue()
    moved = (table._slot.memory != before).any(axis=1)
    assert moved.tolist() == [False, True, False, False, False, False]
    np.testing.assert_array_equal(found.T, table._slot.memory[[1, 1, 3, 5]])


def train(number_of_threads: int, kind: type[Trainer], sparse: bool = True) -> tuple[list[float], NDArray[np.float32]]:
    init(threads=number_of_threads)
    model = ParameterCollection()
    random = np.random.default_rng(0)
    weights = [model.parameters_from_numpy(random.normal(size=(40, 40)) * 0.2) for _ in range(3)]
    table = model.lookup_parameters_from_numpy(random.normal(size=(30, 40)))
    frozen = model.add_parameters((7, 9), 0.5)
    frozen.set_updated(False)
    trainer = kind(model)
    trainer.set_sparse_updates(sparse)
    losses = []
    for step in range(12):
        dy.renew_cg()
        x = dy.lookup_batch(table, [(3 * step + k) % 30 for k in range(20)])
        for weight in weights:
            x = dy.tanh(weight * x)
        loss = dy.sum_batches(dy.squared_norm(x))
        losses.append(loss.scalar_value())
        loss.backward()
        trainer.update()
    assert not table._slot.meta[0] and not table._slot.flags.any() and not table.gradients.any()
    return losses, np.concatenate([model.store.values, table.values.ravel()])


@pytest.mark.parametrize("kind", [AdamTrainer, MomentumSGDTrainer, AdadeltaTrainer])
@pytest.mark.parametrize("sparse", [True, False])
def test_two_threads_train_as_one(kind: type[Trainer], sparse: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weft_numba.update, "SHARED_FROM", 100)
    losses, values = train(1, kind, sparse)
    assert threads._pool is None
    for number in (2, 3):
        shared_losses, shared_values = train(number, kind, sparse)
        assert threads._pool is not None
        np.testing.assert_allclose(shared_losses, losses, rtol=1e-6)
        np.testing.assert_allclose(shared_values, values, rtol=1e-4, atol=1e-6)
    assert losses[-1] < losses[0]


def test_small_updates_stay_on_one_thread() -> None:
    train(2, AdamTrainer)
    assert threads._pool is None


def test_one_thread_leaves_no_pool_behind() -> None:
    init(threads=2)
    threads.split(2, lambda first, last: None)
    pool = threads._pool
    assert pool is not None and threads.count() == 2
    (worker,) = pool._threads
    init(threads=1)
    assert threads._pool is None and threads.count() == 1 and not worker.is_alive()


@pytest.mark.parametrize("number", [1, 2, 3, 4])
@pytest.mark.parametrize(("rows", "grain"), [(0, 1), (1, 1), (7, 1), (100, 16), (64, 16), (5, 16)])
def test_parts_cover_all_rows_once(number: int, rows: int, grain: int) -> None:
    init(threads=number)
    seen = np.zeros(rows, int)
    starts = []

    def take(first: int, last: int) -> None:
        starts.append(first)
        seen[first:last] += 1

    threads.split(rows, take, grain)
    assert (seen == 1).all()
    assert len(starts) <= number * threads.PARTS_PER_THREAD and all(first % grain == 0 for first in starts)


@pytest.mark.parametrize("where", ["caller", "pool"])
def test_an_error_in_a_part_is_raised_when_all_have_ended(where: str) -> None:
    init(threads=2)
    caller = threading.current_thread()
    running = threading.Barrier(2)
    ended = []

    def take(first: int, last: int) -> None:
        # With two parts, each thread has one.
        running.wait(20)
        if (threading.current_thread() is caller) == (where == "caller"):
            raise KeyError(first)
        ended.append(first)

    with pytest.raises(KeyError):
        threads.split(2, take)
    assert len(ended) == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_process_makes_its_own_pool() -> None:
    init(threads=2)
    threads.split(2, lambda first, last: None)
    child = os.fork()
    if child == 0:
        signal.alarm(20)
        running = threading.Barrier(2)
        threads.split(2, lambda first, last: running.wait() and None)
        os._exit(7)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
