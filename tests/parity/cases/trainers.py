"""Trainers: fifty updates of parameters and look-up tables, sparse and dense, clipped, with weight decay."""

import numpy as np
from table import fill, numbers_of, program, raised

STEPS, EVERY = 50, 10
# Of a large rate, so that fifty updates tell something.
TRAINERS = {
    "SimpleSGDTrainer": {"learning_rate": 0.1},
    "CyclicalSGDTrainer": {"learning_rate_min": 0.01, "learning_rate_max": 0.2, "step_size": 8, "gamma": 0.99},
    "MomentumSGDTrainer": {"learning_rate": 0.02, "mom": 0.8},
    "AdagradTrainer": {"learning_rate": 0.1, "eps": 1e-6},
    "AdadeltaTrainer": {"eps": 1e-3, "rho": 0.9},
    "RMSPropTrainer": {"learning_rate": 0.02, "eps": 1e-4, "rho": 0.8},
    "AdamTrainer": {"alpha": 0.02, "beta_1": 0.8, "beta_2": 0.95, "eps": 1e-5},
    "AmsgradTrainer": {"alpha": 0.02, "beta_1": 0.8, "beta_2": 0.95, "eps": 1e-5},
}
# What is set before training, by the name of the variant.
VARIANTS = {
    "": {},
    " dense": {"sparse": False},
    " clipped": {"clip": 0.5},
    " unclipped": {"clip": 0, "large": True},
    " clipped at five": {"large": True},
    " decaying": {"decay": 0.04},
    " decaying dense": {"decay": 0.04, "sparse": False, "clip": 0.5},
    " frozen": {"frozen": True},
}


class Model:
    """Dense parameters of three shapes, and two look-up tables, of which some rows are used at each step."""

    def __init__(self, dy, numbers):
        self.collection = dy.ParameterCollection()
        add, add_table = self.collection.add_parameters, self.collection.add_lookup_parameters
        self.w, self.b, self.cube = add((3, 4)), add(3), add((2, 3, 2))
        self.words, self.matrices = add_table((8, 4)), add_table((5, 3, 2))
        fill(self.collection, numbers)
        self.rows = numbers.randint(0, 7, (STEPS, 3))
        self.targets = numbers.uniform(-1, 1, (STEPS, 3)).astype(np.float32)

    def loss(self, dy, step, scale):
        """The loss of a step."""
        first, second, third = (int(row) for row in self.rows[step])
        y = dy.inputVector(self.targets[step])
        h = dy.tanh(self.w * (self.words[first] + self.words[second]) + self.b)
        parts = [dy.squared_distance(h, y), dy.squared_norm(self.cube - 0.3) * 0.3]
        parts.append(dy.squared_norm(dy.lookup(self.matrices, third % 5) + 0.2))
        parts.append(dy.sum_batches(dy.squared_norm(self.words.batch([first, third]) - 0.1)) * 0.5)
        return dy.esum(parts) * scale

    def values(self, dy):
        """Values as a graph sees them."""
        dy.renew_cg()
        members = self.collection.parameters_list() + self.collection.lookup_parameters_list()
        return {p.name(): p.npvalue() for p in members}


def train(dy, numbers, trainer_name, settings, variant):
    """The values on the way, the learning rate, and what the trainer says."""
    model = Model(dy, numbers)
    if "decay" in variant:
        model.collection.set_weight_decay(variant["decay"])
    trainer = getattr(dy, trainer_name)(model.collection, **settings)
    if "sparse" in variant:
        trainer.set_sparse_updates(variant["sparse"])
    if "clip" in variant:
        trainer.set_clip_threshold(variant["clip"])
    if "frozen" in variant:
        model.b.set_updated(False)
        model.matrices.set_updated(False)
    results, losses = {}, []
    for step in range(STEPS):
        dy.renew_cg()
        loss = model.loss(dy, step, 2.5 if "large" in variant else 1.0)
        losses.append(loss.value())
        loss.backward()
        trainer.update()
        if step == 24 and "frozen" in variant:
            # The gradients of a frozen parameter have gathered, and are all used at once.
            model.b.set_updated(True)
        if (step + 1) % EVERY == 0:
            results.update((f"trajectory {name} {step + 1}", a) for name, a in model.values(dy).items())
            results[f"value rate {step + 1}"] = trainer.learning_rate
    results["trajectory losses"] = np.array(losses)
    results["value threshold"] = trainer.get_clip_threshold()
    return results


def add(trainer_name, settings, suffix, variant):
    """A case for a variant of a trainer."""

    @program(trainer_name, name=trainer_name + suffix)
    def run(dy, numbers):
        # The same numbers for all variants, so that they can be told apart.
        return train(dy, numbers_of(trainer_name), trainer_name, settings, variant)


for _name, _settings in TRAINERS.items():
    for _suffix, _variant in VARIANTS.items():
        add(_name, _settings, _suffix, _variant)
    add(_name, {}, " by default", {"sparse": True})


@program("SimpleSGDTrainer MomentumSGDTrainer AdamTrainer AdagradTrainer")
def restarts(dy, numbers):
    results = {}
    for name in ("SimpleSGDTrainer", "MomentumSGDTrainer", "AdagradTrainer", "AdamTrainer"):
        model = Model(dy, numbers)
        trainer = getattr(dy, name)(model.collection)
        for step in range(12):
            dy.renew_cg()
            model.loss(dy, step, 1.0).backward()
            trainer.update()
            if step == 5:
                trainer.restart()
            if step == 8:
                trainer.restart(0.05)
                results["value rate " + name] = trainer.learning_rate
        trainer.learning_rate = 0.25
        results["value set " + name] = trainer.learning_rate
        results.update((f"trajectory {name} {key}", a) for key, a in model.values(dy).items())
        results["exact " + name] = np.array([trainer.whoami()])
    return results


@program("SimpleSGDTrainer AdamTrainer")
def whole_tables(dy, numbers):
    # A table used as a whole has a gradient in all rows.
    results = {}
    for name in ("SimpleSGDTrainer", "AdamTrainer"):
        model = Model(dy, numbers)
        trainer = getattr(dy, name)(model.collection)
        for step in range(9):
            dy.renew_cg()
            loss = model.loss(dy, step, 1.0)
            if step % 3 == 1:
                loss = loss + dy.squared_norm(model.words - 0.2)
            loss.backward()
            trainer.update()
        results.update((f"trajectory {name} {key}", a) for key, a in model.values(dy).items())
    return results


@program("SimpleSGDTrainer")
def accumulated_gradients(dy, numbers):
    model = Model(dy, numbers)
    trainer = dy.SimpleSGDTrainer(model.collection, 0.1)
    for step in range(12):
        dy.renew_cg()
        model.loss(dy, step, 1.0).backward()
        if step % 3 == 2:
            trainer.update()
    return {"trajectory " + key: a for key, a in model.values(dy).items()}


@program("SimpleSGDTrainer")
def parts_of_a_model(dy, numbers):
    outer = dy.ParameterCollection()
    inner = outer.add_subcollection("inner")
    p, q, table = outer.add_parameters(3), inner.add_parameters(3), inner.add_lookup_parameters((4, 3))
    fill(outer, numbers)
    trainer = dy.SimpleSGDTrainer(inner, learning_rate=0.2)
    later = None
    for step in range(6):
        dy.renew_cg()
        loss = dy.squared_norm(p + q + table[step % 4])
        if step == 3:
            later = inner.add_parameters(3, init=0.5)
        if later is not None:
            loss = loss + dy.squared_norm(later)
        loss.backward()
        trainer.update()
    results = {f"trajectory {k}": m.as_array() for k, m in enumerate((p, q, table, later))}
    results["gradient outside"] = p.grad_as_array()
    return results


@program("SimpleSGDTrainer AdamTrainer")
def refused_updates(dy, numbers):
    collection = dy.ParameterCollection()
    p = collection.add_parameters(3)
    trainer = dy.SimpleSGDTrainer(collection)
    p.set_value(np.array([1.0, 1.0, 1.0]))
    dy.renew_cg()
    dy.sum_elems(dy.log(p - 1)).backward()
    refused = [
        raised(trainer.update, RuntimeError),
        raised(lambda: dy.SimpleSGDTrainer(dy.ParameterCollection()).update(), RuntimeError),
        raised(lambda: dy.AdamTrainer(collection, learning_rate=0.1), TypeError),
        raised(lambda: dy.SimpleSGDTrainer(collection, edecay=0.1), TypeError),
    ]
    return {"exact": np.array(refused), "value": p.as_array()}


def decayed(dy, numbers):
    """A model after ten updates with weight decay."""
    model = Model(dy, numbers)
    model.collection.set_weight_decay_lambda(0.05)
    trainer = dy.SimpleSGDTrainer(model.collection, 0.1)
    for step in range(10):
        dy.renew_cg()
        model.loss(dy, step, 1.0).backward()
        trainer.update()
    return model


@program("SimpleSGDTrainer")
def weight_decay_as_a_number(dy, numbers):
    model = decayed(dy, numbers)
    results = {"trajectory " + key: a for key, a in model.values(dy).items()}
    results["value"] = model.collection.get_weight_decay()
    return results


@program("SimpleSGDTrainer", lacks="as_array() leaves out the factor of weight decay that graphs put in")
def stored_values_under_weight_decay(dy, numbers):
    model = decayed(dy, numbers)
    return {"exact": np.array_equal(model.w.as_array(), model.values(dy)[model.w.name()])}
