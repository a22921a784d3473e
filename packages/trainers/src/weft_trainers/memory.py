"""What a trainer remembers, in a safetensors file: moments and averages of every parameter, and a few numbers."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from weft_core.files import ParameterFileError, PathLike, load_arrays, save_arrays
from weft_core.lazy import clear_arrears
from weft_core.parameters import indexed
from weft_core.store import Floats, owner

from .arguments import finite_rate
from .averages import MovingAverage
from .errors import TrainerError
from .part import beside, members

if TYPE_CHECKING:
    from .trainer import Trainer

Arrays: TypeAlias = dict[str, Floats]

_AVERAGE = "moving average"


def arrays(trainer: Trainer, average: MovingAverage | None) -> Arrays:
    """Views of all moments and averages, `<moment><name of the parameter>`, indices as in its `as_array()`.

    Updates that rows of look-up tables have missed are made up for first.
    """
    clear_arrears(trainer.model.store)
    views: Arrays = {}
    everything = members(trainer.model)
    if len({p.name() for p in everything}) < len(everything):
        raise TrainerError(f"{trainer.whoami()}: two parameters have one name; its files tell them apart by name")
    for p in everything:
        slot = owner(p.shape.parameter)
        for name in trainer.rule.state:
            views[name + p.name()] = indexed(p, beside(trainer.state, name, trainer.model.store, slot))
        if average is not None:
            views[_AVERAGE + p.name()] = indexed(p, average.of(trainer.model.store, slot))
    return views


def save(path: PathLike, trainer: Trainer) -> None:
    """Write the file; it is replaced at the very end, or not at all."""
    facts = {
        "trainer": trainer.whoami(),
        "steps": str(trainer.steps),
        "learning_rate": repr(trainer.learning_rate),
        "clip_threshold": repr(trainer.clip_threshold),
        "constants": json.dumps({name: getattr(trainer, name) for name in trainer.constants}),
        "average": json.dumps(_facts_of(trainer)),
    }
    save_arrays(path, arrays(trainer, trainer.average), facts)


def _facts_of(trainer: Trainer) -> dict[str, Any] | None:
    """The moving average without its arrays; counts by the names of the parameters."""
    average = trainer.average
    if average is None:
        return None
    counts = {p.name(): average.counts.get(p.shape.parameter, 0) for p in members(trainer.model)}
    return {
        "kind": average.kind,
        "beta": average.beta,
        "every": average.every,
        "updates": average.updates,
        "counts": {name: count for name, count in counts.items() if count},
    }


def load(path: PathLike, trainer: Trainer) -> None:
    """Fill the trainer from the file of a trainer of the same class and parameters.

    Raises `ParameterFileError` for any other file; the trainer is then as before.
    """
    found, facts = load_arrays(path)
    kind = facts.get("trainer")
    if kind != trainer.whoami():
        raise ParameterFileError(f"{path} holds the state of {kind or 'no trainer'}, not of {trainer.whoami()}")
    try:
        steps, threshold = int(facts["steps"]), float(facts["clip_threshold"])
        if math.isnan(threshold):
            raise ValueError("the threshold of clipping is no number")
        rate = finite_rate(kind, float(facts["learning_rate"]))
        constants = _constants_from(json.loads(facts["constants"]), trainer)
        average = _average_from(json.loads(facts["average"]), trainer)
    except (KeyError, ValueError, TypeError) as error:
        raise ParameterFileError(f"{path}: what {kind} needs is missing, or wrong: {error!r}") from error
    targets = arrays(trainer, average)
    if found.keys() != targets.keys():
        raise ParameterFileError(
            f"{path} holds moments of other parameters than the trainer's: "
            f"{', '.join(sorted(found.keys() ^ targets.keys())[:5])} are not in both"
        )
    for name, target in targets.items():
        if found[name].shape != target.shape or found[name].dtype != np.float32:
            raise ParameterFileError(
                f"{path}: {name} is {found[name].dtype} {found[name].shape}, the trainer needs float32 {target.shape}"
            )
    for name, target in targets.items():
        target[...] = found[name]
    take_up(trainer, steps, rate, threshold, constants, average)


def _constants_from(facts: dict[str, Any], trainer: Trainer) -> dict[str, float]:
    """The constants of the rule, each of the type that the trainer has."""
    found = {name: facts[name] for name in trainer.constants}
    for name, value in found.items():
        if type(value) is not type(getattr(trainer, name)):
            raise ValueError(f"{name} is {value!r}")
    return found


def _average_from(facts: dict[str, Any] | None, trainer: Trainer) -> MovingAverage | None:
    """A moving average with these counts, all zero yet."""
    if facts is None:
        return None
    average = MovingAverage(facts["kind"], float(facts["beta"]), int(facts["every"]))
    average.updates = int(facts["updates"])
    counts = facts["counts"]
    average.counts = {p.shape.parameter: int(counts[p.name()]) for p in members(trainer.model) if p.name() in counts}
    return average


def take_up(
    trainer: Trainer,
    steps: int,
    rate: float,
    threshold: float,
    constants: dict[str, float],
    average: MovingAverage | None,
) -> None:
    """The numbers of a file that has been read whole."""
    for name, value in constants.items():
        setattr(trainer, name, value)
    trainer.steps, trainer.learning_rate, trainer.clip_threshold, trainer.average = steps, rate, threshold, average
