"""Stored values of DyNet 2.1.2 after every update, recorded in ref_trainers.npz."""

from pathlib import Path

import numpy as np
import pytest

from weft_core.collection import ParameterCollection
from weft_trainers import AdagradTrainer, AdamTrainer, MomentumSGDTrainer, SimpleSGDTrainer, Trainer

REFERENCE = np.load(Path(__file__).with_name("ref_trainers.npz"))
TRAINERS = {
    "SimpleSGD": SimpleSGDTrainer,
    "MomentumSGD": MomentumSGDTrainer,
    "Adagrad": AdagradTrainer,
    "Adam": AdamTrainer,
}


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
    trainer: Trainer = TRAINERS[name](model)
    trainer.set_sparse_updates(updates == "sparse")
    if clipping == "noclip":
        trainer.set_clip_threshold(0)
    if where == "subcollection":
        other.gradients[...] = 3.0
        untouched.gradients[...] = 2.0
        untouched._slot.meta[3] = 1
    key = f"{name}.{updates}.{clipping}"
    for step in range(8):
        w.gradients[...] = REFERENCE["grad_w"][step]
        row = int(REFERENCE["row"][step])
        table._slot.touch([row])
        table.gradients[row] = REFERENCE["grad_row"][step]
        trainer.update()
        np.testing.assert_allclose(w.values, REFERENCE[key + ".w"][step], atol=5e-7, rtol=1e-6)
        np.testing.assert_allclose(table.values, REFERENCE[key + ".e"][step], atol=5e-7, rtol=1e-6)
        assert not w.gradients.any() and not table.gradients.any()
        assert trainer.learning_rate == pytest.approx(REFERENCE[key + ".lr"][step])
    np.testing.assert_array_equal(other.as_array(), values[0])
    np.testing.assert_array_equal(untouched.as_array(), values[1])
    if where == "subcollection":
        assert (other.gradients == 3.0).all() and (untouched.gradients == 2.0).all()
