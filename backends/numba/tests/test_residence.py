"""Compiled graphs and updates go by addresses: what another backend keeps comes home first."""

from collections.abc import Iterator

import numpy as np
import pytest

import weft_core as dy
from weft_core.collection import ParameterCollection
from weft_core.graph import init
from weft_core.profile import Profile
from weft_core.settings import settings
from weft_testing.elsewhere import take_away
from weft_trainers import AdamTrainer


@pytest.fixture(autouse=True)
def numba_backend() -> Iterator[None]:
    previous = settings.backend()
    init("numba", seed=1)
    yield
    settings.use(previous)


def test_steps_that_are_timed_find_their_parameters() -> None:
    model = ParameterCollection()
    W, E = model.add_parameters((2, 2), 2.0), model.add_lookup_parameters((3, 2), 1.0)
    with dy.ComputationGraph(), Profile():
        take_away(model.store)
        loss = dy.sum_elems(W * E[1])
        assert loss.scalar_value() == 8
        take_away(model.store)
        loss.backward()
    assert (W.grad_as_array() == 1).all()
    assert E.grad_as_array().tolist() == [[0, 0], [4, 4], [0, 0]]


def test_an_update_is_prepared_once_for_what_came_home() -> None:
    model = ParameterCollection()
    W, E = model.add_parameters((2, 2), 2.0), model.add_lookup_parameters((3, 2), 1.0)
    trainer = AdamTrainer(model)
    for turn in range(2):
        W.gradients[...] = 1
        E.gradients[1] = 1
        model.store.tables[0].touch([1])
        if turn:
            take_away(model.store, trainer.state)
        trainer.update()
    prepared = trainer.state.prepared
    trainer.update()
    assert trainer.state.prepared is prepared
    np.testing.assert_allclose(W.as_array(), 1.9972, atol=1e-4)
