"""What a trainer remembers, in a safetensors file: moments of every parameter, count of updates, learning rate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from weft_core.files import ParameterFileError, PathLike, load_arrays, save_arrays
from weft_core.lazy import clear_arrears
from weft_core.store import DenseSlot, LookupTable, owner

if TYPE_CHECKING:
    from .trainer import Trainer

Moments: TypeAlias = dict[str, NDArray[np.float32]]


def moments(trainer: Trainer) -> Moments:
    """Views of all moments, named `<moment><name of the parameter>`, indices as in the parameter's `as_array()`.

    Updates that rows of look-up tables have missed are made up for first.
    """
    store = trainer.model.store
    clear_arrears(store)
    views: Moments = {}
    for moment in trainer.rule.state:
        for p in trainer.model.parameters_list():
            slot = owner(p.shape.parameter)
            assert isinstance(slot, DenseSlot)
            flat = trainer.state.arena(moment, store)[slot.offset : slot.offset + slot.size]
            views[moment + p.name()] = flat.reshape(p.shape.dims, order="F")
        for e in trainer.model.lookup_parameters_list():
            table = owner(e.shape.parameter)
            assert isinstance(table, LookupTable)
            rows = trainer.state.table(moment, table).reshape((e.rows, *e.row_dims[::-1]))
            views[moment + e.name()] = rows.transpose(0, *range(len(e.row_dims), 0, -1))
    return views


def save(path: PathLike, trainer: Trainer) -> None:
    """Write the file; it is replaced at the very end, or not at all."""
    facts = {"trainer": trainer.whoami(), "steps": str(trainer.steps), "learning_rate": repr(trainer.learning_rate)}
    save_arrays(path, moments(trainer), facts)


def load(path: PathLike, trainer: Trainer) -> None:
    """Fill the trainer from the file of a trainer of the same class and parameters.

    Raises `ParameterFileError` for any other file; the trainer is then as before.
    """
    arrays, facts = load_arrays(path)
    steps, rate = _facts(path, facts, trainer)
    targets = moments(trainer)
    if arrays.keys() != targets.keys():
        raise ParameterFileError(
            f"{path} holds moments of other parameters than the trainer's: "
            f"{', '.join(sorted(arrays.keys() ^ targets.keys())[:5])} are not in both"
        )
    for name, target in targets.items():
        if arrays[name].shape != target.shape or arrays[name].dtype != np.float32:
            raise ParameterFileError(
                f"{path}: {name} is {arrays[name].dtype} {arrays[name].shape}, the trainer needs float32 {target.shape}"
            )
    for name, target in targets.items():
        target[...] = arrays[name]
    trainer.steps, trainer.learning_rate = steps, rate


def _facts(path: PathLike, facts: dict[str, Any], trainer: Trainer) -> tuple[int, float]:
    """Count of updates and learning rate."""
    kind = facts.get("trainer")
    if kind != trainer.whoami():
        raise ParameterFileError(f"{path} holds the state of {kind or 'no trainer'}, not of {trainer.whoami()}")
    try:
        return int(facts["steps"]), float(facts["learning_rate"])
    except (KeyError, ValueError) as error:
        raise ParameterFileError(f"{path}: steps and learning_rate are missing or no numbers") from error
