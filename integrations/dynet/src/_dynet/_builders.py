"""Recurrent builders with what programs for DyNet rely on beyond Weft's: outputs are plain lists, and so on.

Pickles and files name these classes as members of `_dynet`.
"""

from __future__ import annotations

from collections.abc import Iterable, MutableSequence
from typing import Any

import weft

from ._graph import cg_version


class _Recurrent(weft.RecurrentBuilder):
    """What every recurrent builder does here."""

    # The version of the graph in which a sequence was last started.
    _started = -1

    def initial_state(self, vecs: Iterable[weft.Expression] | None = None, update: bool = True) -> weft.RNNState:
        """The start of a sequence; `vecs` as in `RNNState.set_s`. Without `update`, parameters are constants."""
        self._started = cg_version()
        return super().initial_state(vecs, update)

    def get_parameter_expressions(self) -> list[list[weft.Expression]]:
        """The parameters of every layer as expressions; raises ValueError before `initial_state` in this graph."""
        if self._started != cg_version():
            raise ValueError("get_parameter_expressions() comes after initial_state() in the same graph")
        return super().get_parameter_expressions()

    def outputs(self, layers: Any, xs: Iterable[weft.Expression], update: bool) -> MutableSequence[weft.Expression]:
        """The outputs that `transduce` gives, as a list."""
        return list(super().outputs(layers, xs, update))


class SimpleRNNBuilder(_Recurrent, weft.SimpleRNNBuilder):
    __doc__, __module__ = weft.SimpleRNNBuilder.__doc__, "_dynet"


class GRUBuilder(_Recurrent, weft.GRUBuilder):
    __doc__, __module__ = weft.GRUBuilder.__doc__, "_dynet"


class VanillaLSTMBuilder(_Recurrent, weft.VanillaLSTMBuilder):
    __doc__, __module__ = weft.VanillaLSTMBuilder.__doc__, "_dynet"


class CompactVanillaLSTMBuilder(_Recurrent, weft.CompactVanillaLSTMBuilder):
    __doc__, __module__ = weft.CompactVanillaLSTMBuilder.__doc__, "_dynet"


class CoupledLSTMBuilder(_Recurrent, weft.CoupledLSTMBuilder):
    __doc__, __module__ = weft.CoupledLSTMBuilder.__doc__, "_dynet"


class FastLSTMBuilder(_Recurrent, weft.FastLSTMBuilder):
    __doc__, __module__ = weft.FastLSTMBuilder.__doc__, "_dynet"


class SparseLSTMBuilder(_Recurrent, weft.SparseLSTMBuilder):
    __doc__, __module__ = weft.SparseLSTMBuilder.__doc__, "_dynet"


class BiRNNBuilder(weft.BiRNNBuilder):
    __doc__, __module__ = weft.BiRNNBuilder.__doc__, "_dynet"

    def transduce(self, es: Iterable[weft.Expression]) -> list[weft.Expression]:
        """The outputs of the last layer, one per position."""
        return list(super().transduce(es))


LSTMBuilder = VanillaLSTMBuilder
