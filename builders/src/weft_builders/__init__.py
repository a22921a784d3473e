"""Recurrent, tree and softmax builders of Weft."""

from .birnn import BiRNNBuilder
from .class_factored import ClassFactoredSoftmaxBuilder
from .clusters import ClusterError
from .coupled import CoupledLSTMBuilder, FastLSTMBuilder
from .hierarchical import HierarchicalSoftmaxBuilder
from .lstm import CompactVanillaLSTMBuilder, LSTMBuilder, VanillaLSTMBuilder
from .masks import RecurrentDropout
from .peephole_tree import PeepholeTreeLSTMBuilder, StackedTreeState
from .recurrent import RecurrentBuilder
from .rnn import GRUBuilder, SimpleRNNBuilder
from .sequential_tree import BidirectionalTreeLSTMBuilder, UnidirectionalTreeLSTMBuilder
from .softmax import SoftmaxBuilder, StandardSoftmaxBuilder
from .sparse import SparseLSTMBuilder
from .stacked import StackedRNNState
from .state import RNNState
from .tree import ChildSumTreeLSTMBuilder, NaryTreeLSTMBuilder, TreeState

__version__ = "0.1.0"

__all__ = [
    "RecurrentBuilder",
    "RNNState",
    "StackedRNNState",
    "SimpleRNNBuilder",
    "VanillaLSTMBuilder",
    "LSTMBuilder",
    "CompactVanillaLSTMBuilder",
    "CoupledLSTMBuilder",
    "FastLSTMBuilder",
    "SparseLSTMBuilder",
    "GRUBuilder",
    "BiRNNBuilder",
    "NaryTreeLSTMBuilder",
    "ChildSumTreeLSTMBuilder",
    "PeepholeTreeLSTMBuilder",
    "UnidirectionalTreeLSTMBuilder",
    "BidirectionalTreeLSTMBuilder",
    "TreeState",
    "StackedTreeState",
    "RecurrentDropout",
    "SoftmaxBuilder",
    "StandardSoftmaxBuilder",
    "ClassFactoredSoftmaxBuilder",
    "HierarchicalSoftmaxBuilder",
    "ClusterError",
]
