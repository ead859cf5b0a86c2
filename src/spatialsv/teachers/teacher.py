"""What a teacher is: scenes in, their geometry out."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

from spatialsv.scenes.scene import Scenes


@runtime_checkable
class Teacher(Protocol):
    """Labels scenes.

    The answer has the ids, views and image size that came in, without the images: depth,
    confidence, valid, intrinsics and cam_to_world in the first view's camera frame, lengths
    divided by `scale` (None where metres are unknown to the teacher), final-layer features where it
    has any, and its own `source`, `revision` and `licence`. Rows do not depend on each other.
    """

    def label(self, scenes: Scenes) -> Scenes: ...

    @property
    def about(self) -> dict[str, Any]:
        """What a manifest says of the labels made so far, beside what they say themselves."""
