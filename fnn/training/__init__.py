"""Training: one step, and a whole run of them."""

from fnn.training.run import Fit, fit
from fnn.training.state import FitState
from fnn.training.step import TrainState, init_state, train_step

__all__ = ["Fit", "FitState", "TrainState", "fit", "init_state", "train_step"]
