"""Decisions: the choice of one of some outcomes given a vector, the part that all softmax builders are made of."""

from __future__ import annotations

from collections.abc import Sequence

from weft_core.collection import ParameterCollection
from weft_core.expression import Expression
from weft_core.gated import gated
from weft_core.ops.arithmetic import scale
from weft_core.ops.products import affine_transform, multiply
from weft_core.ops.selection import pick_batch
from weft_core.ops.softmax import log_softmax
from weft_core.ops.softmax_loss import softmax_loss
from weft_core.ops.structure import concatenate

# The negative log-likelihoods of both outcomes of one logistic unit: -ln s(a) and -ln s(-a), without overflow.
logistic_decision = gated(
    "logistic_decision",
    gates="a",
    results="first second",
    forward="""
        rest = log1p(exp(-abs(a)))
        first = maximum(-a, 0) + rest
        second = maximum(a, 0) + rest
        a = logistic(a)""",
    backward="da = dsecond * a - dfirst * (1 - a)",
)


class Decision:
    """One of `outcomes` with probabilities `softmax(W x + b)`; parameters `W {outcomes,D}`, Glorot, and `b`, zero."""

    def __init__(self, collection: ParameterCollection, outcomes: int, input_dim: int, bias: bool) -> None:
        self.outcomes = outcomes
        rows = self.units(outcomes)
        self.W = collection.add_parameters((rows, input_dim))
        self.b = collection.add_parameters((rows,), init=0.0) if bias else None

    def units(self, outcomes: int) -> int:
        """Rows of W."""
        return outcomes

    def weights(self, update: bool) -> tuple[Expression, Expression | None]:
        """W and b; without `update` they are constants."""
        return self.W.expr(update), None if self.b is None else self.b.expr(update)

    def logits(self, x: Expression, update: bool) -> Expression:
        """`W x + b`."""
        weight, bias = self.weights(update)
        return multiply(weight, x) if bias is None else affine_transform([bias, weight, x])

    def loss(self, x: Expression, outcome: int | Sequence[int], update: bool) -> Expression:
        """Negative log-likelihood of an outcome, `{1}`; of a batch, a list with one outcome for each example."""
        return softmax_loss(x, outcome, *self.weights(update))

    def log_distribution(self, x: Expression, update: bool) -> Expression:
        """Log probabilities of all outcomes."""
        return log_softmax(self.logits(x, update))


class LogisticDecision(Decision):
    """One of two, the first with probability `logistic(w x + b)`; parameters `W {1,D}` and `b {1}`."""

    def units(self, outcomes: int) -> int:
        """One."""
        return 1

    def losses(self, x: Expression, update: bool) -> tuple[Expression, ...]:
        """Negative log-likelihoods of both outcomes."""
        weight, bias = self.weights(update)
        return logistic_decision([(weight, x)], bias)

    def loss(self, x: Expression, outcome: int | Sequence[int], update: bool) -> Expression:
        """Negative log-likelihood of an outcome, `{1}`; of a batch, a list with one outcome for each example."""
        losses = self.losses(x, update)
        if isinstance(outcome, int):
            return losses[outcome]
        if len(set(outcome)) == 1:
            return losses[outcome[0]]
        return pick_batch(concatenate(list(losses)), outcome)

    def log_distribution(self, x: Expression, update: bool) -> Expression:
        """Log probabilities of both outcomes."""
        return scale(concatenate(list(self.losses(x, update))), -1.0)
