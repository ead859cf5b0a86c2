"""The interface of teachers: scenes in, their geometry out."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

from spatialsv.scenes.scene import Scenes


@runtime_checkable
class Teacher(Protocol):
    """A teacher that labels scenes with geometry.

    A teacher may have a dict `about` with further entries for the manifest.
    """

    def label(self, scenes: Scenes) -> Scenes:
        """Label scenes independently of each other.

        Args:
            scenes: Scenes with what the teacher needs.

        Returns:
            Scenes of the same ids, views and image size, without images: depth, confidence, valid,
            intrinsics and cam_to_world in the first view's camera frame, with lengths divided by
            `scale` (None if the teacher does not know metres), final-layer features if it has any,
            and its `source`, `revision` and `licence`.
        """
        ...


def require_images(scenes: Scenes) -> None:
    """Check that scenes have images.

    Raises:
        ValueError: They have none.
    """
    if not scenes.has_image:
        raise ValueError(f"Scenes of {scenes.source} have no images, which the teacher needs.")


def describe_teacher(teacher: Teacher, labels: Scenes) -> dict[str, Any]:
    """Return a manifest's entries about labels: their provenance and the teacher's `about`."""
    return {**labels.provenance, **getattr(teacher, "about", {})}
