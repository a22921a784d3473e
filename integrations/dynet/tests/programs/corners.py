"""Values, dims, gradients and the graph, in the forms that programs use."""

import numpy as np
from fill import fill

import dynet as dy


def show(name, value):
    print(name, np.round(np.asarray(value, dtype=float), 4).ravel(order="F").tolist(), np.shape(value))


print(dy.cg_version(), dy.cg() is dy.renew_cg(), dy.cg_version(), dy.cg().version())
model = dy.ParameterCollection()
W = model.add_parameters((3, 2))
E = model.add_lookup_parameters((4, 2))
fill(model)
for e in (dy.scalarInput(2), dy.inputVector([1, 2]), W, W * E[1], dy.inputTensor([[1, 2], [3, 4]])):
    show("value", e.value())
    print(type(e.value()).__name__, e.dim())
show("batch", (W * E.batch([0, 2])).npvalue())
show("batch", dy.sum_elems(W * dy.lookup_batch(E, [0, 2])).value())
show("list of arrays", dy.inputTensor([np.array([1.0, 2.0]), np.array([3.0, 4.0])]).npvalue())
show("last axis", dy.inputTensor(np.arange(6).reshape(2, 3), batched=True).vec_value())
x = dy.inputTensor(np.arange(12).reshape(3, 4))
show("row", x[1].value())
show("last row", x[-1].value())
show("part", x[0:2].npvalue())
show("parts", x[1:3, 0:4:2].npvalue())
show("rows", [row.vec_value() for row in x])
show("reshape", dy.reshape(x, (2, 6)).npvalue())
show("arithmetic", (3 - 2 * dy.inputVector([1, 2]) / 4 + 1).value())
show("power", (dy.inputVector([1, 2]) ** 2).value())
show("sum", sum([dy.inputVector([1, 2]), dy.inputVector([3, 4])]).value())
show("values", dy.values([dy.scalarInput(1), dy.scalarInput(2)]))
print(dy.available_devices(), dy.get_device_info("CPU").name)

dy.renew_cg()
y = W * E[2]
loss = dy.squared_norm(y)
loss.backward()
show("gradient", y.gradient())
show("gradient", W.grad_as_array())
show("gradient", E.row_grad_as_array(2))
constant = dy.squared_norm(W.expr() * E[2])
print(W.expr().dim(), W.expr(True).dim(), W.name(), E.name(), E.shape(), len(E))
dy.cg_checkpoint()
z = dy.tanh(y)
show("before revert", z.value())
dy.cg_revert()
show("after revert", dy.logistic(y).value())
lstm = dy.LSTMBuilder(1, 2, 3, model)
fill(model)
dy.renew_cg()
outputs = lstm.initial_state().transduce([E[0], E[1], E[2]])
print(isinstance(outputs, list), len(outputs + [outputs[0]]), [o.dim() for o in outputs])
show("last output", outputs[-1].value())
state = lstm.initial_state().add_inputs([E[0], E[1]])[-1]
show("state", [s.value() for s in state.s()])
show("prev", state.prev().output().value())
print([[p.shape() for p in layer] for layer in lstm.get_parameters()], lstm.initial_state().output())
print(lstm.spec, lstm.whoami(), lstm.param_collection().name())
