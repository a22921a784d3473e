"""Everything that `dynet` star-imports; files and pickles of DyNet name their classes as members of this module."""

from __future__ import print_function  # noqa: UP010  it leaks as in the release

import os as os
import pickle as pickle
import sys as sys

import numpy as np  # noqa: F401  it leaks as in the release

# isort: off  (one list of names instead of one statement for each)
from weft import (
    AdadeltaTrainer as AdadeltaTrainer,
)
from weft import (
    AdagradTrainer as AdagradTrainer,
)
from weft import (
    AdamTrainer as AdamTrainer,
)
from weft import (
    AmsgradTrainer as AmsgradTrainer,
)
from weft import (
    ClassFactoredSoftmaxBuilder as ClassFactoredSoftmaxBuilder,
)
from weft import (
    ConstInitializer as ConstInitializer,
)
from weft import (
    CyclicalSGDTrainer as CyclicalSGDTrainer,
)
from weft import (
    Expression as Expression,
)
from weft import (
    FromFileInitializer as FromFileInitializer,
)
from weft import (
    GlorotInitializer as GlorotInitializer,
)
from weft import (
    IdentityInitializer as IdentityInitializer,
)
from weft import (
    LookupParameters as LookupParameters,
)
from weft import (
    Model as Model,
)
from weft import (
    MomentumSGDTrainer as MomentumSGDTrainer,
)
from weft import (
    NormalInitializer as NormalInitializer,
)
from weft import (
    NumpyInitializer as NumpyInitializer,
)
from weft import (
    ParameterCollection as ParameterCollection,
)
from weft import (
    Parameters as Parameters,
)
from weft import (
    RMSPropTrainer as RMSPropTrainer,
)
from weft import (
    RNNState as RNNState,
)
from weft import (
    SaxeInitializer as SaxeInitializer,
)
from weft import (
    SimpleSGDTrainer as SimpleSGDTrainer,
)
from weft import (
    SoftmaxBuilder as SoftmaxBuilder,
)
from weft import (
    StackedRNNState as StackedRNNState,
)
from weft import (
    StandardSoftmaxBuilder as StandardSoftmaxBuilder,
)
from weft import (
    Tensor as Tensor,
)
from weft import (
    Trainer as Trainer,
)
from weft import (
    UniformInitializer as UniformInitializer,
)
from weft import (
    abs as abs,
)
from weft import (
    acos as acos,
)
from weft import (
    acosh as acosh,
)
from weft import (
    affine_transform as affine_transform,
)
from weft import (
    argmax as argmax,
)
from weft import (
    asin as asin,
)
from weft import (
    asinh as asinh,
)
from weft import (
    atan as atan,
)
from weft import (
    atanh as atanh,
)
from weft import (
    average as average,
)
from weft import (
    binary_log_loss as binary_log_loss,
)
from weft import (
    block_dropout as block_dropout,
)
from weft import (
    bmax as bmax,
)
from weft import (
    bmin as bmin,
)
from weft import (
    cdiv as cdiv,
)
from weft import (
    ceil as ceil,
)
from weft import (
    cg_checkpoint as cg_checkpoint,
)
from weft import (
    cg_revert as cg_revert,
)
from weft import (
    circ_conv as circ_conv,
)
from weft import (
    circ_corr as circ_corr,
)
from weft import (
    cmult as cmult,
)
from weft import (
    colwise_add as colwise_add,
)
from weft import (
    concatenate as concatenate,
)
from weft import (
    concatenate_cols as concatenate_cols,
)
from weft import (
    concatenate_to_batch as concatenate_to_batch,
)
from weft import (
    const_parameter as const_parameter,
)
from weft import (
    constant as constant,
)
from weft import (
    constrained_softmax as constrained_softmax,
)
from weft import (
    contract3d_1d as contract3d_1d,
)
from weft import (
    contract3d_1d_1d as contract3d_1d_1d,
)
from weft import (
    contract3d_1d_1d_bias as contract3d_1d_1d_bias,
)
from weft import (
    contract3d_1d_bias as contract3d_1d_bias,
)
from weft import (
    conv2d as conv2d,
)
from weft import (
    conv2d_bias as conv2d_bias,
)
from weft import (
    cos as cos,
)
from weft import (
    cosh as cosh,
)
from weft import (
    cube as cube,
)
from weft import (
    cumsum as cumsum,
)
from weft import (
    dot_product as dot_product,
)
from weft import (
    dropout as dropout,
)
from weft import (
    dropout_batch as dropout_batch,
)
from weft import (
    dropout_dim as dropout_dim,
)
from weft import (
    dump_cg as dump_cg,
)
from weft import (
    elu as elu,
)
from weft import (
    emax as emax,
)
from weft import (
    erf as erf,
)
from weft import (
    esum as esum,
)
from weft import (
    exp as exp,
)
from weft import (
    filter1d_narrow as filter1d_narrow,
)
from weft import (
    flip_gradient as flip_gradient,
)
from weft import (
    floor as floor,
)
from weft import (
    fold_rows as fold_rows,
)
from weft import (
    forward as forward,
)
from weft import (
    hinge as hinge,
)
from weft import (
    hinge_batch as hinge_batch,
)
from weft import (
    hinge_dim as hinge_dim,
)
from weft import (
    huber_distance as huber_distance,
)
from weft import (
    inputMatrix as inputMatrix,
)
from weft import (
    inputTensor as inputTensor,
)
from weft import (
    inputTensorTranspose as inputTensorTranspose,
)
from weft import (
    inputVector as inputVector,
)
from weft import (
    inverse as inverse,
)
from weft import (
    kmax_pooling as kmax_pooling,
)
from weft import (
    kmh_ngram as kmh_ngram,
)
from weft import (
    l1_distance as l1_distance,
)
from weft import (
    l2_norm as l2_norm,
)
from weft import (
    layer_norm as layer_norm,
)
from weft import (
    lgamma as lgamma,
)
from weft import (
    log as log,
)
from weft import (
    log_sigmoid as log_sigmoid,
)
from weft import (
    log_softmax as log_softmax,
)
from weft import (
    logdet as logdet,
)
from weft import (
    logistic as logistic,
)
from weft import (
    logsumexp as logsumexp,
)
from weft import (
    logsumexp_dim as logsumexp_dim,
)
from weft import (
    lookup as lookup,
)
from weft import (
    lookup_batch as lookup_batch,
)
from weft import (
    matInput as matInput,
)
from weft import (
    max_dim as max_dim,
)
from weft import (
    maxpooling2d as maxpooling2d,
)
from weft import (
    mean_batches as mean_batches,
)
from weft import (
    mean_dim as mean_dim,
)
from weft import (
    mean_elems as mean_elems,
)
from weft import (
    min_dim as min_dim,
)
from weft import (
    moment_batches as moment_batches,
)
from weft import (
    moment_dim as moment_dim,
)
from weft import (
    moment_elems as moment_elems,
)
from weft import (
    nobackprop as nobackprop,
)
from weft import (
    noise as noise,
)
from weft import (
    npvalues as npvalues,
)
from weft import (
    one_hot as one_hot,
)
from weft import (
    ones as ones,
)
from weft import (
    pairwise_rank_loss as pairwise_rank_loss,
)
from weft import (
    pick as pick,
)
from weft import (
    pick_batch as pick_batch,
)
from weft import (
    pick_batch_elem as pick_batch_elem,
)
from weft import (
    pick_batch_elems as pick_batch_elems,
)
from weft import (
    pick_range as pick_range,
)
from weft import (
    pickneglogsoftmax as pickneglogsoftmax,
)
from weft import (
    pickneglogsoftmax_batch as pickneglogsoftmax_batch,
)
from weft import (
    pickrange as pickrange,
)
from weft import (
    poisson_loss as poisson_loss,
)
from weft import (
    pow as pow,
)
from weft import (
    print_text_graphviz as print_text_graphviz,
)
from weft import (
    random_bernoulli as random_bernoulli,
)
from weft import (
    random_gumbel as random_gumbel,
)
from weft import (
    random_normal as random_normal,
)
from weft import (
    random_uniform as random_uniform,
)
from weft import (
    rectify as rectify,
)
from weft import (
    reset_random_seed as reset_random_seed,
)
from weft import (
    reshape as reshape,
)
from weft import (
    round as round,
)
from weft import (
    scalarInput as scalarInput,
)
from weft import (
    scale_gradient as scale_gradient,
)
from weft import (
    select_cols as select_cols,
)
from weft import (
    select_rows as select_rows,
)
from weft import (
    selu as selu,
)
from weft import (
    silu as silu,
)
from weft import (
    sin as sin,
)
from weft import (
    sinh as sinh,
)
from weft import (
    softmax as softmax,
)
from weft import (
    softsign as softsign,
)
from weft import (
    sparse_inputTensor as sparse_inputTensor,
)
from weft import (
    sparsemax as sparsemax,
)
from weft import (
    sqrt as sqrt,
)
from weft import (
    square as square,
)
from weft import (
    squared_distance as squared_distance,
)
from weft import (
    squared_norm as squared_norm,
)
from weft import (
    std_batches as std_batches,
)
from weft import (
    std_dim as std_dim,
)
from weft import (
    std_elems as std_elems,
)
from weft import (
    strided_select as strided_select,
)
from weft import (
    sum_batches as sum_batches,
)
from weft import (
    sum_dim as sum_dim,
)
from weft import (
    sum_elems as sum_elems,
)
from weft import (
    tan as tan,
)
from weft import (
    tanh as tanh,
)
from weft import (
    trace_of_product as trace_of_product,
)
from weft import (
    transpose as transpose,
)
from weft import (
    values as values,
)
from weft import (
    vanilla_lstm_c as vanilla_lstm_c,
)
from weft import (
    vanilla_lstm_gates as vanilla_lstm_gates,
)
from weft import (
    vanilla_lstm_gates_concat as vanilla_lstm_gates_concat,
)
from weft import (
    vanilla_lstm_gates_dropout as vanilla_lstm_gates_dropout,
)
from weft import (
    vanilla_lstm_gates_dropout_concat as vanilla_lstm_gates_dropout_concat,
)
from weft import (
    vanilla_lstm_h as vanilla_lstm_h,
)
from weft import (
    vecInput as vecInput,
)
from weft import (
    weight_norm as weight_norm,
)
from weft import (
    zeroes as zeroes,
)
from weft import (
    zeros as zeros,
)
from weft_core.initializers import PyInitializer as PyInitializer

from ._builders import (
    BiRNNBuilder as BiRNNBuilder,
)
from ._builders import (
    CompactVanillaLSTMBuilder as CompactVanillaLSTMBuilder,
)
from ._builders import (
    CoupledLSTMBuilder as CoupledLSTMBuilder,
)
from ._builders import (
    FastLSTMBuilder as FastLSTMBuilder,
)
from ._builders import (
    GRUBuilder as GRUBuilder,
)
from ._builders import (
    LSTMBuilder as LSTMBuilder,
)
from ._builders import (
    SimpleRNNBuilder as SimpleRNNBuilder,
)
from ._builders import (
    SparseLSTMBuilder as SparseLSTMBuilder,
)
from ._builders import (
    VanillaLSTMBuilder as VanillaLSTMBuilder,
)
from ._deprecated import parameter as parameter
from ._devices import (
    DeviceInfo as DeviceInfo,
)
from ._devices import (
    available_devices as available_devices,
)
from ._devices import (
    get_device_info as get_device_info,
)
from ._devices import (
    to_device as to_device,
)
from ._graph import (
    ComputationGraph as ComputationGraph,
)
from ._graph import (
    cg as cg,
)
from ._graph import (
    cg_version as cg_version,
)
from ._graph import (
    renew_cg as renew_cg,
)
from ._saving import (
    load as load,
)
from ._saving import (
    load_generator as load_generator,
)
from ._saving import (
    save as save,
)
from ._start import (
    DynetParams as DynetParams,
)
from ._start import (
    init as init,
)
from ._start import (
    init_from_params as init_from_params,
)
from ._values import (
    FloatValue as FloatValue,
)
from ._values import (
    FloatVectorValue as FloatVectorValue,
)
from ._values import (
    UnsignedValue as UnsignedValue,
)
from ._values import (
    UnsignedVectorValue as UnsignedVectorValue,
)

__version__ = "0.1.0"
