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


def require_images(scenes: Scenes) -> None:
    """Nothing, where there are images to label.

    Raises:
        ValueError: there are none.
    """
    if not scenes.has_image:
        raise ValueError(f"scenes of {scenes.source} have no images for the teacher to read")


def describe_teacher(teacher: Teacher, labels: Scenes) -> dict[str, Any]:
    """What a manifest says of `labels`: their provenance, and what else their teacher tells.

    A teacher tells it as its `about`, of all that it labelled so far.
    """
    return {**labels.provenance, **getattr(teacher, "about", {})}
