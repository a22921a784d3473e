"""What operations refuse, with which exception, and that the sentence names the operation and the shapes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from weft_core.errors import IndexValueError, ShapeError
from weft_core.expression import Expression
from weft_core.graph import ComputationGraph
from weft_core.ops import activations as act
from weft_core.ops import arithmetic as ari
from weft_core.ops import indexing as ind
from weft_core.ops import list_reductions as lis
from weft_core.ops import losses as los
from weft_core.ops import noise as noi
from weft_core.ops import reductions as red
from weft_core.ops import selection as sel
from weft_core.ops import softmax as sof
from weft_core.ops import structure as struc
from weft_core.ops.inputs import inputTensor

pytestmark = pytest.mark.usefixtures("graph")


def value(*dims: int, batch: int = 1) -> Expression:
    return inputTensor(np.arange(1.0, 1 + np.prod(dims) * batch).reshape((*dims, batch)) / 8, batched=True)


SHAPES: list[tuple[str, Callable[[], object], list[str]]] = [
    ("reshape", lambda: struc.reshape(value(2, 3), (4,)), ["{2,3}", "{4}"]),
    ("reshape", lambda: struc.reshape(value(2, batch=3), (3,), 4), ["{2}x3", "{3}x4"]),
    ("transpose", lambda: struc.transpose(value(2, 3), (1, 1)), ["{2,3}", "[1, 1]"]),
    ("transpose", lambda: struc.transpose(value(2, 3, 2)), ["{2,3,2}"]),
    ("concatenate", lambda: struc.concatenate([value(2, 3), value(2, 2)]), ["{2,3}", "{2,2}", "axis 0"]),
    ("concatenate", lambda: struc.concatenate([value(2, batch=2), value(2, batch=3)]), ["[2, 3]"]),
    ("concatenate", lambda: struc.concatenate([value(2)], 7), ["7"]),
    ("concatenate_to_batch", lambda: struc.concatenate_to_batch([value(2), value(3)]), ["{2}", "{3}"]),
    ("pick", lambda: sel.pick(value(2, 3), 0, 2), ["{2,3}", "axis 2"]),
    ("pick_batch", lambda: sel.pick_batch(value(2, batch=3), [0, 1]), ["{2}x3", "2 indices"]),
    ("pick_batch", lambda: sel.pick_batch(value(2), []), ["empty"]),
    ("pick_range", lambda: sel.pick_range(value(4), 2, 5), ["{4}", "2 to 5"]),
    ("pick_range", lambda: [sel.pick_range(value(4), i, i + 2) for i in range(4)], ["{4}", "3 to 5"]),
    ("pick_range", lambda: sel.pick_range(value(4), 2, 2), ["{4}", "2 to 2"]),
    ("select_cols", lambda: sel.select_cols(value(4), [0]), ["{4}"]),
    ("strided_select", lambda: ind.strided_select(value(4), [0]), ["{4}", "stride 0"]),
    ("strided_select", lambda: ind.strided_select(value(4), [1], [3], [3]), ["{4}", "3 to 3"]),
    ("slice", lambda: value(4)[2:2], ["{4}", "2:2"]),
    ("sum", lambda: red.sum_dim(value(2, 3), []), ["{2,3}"]),
    ("sum", lambda: red.sum_dim(value(2, 3), [1, 1]), ["{2,3}", "[1, 1]"]),
    ("sum_dim", lambda: red.sum_dim(value(2, 3), [2]), ["{2,3}", "axis 2"]),
    ("cumsum", lambda: red.cumsum(value(2, 3), -1), ["{2,3}", "-1"]),
    ("max_dim", lambda: red.max_dim(value(3), 1), ["{3}", "axis 1"]),
    ("logsumexp_dim", lambda: red.logsumexp_dim(value(3), 1), ["{3}", "axis 1"]),
    ("esum", lambda: lis.esum([value(3), value(2)]), ["{3}", "{2}"]),
    ("emax", lambda: lis.emax([value(3, batch=2), value(3, batch=4)]), ["[2, 4]"]),
    ("softmax", lambda: sof.softmax(value(3), 1), ["{3}", "axis 1"]),
    ("sparsemax", lambda: sof.sparsemax(value(3, 2)), ["{3,2}"]),
    ("constrained_softmax", lambda: sof.constrained_softmax(value(3), value(2)), ["{3}", "{2}"]),
    ("log_softmax", lambda: sof.log_softmax(value(3), []), ["empty"]),
    ("pickneglogsoftmax", lambda: los.pickneglogsoftmax(value(3, batch=2), 0), ["{3}x2"]),
    ("pickneglogsoftmax", lambda: los.pickneglogsoftmax(value(3, 2), 0), ["{3,2}"]),
    (
        "pickneglogsoftmax_batch",
        lambda: los.pickneglogsoftmax_batch(value(3, batch=2), [0]),
        ["{3}x2", "1 classes"],
    ),
    ("hinge", lambda: los.hinge(value(3, 2), 0), ["{3,2}"]),
    ("hinge_dim", lambda: los.hinge_dim(value(3), [0]), ["{3}"]),
    ("hinge_dim", lambda: los.hinge_dim(value(3, 2), [0]), ["{3,2}", "1 classes"]),
    ("squared_distance", lambda: los.squared_distance(value(3), value(2)), ["{3}", "{2}"]),
    ("dot_product", lambda: los.dot_product(value(3, 2), value(3)), ["{3,2}", "{3}"]),
    ("pairwise_rank_loss", lambda: los.pairwise_rank_loss(value(3), value(3)), ["{3}"]),
    ("poisson_loss", lambda: los.poisson_loss(value(3), 2), ["{3}"]),
    ("dropout_dim", lambda: noi.dropout_dim(value(3), 1, 0.5), ["{3}", "axis 1"]),
]


@pytest.mark.parametrize("name, call, parts", SHAPES, ids=[f"{n}-{i}" for i, (n, _, _) in enumerate(SHAPES)])
def test_shape_errors_name_operation_and_shapes(
    name: str, call: Callable[[], object], parts: list[str], graph: ComputationGraph
) -> None:
    with pytest.raises(ShapeError) as raised:
        call()
    for part in (name, *parts):
        assert part in str(raised.value)


def test_a_refused_operation_leaves_no_instruction(graph: ComputationGraph) -> None:
    x, y = value(3), value(2)
    length = len(graph.code)
    with pytest.raises(ShapeError):
        lis.esum([x, y])
    with pytest.raises(IndexValueError):
        sel.pick(x, 3)
    assert len(graph.code) == length


INDICES: list[tuple[str, Callable[[], object]]] = [
    ("pick", lambda: sel.pick(value(3), 3)),
    ("pick", lambda: sel.pick(value(3), -1)),
    ("pick_batch", lambda: sel.pick_batch(value(3), [0, 3])),
    ("set_index", lambda: sel.pick(value(3), 0).set_index(3)),
    ("batch_elem", lambda: sel.pick_batch_elem(value(3, batch=2), 2)),
    ("batch_elems", lambda: sel.pick_batch_elems(value(3, batch=2), [0, 2])),
    ("rows", lambda: sel.select_rows(value(3, 2), [3])),
    ("cols", lambda: sel.select_cols(value(3, 2), [2])),
    ("item", lambda: value(3)[3]),
    ("item", lambda: value(3)[-4]),
    ("items", lambda: value(3)[0, 0, 0]),
    ("restrict", lambda: sof.log_softmax(value(3), [3])),
    ("loss", lambda: los.pickneglogsoftmax(value(3), 3)),
    ("loss_batch", lambda: los.pickneglogsoftmax_batch(value(3, batch=2), [0, -1])),
    ("hinge", lambda: los.hinge(value(3), 4)),
]


@pytest.mark.parametrize("name, call", INDICES, ids=[f"{n}-{i}" for i, (n, _) in enumerate(INDICES)])
def test_index_errors_are_raised_at_recording(name: str, call: Callable[[], object]) -> None:
    with pytest.raises(IndexValueError, match=r"index|entries"):
        call()


VALUES: list[Callable[[], object]] = [
    lambda: act.round(value(3), "straight"),
    lambda: act.argmax(value(3), "zero"),
    lambda: struc.concatenate([]),
    lambda: lis.esum([]),
    lambda: lis.average([]),
    lambda: lis.logsumexp(()),
    lambda: red.moment_elems(value(3), 0),
    lambda: los.hinge(value(3), 0, -1.0),
    lambda: noi.dropout(value(3), 1.0),
    lambda: noi.dropout(value(3), -0.1),
    lambda: noi.block_dropout(value(3), 1.5),
    lambda: noi.noise(value(3), -1.0),
    lambda: noi.random_bernoulli(3, 1.5),
    lambda: value(3)[::0],
]


@pytest.mark.parametrize("call", VALUES)
def test_value_errors_have_a_sentence(call: Callable[[], object]) -> None:
    with pytest.raises(ValueError, match=r"\w+ \w+ \w+"):
        call()


TYPES: list[Callable[[], object]] = [
    lambda: act.tanh(1.0),
    lambda: lis.esum(value(3)),  # type: ignore[arg-type]
    lambda: lis.esum([value(3), 1.0]),  # type: ignore[list-item]
    lambda: struc.concatenate([np.zeros(3)]),  # type: ignore[list-item]
    lambda: sel.pick(np.zeros(3), 0),  # type: ignore[arg-type]
    lambda: sel.pick_range(3.0, 0, 1),  # type: ignore[arg-type]
    lambda: los.pickneglogsoftmax(3.0, 0),  # type: ignore[arg-type]
    lambda: noi.dropout(3.0, 0.5),  # type: ignore[arg-type]
    lambda: value(3)["a"],  # type: ignore[index]
    lambda: ari.add(value(3), None),
]


@pytest.mark.parametrize("call", TYPES)
def test_what_is_no_expression_is_a_type_error(call: Callable[[], object]) -> None:
    with pytest.raises(TypeError):
        call()
