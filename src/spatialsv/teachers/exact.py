"""The teacher that knows: a scene's own geometry, in the labels' frame and unit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from spatialsv.geometry.maps import normalise_scene
from spatialsv.scenes.licence import check_licence
from spatialsv.scenes.scene import Scenes


@dataclass(frozen=True)
class ExactTeacher:
    """The renderer's (or a sensor's) depth and cameras; confidence 1, no features."""

    commercial: bool = False  # refuse geometry whose licence is not known to allow that use

    def label(self, scenes: Scenes) -> Scenes:
        """Labels as `Teacher` says; `scale` brings them back to the scenes' unit.

        Raises:
            ValueError: a scene without geometry, or without a single valid pixel; or a licence
                that is refused.
        """
        check_licence(scenes.licence, f"geometry of {scenes.source}", self.commercial)
        if not scenes.has_geometry:
            raise ValueError(
                f"scenes of {scenes.source} have no geometry, so the exact teacher knows nothing"
                " about them; label them with the teacher 'rooms'"
            )
        known = scenes.valid.any(axis=(1, 2, 3))
        if not known.all():
            name = scenes.ids[int(np.argmin(known))]
            raise ValueError(
                f"scene {name!r} has no valid depth, so the exact teacher knows nothing about it;"
                " label it with the teacher 'rooms'"
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
