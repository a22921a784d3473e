"""What is said about arguments that a trainer does not take."""

from __future__ import annotations

import inspect
from collections.abc import Collection, Iterable, Sequence
from typing import TypeVar

import numpy as np

from weft_core.parameters import StoredParameter

# Of DyNet 1 and older: what to write today.
_GONE = {
    "edecay": "learning rates follow a schedule: trainer.learning_rate = InverseTimeDecay(rate, edecay)(epoch)",
    "eta_decay": "learning rates follow a schedule: trainer.learning_rate = InverseTimeDecay(rate, eta_decay)(epoch)",
    "update_epoch": "learning rates follow a schedule: trainer.learning_rate = schedule(epoch)",
    "lam": "weight decay belongs to the collection: m.set_weight_decay(lam)",
    "weight_decay": "weight decay belongs to the collection: m.set_weight_decay(lam)",
    "sparse_updates_enabled": "call trainer.set_sparse_updates(...)",
    "clip_threshold": "call trainer.set_clip_threshold(...)",
}
# Other names of the same thing.
_ALIKE = (("learning_rate", "alpha", "e0", "eta", "eta0", "lr"), ("mom", "momentum"), ("eps", "epsilon"))

Member = TypeVar("Member", bound=StoredParameter)


def refuse_unknown(trainer: type, keywords: Collection[str]) -> None:
    """Raise TypeError for a keyword that the class does not take, with what to write instead."""
    if not keywords:
        return
    parameters = inspect.signature(trainer.__init__).parameters  # type: ignore[misc]
    if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return
    known = [name for name in parameters if name != "self"]
    for keyword in keywords:
        if keyword not in known:
            hint = _GONE.get(keyword) or _same_thing(keyword, known) or f"it takes {', '.join(known)}"
            raise TypeError(f"{trainer.__name__} has no argument {keyword!r}; {hint}")


def _same_thing(keyword: str, known: list[str]) -> str:
    alike = next((names for names in _ALIKE if keyword in names), ())
    found = [name for name in known if name in alike or name.startswith(keyword)]
    return f"write {' and '.join(found)}" if found else ""


def finite_rate(trainer: str, rate: float) -> float:
    """A learning rate as the nearest float32; ValueError where there is none."""
    if not abs(rate) <= float(np.finfo(np.float32).max):
        raise ValueError(f"{trainer}: a learning rate is a finite float32, got {rate}")
    return float(np.float32(rate))


def chosen(wanted: Iterable[Member | int], there: Sequence[Member], kind: str) -> list[Member]:
    """The members named by themselves or by their places, each once; ValueError for one that is not there."""
    found: dict[int, Member] = {}
    places = {member.shape.parameter: place for place, member in enumerate(there)}
    for one in wanted:
        if isinstance(one, StoredParameter):
            place = places.get(one.shape.parameter)
        else:
            place = int(one) if 0 <= one < len(there) else None
        if place is None:
            raise ValueError(f"update_subset: {one!r} is no {kind} of the trainer's collection, which has {len(there)}")
        found[place] = there[place]
    return list(found.values())
