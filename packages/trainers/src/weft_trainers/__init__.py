"""Update rules, gradient clipping and the training loop of Weft."""

from .loop import Bar, Epoch, Fit, Progress, Silence, fit
from .optimizers import AdagradTrainer, AdamTrainer, MomentumSGDTrainer, SimpleSGDTrainer
from .trainer import Trainer, TrainerError

__version__ = "0.1.0"

__all__ = [
    "Trainer",
    "SimpleSGDTrainer",
    "MomentumSGDTrainer",
    "AdagradTrainer",
    "AdamTrainer",
    "TrainerError",
    "fit",
    "Fit",
    "Epoch",
    "Progress",
    "Bar",
    "Silence",
]
