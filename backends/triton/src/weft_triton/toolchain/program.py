"""A Triton function made ready to launch: compiled at the first launch, for the device that is bound then."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from .code import registers_and_spills
from .interpreter import INTERPRETED, interpreted
from .launch import bound, compiled

# Registers that a thread can have.
MOST_REGISTERS = 255
# `divisible by 16`, as Triton writes it: an address or a count with it needs no scalar loads at the ends of a row.
_ALIGNED = [["tt.divisibility", 16]]


class Program:
    """A `triton.jit` function with its constants chosen; `launch(grid, *arguments)` runs `grid` programs.

    `arguments` names the function's arguments in order with their types: "i32", "i64", "*i32", "*i64" or "*fp32". All
    are launched with plain integers. Nothing is specialised on their values but what `aligned` says: those are
    multiples of 16, always. That is known of a pointer only: an "i64" loses it when the function casts it to one.
    Constants come after all arguments.
    `cooperative`: all programs are resident together, or the launch fails.
    """

    # Replaced by the compiled launch at the first one, so that the hot path is a single call.
    launch: Callable[..., None]

    def __init__(
        self,
        function: Any,
        arguments: Mapping[str, str],
        constants: Mapping[str, object],
        *,
        aligned: Collection[str] = (),
        warps: int = 4,
        stages: int = 3,
        cooperative: bool = False,
    ) -> None:
        if list(function.arg_names) != [*arguments, *constants]:
            raise TypeError(
                f"{function.__name__} takes {', '.join(function.arg_names)}; "
                f"given are the arguments {', '.join(arguments)} and then the constants {', '.join(constants)}"
            )
        self.function = function
        self.arguments = dict(arguments)
        self.constants = dict(constants)
        self.aligned = frozenset(aligned)
        self.options: dict[str, Any] = {
            "num_warps": warps,
            "num_stages": stages,
            "launch_cooperative_grid": cooperative,
            # Products and sums may fuse into one rounding: said, because its default changes with Triton's releases.
            "enable_fp_fusion": True,
        }
        self._kernel: Any = None
        self.launch = self._first_launch

    def _first_launch(self, grid: int, *arguments: int) -> None:
        if INTERPRETED:
            self.launch = interpreted(self.function, self.arguments, self.constants, self.aligned)
        else:
            self._kernel = self.compile(bound().capability)
            self.launch = compiled(self._kernel, tuple(self.constants.values()))
        self.launch(grid, *arguments)

    def compile(self, capability: tuple[int, int]) -> Any:
        """Triton's compiled kernel for a compute capability; found on disk where it was compiled before."""
        source = ASTSource(
            self.function,
            signature={**self.arguments, **dict.fromkeys(self.constants, "constexpr")},
            constexprs=self.constants,
            attrs={(place,): _ALIGNED for place, name in enumerate(self.arguments) if name in self.aligned},
        )
        major, minor = capability
        target = GPUTarget("cuda", 10 * major + minor, 32)
        kernel = triton.compile(source, target=target, options=self.options)
        _, spills = registers_and_spills(kernel.asm["cubin"])
        if spills:
            # The assembler spills a little to make room for one program more; told that all registers may be used it
            # plans anew, and most often spills nothing.
            again = triton.compile(source, target=target, options=self.options | {"maxnreg": MOST_REGISTERS})
            kernel = again if registers_and_spills(again.asm["cubin"])[1] < spills else kernel
        return kernel

    @property
    def registers(self) -> int:
        """Registers of a thread, once launched on a device."""
        return int(self._kernel.n_regs)

    @property
    def spills(self) -> int:
        """Words of a thread that found no register, once launched on a device."""
        return int(self._kernel.n_spills)

    @property
    def shared(self) -> int:
        """Bytes of shared memory of a program, once launched on a device."""
        return int(self._kernel.metadata.shared)
