"""Stage `train`: fine-tune the base model with the losses of one arm."""

from spatialsv.train.arm import ARMS, ArmConfig
from spatialsv.train.config import TrainConfig
from spatialsv.train.stage import run

__all__ = ["ARMS", "ArmConfig", "TrainConfig", "run"]
