"""What is DyNet's alone: devices, boxes of numbers, old names, builders that give lists."""

import pytest


def test_devices(dy):
    assert dy.HAVE_CUDA is False
    assert isinstance(dy.ERRMSG, str)
    assert dy.available_devices() == [b"CPU"]
    info = dy.get_device_info("CPU")
    assert (info.name, info.id, info.type) == (b"CPU", 0, -1)
    assert vars(dy.DeviceInfo(b"GPU:1", 1, 0)) == {"name": b"GPU:1", "id": 1, "type": 0}
    with pytest.raises(RuntimeError, match="Invalid device name: GPU:0"):
        dy.get_device_info("GPU:0")


def test_to_device(dy):
    x = dy.scalarInput(3)
    assert dy.to_device(x, "CPU").value() == 3
    with pytest.raises(RuntimeError, match="Invalid device name: GPU:1"):
        dy.to_device(x, "GPU:1")


def test_boxes(dy):
    unsigned, real = dy.UnsignedValue(3), dy.FloatValue(0.1)
    assert (unsigned.get(), dy.UnsignedValue().get(), dy.FloatValue().get()) == (3, 0, 0.0)
    assert real.get() == 0.10000000149011612
    unsigned.set(4)
    real.set(2)
    assert (unsigned.get(), real.get()) == (4, 2.0)
    with pytest.raises(OverflowError, match="got -1"):
        unsigned.set(-1)
    with pytest.raises(TypeError):
        dy.UnsignedValue(1.5)
    numbers, reals = dy.UnsignedVectorValue([1, 2]), dy.FloatVectorValue([0.5])
    assert (numbers.get(), numbers.size(), reals.get(), reals.size()) == ([1, 2], 2, [0.5], 1)
    numbers.set([7])
    reals.set([1, 2, 3])
    assert (numbers.get(), numbers.size(), reals.get(), reals.size()) == ([7], 1, [1, 2, 3], 3)
    with pytest.raises(OverflowError):
        numbers.set([1, 2**32])


def test_parameter_is_the_argument_and_says_so_once(run):
    program = """
import dynet as dy
m = dy.Model()
p, q = m.add_parameters(2), m.add_parameters(3)
assert dy.parameter(p) is p and dy.parameter(p, q) == (p, q) and dy.parameter() == ()
"""
    assert run(program).stdout.count("DEPRECATED") == 1


def test_removed_inputs_raise(dy):
    with pytest.raises(DeprecationWarning):
        dy.inputMatrix([1, 2], (1, 2))
    with pytest.raises(DeprecationWarning):
        dy.matInput(2, 2)


def test_parameters_are_constants_as_expr(dy):
    m = dy.ParameterCollection()
    p = m.add_parameters(1, init=2)
    dy.squared_norm(p.expr()).backward()
    assert p.grad_as_array().tolist() == [0]
    dy.squared_norm(p.expr(True)).backward()
    assert p.grad_as_array().tolist() == [4]


RECURRENT = [
    "SimpleRNNBuilder",
    "GRUBuilder",
    "LSTMBuilder",
    "CompactVanillaLSTMBuilder",
    "CoupledLSTMBuilder",
    "FastLSTMBuilder",
    "SparseLSTMBuilder",
]


@pytest.mark.parametrize("name", RECURRENT)
def test_builders(dy, name):
    builder = getattr(dy, name)(2, 3, 4, dy.ParameterCollection())
    assert builder.whoami() == ("VanillaLSTMBuilder" if name == "LSTMBuilder" else name)
    xs = [dy.inputVector([k, 1, 2]) for k in range(3)]
    outputs = builder.initial_state().transduce(iter(xs))
    assert type(outputs) is list
    stepped = [state.output() for state in builder.initial_state().add_inputs(xs)]
    assert dy.npvalues(outputs)[2].tolist() == pytest.approx(dy.npvalues(stepped)[2].tolist(), abs=1e-6)
    later = builder.initial_state().add_input(xs[0]).transduce(xs[1:])
    assert type(later) is list
    assert later[1].vec_value() == pytest.approx(outputs[2].vec_value(), abs=1e-6)
    assert builder.initial_state().transduce([]) == []


@pytest.mark.parametrize("name", RECURRENT)
def test_parameter_expressions_come_after_the_start(dy, name):
    builder = getattr(dy, name)(1, 3, 4, dy.ParameterCollection())
    with pytest.raises(ValueError, match="after initial_state"):
        builder.get_parameter_expressions()
    builder.initial_state()
    for expressions, parameters in zip(builder.get_parameter_expressions(), builder.get_parameters(), strict=True):
        # The masks of a sparse builder are no parameters of their own here: they are in the weights.
        assert len(expressions) == len(parameters) - 2 * (name == "SparseLSTMBuilder")
        for e, p in zip(expressions, parameters, strict=False):
            assert e.npvalue().tolist() == p.as_array().tolist()
    dy.renew_cg()
    with pytest.raises(ValueError, match="after initial_state"):
        builder.get_parameter_expressions()


def test_bidirectional_builder(dy):
    m = dy.ParameterCollection()
    builder = dy.BiRNNBuilder(2, 3, 4, m, dy.GRUBuilder)
    xs = [dy.inputVector([k, 1, 2]) for k in range(3)]
    outputs = builder.transduce(xs)
    assert type(outputs) is list
    assert [x.dim() for x in outputs] == [((4,), 1)] * 3
    again = dy.BiRNNBuilder.from_spec(builder.spec, m)
    assert type(again) is dy.BiRNNBuilder
    assert type(again.builder_layers[0][0]) is dy.GRUBuilder


def test_builders_of_a_program_s_own(dy):
    class Mine(dy.LSTMBuilder):
        def twice(self, xs):
            return self.initial_state().transduce(xs + xs)

    mine = Mine(1, 2, 3, dy.ParameterCollection())
    assert len(mine.twice([dy.inputVector([1, 2])])) == 2
    assert mine.whoami() == "Mine"
