"""Softmax builders: output layers that own their weights, for losses, distributions and draws of classes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, TypeVar

from weft_core.collection import ParameterCollection
from weft_core.errors import ShapeError
from weft_core.expression import Expression
from weft_core.operation import check_expressions
from weft_core.ops.softmax import log_softmax
from weft_core.ops.structure import reshape

from .arguments import subcollection, whole_number
from .decisions import Decision

Builder = TypeVar("Builder", bound="SoftmaxBuilder")


class SoftmaxBuilder(ABC):
    """An output layer: a distribution over classes, numbered from 0, given a vector `{input_dim}`.

    With `update=False` a call passes no gradient to the weights; the next call is on its own again.
    """

    collection_name: ClassVar[str]

    def __init__(self, input_dim: int, pc: ParameterCollection, bias: bool) -> None:
        self.input_dim = whole_number(self.whoami(), "input_dim", input_dim)
        self.bias = bool(bias)
        if self.input_dim < 1:
            raise ValueError(f"{self.whoami()}: input_dim is at least 1, got {input_dim}")
        self._collection = subcollection(self.whoami(), pc, self.collection_name)

    @abstractmethod
    def neg_log_softmax(self, x: Expression, c: int, update: bool = True) -> Expression:
        """`-ln p(c)`, `{1}`.

        Raises `ShapeError` for a batch and for another size than the builder's, `IndexValueError` for a class that
        there is not.
        """

    @abstractmethod
    def neg_log_softmax_batch(self, x: Expression, c: Iterable[int], update: bool = True) -> Expression:
        """`-ln p(c[b])` of every example b of a batch, `{1}` per example. Raises `ShapeError` and `IndexValueError`."""

    @abstractmethod
    def full_logits(self, x: Expression, update: bool = True) -> Expression:
        """One number per class; their softmax is the distribution. Raises `ShapeError` for another size of x."""

    def full_log_distribution(self, x: Expression, update: bool = True) -> Expression:
        """`ln p(c)` of every class c. Raises `ShapeError` for another size of x."""
        return log_softmax(self.full_logits(x, update))

    @abstractmethod
    def sample(self, x: Expression) -> int | list[int]:
        """A class drawn from the distribution; of a batch, a list with one for each example.

        Draws are from the stream that also fills parameters; `reset_random_seed` restarts it.
        """

    @property
    @abstractmethod
    def spec(self) -> tuple[Any, ...]:
        """What `from_spec` makes an equal builder of."""

    @classmethod
    @abstractmethod
    def from_spec(cls: type[Builder], spec: Sequence[Any], model: ParameterCollection) -> Builder:
        """A builder made from a `spec`, with new parameters in `model`."""

    def param_collection(self) -> ParameterCollection:
        """The builder's own collection."""
        return self._collection

    def whoami(self) -> str:
        """Name of the class."""
        return type(self).__name__

    def _vector(self, name: str, x: Expression) -> Expression:
        """The input as a vector; raises `ShapeError` for another size."""
        check_expressions(name, (x,))
        if x.shape.size != self.input_dim or not x.shape.is_vector:
            raise ShapeError(f"{name}: {self.whoami()} takes a vector {{{self.input_dim}}}, got {x.shape}")
        return x if len(x.shape.dims) == 1 else reshape(x, (self.input_dim,))


def draw(logits: Expression) -> list[int]:
    """One position for each example, drawn from the softmax of its logits."""
    positions = logits.tensor_value().categorical_sample_log_prob().as_numpy()
    return [int(position) for position in positions.ravel()]


class StandardSoftmaxBuilder(SoftmaxBuilder):
    """`softmax(W x + b)`; parameters `W {C,D}` and `b {C}`. A loss is one instruction, as of `softmax_loss`."""

    collection_name = "standard-softmax-builder"

    def __init__(self, input_dim: int, num_classes: int, pc: ParameterCollection, bias: bool = True) -> None:
        self.num_classes = whole_number(self.whoami(), "num_classes", num_classes)
        if self.num_classes < 1:
            raise ValueError(f"{self.whoami()}: num_classes is at least 1, got {num_classes}")
        super().__init__(input_dim, pc, bias)
        self._decision = Decision(self._collection, self.num_classes, self.input_dim, self.bias)

    def neg_log_softmax(self, x: Expression, c: int, update: bool = True) -> Expression:
        return self._decision.loss(x, c, update)

    def neg_log_softmax_batch(self, x: Expression, c: Iterable[int], update: bool = True) -> Expression:
        return self._decision.loss(x, list(c), update)

    def full_logits(self, x: Expression, update: bool = True) -> Expression:
        return self._decision.logits(self._vector("full_logits", x), update)

    def sample(self, x: Expression) -> int | list[int]:
        drawn = draw(self.full_logits(x, False))
        return drawn if x.shape.batch > 1 else drawn[0]

    @property
    def spec(self) -> tuple[Any, ...]:
        return self.input_dim, self.num_classes, self.bias

    @classmethod
    def from_spec(cls, spec: Sequence[Any], model: ParameterCollection) -> StandardSoftmaxBuilder:
        input_dim, num_classes, bias = spec
        return cls(input_dim, num_classes, model, bias)
