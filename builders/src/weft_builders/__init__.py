"""Recurrent, tree and softmax builders of Weft."""

from .birnn import BiRNNBuilder
from .masks import RecurrentDropout
from .recurrent import RecurrentBuilder
from .rnn import (
    CompactVanillaLSTMBuilder,
    GRUBuilder,
    LSTMBuilder,
    SimpleRNNBuilder,
    VanillaLSTMBuilder,
)
from .state import RNNState
from .tree import ChildSumTreeLSTMBuilder, NaryTreeLSTMBuilder, TreeState

__version__ = "0.1.0"

__all__ = [
    "RecurrentBuilder",
    "RNNState",
    "SimpleRNNBuilder",
    "VanillaLSTMBuilder",
    "LSTMBuilder",
    "CompactVanillaLSTMBuilder",
    "GRUBuilder",
    "BiRNNBuilder",
    "NaryTreeLSTMBuilder",
    "ChildSumTreeLSTMBuilder",
    "TreeState",
    "RecurrentDropout",
]
