"""Stage `train`: fine-tune the base model with the losses of one arm."""

from spatialsv.train.config import ARMS, ArmConfig, TrainConfig
from spatialsv.train.stage import run

__all__ = ["ARMS", "ArmConfig", "TrainConfig", "run"]
