"""Exclusive or in the style of the first releases: one graph, made once, whose inputs are set."""

from dynet import *

from fill import fill

HIDDEN = 8
model = Model()
trainer = SimpleSGDTrainer(model)

p_W = model.add_parameters((HIDDEN, 2))
p_b = model.add_parameters(HIDDEN)
p_V = model.add_parameters((1, HIDDEN))
p_a = model.add_parameters(1)
fill(model)

W, b, V, a = parameter(p_W), parameter(p_b), parameter(p_V), parameter(p_a)
x = vecInput(2)
y = scalarInput(0)
h = tanh((W * x) + b)
y_pred = (V * h) + a
loss = squared_distance(y_pred, y)

for epoch in range(60):
    total = 0.0
    for example in range(4):
        x1, x2 = example % 2, (example // 2) % 2
        x.set([1 if x1 else -1, 1 if x2 else -1])
        y.set(1 if x1 != x2 else -1)
        total += loss.scalar_value()
        loss.backward()
        trainer.update()
    trainer.update_epoch(1.0)
    if epoch % 10 == 9:
        print("loss %.5f" % (total / 4))

renew_cg()
W, b, V, a = parameter(p_W, p_b, p_V, p_a)
x = inputVector([0, 0])
y_pred = (V * tanh((W * x) + b)) + a
for first in (1, -1):
    for second in (1, -1):
        x.set([first, second])
        print("%d %d %.4f" % (first, second, y_pred.scalar_value()))
print(cg_version(), y_pred.dim())
