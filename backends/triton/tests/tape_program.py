"""A graph as one tape whose programs are processes: `tape_program.py none|missing|early|late` prints what became of it.

The kernel is interpreted; memory is shared, the barrier is the real one, and one program is slowed down. The
mutations leave the barrier out, let programs pass one arrival early, or make them wait for one arrival too many.
"""

from __future__ import annotations

import mmap
import os
import sys
import time
from typing import Any

import numpy as np

import weft as dy
import weft_triton.stream as stream
from weft_core.numpy_backend import NumpyBackend
from weft_triton.backend import TritonBackend
from weft_triton.errors import DeviceError
from weft_triton.host import ALIGNMENT, HostMemory
from weft_triton.options import Options

PROGRAMS = 3
BARRIER = "meet(counter, (n + 1) * programs, PATIENCE)"
MUTATIONS = {
    "none": BARRIER,
    "missing": "pass",
    "early": BARRIER.replace("programs,", "programs - 1,"),
    "late": BARRIER.replace("programs,", "programs + 1,"),
}
# Polls of an interpreted program, a few seconds of them.
PATIENCE = 20_000


class SharedMemory(HostMemory):
    """Memory of the host that forked processes share."""

    def allocate(self, nbytes: int) -> int:
        block = np.frombuffer(mmap.mmap(-1, max(nbytes, ALIGNMENT)), np.uint8)
        self.blocks[block.ctypes.data] = block
        return int(block.ctypes.data)


def pause(program: Any) -> None:
    """The last program is late at every level."""
    if program.handle.data.item() == PROGRAMS - 1:
        time.sleep(0.05)


def in_processes(launch: Any) -> Any:
    """A launch whose programs are processes, all at the same time."""

    def launched(grid: int, *arguments: int) -> None:
        children = []
        for program in range(grid):
            child = os.fork()
            if child == 0:
                launch(1, *arguments[:-1], program)
                os._exit(0)
            children.append(child)
        codes = [os.waitpid(child, 0)[1] for child in children]
        assert not any(codes), codes

    return launched


def mutate(mutation: str) -> None:
    """Change the generated kernel, and slow its programs down."""
    assert BARRIER in stream._KERNELS
    slow = "        begin = tl.load(words + levels_at + 2 * (first + n))\n"
    assert slow in stream._KERNELS
    text = stream._KERNELS.replace(slow, "        pause(program)\n" + slow)
    stream._KERNELS = text.replace(BARRIER, MUTATIONS[mutation])
    stream._HEAD += "from __main__ import pause\n"
    stream.PATIENCE = PATIENCE
    made = stream.Stream.__init__

    def init(self: Any, *arguments: Any) -> None:
        made(self, *arguments)
        self.tape.launch = in_processes(self.tape.launch)

    stream.Stream.__init__ = init  # type: ignore[method-assign]


def run(backend: Any) -> list[float]:
    """Loss and some gradients of a short recurrence, whose steps have a tile for each program."""
    dy.reset_random_seed(3)
    model = dy.ParameterCollection()
    rnn = dy.VanillaLSTMBuilder(1, 4, 40, model)
    table = model.add_lookup_parameters((6, 4))
    weight = model.add_parameters((3, 40))
    with dy.ComputationGraph(backend=backend):
        losses = []
        for words in ([1, 2, 3], [4, 2]):
            for h in rnn.initial_state().transduce([table[w] for w in words]):
                losses.append(dy.sum_elems(dy.tanh(weight * h)))
        loss = dy.esum(losses)
        value = loss.value()
        loss.backward()
        numbers = [value, *weight.gradients.ravel().tolist(), *rnn.get_parameters()[0][1].gradients.ravel().tolist()]
    return [float(n) for n in numbers]


def main() -> None:
    mutate(sys.argv[1])
    wanted = run(NumpyBackend(np.float64))
    backend = TritonBackend(Options(mode="tape"), SharedMemory())
    backend.resident_programs = PROGRAMS
    try:
        found = run(backend)
    except DeviceError as error:
        print("given up:", error)
        return
    print("right" if np.allclose(found, wanted, rtol=1e-5, atol=1e-6) else "wrong")


if __name__ == "__main__":
    main()
