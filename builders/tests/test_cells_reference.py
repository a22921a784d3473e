"""Outputs, states and gradients of DyNet 2.1.2, recorded in ref_cells.npz."""

from pathlib import Path

import numpy as np
import pytest

from weft_builders import (
    CompactVanillaLSTMBuilder,
    CoupledLSTMBuilder,
    FastLSTMBuilder,
    GRUBuilder,
    RecurrentBuilder,
    SimpleRNNBuilder,
    SparseLSTMBuilder,
    VanillaLSTMBuilder,
)
from weft_core.collection import ParameterCollection
from weft_core.graph import renew_cg
from weft_core.ops.arithmetic import cmult
from weft_core.ops.inputs import inputVector
from weft_core.ops.list_reductions import esum
from weft_core.ops.reductions import sum_elems

REFERENCE = np.load(Path(__file__).with_name("ref_cells.npz"))
BUILDERS = [
    SimpleRNNBuilder,
    GRUBuilder,
    VanillaLSTMBuilder,
    CompactVanillaLSTMBuilder,
    CoupledLSTMBuilder,
    FastLSTMBuilder,
    SparseLSTMBuilder,
]


def reference_builder(kind: type[RecurrentBuilder]) -> tuple[RecurrentBuilder, ParameterCollection]:
    model = ParameterCollection()
    builder = kind(2, 3, 2, model)
    for layer, parameters in enumerate(builder.get_parameters()):
        for j, parameter in enumerate(parameters):
            parameter.set_value(REFERENCE[f"{kind.__name__}.p{layer}.{j}"])
    return builder, model


@pytest.mark.parametrize("kind", BUILDERS)
@pytest.mark.parametrize("way", ["add_input", "add_inputs", "transduce"])
@pytest.mark.parametrize("autobatch", [True, False])
def test_cells(kind: type[RecurrentBuilder], way: str, autobatch: bool) -> None:
    builder, _model = reference_builder(kind)
    renew_cg(autobatching=autobatch)
    xs = [inputVector(row) for row in REFERENCE["x"]]
    start = builder.initial_state()
    if way == "transduce":
        outputs = start.transduce(xs)
    else:
        states = start.add_inputs(xs) if way == "add_inputs" else []
        state = start
        for x in xs if way == "add_input" else []:
            state = state.add_input(x)
            states.append(state)
        for step, state in enumerate(states):
            found = [e.npvalue() for e in state.s()]
            np.testing.assert_allclose(found, REFERENCE[f"{kind.__name__}.s"][step], atol=2e-6)
            found = [e.npvalue() for e in state.h()]
            np.testing.assert_allclose(found, REFERENCE[f"{kind.__name__}.h"][step], atol=2e-6)
        outputs = [state.output() for state in states]
    esum([sum_elems(cmult(h, h)) for h in outputs]).backward()
    np.testing.assert_allclose([h.npvalue() for h in outputs], REFERENCE[f"{kind.__name__}.h"][:, -1], atol=2e-6)
    for layer, parameters in enumerate(builder.get_parameters()):
        for j, parameter in enumerate(parameters):
            expected = REFERENCE[f"{kind.__name__}.g{layer}.{j}"]
            np.testing.assert_allclose(parameter.grad_as_array(), expected, atol=2e-6, err_msg=parameter.name())


@pytest.mark.parametrize("autobatch", [True, False])
def test_normalised_layers(autobatch: bool) -> None:
    builder = VanillaLSTMBuilder(1, 3, 2, ParameterCollection(), ln_lstm=True)
    (parameters,) = builder.get_parameters()
    for j, parameter in enumerate(parameters):
        parameter.set_value(REFERENCE[f"VanillaLSTM_ln.p{j}"])
    renew_cg(autobatching=autobatch)
    states = builder.initial_state().add_inputs([inputVector(row) for row in REFERENCE["x"]])
    found = [[e.npvalue() for e in state.s()] for state in states]
    np.testing.assert_allclose(found, REFERENCE["VanillaLSTM_ln.s"], atol=5e-6)
