"""Update rules: a backend's loops against the reference of a rule, over dense, sparse and frozen parameters."""

from __future__ import annotations

import numpy as np

import weft_core as w
from weft_core import ComputationGraph, ParameterCollection
from weft_core.extend import Backend, RuleState, UpdateRule
from weft_core.lazy import update_lazily

from .running import REFERENCE, Outcome, compare, projection, require

RULES: dict[str, tuple[UpdateRule, dict[str, float]]] = {
    "descent": (UpdateRule("conformance_descent", "w = w - eta * g", settings=("eta",)), {"eta": 0.1}),
    "momentum": (
        UpdateRule("conformance_momentum", "v = mu * v - eta * g\nw = w + v", ("v",), ("eta", "mu")),
        {"eta": 0.1, "mu": 0.9},
    ),
    "adaptive": (
        UpdateRule(
            "conformance_adaptive",
            "m = b1 * m + (1 - b1) * g\nv = b2 * v + (1 - b2) * g * g\nw = w - eta * m / (sqrt(v) + eps)",
            ("m", "v"),
            ("eta", "b1", "b2", "eps"),
        ),
        {"eta": 0.1, "b1": 0.9, "b2": 0.99, "eps": 1e-3},
    ),
    "decaying": (
        UpdateRule("conformance_decaying", "w = (w - eta * g) * (1 - decay)", settings=("eta", "decay")),
        {"eta": 0.1, "decay": 0.25},
    ),
}

SITUATIONS = ("dense", "sparse", "all_rows", "lazy", "whole_table", "frozen", "grown")


class Model:
    """Two matrices, a vector, two tables; some of it frozen."""

    def __init__(self, situation: str) -> None:
        self.situation = situation
        self.collection = ParameterCollection()
        rng = np.random.default_rng(17)
        self.W, self.b, self.V = (
            self.collection.parameters_from_numpy(rng.integers(-63, 64, dims) / 64) for dims in ((5, 3), (5,), (7, 5))
        )
        self.E, self.F = (
            self.collection.lookup_parameters_from_numpy(rng.integers(-63, 64, (9, 3)) / 64) for _ in range(2)
        )
        if situation == "frozen":
            self.b.set_updated(False)
            self.F.set_updated(False)

    def backward(self, turn: int) -> None:
        """Gradients of some parameters and rows, by the reference: other rows in every turn."""
        with ComputationGraph(backend=REFERENCE):
            rows = w.esum([self.E[turn + 1], self.E[turn + 4], self.F[2], self.E[turn + 1]])
            loss = projection(self.V * w.tanh(w.affine_transform([self.b, self.W, rows])), turn)
            if self.situation == "whole_table":
                loss = loss + projection(w.tanh(self.E.expr()), turn)
            loss.backward()

    def state(self, moments: RuleState) -> Outcome:
        """Everything that an update may change."""
        store = self.collection.store
        found = {p.name(): p.as_array() for p in (self.W, self.b, self.V)}
        found |= {f"gradient of {p.name()}": p.grad_as_array() for p in (self.W, self.b, self.V)}
        for k, table in enumerate(store.tables):
            found |= {f"table {k}": table.values.astype(float), f"gradient of table {k}": table.gradients.astype(float)}
            found[f"touched rows of table {k}"] = np.array([table.meta[0], table.meta[3], table.flags.sum()], float)
            found |= {f"{n} of table {k}": a.astype(float) for (t, n), a in moments.tables.items() if t == table.id}
        return found | {f"{n}": a[: store.used].astype(float) for n, a in moments.dense.items()}


def check_update(backend: Backend, rule_name: str, situation: str) -> None:
    """Three updates by the backend and by the reference of the rule; raises `ConformanceError`."""
    rule, settings = RULES[rule_name]
    ours, reference = Model(situation), Model(situation)
    moments, wanted_moments = RuleState(), RuleState()
    for turn in range(3):
        for model in (ours, reference):
            model.backward(turn)
            if situation == "grown" and turn == 1:
                model.collection.add_parameters((40, 40), 0.5)
        where = f"{backend.name}: {rule_name}, {situation}, update {turn}"
        _check_norm(backend, ours, where)
        scale, sparse = (1.0, 0.5, 2.0)[turn], situation not in ("all_rows", "lazy")
        if situation == "lazy":
            update_lazily(backend, rule, moments, ours.collection.store, settings, scale)
        else:
            backend.update(rule, moments, ours.collection.store, settings, scale, sparse)
        rule.apply(wanted_moments, reference.collection.store, settings, scale, sparse)
        compare(ours.state(moments), reference.state(wanted_moments), where, 1e-5)


def _check_norm(backend: Backend, model: Model, where: str) -> None:
    arrays = [p.grad_as_array() for p in (model.W, model.b, model.V, model.E, model.F)]
    wanted = float(np.sqrt(sum(float(np.square(a).sum()) for a in arrays)))
    norm = backend.gradient_norm(model.collection.store)
    require(
        abs(norm - wanted) <= 1e-5 * max(1.0, wanted),
        f"{where}: gradient_norm is {norm}, that of its gradients {wanted}",
    )
