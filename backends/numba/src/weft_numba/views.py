"""How kernels see a plan's records: views of results, operands and parameters, and their rows."""

from __future__ import annotations

from weft_core.plan import (
    HEADER,
    T_ATTRIBUTES,
    T_CONTEXT,
    T_COUNT,
    T_PAYLOAD_ROWS,
    T_TABLE,
    V_BATCH,
    V_GRADIENT_ROWS,
    V_GRADIENTS,
    V_PARAMETER,
    V_ROWS,
    V_SIZE,
    V_VALUES,
    VIEW,
)

from .cache import cached_njit
from .pointers import doubles, integers
from .registers import R_SCRATCH, R_SGEMM


@cached_njit
def view(record: int, k: int) -> int:
    """Address of view `k` of a record: results first, then operands, then parameters."""
    return record + 8 * (HEADER + k * VIEW)


@cached_njit
def size(v: int) -> int:
    """Floats of one example."""
    return integers(v)[V_SIZE]


@cached_njit
def total(v: int) -> int:
    """Floats of one instruction: all examples."""
    return integers(v)[V_SIZE] * integers(v)[V_BATCH]


@cached_njit
def batch_stride(v: int) -> int:
    """Floats from one example to the next; 0 when one example serves the whole batch."""
    return integers(v)[V_SIZE] if integers(v)[V_BATCH] > 1 else 0


@cached_njit
def value(v: int, row: int) -> int:
    """Address of the value of instruction `row`."""
    return integers(v)[V_VALUES] + 4 * integers(integers(v)[V_ROWS])[row]


@cached_njit
def wants_gradient(v: int) -> bool:
    return integers(v)[V_GRADIENTS] != 0


@cached_njit
def gradient(v: int, row: int) -> int:
    """Address of the gradient of instruction `row`; valid where `wants_gradient`."""
    return integers(v)[V_GRADIENTS] + 4 * integers(integers(v)[V_GRADIENT_ROWS])[row]


@cached_njit
def is_zero(v: int, row: int) -> bool:
    """Whether this operand is the zero value: an absent initial state. All rows of a parameter are row 0."""
    return integers(v)[V_PARAMETER] < 0 and integers(integers(v)[V_ROWS])[row] == 0


@cached_njit
def row_distance(rows_address: int, start: int, count: int) -> int:
    """The one distance between consecutive rows, in floats; -1 where they are irregular; 0 where a row repeats."""
    rows = integers(rows_address)
    distance = rows[start + 1] - rows[start]
    for i in range(start + 2, start + count):
        if rows[i] - rows[i - 1] != distance:
            return -1
    return distance if distance >= 0 else -1


@cached_njit
def adjacent(v: int, start: int, count: int) -> bool:
    """Whether the values of these instructions lie one after another without a gap."""
    return count == 1 or row_distance(integers(v)[V_ROWS], start, count) == total(v)


@cached_njit
def gradients_adjacent(v: int, start: int, count: int) -> bool:
    return count == 1 or row_distance(integers(v)[V_GRADIENT_ROWS], start, count) == total(v)


@cached_njit
def payload(record: int, k: int, row: int) -> int:
    """Payload integer `k` of instruction `row`."""
    return integers(integers(record)[T_PAYLOAD_ROWS])[k * integers(record)[T_COUNT] + row]


@cached_njit
def setting(record: int, k: int) -> float:
    """Attribute `k` of the signature, as a number."""
    return doubles(integers(record)[T_ATTRIBUTES])[k]


@cached_njit
def layout(record: int, k: int) -> int:
    """Integer `k` that the kernel's `table` function made for the signature."""
    return integers(integers(record)[T_TABLE])[k]


@cached_njit
def register(record: int, k: int) -> int:
    """A register of the machine."""
    return integers(integers(record)[T_CONTEXT])[k]


@cached_njit
def scratch(record: int) -> int:
    """Address of the scratch memory: as many floats as all views of the type (whole types) or of one instruction."""
    return register(record, R_SCRATCH)


@cached_njit
def sgemm_address(record: int) -> int:
    return register(record, R_SGEMM)
