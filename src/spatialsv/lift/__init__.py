"""Stage `lift`: the geometry that a model's visual states hold, of test scenes.

`pictures.py` beside it lifts any photos, videos and stores, for `spatialsv lift PHOTO...`.
"""

from spatialsv.lift.stage import LiftConfig, run

__all__ = ["LiftConfig", "run"]
