"""DyNet's text format of trainer states: samples of every class written by hand from its description, and bad files."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from weft_core.collection import ParameterCollection
from weft_core.files import ParameterFileError
from weft_core.store import DenseSlot, LookupTable, owner
from weft_trainers import (
    AdadeltaTrainer,
    AdagradTrainer,
    AdamTrainer,
    AmsgradTrainer,
    CyclicalSGDTrainer,
    EGTrainer,
    MomentumSGDTrainer,
    RMSPropTrainer,
    SimpleSGDTrainer,
    Trainer,
)


def model() -> ParameterCollection:
    m = ParameterCollection()
    m.add_parameters((2, 2), init=1.0, name="w")
    m.add_parameters((1,), init=1.0, name="b")
    m.add_lookup_parameters((3, 2), init=1.0, name="e")
    return m


def line(*numbers: float, kind: str = "Parameter") -> str:
    """A line of an array, as a C++ stream with the flags scientific and showpos and 8 digits writes it."""
    return f"#{kind}# {len(numbers)} " + " ".join(f"{x:+.8e}" for x in numbers) + "\n"


def lookup(*numbers: float) -> str:
    return line(*numbers, kind="LookupParameter")


BASE = "#Trainer# 2 1\n+5.00000007e-02 +1 +2.00000000e+00 7 +0.00000000e+00 None +0 +0 1 0\n[MA:FALSE]\n"


def block(start: float) -> tuple[str, str]:
    """A moment of the parameters, and one of the table: numbers that tell every place."""
    return (
        line(start + 1, start + 2, start + 3, start + 4) + line(start + 5),
        lookup(*(start + 10 + k for k in range(6))),
    )


(V_P, V_L), (H_P, H_L), (X_P, X_L) = block(0), block(20), block(40)
SAMPLES: dict[str, tuple[Callable[[ParameterCollection], Trainer], str, dict[str, float], dict[str, float]]] = {
    # The trainer, what follows the base, its constants, and the first number of each moment.
    "sgd": (SimpleSGDTrainer, "", {}, {}),
    "cyclical": (CyclicalSGDTrainer, "", {}, {}),
    "momentum": (
        MomentumSGDTrainer,
        "#MomentumSGDTrainer# 2 1\n" + V_P + V_L + "+5.00000000e-01\n",
        {"mom": 0.5},
        {"v": 0},
    ),
    "adagrad": (AdagradTrainer, "#AdagradTrainer# 2 1\n" + V_P + V_L + "+2.50000000e-01\n", {"eps": 0.25}, {"h": 0}),
    "adadelta": (
        AdadeltaTrainer,
        "#AdadeltaTrainer# 2 1\n" + V_P + H_P + V_L + H_L + "+2.50000000e-01 +5.00000000e-01\n",
        {"eps": 0.25, "rho": 0.5},
        {"h": 0, "d": 20},
    ),
    "rmsprop": (
        RMSPropTrainer,
        "#RMSPropTrainer# 2 1\n" + V_P + V_L + "+2.50000000e-01 +5.00000000e-01\n",
        {"eps": 0.25, "rho": 0.5},
        {"h": 0},
    ),
    "adam": (
        AdamTrainer,
        "#AdamTrainer# 2 1\n" + V_P + H_P + V_L + H_L + "+5.00000000e-01 +7.50000000e-01 +1.25000000e-01\n",
        {"beta_1": 0.5, "beta_2": 0.75, "eps": 0.125},
        {"m": 0, "v": 20},
    ),
    # With the block of v of the tables, which DyNet's own reader skips.
    "amsgrad": (
        AmsgradTrainer,
        "#AmsgradTrainer# 2 1\n"
        + (V_P + H_P + X_P + V_L + H_L + X_L)
        + "+5.00000000e-01 +7.50000000e-01 +1.25000000e-01\n",
        {"beta_1": 0.5, "beta_2": 0.75, "eps": 0.125},
        {"m": 0, "v": 20, "x": 40},
    ),
    "eg": (
        EGTrainer,
        "#EGTrainer# 2 1\n"
        + (V_P + V_L)
        + "+0.00000000e+00 +0.00000000e+00 +5.00000000e-01 +1.25000000e-01 +2.50000000e-01 "
        + "+4.00000000e+00 +7.50000000e-01 6 +1\n",
        {
            "mom": 0.5,
            "learning_rate_min": 0.125,
            "learning_rate_max": 0.25,
            "step_size": 4.0,
            "gamma": 0.75,
            "cycle": 6,
            "cyclical": True,
        },
        {"v": 0},
    ),
}


def moments(trainer: Trainer, name: str) -> list[list[float]]:
    found = []
    for p in (*trainer.model.parameters_list(), *trainer.model.lookup_parameters_list()):
        slot = owner(p.shape.parameter)
        if isinstance(slot, LookupTable):
            found.append(trainer.state.table(name, slot).ravel().tolist())
        else:
            assert isinstance(slot, DenseSlot)
            arena = trainer.state.arena(name, trainer.model.store)
            found.append(arena[slot.offset : slot.offset + slot.size].tolist())
    return found


@pytest.mark.parametrize("name", SAMPLES)
def test_a_sample_of_each_class(name: str, tmp_path: Path) -> None:
    kind, rest, constants, starts = SAMPLES[name]
    (tmp_path / "sample").write_text(BASE + rest)
    trainer = kind(model())
    trainer.load_text(tmp_path / "sample")
    assert trainer.learning_rate == float(np.float32(0.05)) and trainer.get_clip_threshold() == 2.0
    assert trainer.steps == 7 and trainer.average is None
    for constant, value in constants.items():
        found = getattr(trainer, constant)
        assert found == value and type(found) is type(value)
    for moment, start in starts.items():
        places = [[1, 2, 3, 4], [5], [10, 11, 12, 13, 14, 15]]
        assert moments(trainer, moment) == [[start + k for k in row] for row in places]
    trainer.save_text(tmp_path / "again")
    assert (tmp_path / "again").read_text() == BASE + rest


AVERAGED = (
    "#Trainer# 2 1\n+1.00000001e-01 +0 +0.00000000e+00 7 +9.00000036e-01 Exponential +0 +0 2 4\n[MA:TRUE]\n#MA# 2 1\n"
    + (V_P + V_L)
)


def test_a_sample_with_averages(tmp_path: Path) -> None:
    (tmp_path / "sample").write_text(AVERAGED)
    m = model()
    trainer = SimpleSGDTrainer(m)
    trainer.load_text(tmp_path / "sample")
    assert trainer.get_clip_threshold() == 0.0
    average = trainer.average
    assert average is not None and average.kind == "exponential" and (average.every, average.updates) == (2, 7)
    w, b = m.parameters_list()
    (e,) = m.lookup_parameters_list()
    with trainer.averaged():
        # Memory order: columns of a matrix, rows of a table.
        assert w.as_array().tolist() == [[1, 3], [2, 4]]
        assert b.as_array().tolist() == [5] and e.as_array().tolist() == [[10, 11], [12, 13], [14, 15]]
    with trainer.averaged(bias_correction=True):
        assert b.as_array()[0] == pytest.approx(5 / (1 - 0.9**4), rel=1e-6)
    trainer.save_text(tmp_path / "again")
    assert (tmp_path / "again").read_text() == AVERAGED
    # The eighth update is none of those that are averaged, the ninth is.
    for counts in (4, 5):
        trainer.update()
        assert set(average.counts.values()) == {counts}


def test_cumulative_averages(tmp_path: Path) -> None:
    text = AVERAGED.replace("Exponential", "Cumulative").replace("+9.00000036e-01", "+0.00000000e+00")
    (tmp_path / "sample").write_text(text)
    trainer = SimpleSGDTrainer(model())
    trainer.load_text(tmp_path / "sample")
    assert trainer.average is not None and trainer.average.kind == "cumulative"
    trainer.save_text(tmp_path / "again")
    assert (tmp_path / "again").read_text() == text


def test_averages_that_have_only_been_switched_on(tmp_path: Path) -> None:
    trainer = SimpleSGDTrainer(model())
    trainer.exponential_moving_average(0.5, 3)
    trainer.save_text(tmp_path / "sample")
    assert "[MA:FALSE]" in (tmp_path / "sample").read_text()
    other = SimpleSGDTrainer(model())
    other.load_text(tmp_path / "sample")
    assert other.average is not None and (other.average.beta, other.average.every, other.average.counts) == (0.5, 3, {})


def test_parameters_beyond_those_of_the_file_start_with_zero(tmp_path: Path) -> None:
    (tmp_path / "sample").write_text(AVERAGED + SAMPLES["momentum"][1])
    m = model()
    m.add_parameters((2,), 1.0)
    m.add_lookup_parameters((2, 2), 1.0)
    trainer = MomentumSGDTrainer(m)
    for p in m.parameters_list():
        p.gradients[...] = 1.0
    trainer.update()
    trainer.load_text(tmp_path / "sample")
    assert moments(trainer, "v") == [[1, 2, 3, 4], [5], [0, 0], [10, 11, 12, 13, 14, 15], [0] * 4]
    assert trainer.average is not None and sorted(trainer.average.counts.values()) == [4, 4, 4]


MOMENTUM = BASE + SAMPLES["momentum"][1]
BAD: list[tuple[str, int, str]] = [
    ("", 1, "the file ends where '#Trainer# <parameters> <tables>' should follow"),
    ("#Trainer#\n", 1, "found 1 words"),
    ("#Trainer# 2 x\n", 1, "'x' is no number"),
    ("#Trainer# 2 -1\n", 1, "'-1' is no count"),
    ("#Trainer# 2 1.5\n", 1, "no count"),
    ("#Trainer# 2 nan\n", 1, "no count"),
    ("#Trainer# inf 1\n", 1, "no count"),
    ("#Parameter# /w {2} 3 ZERO_GRAD\n", 1, "expected '#Trainer#', found '#Parameter#'"),
    (MOMENTUM.replace("#Trainer# 2 1", "#Trainer# 3 1"), 1, "Size mismatch: the file has 3 parameters and 1 look-up"),
    (MOMENTUM.replace(" None", ""), 2, "expected 10 fields"),
    (MOMENTUM.replace("None", "Median"), 2, "expected None, Cumulative or Exponential, found 'Median'"),
    (MOMENTUM.replace("+5.00000007e-02", "nan"), 2, "finite"),
    (MOMENTUM.replace("+5.00000007e-02", "1e300"), 2, "finite"),
    (MOMENTUM.replace("+2.00000000e+00", "nan"), 2, "threshold"),
    (MOMENTUM.replace("None +0", "None +1"), 2, "while its averages stood in for the weights"),
    (MOMENTUM.replace("None", "Exponential").replace("+0.00000000e+00", "1.5"), 2, "0 <= beta < 1"),
    (MOMENTUM.replace("None +0 +0 1", "Cumulative +0 +0 0"), 2, "at least 1"),
    (MOMENTUM.replace("MA:FALSE", "MA:TRUE"), 3, "says None of their mode"),
    (MOMENTUM.replace("None +0 +0 1 0", "Cumulative +0 +0 1 3"), 3, "3 averages were taken, but"),
    (MOMENTUM.replace("None", "Cumulative").replace("MA:FALSE", "MA:MAYBE"), 3, "expected .MA:TRUE. or"),
    (MOMENTUM.replace("None", "Cumulative").replace("FALSE", "TRUE"), 4, "expected '#MA#', found '#Momen"),
    (MOMENTUM.replace("MomentumSGD", "Adam"), 4, "expected '#MomentumSGDTrainer#', found '#AdamTrainer#'"),
    (MOMENTUM.replace("#Parameter# 4", "#Parameter# 5"), 5, "/w has 4 numbers, the line announces 5 and holds 4"),
    (MOMENTUM.replace("+1.00000000e+00 ", "", 1), 5, "announces 4 and holds 3"),
    (MOMENTUM.replace("#Parameter# 1", "#LookupParameter# 1"), 6, "expected '#Parameter#' for /b"),
    (MOMENTUM.replace("+1.20000000e+01", "twelve"), 7, "'twelve' is no number"),
    (MOMENTUM.replace("#LookupParameter# 6", "#LookupParameter#"), 7, "Size mismatch|no count"),
    (MOMENTUM[: MOMENTUM.rindex("+5.0")], 8, "ends where the line of mom should follow"),
    (MOMENTUM.rstrip() + " +1.0\n", 8, "expected 1 numbers"),
    (MOMENTUM + "#AdamTrainer# 2 1\n", 9, "expected the end of the state of MomentumSGDTrainer, found '#AdamTrainer#'"),
]


@pytest.mark.parametrize(("content", "number", "complaint"), BAD, ids=[f"{n}-{c[:12]}" for _, n, c in BAD])
def test_a_bad_file_is_named_with_its_line_and_changes_nothing(
    content: str, number: int, complaint: str, tmp_path: Path
) -> None:
    path = tmp_path / "state"
    path.write_text(content)
    m = model()
    trainer = MomentumSGDTrainer(m)
    m.parameters_list()[0].gradients[...] = 1.0
    trainer.update()
    before = moments(trainer, "v")
    with pytest.raises(ParameterFileError, match=complaint) as caught:
        trainer.load_text(path)
    assert str(caught.value).startswith(f"{path}:{number}: ")
    assert moments(trainer, "v") == before and any(before[0])
    assert (trainer.steps, trainer.mom, trainer.average) == (1, 0.9, None)
    assert trainer.learning_rate == float(np.float32(0.01))


def test_the_state_of_another_trainer_is_refused_where_there_is_none_to_expect(tmp_path: Path) -> None:
    (tmp_path / "state").write_text(MOMENTUM)
    with pytest.raises(ParameterFileError, match=":4: expected the end of the state of SimpleSGDTrainer"):
        SimpleSGDTrainer(model()).load_text(tmp_path / "state")
    (tmp_path / "state").write_text(BASE)
    with pytest.raises(ParameterFileError, match=":4: the file ends where '#AdamTrainer#"):
        AdamTrainer(model()).load_text(tmp_path / "state")


def test_a_file_that_is_not_there() -> None:
    with pytest.raises(FileNotFoundError):
        SimpleSGDTrainer(model()).load_text("there is none")
