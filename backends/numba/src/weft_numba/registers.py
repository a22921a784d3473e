"""The registers of a machine: addresses and sizes of everything that compiled code touches, one int64 array."""

from __future__ import annotations

(
    R_CODE, R_LENGTH, R_TARGETS, R_TARGET_COUNT, R_STATE, R_AUTOBATCH, R_ROWS, R_ROWS_SIZE, R_ENTRIES, R_ENTRIES_SIZE,
    R_KINDS, R_KERNELS, R_POSITIONS, R_CAPACITY, R_NODES, R_NODE_CAPACITY, R_TYPES, R_BLOCKS, R_BLOCKS_SIZE,
    R_PRODUCERS, R_PRODUCERS_SIZE, R_RECORDS, R_RECORDS_SIZE, R_LISTS, R_LISTS_SIZE, R_VALUES, R_VALUES_SIZE,
    R_GRADIENTS, R_GRADIENTS_SIZE, R_SCRATCH, R_SCRATCH_SIZE, R_PARAMETERS, R_PARAMETER_GRADIENTS, R_PARAMETER_META,
    R_DATA, R_SEED, R_STREAM, R_SGEMM, R_ZERO_ROWS, R_RESUME, R_SELF, R_STEPS,
) = range(42)  # fmt: skip
REGISTERS = 42

# Arrays of one integer per position of the tape, inside the block at R_POSITIONS.
P_OFFSET, P_GRADIENT_OFFSET, P_START_OF, P_NEED, P_LOCAL_OF, P_MARK, P_STARTS, P_WAITING = range(8)
POSITION_ARRAYS = 8
# Arrays of one integer per instruction, inside the block at R_NODES; the buckets come last and are a little longer.
N_NODES, N_TYPE, N_LEVEL, N_KEY, N_ORDER, N_RANK, N_BUCKETS = range(7)
# Arrays of one integer per signature, inside the block at R_TYPES.
# The work space of the components comes last and is five times as long.
K_TYPE_OF, K_SIGNATURE, K_COUNT, K_COMPONENT, K_RECORD_OF, K_FIRST_BLOCK, K_BY_COMPONENT, K_WORK = range(8)
TYPE_INTEGERS = 12

# The row of a signature in the kernel table: addresses of its compiled phases, of its settings and of its layout
# numbers.
KERNEL_PROLOGUE, KERNEL_FORWARD, KERNEL_BACKWARD, KERNEL_EPILOGUE = range(4)
KERNEL_POINTWISE, KERNEL_POINTWISE_BACKWARD, KERNEL_ATTRIBUTES, KERNEL_TABLE = range(4, 8)
# How much of the row is there: nothing, the forward phases, all.
KERNEL_READY = 8
FORWARD_READY, ALL_READY = 1, 2
KERNEL_COLUMNS = 9

# What a compiled call returns.
DONE, NEED_NODES, NEED_PLAN, NEED_MEMORY, NEED_KERNELS, REVERTED, REFERENCE = range(7)
