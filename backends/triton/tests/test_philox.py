"""Random numbers of the device: those of the reference, whatever the order in which they are drawn."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from weft_core import philox

Answers = Callable[[str, list[dict[str, Any]]], list[Any]]

# Lane i draws element i % 100 of node FIRST_NODE + i // 100.
TEXT = """
from weft_triton.philox import normal, uniform

@triton.jit
def kernel(x, y, N: tl.constexpr):
    i = tl.arange(0, N)
    words = x.to(tl.pointer_type(tl.int32))
    y = y.to(tl.pointer_type(tl.float32)) + i
    node = tl.load(words + 4)
    tl.store(y, uniform(words, node + i // 100, i % 100))
    tl.store(y + N, normal(words, node + i // 100, i % 100))
    tl.store(y + 2 * N, normal(words, node, i))
"""
N = 1024
# Seed, stream (graph number, draw in the upper half) and node, small and with every bit in use.
STREAMS = [(0, 0, 0), (0xDEADBEEF12345678, 77, 5), (2**64 - 1, 2**64 - 2**32 + 12345, 2**31 - 11)]


def request(seed: int, stream: int, node: int) -> dict[str, Any]:
    words = np.array([seed & 0xFFFFFFFF, seed >> 32, stream & 0xFFFFFFFF, stream >> 32, node], np.uint32)
    return {"text": TEXT, "x": words.view(np.int32).tolist(), "type": "int32", "size": 3 * N, "N": N}


@pytest.fixture(scope="module")
def drawn(kernel_answers: Answers) -> NDArray[np.float32]:
    """[stream, kind, lane]"""
    answers = kernel_answers("interpreted", [request(*stream) for stream in STREAMS])
    return np.array(answers, np.float32).reshape(len(STREAMS), 3, N)


def by_node(numbers: Callable[[int, int, int, int], Any], seed: int, stream: int, node: int) -> NDArray[np.float32]:
    rows = [numbers(seed, stream, node + k, 100) for k in range(N // 100 + 1)]
    return np.concatenate(rows).astype(np.float32)[:N]


@pytest.mark.parametrize("place", range(len(STREAMS)))
class TestStream:
    def test_uniform_numbers_are_equal(self, drawn: NDArray[np.float32], place: int) -> None:
        np.testing.assert_array_equal(drawn[place, 0], by_node(philox.uniform, *STREAMS[place]))

    def test_normal_numbers_agree(self, drawn: NDArray[np.float32], place: int) -> None:
        np.testing.assert_allclose(drawn[place, 1], by_node(philox.normal, *STREAMS[place]), rtol=5e-7, atol=5e-7)

    def test_the_node_may_be_one_for_all_lanes(self, drawn: NDArray[np.float32], place: int) -> None:
        wanted = philox.normal(*STREAMS[place], N)
        np.testing.assert_allclose(drawn[place, 2], wanted, rtol=5e-7, atol=5e-7)


def test_compiled_numbers_keep_to_registers(kernel_answers: Answers) -> None:
    (resources,) = kernel_answers("resources", [request(0, 0, 0) | {"N": 128}])
    for capability in ("80", "90"):
        assert resources[capability]["spills"] == 0
        assert resources[capability]["registers"] <= 64
