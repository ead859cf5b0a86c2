"""The exact teacher: a scene's measured or rendered geometry in the labels' frame and unit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from spatialsv.geometry.maps import normalise_scene
from spatialsv.scenes.licence import check_licence
from spatialsv.scenes.scene import Scenes


@dataclass(frozen=True)
class ExactTeacher:
    """Labels from the scenes' own depth and cameras, with confidence 1 and without features."""

    commercial: bool = False  # refuse geometry that is not known to allow commercial use

    def label(self, scenes: Scenes) -> Scenes:
        """Label scenes as `Teacher` describes.

        Args:
            scenes: Scenes with geometry.

        Returns:
            Labels with a `scale`.

        Raises:
            ValueError: A scene has no geometry or no valid pixel, or its licence is refused.
        """
        check_licence(scenes.licence, f"geometry of {scenes.source}", self.commercial)
        if not scenes.has_geometry:
            raise ValueError(
                f"Scenes of {scenes.source} have no geometry, which the teacher 'exact' needs."
                " Use the teacher 'rooms'."
            )
        known = scenes.valid.any(axis=(1, 2, 3))
        if not known.all():
            name = scenes.ids[int(np.argmin(known))]
            raise ValueError(
                f"Scene {name!r} has no valid depth, which the teacher 'exact' needs. Use the"
                " teacher 'rooms'."
            )
        depth, poses, scale = normalise_scene(
            torch.from_numpy(scenes.depth.astype(np.float64)),
            torch.from_numpy(scenes.cam_to_world.astype(np.float64)),
            torch.from_numpy(scenes.intrinsics.astype(np.float64)),
            torch.from_numpy(scenes.valid),
        )
        return scenes.replace(
            image=None,
            instance=None,
            features=None,
            depth=depth.numpy().astype(np.float32),
            cam_to_world=poses.numpy(),
            confidence=scenes.valid.astype(np.float32),
            scale=scale.numpy(),
            unit="relative",
            source="exact",
        )
