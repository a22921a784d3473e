"""The tape: a computation graph is one flat list of integers, and a version."""

from __future__ import annotations

import threading
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

from .backend import load_backend
from .errors import GradientError, StaleExpression, WeftError
from .settings import settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .backend import Backend, Execution

_STALE = (
    "this expression belongs to a computation graph that was renewed or left; "
    "build it again in the current graph (after renew_cg(), or inside the `with` block)"
)


class StaleTape:
    """Stands in for the tape of a dead graph: every use raises `StaleExpression`."""

    def _raise(self, *_: Any) -> NoReturn:
        raise StaleExpression(_STALE)

    __len__ = append = extend = __getitem__ = __iadd__ = frombytes = _raise


_stale_tape: Any = StaleTape()


class ComputationGraph:
    """A tape of instructions, and the backend's execution of it.

    `code` holds `[signature id, operand indices..., payload...]` of every instruction one after another; a value is
    named by its position. `data` stages input arrays and scalar constants; the payload holds offsets into it.

    Use as `with ComputationGraph() as graph:` to make it the thread's current graph for a block, or
    `renew_cg()` to replace the thread's current graph. With `inference` there is no backward: what only gradients
    need is not kept, so that a long run takes less memory.
    """

    __slots__ = ("_marks", "_previous", "autobatch", "code", "data", "dead", "execution", "inference", "number")

    # Whether this is the tape on which a cell is traced.
    traced: ClassVar[bool] = False

    def __init__(
        self, autobatch: bool | None = None, backend: Backend | None = None, *, inference: bool = False
    ) -> None:
        if backend is not None and not hasattr(backend, "execution"):
            raise TypeError(f"a graph takes a Backend, as load_backend() gives it, got {type(backend).__name__}")
        # Position 0 is the zero value: signature 0 has no operands and is never executed.
        self.code: list[int] = [0]
        self.data = array("f")
        self.number = settings.next_graph_number()
        self.autobatch = settings.autobatch if autobatch is None else autobatch
        self.inference = inference
        self.dead: list[tuple[int, int]] = []
        self._marks: list[int] = []
        self._previous: ComputationGraph | None = None
        self.execution: Execution = (backend or settings.backend()).execution(self)

    def close(self) -> None:
        """Give the memory back; every expression of this graph becomes stale."""
        if self.code is not _stale_tape:
            self.code = self.data = _stale_tape
            self.execution.close()

    @property
    def is_stale(self) -> bool:
        return self.code is _stale_tape

    def check(self, index: int) -> None:
        """Raise `StaleExpression` unless the value exists."""
        if self.code is _stale_tape:
            raise StaleExpression(_STALE)
        for start, end in self.dead:
            if start <= index < end:
                raise StaleExpression(
                    "this expression was made after a checkpoint that has been reverted; build it again"
                )

    def version(self) -> int:
        return self.number

    def forward(self, indices: Sequence[int], recalculate: bool = False) -> None:
        """Compute the values of these expressions and of all that they need."""
        if self.dead or self.code is _stale_tape:
            for index in indices:
                self.check(index)
        if min(indices) < 0:
            # Parameters have their values already.
            indices = [index for index in indices if index >= 0]
            if not indices:
                return
        if recalculate:
            self.execution.invalidate(redraw=True)
        self.execution.forward(indices)

    def backward(self, index: int, full: bool = False) -> None:
        """Compute this scalar, then its gradients.

        Raises `GradientError` for a graph made for inference.
        """
        if self.inference:
            raise GradientError(
                "backward() needs a graph that keeps what gradients need, this one was made for inference; "
                "build the expressions again after renew_cg(), or in ComputationGraph(), without inference=True"
            )
        self.forward((index,))
        self.execution.backward(index, full)

    def invalidate(self) -> None:
        """Forget computed values: an input was set."""
        self.execution.invalidate(redraw=False)

    def rewrite(self, position: int, number: int) -> None:
        """Change one payload integer of the tape: another row or index was chosen."""
        self.code[position] = number
        self.execution.rewrite(position, number)

    def checkpoint(self) -> None:
        """Mark the present end of the graph; marks form a stack."""
        self._marks.append(len(self.code))

    def revert(self) -> None:
        """Drop everything recorded after the newest mark, and the mark; without a mark, do nothing.

        Expressions made after the mark raise `StaleExpression` from here on. Positions are not reused.
        """
        if self._marks:
            mark = self._marks.pop()
            end = len(self.code)
            if end > mark:
                self.dead = [span for span in self.dead if span[0] < mark] + [(mark, end)]
                self.execution.drop(mark, end)

    def __enter__(self) -> ComputationGraph:
        self._previous = getattr(_thread, "graph", None)
        _thread.graph = self
        return self

    def __exit__(self, *_: object) -> None:
        _thread.graph = self._previous
        self._previous = None
        self.close()


_thread = threading.local()


@contextmanager
def recording_on(graph: ComputationGraph) -> Iterator[None]:
    """Make a graph the thread's current one for a block; it stays as it is afterwards."""
    previous = getattr(_thread, "graph", None)
    _thread.graph = graph
    try:
        yield
    finally:
        _thread.graph = previous


def current() -> ComputationGraph:
    """The thread's current graph; made at first use."""
    try:
        graph: ComputationGraph = _thread.graph
    except AttributeError:
        graph = None  # type: ignore[assignment]
    return graph if graph is not None else renew_cg()


def renew_cg(
    immediate_compute: bool = False,
    check_validity: bool = False,
    autobatching: bool | None = None,
    *,
    inference: bool = False,
) -> ComputationGraph:
    """Discard the thread's current graph and start a new one; one for `inference` takes less memory, without backward.

    Values and gradients of nodes are gone, and their expressions stale; gradients of parameters stay.
    `immediate_compute`: each instruction is computed before the next one is recorded, nothing is batched.
    `check_validity`: the same, and `InvalidValue`, a RuntimeError, names the line that recorded an infinite or
    undefined value. Both are for finding errors, and slow.
    """
    graph: ComputationGraph | None = getattr(_thread, "graph", None)
    previous = None
    if graph is not None:
        previous = graph._previous
        graph.close()
    if immediate_compute or check_validity:
        from .checked import CheckedGraph

        new: ComputationGraph = CheckedGraph(autobatching, inference=inference, check_validity=check_validity)
    else:
        new = ComputationGraph(autobatching, inference=inference)
    _thread.graph = new
    new._previous = previous
    return new


def cg() -> ComputationGraph:
    """The thread's current graph."""
    return current()


def cg_version() -> int:
    """Number of the thread's current graph."""
    return current().number


def cg_checkpoint() -> None:
    """Mark the present end of the current graph."""
    current().checkpoint()


def cg_revert() -> None:
    """Drop what was recorded in the current graph after the newest mark."""
    current().revert()


def init(
    backend: str | None = None,
    *,
    seed: int | None = None,
    autobatch: bool | None = None,
    threads: int | None = None,
    weight_decay: float | None = None,
) -> None:
    """Choose backend, seed, autobatching and threads for the graphs made from here on.

    `backend` is a name that `weft info` lists; None keeps the present one. Raises `BackendError`
    with the reason where the backend is absent. `weight_decay`, from 0 to below 1, is that of root
    collections made from here on (`ParameterCollection.set_weight_decay`).
    """
    if weight_decay is not None:
        settings.weight_decay = weight_decay
    if backend is not None:
        settings.use(load_backend(backend))
    if seed is not None:
        settings.reseed(seed)
    if autobatch is not None:
        settings.autobatch = bool(autobatch)
    if threads is not None:
        if threads < 1:
            raise WeftError(f"threads must be at least 1, got {threads}")
        settings.backend().set_threads(threads)
    if backend is not None or autobatch is not None:
        renew_cg()


def reset_random_seed(seed: int) -> None:
    """Restart every random stream from `seed`: initializers, dropout masks, random inputs."""
    settings.reseed(seed)
