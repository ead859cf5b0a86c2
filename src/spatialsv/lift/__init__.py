"""Stage `lift`: read geometry out of a model's visual states, for test scenes.

`images.py` lifts any photos, videos and stores, for `spatialsv lift PHOTO...`.
"""

from spatialsv.lift.stage import LiftConfig, run

__all__ = ["LiftConfig", "run"]
