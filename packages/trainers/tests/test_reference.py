"""Stored values of DyNet 2.1.2 after every update, recorded in ref_trainers.npz."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import weft_core as dy
from weft_core.collection import ParameterCollection
from weft_core.parameters import LookupParameters, Parameters
from weft_trainers import (
    AdadeltaTrainer,
    AdagradTrainer,
    AdamTrainer,
    AmsgradTrainer,
    CyclicalSGDTrainer,
    MomentumSGDTrainer,
    RMSPropTrainer,
    SimpleSGDTrainer,
    Trainer,
)

REFERENCE = np.load(Path(__file__).with_name("ref_trainers.npz"))
TRAINERS: dict[str, Callable[[ParameterCollection], Trainer]] = {
    "SimpleSGD": SimpleSGDTrainer,
    "CyclicalSGD": lambda m: CyclicalSGDTrainer(m, 0.01, 0.1, step_size=3, gamma=0.9),
    "MomentumSGD": MomentumSGDTrainer,
    "Adagrad": AdagradTrainer,
    "Adadelta": AdadeltaTrainer,
    "RMSProp": RMSPropTrainer,
    "Adam": AdamTrainer,
    "Amsgrad": AmsgradTrainer,
}


def put_gradients(step: int, w: Parameters, table: LookupParameters) -> None:
    w.gradients[...] = REFERENCE["grad_w"][step]
    row = int(REFERENCE["row"][step])
    table._slot.touch([row])
    table.gradients[row] = REFERENCE["grad_row"][step]


@pytest.mark.parametrize("name", TRAINERS)
@pytest.mark.parametrize("updates", ["sparse", "dense"])
@pytest.mark.parametrize("clipping", ["clip5", "noclip"])
@pytest.mark.parametrize("where", ["root", "subcollection"])
def test_every_update(name: str, updates: str, clipping: str, where: str) -> None:
    root = ParameterCollection()
    other = root.add_parameters((40,))
    model = root if where == "root" else root.add_subcollection("part")
    w = model.parameters_from_numpy(REFERENCE["w0"])
    table = model.lookup_parameters_from_numpy(REFERENCE["e0"])
    untouched = root.add_lookup_parameters((3, 2))
    values = other.as_array(), untouched.as_array()
    trainer = TRAINERS[name](model)
    trainer.set_sparse_updates(updates == "sparse")
    if clipping == "noclip":
        trainer.set_clip_threshold(0)
    if where == "subcollection":
        other.gradients[...] = 3.0
        untouched.gradients[...] = 2.0
        untouched._slot.meta[3] = 1
    key = f"{name}.{updates}.{clipping}"
    for step in range(8):
        put_gradients(step, w, table)
        trainer.update()
        np.testing.assert_allclose(w.values, REFERENCE[key + ".w"][step], atol=5e-7, rtol=1e-6)
        np.testing.assert_allclose(table.values, REFERENCE[key + ".e"][step], atol=5e-7, rtol=1e-6)
        assert not w.gradients.any() and not table.gradients.any()
        assert trainer.learning_rate == pytest.approx(REFERENCE[key + ".lr"][step], rel=3e-7)
    np.testing.assert_array_equal(other.as_array(), values[0])
    np.testing.assert_array_equal(untouched.as_array(), values[1])
    if where == "subcollection":
        assert (other.gradients == 3.0).all() and (untouched.gradients == 2.0).all()


@pytest.mark.parametrize("name", ["SimpleSGD", "Adam"])
def test_weight_decay_shows_what_a_new_graph_saw(name: str) -> None:
    """DyNet's decay is a factor beside the stored value; the effective one is what Weft stores."""
    model = ParameterCollection()
    w = model.parameters_from_numpy(REFERENCE["w0"])
    table = model.lookup_parameters_from_numpy(REFERENCE["e0"])
    model.set_weight_decay(0.3)
    trainer = TRAINERS[name](model)
    key = f"{name}.sparse.clip5.wd0.3"
    for step in range(8):
        put_gradients(step, w, table)
        trainer.update()
        effective = REFERENCE[key + ".w_forward"][step]
        np.testing.assert_allclose(w.as_array(), effective, atol=5e-7, rtol=1e-6)
        dy.renew_cg()
        np.testing.assert_allclose((w * 1.0).npvalue(), effective, atol=5e-7, rtol=1e-6)
        # The factor that DyNet has beside its stored values; after a rescaling it is 1.
        factor = np.median(effective / REFERENCE[key + ".w"][step])
        np.testing.assert_allclose(table.as_array(), factor * REFERENCE[key + ".e"][step], atol=1e-6, rtol=1e-5)
