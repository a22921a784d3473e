"""Update rules, gradient clipping and the training loop of Weft."""

from .adam import AdamTrainer, AmsgradTrainer
from .adaptive import AdadeltaTrainer, AdagradTrainer, RMSPropTrainer
from .descent import CyclicalSGDTrainer, MomentumSGDTrainer, SimpleSGDTrainer
from .errors import LossError, TrainerError
from .exponentiated import EGTrainer
from .loop import Bar, Epoch, Fit, Progress, Silence, fit
from .schedules import (
    CosineDecay,
    CyclicalRate,
    ExponentialDecay,
    InverseSquareRoot,
    InverseTimeDecay,
    LinearDecay,
    LinearWarmup,
    StepDecay,
)
from .trainer import Trainer

__version__ = "0.1.0"

__all__ = [
    "Trainer",
    "SimpleSGDTrainer",
    "CyclicalSGDTrainer",
    "MomentumSGDTrainer",
    "AdagradTrainer",
    "AdadeltaTrainer",
    "RMSPropTrainer",
    "AdamTrainer",
    "AmsgradTrainer",
    "EGTrainer",
    "LossError",
    "TrainerError",
    "InverseTimeDecay",
    "ExponentialDecay",
    "StepDecay",
    "LinearDecay",
    "CosineDecay",
    "CyclicalRate",
    "LinearWarmup",
    "InverseSquareRoot",
    "fit",
    "Fit",
    "Epoch",
    "Progress",
    "Bar",
    "Silence",
]
