"""The machine: copies, growth, running out of memory, options, steps of the host."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import weft as dy
from weft_core.errors import BackendError
from weft_core.extend import Operation, elementwise
from weft_core.numpy_backend import NumpyBackend
from weft_core.profile import Profile
from weft_core.signature import Signature
from weft_triton.backend import TritonBackend
from weft_triton.errors import OutOfDeviceMemory
from weft_triton.host import HostMemory
from weft_triton.options import Options

REFERENCE = NumpyBackend(np.float64)


@pytest.fixture
def memory() -> HostMemory:
    return HostMemory()


@pytest.fixture
def backend(memory: HostMemory) -> TritonBackend:
    return TritonBackend(Options(), memory)


class Recurrence:
    """An LSTM over looked-up rows, with an output layer for all words."""

    def __init__(self, hidden: int = 6) -> None:
        dy.reset_random_seed(11)
        self.model = dy.ParameterCollection()
        self.rnn = dy.VanillaLSTMBuilder(1, 4, hidden, self.model)
        self.table = self.model.add_lookup_parameters((8, 4))
        self.W, self.b = self.model.add_parameters((5, hidden)), self.model.add_parameters(5)

    def loss(self, words: list[int]) -> dy.Expression:
        states = self.rnn.initial_state().transduce([self.table[w] for w in words])
        return dy.esum([dy.pickneglogsoftmax(dy.affine_transform([self.b, self.W, h]), 1) for h in states])

    def gradients(self) -> list[np.ndarray]:
        found = [p.grad_as_array() for p in (*self.model.parameters_list(), *self.model.lookup_parameters_list())]
        self.model.store.gradients[:] = 0
        for table in self.model.store.tables:
            table.clear_gradients()
        return found


def run(net: Recurrence, backend: Any, words: list[int], autobatch: bool = True) -> list[np.ndarray]:
    with dy.ComputationGraph(backend=backend, autobatch=autobatch):
        loss = net.loss(words)
        value = loss.npvalue()
        loss.backward()
        return [value, *net.gradients()]


def same(found: list[np.ndarray], wanted: list[np.ndarray], tolerance: float = 1e-5) -> None:
    for a, b in zip(found, wanted, strict=True):
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


def test_one_copy_to_the_device_for_each_plan(backend: TritonBackend, memory: HostMemory) -> None:
    net = Recurrence()
    words = [1, 2, 3, 2]
    run(net, backend, words)
    with dy.ComputationGraph(backend=backend):
        loss = net.loss(words)
        # The parameters came home for their gradients: they go back once.
        loss.value()
    with dy.ComputationGraph(backend=backend) as graph:
        loss = net.loss(words)
        before, allocated = memory.counters.uploads, memory.counters.allocations
        loss.forward()
        assert memory.counters.uploads == before + 1
        loss.backward()
        assert memory.counters.uploads == before + 2
        assert memory.counters.allocations == allocated
        assert graph.execution.counts()["uploads"] == 2


def test_values_come_to_the_host_when_they_are_read(backend: TritonBackend, memory: HostMemory) -> None:
    net = Recurrence()
    with dy.ComputationGraph(backend=backend):
        loss = net.loss([1, 2])
        before = memory.counters.downloads
        loss.forward()
        loss.backward()
        assert memory.counters.downloads == before
        loss.value()
        assert memory.counters.downloads == before + 1
        assert memory.counters.bytes_down >= 4


def test_growth_keeps_what_was_computed(backend: TritonBackend) -> None:
    with dy.ComputationGraph(backend=backend) as graph:
        x = dy.inputTensor(np.arange(5.0))
        y = dy.tanh(x)
        first = y.npvalue()
        start = graph.execution.arenas.values.address
        big = dy.concatenate([dy.inputTensor(np.ones(40_000)), dy.inputTensor(np.ones(60_000))]) * 2.0
        z = dy.sum_elems(dy.cmult(y, y)) + dy.pick(big, 3)
        found = z.value()
        assert graph.execution.arenas.values.address != start
        np.testing.assert_allclose(found, (first**2).sum() + 2, rtol=1e-6)
        np.testing.assert_array_equal(y.npvalue(), first)


def test_out_of_memory_says_who_has_what_and_the_next_smaller_graph_works() -> None:
    backend = TritonBackend(Options(), HostMemory(limit=3_000_000))
    net = Recurrence()
    wanted = run(net, REFERENCE, [1, 2, 3])
    same(run(net, backend, [1, 2, 3]), wanted)
    with dy.ComputationGraph(backend=backend):
        x = dy.inputTensor(np.ones(200_000))
        for _ in range(5):
            x = dy.tanh(x)
        with pytest.raises(OutOfDeviceMemory, match=r"values of this graph need [\d,]+ bytes.*In use: .*parameters"):
            x.npvalue()
    same(run(net, backend, [1, 2, 3]), wanted)


@pytest.mark.parametrize("scatter", ["sorted", "atomic"])
def test_rows_that_are_looked_up_again_and_again(scatter: str, memory: HostMemory) -> None:
    backend = TritonBackend(Options(scatter=scatter), memory)
    net = Recurrence()
    words = [1, 3, 1, 1, 7, 3, 1]
    for autobatch in (True, False):
        same(run(net, backend, words, autobatch), run(net, REFERENCE, words))


@pytest.mark.parametrize("mode", ["levels", "tape"])
@pytest.mark.parametrize(("precision", "tolerance"), [("float32", 1e-5), ("tf32", 1e-5), ("bfloat16", 0.03)])
def test_modes_and_precisions(mode: str, precision: str, tolerance: float, memory: HostMemory) -> None:
    """The interpreter has no tf32: what is seen here is that the option is understood. bfloat16 is rounded."""
    backend = TritonBackend(Options(mode=mode, precision=precision), memory)
    net = Recurrence()
    found, wanted = run(net, backend, [1, 2, 3, 4]), run(net, REFERENCE, [1, 2, 3, 4])
    same(found, wanted, tolerance)
    if precision == "bfloat16":
        assert any(np.abs(a - b).max() > 1e-4 for a, b in zip(found, wanted, strict=True))


def test_products_of_many_rows_have_a_kernel_of_their_own(backend: TritonBackend) -> None:
    dy.reset_random_seed(5)
    model = dy.ParameterCollection()
    W, b = model.add_parameters((70, 37)), model.add_parameters(70)
    rng = np.random.default_rng(0)
    numbers = rng.standard_normal((200, 37))

    def outcome(backend: Any) -> list[np.ndarray]:
        model.store.gradients[:] = 0
        with dy.ComputationGraph(backend=backend) as graph:
            xs = [dy.inputTensor(x) for x in numbers]
            ys = [dy.affine_transform([b, W, x]) for x in xs]
            loss = dy.esum([dy.sum_elems(dy.tanh(y)) for y in ys])
            value = loss.npvalue()
            loss.backward(full=True)
            if backend is not REFERENCE:
                assert graph.execution.counts()["large_launches"] == 2
            return [value, ys[150].npvalue(), xs[150].gradient(), W.grad_as_array(), b.grad_as_array()]

    same(outcome(backend), outcome(REFERENCE), 3e-5)


def test_two_graphs_at_the_same_time(backend: TritonBackend) -> None:
    with dy.ComputationGraph(backend=backend):
        x = dy.tanh(dy.inputTensor([1.0, 2.0]))
        with dy.ComputationGraph(backend=backend):
            y = dy.tanh(dy.inputTensor([3.0, 4.0, 5.0]))
            np.testing.assert_allclose(x.npvalue(), np.tanh([1, 2]), rtol=1e-6)
            np.testing.assert_allclose(y.npvalue(), np.tanh([3, 4, 5]), rtol=1e-6)
            z = dy.exp(x)
            np.testing.assert_allclose(z.npvalue(), np.exp(np.tanh([1, 2])), rtol=1e-6)
            np.testing.assert_allclose(y.npvalue(), np.tanh([3, 4, 5]), rtol=1e-6)


def test_an_input_that_changes_and_a_row_that_changes(backend: TritonBackend) -> None:
    model = dy.ParameterCollection()
    table = model.lookup_parameters_from_numpy(np.arange(12.0).reshape(4, 3))
    with dy.ComputationGraph(backend=backend):
        x, row = dy.inputVector([1.0, 2.0, 3.0]), table[1]
        y = dy.cmult(x, row)
        np.testing.assert_array_equal(y.npvalue(), [3, 8, 15])
        x.set([2.0, 2.0, 2.0])
        np.testing.assert_array_equal(y.npvalue(), [6, 8, 10])
        row.set(3)
        np.testing.assert_array_equal(y.npvalue(), [18, 20, 22])
        loss = dy.sum_elems(y)
        loss.backward()
    np.testing.assert_array_equal(table.grad_as_array(), [[0, 0, 0], [0, 0, 0], [0, 0, 0], [2, 2, 2]])


class Reversed(Operation):
    """An operation that this backend has no kernel for."""

    name = "reversed_of_the_triton_tests"

    def infer(self, operands: Any, attributes: Any) -> Signature:
        return Signature(self, operands, attributes, operands)

    def forward(self, call: Any, x: Any) -> Any:
        return (x[::-1],)

    def backward(self, call: Any, gradients: Any, results: Any, x: Any) -> Any:
        return (gradients[0][::-1],)


def test_an_operation_without_a_kernel_runs_on_the_host_and_says_so(backend: TritonBackend) -> None:
    reverse = Reversed()
    model = dy.ParameterCollection()
    w = model.parameters_from_numpy(np.array([1.0, 2.0, 4.0]))
    with dy.ComputationGraph(backend=backend) as graph:
        y = dy.tanh(reverse.record([dy.cmult(w, w)]))
        loss = dy.sum_elems(dy.cmult(y, dy.inputTensor([1.0, 0.5, 0.25])))
        with Profile() as profile:
            found = loss.value()
            loss.backward()
        values = np.tanh(np.array([16.0, 4.0, 1.0]))
        np.testing.assert_allclose(found, values @ [1, 0.5, 0.25], rtol=1e-6)
        (group,) = [g for g in graph.execution.groups() if "reversed" in g.kind]
        assert group.on_host
        assert [g.kind for g in graph.execution.groups() if g.on_host] == [group.kind]
        assert graph.execution.counts()["host_steps"] == 2
    slopes = (1 - values**2) * [1, 0.5, 0.25]
    np.testing.assert_allclose(w.grad_as_array(), slopes[::-1] * [2, 4, 8], rtol=1e-4, atol=1e-6)
    assert "reversed_of_the_triton_tests on the host" in str(profile)


def test_a_formula_of_the_user_has_a_kernel(backend: TritonBackend) -> None:
    swish = elementwise(
        "swish_of_the_triton_tests",
        "x * logistic(b * x)",
        dx="dy * (logistic(b * x) + b * y * (1 - logistic(b * x)))",
        b=1.5,
    )
    x = np.array([-1.0, 0.5, 2.0])
    with dy.ComputationGraph(backend=backend) as graph:
        y = swish(dy.inputTensor(x))
        np.testing.assert_allclose(y.npvalue(), x / (1 + np.exp(-1.5 * x)), rtol=1e-6)
        assert graph.execution.counts()["host_steps"] == 0


def test_unknown_options_are_refused() -> None:
    with pytest.raises(BackendError, match="no mode 'turbo'; choose one of levels, tape"):
        Options(mode="turbo")


def test_more_threads_are_refused(backend: TritonBackend) -> None:
    with pytest.raises(BackendError, match="runs on the GPU"):
        backend.set_threads(2)
