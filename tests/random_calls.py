"""Calls every public name of Weft with arguments that fit, and with ones that do not; run by test_robustness.py.

    python random_calls.py 10000

A call may raise ValueError, TypeError, RuntimeError or IndexError (files: OSError), with a sentence. Anything else is
an error, and so is the end of the process. What a call returns is computed, and a sum of it is derived.
"""

from __future__ import annotations

import contextlib
import inspect
import io
import random
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import weft as dy

ALLOWED = (ValueError, TypeError, RuntimeError, IndexError)
HUGE = (2**31, 2**40, 2**63, 10**30)

# Names that would change what later calls mean; and handles, which operations make, not programs.
LEFT_OUT = {"init", "check_gradient", "Expression", "Expressions", "Parameters", "LookupParameters", "RNNState"}
# What ends an object's life; what modules say to each other, such as places on the tape; a list's own arithmetic.
LEFT_OUT_METHODS = {"close", "outputs_at", "step", "steps", "outputs", "numbers"}
LEFT_OUT_METHODS |= {"Profile.add", "Cell.template", "ParameterCollection.weight_decay_of", "Expressions.__mul__"}
LEFT_OUT_METHODS |= {f"ComputationGraph.{method}" for method in ("forward", "backward", "check", "rewrite")}


class World:
    """Objects to call methods of, and to give as arguments; made anew for each example."""

    def __init__(self) -> None:
        dy.renew_cg()
        self.model = m = dy.ParameterCollection()
        self.matrix = m.add_parameters((3, 4), name="matrix")
        self.vector = m.add_parameters(3)
        self.table = m.add_lookup_parameters((5, 4))
        self.expressions = [
            dy.inputVector([0.5, -1.0, 2.0]),
            dy.inputVector([1.0, 2.0, 3.0, 4.0]),
            dy.scalarInput(0.5),
            dy.inputTensor(np.arange(12.0).reshape(3, 4) / 7),
            dy.inputTensor(np.eye(3) + 0.5),
            dy.inputTensor(np.arange(24.0).reshape(3, 4, 2) / 9),
            dy.inputTensor(np.arange(6.0).reshape(3, 2) / 5, batched=True),
            dy.inputTensor(np.arange(24.0).reshape(3, 4, 2) / 9, batched=True),
            dy.inputTensor(np.arange(16.0).reshape(2, 2, 2, 2) / 9),
            dy.constant((3,), float("nan")),
            dy.zeros((3,)),
            self.table[2],
            self.matrix,
            self.vector,
            self.table,
        ]
        self.stale = stale_expression()
        self.builder = dy.VanillaLSTMBuilder(1, 4, 3, m)
        self.state = self.builder.initial_state()
        self.trainer = dy.AdamTrainer(m)
        self.cell = dy.cell(lambda x, y: dy.tanh(x + y))


# Objects whose methods are called, one of each class.
SUBJECTS: list[Callable[[World], Any]] = [
    lambda world: world.expressions[0],
    lambda world: world.expressions[6],
    lambda world: world.expressions[11],
    lambda world: world.matrix,
    lambda world: world.table,
    lambda world: world.model,
    lambda world: world.builder,
    lambda world: dy.GRUBuilder(2, 4, 3, world.model),
    lambda world: world.state,
    lambda world: world.state.add_input(world.expressions[1]),
    lambda world: world.state.transduce(world.expressions[1:2] * 2),
    lambda world: dy.BiRNNBuilder(1, 4, 4, world.model, dy.GRUBuilder),
    lambda world: dy.StandardSoftmaxBuilder(3, 4, world.model),
    lambda world: world.trainer,
    lambda world: dy.SimpleSGDTrainer(world.model),
    lambda world: world.cell,
    lambda world: dy.cg(),
    lambda world: world.expressions[3].tensor_value(),
    lambda world: dy.Profile(),
]


def stale_expression() -> Any:
    """An expression of a graph that is gone."""
    with dy.ComputationGraph():
        return dy.scalarInput(1.0)


def fitting(world: World, name: str, annotation: str, draw: random.Random) -> Any:
    """An argument of the kind that the parameter's annotation and name ask for."""
    if "ParameterCollection" in annotation:
        return world.model
    if "LookupParameters" in annotation:
        return world.table
    if "Sequence[Expression" in annotation or "Iterable[Expression" in annotation or annotation.startswith("list[Ex"):
        one = draw.choice(world.expressions)
        return [one] * draw.randint(1, 3) if draw.random() < 0.7 else draw.sample(world.expressions, 2)
    if "Expression" in annotation:
        return draw.choice(world.expressions)
    if "Callable" in annotation:
        return lambda *xs: xs[0]
    if (
        "tuple[int" in annotation
        or "Sequence[int" in annotation
        or "Iterable[int" in annotation
        or name in ("d", "dim")
    ):
        return draw.choice([0, 1, 2, (3,), (3, 4), [0], [1], [0, 1], [2, 0], (1, 2), (2, 3, 2)])
    if "bool" in annotation:
        return draw.random() < 0.5
    if "int" in annotation:
        return draw.choice([0, 1, 1, 2, 2, 3, 4])
    if "float" in annotation:
        return draw.choice([0.0, 0.1, 0.5, 1.0, 2.5, -1.0])
    if "str" in annotation or "Path" in annotation:
        return draw.choice(["", "a", "name", "zero_gradient", "straight_through_gradient", "/tmp/no/such/folder/x"])
    if "Array" in annotation or "array" in name:
        return draw.choice([np.arange(3.0), np.arange(12.0).reshape(3, 4), np.eye(3), [1.0, 2.0, 3.0]])
    return wild(world, draw)


def wild(world: World, draw: random.Random) -> Any:
    """Any argument at all."""
    nested = [None, world.expressions[0], 1, "x", float("nan"), world.stale]
    anything = [
        None, True, 0, 1, -1, 3, -5, *HUGE, *(-h for h in HUGE), 0.5, -1.5, float("nan"), float("inf"), 1e308, 1j,
        "", "x", b"bytes", (), [], {}, set(), [None], [[]], [1, "a"], [1.5], [-1], [HUGE[0]], [0, 1, 2], (0,), (2, -3),
        (3, 0), [HUGE[3]], object(), int, len, np.float32(0.5), np.int64(2), np.zeros(0), np.zeros(3), np.eye(2),
        np.array(["a"]), np.array([1j]), np.zeros((2, 2, 2, 2, 2, 2, 2, 2)), range(3), iter([1, 2]), slice(None), ...,
        world.stale, [world.stale], draw.choice(world.expressions), draw.choices(world.expressions, k=2),
        [draw.choice(nested) for _ in range(3)], world.model, world.builder, world.state, world.trainer, world.cell,
    ]  # fmt: skip
    return draw.choice(anything)


def arguments(world: World, function: Any, draw: random.Random) -> tuple[list[Any], dict[str, Any]]:
    """Arguments that mostly fit the function's signature."""
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (ValueError, TypeError):
        return [wild(world, draw) for _ in range(draw.randint(0, 3))], {}
    wildness = draw.choice([0.0, 0.0, 0.0, 0.2, 0.5, 1.0])
    given_ones: list[Any] = []
    named: dict[str, Any] = {}
    for parameter in parameters:
        optional = parameter.default is not parameter.empty
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            if parameter.kind is parameter.VAR_POSITIONAL:
                given_ones += [draw.choice(world.expressions) for _ in range(draw.randint(1, 2))]
            continue
        if optional and draw.random() < 0.6:
            continue
        argument = (
            wild(world, draw)
            if draw.random() < wildness
            else fitting(world, parameter.name, str(parameter.annotation), draw)
        )
        if optional and parameter.kind is not parameter.POSITIONAL_ONLY:
            named[parameter.name] = argument
        else:
            given_ones.append(argument)
    if draw.random() < 0.05:
        given_ones = given_ones[:-1]
    return given_ones, named


def public_methods(subject: Any) -> Iterator[str]:
    """Methods and operators of an object that a program may call."""
    operators = {
        "__add__", "__radd__", "__sub__", "__rsub__", "__mul__", "__rmul__", "__truediv__", "__pow__", "__neg__",
        "__getitem__", "__len__", "__iter__", "__call__", "__repr__", "__str__",
    }  # fmt: skip
    for name in dir(subject):
        if name in operators or not name.startswith("_"):
            label = f"{type(subject).__name__}.{name}"
            if callable(getattr(type(subject), name, None)) and not {name, label} & LEFT_OUT_METHODS:
                yield name


def targets() -> list[tuple[str, Callable[[World], Any]]]:
    """Everything that is called: its name, and how to get it in a world."""
    found: list[tuple[str, Callable[[World], Any]]] = []
    for name in dy.__all__ if hasattr(dy, "__all__") else dir(dy):
        thing = getattr(dy, name)
        if callable(thing) and not name.startswith("_") and name not in LEFT_OUT:
            found.append((name, lambda world, thing=thing: thing))
    world = World()
    for find in SUBJECTS:
        subject = find(world)
        for method in public_methods(subject):
            label = f"{type(subject).__name__}.{method}"
            found.append((label, lambda world, find=find, method=method: getattr(find(world), method)))
    return found


TARGETS = targets()
counts = {"calls": 0, "values computed": 0}
called: set[str] = set()


def compute(result: Any) -> None:
    """Everything that the call promised: values, and gradients of a sum of them."""
    results = result if isinstance(result, (list, tuple)) else [result]
    values = [x for x in results if isinstance(x, dy.Expression)]
    if values:
        dy.forward(values)
        total = dy.esum([dy.sum_batches(dy.sum_elems(x)) for x in values])
        total.backward()
        total.value()
        counts["values computed"] += 1


def attempt(name: str, action: Callable[[], None]) -> None:
    """Run it; an exception must be of the allowed classes and say something."""
    try:
        action()
    except ALLOWED as error:
        sentence = str(error)
        assert len(sentence) > 10 and " " in sentence, f"{name}: {type(error).__name__}: {sentence!r} is no sentence"
    except DeprecationWarning as error:
        assert len(str(error)) > 10
    except (OSError, StopIteration):
        pass


def one_call(name: str, find: Callable[[World], Any], seed: int) -> None:
    """A call of this name with arguments drawn from the seed; afterwards the toolkit must still work."""
    draw = random.Random(seed)
    counts["calls"] += 1
    called.add(name)
    world = World()
    function = find(world)
    positional, named = arguments(world, function, draw)

    def call() -> None:
        result = function(*positional, **named)
        if isinstance(result, Iterator):
            result = [x for _, x in zip(range(5), result)]
        compute(result)

    # The last line tells what ended the process.
    print(f"{name} {seed}", file=sys.stderr, flush=True)
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        attempt(f"{name} {seed}: {tuple(positional)} {named}", call)
    world = World()
    loss = dy.squared_norm(world.matrix * world.expressions[1])
    loss.backward()
    assert np.isfinite(loss.value()), name


@settings(
    max_examples=int(sys.argv[1]) if len(sys.argv) > 1 else 10000,
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
@given(st.sampled_from(TARGETS), st.integers(0, 2**32))
def no_call_goes_wrong(target: tuple[str, Callable[[World], Any]], seed: int) -> None:
    one_call(*target, seed)


def limit_memory() -> None:
    """Make a call that takes all memory raise MemoryError, which is no allowed class, where the system can."""
    if sys.platform == "linux":
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30))


def main() -> None:
    limit_memory()
    for seed, target in enumerate(TARGETS):
        one_call(*target, seed)
    no_call_goes_wrong()
    print(f"calls: {counts['calls']}")
    print(f"values computed: {counts['values computed']}")
    print(f"names: {len({name for name, _ in TARGETS})}")
    print(f"names called: {len(called)}")


if __name__ == "__main__":
    # Some of the calls write files.
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        main()
