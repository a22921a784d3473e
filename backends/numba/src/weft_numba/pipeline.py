"""Numba's passes, but for those that look for what no kernel holds: closures, `with`, expressions of whole arrays."""

from __future__ import annotations

from numba.core import typed_passes, untyped_passes
from numba.core.compiler import Compiler, DefaultPassBuilder
from numba.core.compiler_machinery import PassManager

# A twentieth of a first run.
NEEDLESS = {
    untyped_passes.FindLiterallyCalls,
    untyped_passes.InlineClosureLikes,
    untyped_passes.InlineInlinables,
    untyped_passes.LiteralPropagationSubPipelinePass,
    untyped_passes.LiteralUnroll,
    untyped_passes.MakeFunctionToJitFunction,
    untyped_passes.RewriteDynamicRaises,
    untyped_passes.WithLifting,
    typed_passes.InlineOverloads,
    typed_passes.NopythonRewrites,
}


class KernelCompiler(Compiler):
    """Compiles plain loops over numbers, arrays and addresses; a comprehension is refused."""

    def define_pipelines(self) -> list[PassManager]:
        """The one way in which a function is compiled."""
        whole = DefaultPassBuilder.define_nopython_pipeline(self.state)
        manager = PassManager("weft")
        manager.passes = [(kind, words) for kind, words in whole.passes if kind not in NEEDLESS]
        manager.finalize()
        return [manager]
