"""The state of a trainer in the text format of DyNet's C++ trainers.

    #Trainer# <parameters> <tables>
    learning_rate clipping? clip_threshold updates ema_beta mode swapped? saved? update_freq averages
    [MA:TRUE]                         or [MA:FALSE], and nothing of averages
    #MA# <parameters> <tables>        then the averages, a line for each parameter, then for each table
    #AdamTrainer# <parameters> <tables>
    ...                               the moments: each of all parameters in turn, then each of all tables
    beta_1 beta_2 epsilon             the constants of the rule

A line of an array is `#Parameter# <size> v v ...`, or `#LookupParameter# ...`, in memory order. Floats are written as
`+1.00000000e-01`, truth values as `+1`, counts as `1`. Rules without moments and constants end with the averages.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

import numpy as np

from weft_core.files import ParameterFileError, PathLike, replacing
from weft_core.lazy import clear_arrears
from weft_core.parameters import LookupParameters, StoredParameter
from weft_core.store import Floats, Slot, owner

from .arguments import finite_rate
from .averages import Kind, MovingAverage
from .errors import TrainerError
from .memory import take_up
from .part import beside, members

if TYPE_CHECKING:
    from .trainer import Trainer

_MODES: dict[str, Kind] = {"Exponential": "exponential", "Cumulative": "cumulative"}
_BASE_FIELDS = 10


def _number(value: float | bool) -> str:
    if isinstance(value, bool):
        return f"+{int(value)}"
    return f"{value:+.8e}" if isinstance(value, float) else str(value)


def _constants(trainer: Trainer) -> tuple[str, ...]:
    return trainer.constants if trainer.text_constants is None else trainer.text_constants


def _has_section(trainer: Trainer) -> bool:
    return bool(trainer.rule.state or _constants(trainer))


def _tag(parameter: StoredParameter) -> str:
    return "#LookupParameter#" if isinstance(parameter, LookupParameters) else "#Parameter#"


def save(path: PathLike, trainer: Trainer) -> None:
    """Write the file; it is replaced at the very end, or not at all."""
    store = trainer.model.store
    clear_arrears(store)
    everything = members(trainer.model)
    counts = f"{len(trainer.model.parameters_list())} {len(trainer.model.lookup_parameters_list())}"
    average = trainer.average
    taken = _averages_taken(trainer, everything)
    fields: list[float | bool | str] = [trainer.learning_rate, trainer.clip_threshold > 0, trainer.clip_threshold]
    fields += [trainer.steps, average.beta if average is not None else 0.0]
    fields += [next(mode for mode, kind in _MODES.items() if kind == average.kind) if average is not None else "None"]
    fields += [False, False, average.every if average is not None else 1, taken]
    lines = [f"#Trainer# {counts}", " ".join(f if isinstance(f, str) else _number(f) for f in fields)]
    if average is not None and taken:
        lines += ["[MA:TRUE]", f"#MA# {counts}"]
        lines += [_line(p, average.of(store, owner(p.shape.parameter))) for p in everything]
    else:
        lines.append("[MA:FALSE]")
    if _has_section(trainer):
        lines.append(f"#{trainer.whoami()}# {counts}")
        for kind in (trainer.model.parameters_list(), trainer.model.lookup_parameters_list()):
            for name in trainer.rule.state:
                lines += [_line(p, beside(trainer.state, name, store, owner(p.shape.parameter))) for p in kind]
        constants = [getattr(trainer, name) for name in _constants(trainer)]
        lines.append(" ".join(map(_number, [0.0] * trainer.text_fillers + constants)))
    with replacing(path) as file:
        file.write(("\n".join(lines) + "\n").encode())


def _averages_taken(trainer: Trainer, everything: Sequence[StoredParameter]) -> int:
    """The count of averages, which must be one for all parameters."""
    if trainer.average is None:
        return 0
    counts = {trainer.average.counts.get(p.shape.parameter, 0) for p in everything}
    if len(counts) > 1:
        raise TrainerError(
            f"{trainer.whoami()}: DyNet's text format has one count of moving averages, but parameters that were added "
            f"later have others: {', '.join(map(str, sorted(counts)))}; use save()"
        )
    return counts.pop() if counts else 0


def _line(parameter: StoredParameter, values: Floats) -> str:
    return " ".join([_tag(parameter), str(len(values)), *[f"{value:+.8e}" for value in values.tolist()]])


def load(path: PathLike, trainer: Trainer) -> None:
    """Fill the trainer from the file, after all of it has been read and found right."""
    with open(os.fspath(path), encoding="utf-8", errors="replace") as file:
        _Reader(path, file.read().splitlines(), trainer).read()


@dataclass
class _Base:
    """The line of ten fields."""

    rate: float
    threshold: float
    updates: int
    average: MovingAverage | None
    taken: int


class _Reader:
    """A file, line by line; every complaint names its line."""

    def __init__(self, path: PathLike, lines: list[str], trainer: Trainer) -> None:
        self.path = path
        self.lines = lines
        self.place = 0
        self.trainer = trainer
        self.kinds: list[list[StoredParameter]] = [
            [*trainer.model.parameters_list()],
            [*trainer.model.lookup_parameters_list()],
        ]

    def read(self) -> None:
        """Everything, and only then the trainer is filled."""
        trainer, store = self.trainer, self.trainer.model.store
        clear_arrears(store)
        filled: list[tuple[Floats, Floats | None]] = []
        self.header("#Trainer#")
        base = self.base()
        average = base.average
        if self.averages_follow(base):
            assert average is not None
            for slot, _, values in self.blocks("#MA#", 1):
                filled.append((average.of(store, slot), values))
                if values is not None:
                    average.counts[slot.id] = base.taken
        constants: dict[str, float] = {}
        if _has_section(trainer):
            names = trainer.rule.state
            for slot, place, values in self.blocks(f"#{trainer.whoami()}#", len(names)):
                filled.append((beside(trainer.state, names[place], store, slot), values))
            constants = self.constants()
        if any(line.strip() for line in self.lines[self.place :]):
            self.complain(f"expected the end of the state of {trainer.whoami()}, found {self.next('more')[0]!r}")
        for target, values in filled:
            target[...] = 0 if values is None else values
        take_up(trainer, base.updates, base.rate, base.threshold, constants, average)

    def complain(self, what: str) -> NoReturn:
        raise ParameterFileError(f"{self.path}:{self.place}: {what}")

    def next(self, wanted: str) -> list[str]:
        """The words of the next line that has any."""
        while self.place < len(self.lines):
            self.place += 1
            words = self.lines[self.place - 1].split()
            if words:
                return words
        self.place += 1
        self.complain(f"the file ends where {wanted} should follow")

    def header(self, tag: str) -> tuple[int, int]:
        """How many parameters and tables a section is about: at most those that the trainer has."""
        words = self.next(f"'{tag} <parameters> <tables>'")
        if words[0] != tag:
            self.complain(f"expected {tag!r}, found {words[0]!r}: the state of another trainer?")
        if len(words) != 3:
            self.complain(f"expected '{tag} <parameters> <tables>', found {len(words)} words")
        found = self.count(words[1]), self.count(words[2])
        there = len(self.kinds[0]), len(self.kinds[1])
        if found[0] > there[0] or found[1] > there[1]:
            self.complain(
                f"Size mismatch: the file has {found[0]} parameters and {found[1]} look-up tables, the trainer "
                f"{there[0]} and {there[1]}"
            )
        return found

    def base(self) -> _Base:
        words = self.next("the line of learning rate, clipping, counts and averages")
        if len(words) != _BASE_FIELDS:
            self.complain(f"expected {_BASE_FIELDS} fields from learning rate to count of averages, found {len(words)}")
        rate, threshold, beta = self.number(words[0]), self.number(words[2]), self.number(words[4])
        clipped, updates, taken = self.count(words[1]), self.count(words[3]), self.count(words[9])
        try:
            rate = finite_rate(self.trainer.whoami(), rate)
        except ValueError as error:
            self.complain(str(error))
        if math.isnan(threshold):
            self.complain("the threshold of clipping is no number")
        if words[5] not in ("None", *_MODES):
            self.complain(f"expected None, Cumulative or Exponential, found {words[5]!r}")
        if self.count(words[6]):
            self.complain(
                "the trainer was saved while its averages stood in for the weights; such a file holds neither. Save "
                "it after swap_params_to_weights"
            )
        average = None
        if words[5] in _MODES:
            kind, every = _MODES[words[5]], self.count(words[8])
            try:
                average = MovingAverage(kind, beta if kind == "exponential" else 0.0, every)
            except ValueError as error:
                self.complain(str(error))
            average.updates = updates
        return _Base(rate, threshold if clipped else 0.0, updates, average, taken)

    def averages_follow(self, base: _Base) -> bool:
        mark = self.next("[MA:TRUE] or [MA:FALSE]")
        if mark not in (["[MA:TRUE]"], ["[MA:FALSE]"]):
            self.complain(f"expected [MA:TRUE] or [MA:FALSE], found {' '.join(mark[:3])!r}")
        follow = mark == ["[MA:TRUE]"]
        if follow and base.average is None:
            self.complain("the file holds averages, but the line of fields says None of their mode")
        if not follow and base.taken:
            self.complain(f"{base.taken} averages were taken, but the file does not hold them")
        return follow

    def blocks(self, tag: str, moments: int) -> Iterator[tuple[Slot, int, Floats | None]]:
        """Slot, place of the moment, and its numbers: none where the file has fewer parameters."""
        for kind, present in zip(self.kinds, self.header(tag), strict=True):
            for place in range(moments):
                for index, parameter in enumerate(kind):
                    values = self.array(parameter) if index < present else None
                    yield owner(parameter.shape.parameter), place, values

    def array(self, parameter: StoredParameter) -> Floats:
        tag, size = _tag(parameter), parameter.shape.size
        words = self.next(f"a line '{tag} {size} ...' for {parameter.name()}")
        if words[0] != tag:
            self.complain(f"expected {tag!r} for {parameter.name()}, found {words[0]!r}")
        if len(words) < 2 or self.count(words[1]) != size or len(words) - 2 != size:
            self.complain(
                f"Size mismatch: {parameter.name()} has {size} numbers, the line announces "
                f"{words[1] if len(words) > 1 else 'none'} and holds {max(len(words) - 2, 0)}"
            )
        return np.array([self.number(word) for word in words[2:]], np.float32)

    def constants(self) -> dict[str, float]:
        """The last line of a section: as many numbers as the rule has constants, after the fillers."""
        names, fillers = _constants(self.trainer), self.trainer.text_fillers
        words = self.next(f"the line of {', '.join(names)}")
        if len(words) != len(names) + fillers:
            self.complain(f"expected {len(names) + fillers} numbers, the last of them {', '.join(names)}")
        found: dict[str, float] = {}
        for name, word in zip(names, words[fillers:], strict=True):
            present = getattr(self.trainer, name)
            if isinstance(present, bool):
                found[name] = bool(self.count(word))
            else:
                found[name] = self.count(word) if isinstance(present, int) else self.number(word)
        return found

    def number(self, word: str) -> float:
        try:
            return float(word)
        except ValueError:
            self.complain(f"{word!r} is no number")

    def count(self, word: str) -> int:
        value = self.number(word)
        if value < 0 or not value.is_integer():
            self.complain(f"{word!r} is no count")
        return int(value)
