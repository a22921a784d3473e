"""The registers of a machine: addresses and sizes of everything that compiled code touches, one int64 array."""

from __future__ import annotations

(
    R_SELF, R_STATE, R_AUTOBATCH, R_INFERENCE, R_LENGTH, R_CAPACITY, R_TARGETS, R_TARGET_COUNT, R_GET_ITEM,
    R_AS_INTEGER, R_ROWS, R_ENTRIES, R_KINDS, R_KERNELS, R_TYPES, R_PRODUCERS, R_NOTED, R_BLOCKS, R_RECORDS,
    R_RECORDS_SIZE, R_LISTS, R_LISTS_SIZE, R_STEPS, R_STEPS_SIZE, R_VALUES, R_VALUES_SIZE, R_GRADIENTS,
    R_GRADIENTS_SIZE, R_SCRATCH, R_SCRATCH_SIZE, R_PARAMETERS, R_PARAMETER_GRADIENTS, R_PARAMETER_META, R_DATA, R_SEED,
    R_STREAM, R_SGEMM, R_ZERO_ROWS, R_RESUME, R_STEPWISE, R_BEGIN, R_FINISH, R_BIND,
    R_BIND_INNER, R_STATUS,
) = range(45)  # fmt: skip
# Arrays with one number per position of the tape, 32 bits but for the marks, which have 8.
R_CODE, R_OFFSET, R_GRADIENT_OFFSET, R_SLOT, R_MARK = range(45, 50)
# Arrays with one number per instruction, 32 bits but for the keys, which have 64.
R_WAITING, R_NODES, R_NODE_TYPE, R_KEY, R_ORDER, R_RANK, R_BUCKETS = range(50, 57)
REGISTERS = 57

# Arrays of one 64-bit number per signature, inside the block at R_TYPES; only K_TYPE_OF is kept from plan to plan.
# The work space of the components comes last and is five times as long.
(
    K_TYPE_OF, K_SIGNATURE, K_COUNT, K_COMPONENT, K_RECORD_OF, K_WIDTH, K_DEPTH, K_BASE, K_FIRST_TYPE, K_NEXT_TYPE,
    K_NEXT_ROW, K_STEP_OF, K_HIDDEN, K_WORK,
) = range(14)  # fmt: skip
TYPE_INTEGERS = K_WORK + 5

# The row of a signature in the kernel table: addresses of its compiled phases, of its settings and of its layout
# numbers.
KERNEL_PROLOGUE, KERNEL_FORWARD, KERNEL_BACKWARD, KERNEL_EPILOGUE = range(4)
KERNEL_POINTWISE, KERNEL_POINTWISE_BACKWARD, KERNEL_ATTRIBUTES, KERNEL_TABLE = range(4, 8)
# How much of the row is there: nothing, the forward phases, all.
KERNEL_READY = 8
FORWARD_READY, ALL_READY = 1, 2
KERNEL_COLUMNS = 9

# What a compiled call returns.
DONE, NEED_PLAN, NEED_MEMORY, NEED_KERNELS, REVERTED, LOST_PARAMETER, REFERENCE, TOO_LARGE, STEPPED = range(9)
