"""States of several builders as one."""

import numpy as np
import pytest

from weft_builders import GRUBuilder, LSTMBuilder, StackedRNNState
from weft_core import Expression, ParameterCollection, ShapeError, inputVector

XS = np.random.default_rng(0).normal(size=(4, 3))


def test_each_builder_reads_the_output_of_the_one_below() -> None:
    model = ParameterCollection()
    lower, upper = LSTMBuilder(2, 3, 4, model), GRUBuilder(1, 4, 5, model)
    start = StackedRNNState([lower.initial_state(), upper.initial_state()])
    assert (start.output(), start.prev(), start.h(), start.s()) == (None, None, [(), ()], [(), ()])
    xs = [inputVector(x) for x in XS]
    middle = lower.initial_state().transduce(xs)
    expected = [h.npvalue() for h in upper.initial_state().transduce(middle)]
    by_step, outputs = start, []
    for x in xs:
        previous, by_step = by_step, by_step.add_input(x)
        assert by_step.prev() is previous
        outputs.append(value(by_step.output()))
    np.testing.assert_allclose(outputs, expected, atol=1e-6)
    states = start.add_inputs(iter(xs))
    np.testing.assert_allclose([value(state.output()) for state in states], expected, atol=1e-6)
    assert states[0].prev() is start and states[3].prev() is states[2]
    np.testing.assert_allclose([h.npvalue() for h in start.transduce(xs)], expected, atol=1e-6)
    assert [len(part) for part in states[3].h()] == [2, 1] and [len(part) for part in states[3].s()] == [4, 1]
    np.testing.assert_allclose(states[3].h()[0][1].npvalue(), middle[-1].npvalue(), atol=1e-6)
    branch = states[1].add_input(xs[2])
    np.testing.assert_allclose(value(branch.output()), expected[2], atol=1e-6)
    assert start.add_inputs([]) == []


def value(x: Expression | None) -> object:
    assert x is not None
    return x.npvalue()


def test_errors_are_sentences() -> None:
    builder = LSTMBuilder(1, 3, 4, ParameterCollection())
    with pytest.raises(ValueError, match="at least one state"):
        StackedRNNState([])
    with pytest.raises(TypeError, match="takes states of builders, got VanillaLSTMBuilder"):
        StackedRNNState([builder])  # type: ignore[list-item]
    wrong = StackedRNNState([builder.initial_state(), builder.initial_state()])
    with pytest.raises(ShapeError, match=r"takes inputs of shape \{3\}, got \{4\}"):
        wrong.add_input(inputVector(XS[0]))
