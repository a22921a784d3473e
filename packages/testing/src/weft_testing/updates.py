"""Update rules: a backend's loops against the reference of a rule, over dense, sparse and frozen parameters.

The rules are those of `weft_trainers`, stated once more: the kit depends on the core alone.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

import weft_core as w
from weft_core import ComputationGraph, ParameterCollection
from weft_core.extend import Backend, FormulaError, Idle, RuleState, UpdateRule
from weft_core.lazy import update_lazily

from .elsewhere import take_away
from .running import REFERENCE, ConformanceError, Outcome, compare, projection, require

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
    "adagrad": (
        UpdateRule(
            "conformance_adagrad",
            "h = h + g * g\nw = w - eta * g / sqrt(h + eps)",
            ("h",),
            ("eta", "eps"),
            Idle(""),
        ),
        {"eta": 0.1, "eps": 1e-6},
    ),
    "adadelta": (
        UpdateRule(
            "conformance_adadelta",
            "h = rho * h + (1 - rho) * g * g\nstep = -g * sqrt(d + eps) / sqrt(h + eps)\n"
            "d = rho * d + (1 - rho) * step * step\nw = w + step",
            ("h", "d"),
            ("rho", "eps"),
            Idle("h = rho * h\nd = rho * d", decays=(("h", "rho"), ("d", "rho"))),
        ),
        {"rho": 0.9, "eps": 1e-3},
    ),
    "rmsprop": (
        UpdateRule(
            "conformance_rmsprop",
            "h = rho * h + (1 - rho) * g * g\nw = w - eta * g / sqrt(h + eps)",
            ("h",),
            ("eta", "rho", "eps"),
            Idle("h = rho * h", decays=(("h", "rho"),)),
        ),
        {"eta": 0.1, "rho": 0.9, "eps": 1e-3},
    ),
    "amsgrad": (
        UpdateRule(
            "conformance_amsgrad",
            "m = b1 * m + (1 - b1) * g\nv = b2 * v + (1 - b2) * g * g\nx = maximum(x, v)\n"
            "w = w - eta * m / (sqrt(x) + eps)",
            ("m", "v", "x"),
            ("eta", "b1", "b2", "eps"),
            Idle(
                "m = b1 * m\nv = b2 * v\nx = maximum(x, v)\nw = w - eta * m / (sqrt(x) + eps)",
                "(abs(eta) * b1 <= abs(last_eta) * kept) and (eps == last_eps)",
                (("m", "b1"), ("v", "b2"), ("x", "")),
            ),
        ),
        {"eta": 0.1, "b1": 0.5, "b2": 0.99, "eps": 1e-3},
    ),
    "distribution": (
        UpdateRule(
            "conformance_distribution",
            "v = mu * v - eta * g\nw = log(w) + v",
            ("v",),
            ("eta", "mu"),
            softmax=True,
        ),
        {"eta": 0.5, "mu": 0.9},
    ),
}

# "decay" and "decay_lazy": weight decay after the rule; rows without a gradient only decay, or take an idle step, too.
# "elsewhere": before each update, another backend has taken everything into memory of its own.
SITUATIONS = (
    "dense", "sparse", "all_rows", "lazy", "whole_table", "frozen", "grown", "elsewhere", "elsewhere_lazy",
    "decay", "decay_lazy", "decay_all_rows", "decay_whole_table", "decay_frozen", "decay_grown",
)  # fmt: skip
KEPT_SHARES = (0.75, 0.5, 0.875)


class Model:
    """Two matrices, a vector, two tables; some of it frozen."""

    def __init__(self, situation: str, distributions: bool) -> None:
        self.situation = situation
        self.collection = ParameterCollection()
        rng = np.random.default_rng(17)
        self.W, self.b, self.V = (
            self.collection.parameters_from_numpy(rng.integers(-63, 64, dims) / 64) for dims in ((5, 3), (5,), (7, 5))
        )
        self.E, self.F = (
            self.collection.lookup_parameters_from_numpy(rng.integers(-63, 64, (9, 3)) / 64) for _ in range(2)
        )
        if distributions:
            for p in (self.W, self.b, self.V):
                p.set_value(softmax(p.as_array().ravel()).reshape(p.shape()))
            for table in (self.E, self.F):
                table.init_from_array(softmax(table.as_array()))
        if situation.endswith("frozen"):
            self.b.set_updated(False)
            self.F.set_updated(False)

    def backward(self, turn: int) -> None:
        """Gradients of some parameters and rows, by the reference: other rows in every turn."""
        with ComputationGraph(backend=REFERENCE):
            rows = w.esum([self.E[turn + 1], self.E[turn + 4], self.F[2], self.E[turn + 1]])
            loss = projection(self.V * w.tanh(w.affine_transform([self.b, self.W, rows])), turn)
            if self.situation.endswith("whole_table"):
                loss = loss + projection(w.tanh(self.E.expr()), turn)
            loss.backward()

    def decay(self, kept: float) -> None:
        """Weight decay of all that is not frozen."""
        for p in (*self.collection.parameters_list(), *self.collection.lookup_parameters_list()):
            if p.is_updated():
                p.scale(kept)

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


def softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Over the last axis."""
    powers = np.exp(logits)
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))


def check_update(backend: Backend, rule_name: str, situation: str) -> None:
    """Three updates by the backend and by the reference of the rule; raises `ConformanceError`."""
    rule, settings = RULES[rule_name]
    decay, lazy = situation.startswith("decay"), situation.endswith("lazy")
    if decay and rule.softmax:
        _check_that_it_refuses_decay(rule)
        return
    ours, reference = Model(situation, rule.softmax), Model(situation, rule.softmax)
    moments, wanted_moments = RuleState(), RuleState()
    sparse = not (lazy or situation.endswith("all_rows"))
    applied = rule.with_decay(rows_rest=sparse) if decay else rule
    for turn in range(3):
        for model in (ours, reference):
            model.backward(turn)
            if situation.endswith("grown") and turn == 1:
                model.collection.add_parameters((40, 40), 0.5)
        if situation.startswith("elsewhere"):
            take_away(ours.collection.store, moments)
        where = f"{backend.name}: {rule_name}, {situation}, update {turn}"
        _check_norm(backend, ours, where)
        scale, store = (1.0, 0.5, 2.0)[turn], ours.collection.store
        kept = {"kept": KEPT_SHARES[turn]} if decay else {}
        if lazy or (decay and sparse):
            update_lazily(backend, applied, moments, store, settings | kept, scale)
        else:
            backend.update(applied, moments, store, settings | kept, scale, sparse)
        rule.apply(wanted_moments, reference.collection.store, settings, scale, sparse)
        if decay:
            reference.decay(KEPT_SHARES[turn])
        compare(ours.state(moments), reference.state(wanted_moments), where, 1e-5)


def _check_that_it_refuses_decay(rule: UpdateRule) -> None:
    try:
        rule.with_decay(rows_rest=True)
    except FormulaError:
        return
    raise ConformanceError(f"{rule.name}: weight decay of a distribution must be refused")


def _check_norm(backend: Backend, model: Model, where: str) -> None:
    arrays = [p.grad_as_array() for p in (model.W, model.b, model.V, model.E, model.F)]
    wanted = float(np.sqrt(sum(float(np.square(a).sum()) for a in arrays)))
    norm = backend.gradient_norm(model.collection.store)
    require(
        abs(norm - wanted) <= 1e-5 * max(1.0, wanted),
        f"{where}: gradient_norm is {norm}, that of its gradients {wanted}",
    )
