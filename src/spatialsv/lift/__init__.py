"""Stage `lift`: the geometry that a model's visual states hold, of test scenes or of any photos."""

from spatialsv.lift.photos import lift_photos
from spatialsv.lift.stage import LiftConfig, run

__all__ = ["LiftConfig", "lift_photos", "run"]
