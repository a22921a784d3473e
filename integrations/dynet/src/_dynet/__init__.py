"""Everything that `dynet` star-imports; files and pickles of DyNet name their classes as members of this module."""

# ruff: noqa: I001  one block of names; print_function leaks as in the release
from __future__ import print_function

import os
import pickle
import sys

import numpy as np

# fmt: off
from weft import (
    abs, acos, acosh, AdadeltaTrainer, AdagradTrainer, AdamTrainer, affine_transform, AmsgradTrainer, argmax,
    asin, asinh, atan, atanh, average, binary_log_loss, block_dropout, bmax, bmin, cdiv, ceil, cg_checkpoint,
    cg_revert, circ_conv, circ_corr, ClassFactoredSoftmaxBuilder, cmult, colwise_add, concatenate,
    concatenate_cols, concatenate_to_batch, const_parameter, constant, ConstInitializer, constrained_softmax,
    contract3d_1d, contract3d_1d_1d, contract3d_1d_1d_bias, contract3d_1d_bias, conv2d, conv2d_bias, cos, cosh,
    cube, cumsum, CyclicalSGDTrainer, dot_product, dropout, dropout_batch, dropout_dim, dump_cg, elu, emax, erf,
    esum, exp, Expression, filter1d_narrow, flip_gradient, floor, fold_rows, forward, FromFileInitializer,
    GlorotInitializer, hinge, hinge_batch, hinge_dim, huber_distance, IdentityInitializer, inputMatrix,
    inputTensor, inputTensorTranspose, inputVector, inverse, kmax_pooling, kmh_ngram, l1_distance, l2_norm,
    layer_norm, lgamma, log, log_sigmoid, log_softmax, logdet, logistic, logsumexp, logsumexp_dim, lookup,
    lookup_batch, LookupParameters, matInput, max_dim, maxpooling2d, mean_batches, mean_dim, mean_elems, min_dim,
    Model, moment_batches, moment_dim, moment_elems, MomentumSGDTrainer, nobackprop, noise, NormalInitializer,
    npvalues, NumpyInitializer, one_hot, ones, pairwise_rank_loss, ParameterCollection, Parameters, pick,
    pick_batch, pick_batch_elem, pick_batch_elems, pick_range, pickneglogsoftmax, pickneglogsoftmax_batch,
    pickrange, poisson_loss, pow, print_text_graphviz, random_bernoulli, random_gumbel, random_normal,
    random_uniform, rectify, reset_random_seed, reshape, RMSPropTrainer, RNNState, round, SaxeInitializer,
    scalarInput, scale_gradient, select_cols, select_rows, selu, silu, SimpleSGDTrainer, sin, sinh, softmax,
    SoftmaxBuilder, softsign, sparse_inputTensor, sparsemax, sqrt, square, squared_distance, squared_norm,
    StackedRNNState, StandardSoftmaxBuilder, std_batches, std_dim, std_elems, strided_select, sum_batches,
    sum_dim, sum_elems, tan, tanh, Tensor, trace_of_product, Trainer, transpose, UniformInitializer, values,
    vanilla_lstm_c, vanilla_lstm_gates, vanilla_lstm_gates_concat, vanilla_lstm_gates_dropout,
    vanilla_lstm_gates_dropout_concat, vanilla_lstm_h, vecInput, weight_norm, zeroes, zeros,
)
from weft_core.initializers import PyInitializer

from ._builders import (
    BiRNNBuilder, CompactVanillaLSTMBuilder, CoupledLSTMBuilder, FastLSTMBuilder, GRUBuilder, LSTMBuilder,
    SimpleRNNBuilder, SparseLSTMBuilder, VanillaLSTMBuilder,
)
from ._deprecated import parameter
from ._devices import available_devices, DeviceInfo, get_device_info, to_device
from ._graph import cg, cg_version, ComputationGraph, renew_cg
from ._saving import load, load_generator, save
from ._start import DynetParams, init, init_from_params
from ._values import FloatValue, FloatVectorValue, UnsignedValue, UnsignedVectorValue

__version__ = "0.1.0"

__all__ = [
    "abs", "acos", "acosh", "AdadeltaTrainer", "AdagradTrainer", "AdamTrainer", "affine_transform",
    "AmsgradTrainer", "argmax", "asin", "asinh", "atan", "atanh", "available_devices", "average",
    "binary_log_loss", "BiRNNBuilder", "block_dropout", "bmax", "bmin", "cdiv", "ceil", "cg", "cg_checkpoint",
    "cg_revert", "cg_version", "circ_conv", "circ_corr", "ClassFactoredSoftmaxBuilder", "cmult", "colwise_add",
    "CompactVanillaLSTMBuilder", "ComputationGraph", "concatenate", "concatenate_cols", "concatenate_to_batch",
    "const_parameter", "constant", "ConstInitializer", "constrained_softmax", "contract3d_1d", "contract3d_1d_1d",
    "contract3d_1d_1d_bias", "contract3d_1d_bias", "conv2d", "conv2d_bias", "cos", "cosh", "CoupledLSTMBuilder",
    "cube", "cumsum", "CyclicalSGDTrainer", "DeviceInfo", "dot_product", "dropout", "dropout_batch",
    "dropout_dim", "dump_cg", "DynetParams", "elu", "emax", "erf", "esum", "exp", "Expression", "FastLSTMBuilder",
    "filter1d_narrow", "flip_gradient", "FloatValue", "FloatVectorValue", "floor", "fold_rows", "forward",
    "FromFileInitializer", "get_device_info", "GlorotInitializer", "GRUBuilder", "hinge", "hinge_batch",
    "hinge_dim", "huber_distance", "IdentityInitializer", "init", "init_from_params", "inputMatrix",
    "inputTensor", "inputTensorTranspose", "inputVector", "inverse", "kmax_pooling", "kmh_ngram", "l1_distance",
    "l2_norm", "layer_norm", "lgamma", "load", "load_generator", "log", "log_sigmoid", "log_softmax", "logdet",
    "logistic", "logsumexp", "logsumexp_dim", "lookup", "lookup_batch", "LookupParameters", "LSTMBuilder",
    "matInput", "max_dim", "maxpooling2d", "mean_batches", "mean_dim", "mean_elems", "min_dim", "Model",
    "moment_batches", "moment_dim", "moment_elems", "MomentumSGDTrainer", "nobackprop", "noise",
    "NormalInitializer", "np", "npvalues", "NumpyInitializer", "one_hot", "ones", "os", "pairwise_rank_loss",
    "parameter", "ParameterCollection", "Parameters", "pick", "pick_batch", "pick_batch_elem", "pick_batch_elems",
    "pick_range", "pickle", "pickneglogsoftmax", "pickneglogsoftmax_batch", "pickrange", "poisson_loss", "pow",
    "print_function", "print_text_graphviz", "PyInitializer", "random_bernoulli", "random_gumbel",
    "random_normal", "random_uniform", "rectify", "renew_cg", "reset_random_seed", "reshape", "RMSPropTrainer",
    "RNNState", "round", "save", "SaxeInitializer", "scalarInput", "scale_gradient", "select_cols", "select_rows",
    "selu", "silu", "SimpleRNNBuilder", "SimpleSGDTrainer", "sin", "sinh", "softmax", "SoftmaxBuilder",
    "softsign", "sparse_inputTensor", "SparseLSTMBuilder", "sparsemax", "sqrt", "square", "squared_distance",
    "squared_norm", "StackedRNNState", "StandardSoftmaxBuilder", "std_batches", "std_dim", "std_elems",
    "strided_select", "sum_batches", "sum_dim", "sum_elems", "sys", "tan", "tanh", "Tensor", "to_device",
    "trace_of_product", "Trainer", "transpose", "UniformInitializer", "UnsignedValue", "UnsignedVectorValue",
    "values", "vanilla_lstm_c", "vanilla_lstm_gates", "vanilla_lstm_gates_concat", "vanilla_lstm_gates_dropout",
    "vanilla_lstm_gates_dropout_concat", "vanilla_lstm_h", "VanillaLSTMBuilder", "vecInput", "weight_norm",
    "zeroes", "zeros",
]
