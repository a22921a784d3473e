"""Recurrent builders: ten steps, outputs, states, gradients of all parameters."""

import numpy as np
from table import fill, gradients, program

STEPS, INPUT, HIDDEN, LAYERS = 10, 3, 4, 2
KINDS = {
    "SimpleRNNBuilder": (),
    "GRUBuilder": (),
    "VanillaLSTMBuilder": (),
    "LSTMBuilder": (False, 0.5),
    "CompactVanillaLSTMBuilder": (),
    "CoupledLSTMBuilder": (),
    "FastLSTMBuilder": (),
    "SparseLSTMBuilder": (),
}


def inputs(dy, numbers, batch, size=INPUT, steps=STEPS):
    """A sequence of inputs."""
    arrays = numbers.uniform(-1, 1, (steps, size, batch)).astype(np.float32)
    return [dy.inputTensor(a, batched=True) for a in arrays]


def loss_of(dy, expressions, numbers):
    """A number that depends on all elements of these vectors."""
    total = None
    for y in expressions:
        dims, batch = y.dim()
        weights = numbers.uniform(-1, 1, (*dims, batch)).astype(np.float32)
        part = dy.sum_batches(dy.dot_product(y, dy.inputTensor(weights, batched=True)))
        total = part if total is None else total + part
    return total


def stacked(expressions):
    """The values of expressions of one shape."""
    return np.array([e.npvalue() for e in expressions])


def both_ways(dy, numbers, make):
    """Steps and sequences, with and without a batch, of a builder that `make(model)` makes."""
    model = dy.ParameterCollection()
    builder = make(model)
    fill(model, numbers)
    results = {}
    for batch in (1, 3):
        dy.renew_cg()
        xs = inputs(dy, numbers, batch)
        state = builder.initial_state()
        outputs = []
        for x in xs:
            state = state.add_input(x)
            outputs.append(state.output())
        results[f"value steps {batch}"] = stacked(outputs)
        results[f"value state {batch}"] = stacked(state.s())
        results[f"value h {batch}"] = stacked(state.h())
        sequence = list(builder.initial_state().transduce(xs))
        states = builder.initial_state().add_inputs(xs)
        results[f"value sequence {batch}"] = stacked(sequence)
        results[f"value states {batch}"] = stacked([s.output() for s in states])
        loss_of(dy, [*outputs, *sequence[::3], *state.s()], numbers).backward()
        # Gradients of the second round come on top of those of the first.
        results.update((f"{key} {batch}", array) for key, array in gradients(model).items())
    return results


def add(name, options):
    """The cases of a builder."""

    @program(name, name=name)
    def runs(dy, numbers):
        return both_ways(dy, numbers, lambda model: getattr(dy, name)(LAYERS, INPUT, HIDDEN, model, *options))

    @program(name, name=name + " of one layer")
    def runs_of_one_layer(dy, numbers):
        return both_ways(dy, numbers, lambda model: getattr(dy, name)(1, INPUT, HIDDEN, model, *options))

    @program(name + " RNNState", name=name + " from a state")
    def from_a_state(dy, numbers):
        model = dy.ParameterCollection()
        builder = getattr(dy, name)(LAYERS, INPUT, HIDDEN, model, *options)
        count = LAYERS if name in ("SimpleRNNBuilder", "GRUBuilder") else 2 * LAYERS
        start = [model.add_parameters(HIDDEN) for _ in range(count)]
        fill(model, numbers)
        dy.renew_cg()
        xs = inputs(dy, numbers, 1, steps=4)
        state = builder.initial_state(start)
        outputs = [s.output() for s in state.add_inputs(xs)]
        raw = numbers.uniform(-1, 1, (count, HIDDEN)).astype(np.float32)
        # What follows a state that was set is that state's, whatever was run before.
        other = state.set_s([dy.inputVector(v) for v in raw])
        outputs += [other.output(), other.add_input(xs[1]).output()]
        loss_of(dy, outputs, numbers).backward()
        results = gradients(model)
        results["value"] = stacked(outputs)
        exact = [other.prev() is not None, state.b() is builder, len(state.s()), len(builder.initial_state().s())]
        results["exact"] = np.array(exact, int)
        dy.renew_cg()
        raw_state = builder.initial_state_from_raw_vectors([v.tolist() for v in raw])
        results["value raw"] = raw_state.add_input(dy.inputVector([1.0, 2.0, 3.0])).output().npvalue()
        return results

    @program(name, name=name + " members")
    def members(dy, numbers):
        model = dy.ParameterCollection()
        builder = getattr(dy, name)(LAYERS, INPUT, HIDDEN, model, *options)
        fill(builder.param_collection(), numbers)
        layers = builder.get_parameters()
        described = [repr((p.name(), p.shape())) for layer in layers for p in layer]
        listed = [p.name() for p in builder.param_collection().parameters_list()]
        described += [*listed, builder.param_collection().name(), builder.whoami()]
        results = {}
        if name != "SparseLSTMBuilder":
            dy.renew_cg()
            builder.initial_state()
            for k, layer in enumerate(builder.get_parameter_expressions()):
                results.update((f"value {k} {i}", e.npvalue()) for i, e in enumerate(layer))
        results["exact"] = np.array(described)
        if name != "FastLSTMBuilder":
            other = type(builder).from_spec(builder.spec, dy.ParameterCollection())
            results["exact spec"] = np.array([repr(builder.spec), other.whoami(), other.param_collection().name()])
        return results

    @program(name, name=name + " without update")
    def without_update(dy, numbers):
        model = dy.ParameterCollection()
        builder = getattr(dy, name)(1, INPUT, HIDDEN, model, *options)
        first = model.add_parameters(INPUT)
        fill(model, numbers)
        dy.renew_cg()
        # DyNet keeps the first choice of a graph, so that there is only one here.
        outputs = builder.initial_state(update=False).transduce([first, dy.tanh(first)])
        loss_of(dy, outputs, numbers).backward()
        return gradients(model)


for _name, _options in KINDS.items():
    add(_name, _options)


@program("VanillaLSTMBuilder")
def normalised_lstm(dy, numbers):
    # The parameters of the normalisation are not in the builder's collection, but in the outer one, in DyNet.
    model = dy.ParameterCollection()
    builder = dy.VanillaLSTMBuilder(LAYERS, INPUT, HIDDEN, model, True, 0.3)
    parts = {}
    for p in model.parameters_list():
        parts.setdefault(p.shape(), []).append(p)
    for shape in sorted(parts):
        for p in parts[shape]:
            # Equal numbers for parameters of one shape: their order in the collection is not compared here.
            p.set_value(np.random.RandomState(len(shape) + sum(shape)).uniform(-0.5, 0.5, shape))
    results = {}
    for batch in (1, 3):
        dy.renew_cg()
        outputs = builder.initial_state().transduce(inputs(dy, numbers, batch))
        results[f"value {batch}"] = stacked(outputs)
        loss_of(dy, outputs, numbers).backward()
        # Gradients in an order that does not depend on that of the parameters.
        for shape in sorted(parts):
            arrays = sorted((p.grad_as_array() for p in parts[shape]), key=lambda a: tuple(np.round(a.ravel()[:2], 3)))
            results[f"gradient {shape} {batch}"] = np.array(arrays)
    return results


@program("SparseLSTMBuilder")
def sparse_lstm(dy, numbers):
    model = dy.ParameterCollection()
    builder = dy.SparseLSTMBuilder(LAYERS, INPUT, HIDDEN, model)
    for layer in builder.get_parameters():
        for p in layer:
            if p.name().rsplit("_", 1)[1] in ("0", "1", "4", "5", "6", "9"):
                p.set_value(numbers.uniform(-0.5, 0.5, p.shape()).astype(np.float32))
    results = {}
    for fraction in (0.3, 0.6):
        builder.set_sparsity(fraction)
        for k, layer in enumerate(builder.get_parameters()):
            results.update((f"value {fraction} {k} {i}", p.as_array()) for i, p in enumerate(layer))
        dy.renew_cg()
        outputs = builder.initial_state().transduce(inputs(dy, numbers, 2))
        results[f"value {fraction}"] = stacked(outputs)
        loss_of(dy, outputs, numbers).backward()
        results.update((f"{key} {fraction}", array) for key, array in gradients(model).items())
    return results


@program("SparseLSTMBuilder")
def sparse_expressions(dy, numbers):
    # What a graph uses: the weights with their masks, and the bias.
    builder = dy.SparseLSTMBuilder(1, INPUT, HIDDEN, dy.ParameterCollection())
    fill(builder.param_collection(), numbers)
    dy.renew_cg()
    builder.initial_state()
    return {f"value {i}": e.npvalue() for i, e in enumerate(builder.get_parameter_expressions()[0])}


@program("SimpleRNNBuilder GRUBuilder VanillaLSTMBuilder CompactVanillaLSTMBuilder CoupledLSTMBuilder")
def dropout_off(dy, numbers):
    results = {}
    kinds = ("SimpleRNNBuilder", "GRUBuilder", "VanillaLSTMBuilder", "CompactVanillaLSTMBuilder", "CoupledLSTMBuilder")
    for name in kinds:
        model = dy.ParameterCollection()
        builder = getattr(dy, name)(LAYERS, INPUT, HIDDEN, model)
        fill(model, numbers)
        xs = numbers.uniform(-1, 1, (3, INPUT)).astype(np.float32)
        for rate in (0.5, None, 0.0):
            if rate is None:
                builder.disable_dropout()
            else:
                builder.set_dropout(rate)
            dy.renew_cg()
            outputs = stacked(builder.initial_state().transduce([dy.inputVector(x) for x in xs]))
            if not rate:
                results[f"value {name} {rate}"] = outputs
    return results


@program("BiRNNBuilder")
def bidirectional(dy, numbers):
    results = {}
    for name, layers in (("VanillaLSTMBuilder", 2), ("GRUBuilder", 1), ("SimpleRNNBuilder", 3)):
        model = dy.ParameterCollection()
        builder = dy.BiRNNBuilder(layers, INPUT, 2 * HIDDEN, model, getattr(dy, name))
        fill(model, numbers)
        described = [repr((p.name(), p.shape())) for p in model.parameters_list()]
        results["exact " + name] = np.array([*described, builder.param_collection().name(), builder.whoami()])
        for batch in (1, 3):
            dy.renew_cg()
            xs = inputs(dy, numbers, batch)
            outputs = list(builder.transduce(xs))
            pairs = builder.add_inputs(xs)
            results[f"value {name} {batch}"] = stacked(outputs)
            results[f"value states {name} {batch}"] = stacked([s.output() for pair in pairs for s in pair])
            loss_of(dy, outputs, numbers).backward()
            results.update((f"{key} {name} {batch}", array) for key, array in gradients(model).items())
    return results


@program("StackedRNNState", lacks="its constructor always raises AttributeError")
def stacked_states(dy, numbers):
    model = dy.ParameterCollection()
    first, second = dy.GRUBuilder(1, INPUT, HIDDEN, model), dy.SimpleRNNBuilder(1, HIDDEN, 2, model)
    fill(model, numbers)
    dy.renew_cg()
    xs = inputs(dy, numbers, 1, steps=3)
    state = dy.StackedRNNState([first.initial_state(), second.initial_state()])
    for x in xs:
        state = state.add_input(x)
    expected = second.initial_state().transduce(first.initial_state().transduce(xs))[-1]
    return {"exact": np.allclose(state.output().npvalue(), expected.npvalue(), atol=1e-6)}
