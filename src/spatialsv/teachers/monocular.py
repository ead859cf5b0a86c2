"""Monocular depth in scenes with known cameras.

A monocular network predicts no poses, and its metric scale is unreliable. The scene's cameras are
kept, and one factor per scene converts the depth to their unit. It comes from the first of these
sources that is available:

1. pixels of known depth (a sensor's, or COLMAP's points): the median ratio;
2. the views: with the right factor they look alike through their depths and cameras;
3. the network's metric scale, where the cameras are in metres.
"""

from __future__ import annotations

import statistics
from collections import Counter
from typing import Any

import numpy as np
import torch
from torch import Tensor

from spatialsv.geometry.maps import normalise_scene
from spatialsv.geometry.scale import scale_from_points, scale_from_views
from spatialsv.progress import progress
from spatialsv.scenes.scene import Cameras, Geometry, Scenes
from spatialsv.scenes.scene_list import stack
from spatialsv.teachers.depth_networks import DepthNetwork

MIN_KNOWN_PIXELS = 16  # of a scene, for a factor from known depth


class MonocularTeacher:
    """A teacher that applies a `DepthNetwork` to `batch_size` views at a time."""

    def __init__(
        self, network: DepthNetwork, batch_size: int, source: str, revision: str, licence: str
    ) -> None:
        self.network, self.batch_size = network, batch_size
        self.source, self.revision, self.licence = source, revision, licence
        self._factors: list[float] = []  # of each scene labelled so far
        self._sources: Counter[str] = Counter()  # scenes by source of the factor

    @property
    def about(self) -> dict[str, Any]:
        """Entries of the manifest: sources of the factors, and their median."""
        if not self._factors:
            return {}
        return {"scaled_by": dict(self._sources), "scale_factor": statistics.median(self._factors)}

    def label(self, scenes: Scenes) -> Scenes:
        """Label scenes as `Teacher` describes.

        Args:
            scenes: Scenes with images and cameras.

        Returns:
            Labels with the scenes' cameras and confidence 1, without features.

        Raises:
            ValueError: The scenes have no images or cameras, or a scene's unit cannot be found.
        """
        if not scenes.has_image or not scenes.has_cameras:
            raise ValueError(
                f"Scenes of {scenes.source}: monocular teachers need images with cameras"
                " (intrinsics and poses). Use `rooms`, DA3 or VGGT, which predict cameras."
            )
        return stack([self._label(scene) for scene in progress(scenes, "teacher", len(scenes))])

    def _label(self, scene: Scenes) -> Scenes:
        intrinsics, poses = (
            torch.from_numpy(array[0].astype(np.float64))
            for array in (scene.intrinsics, scene.cam_to_world)
        )
        chunks = zip(
            np.array_split(scene.image[0], range(self.batch_size, len(poses), self.batch_size)),
            torch.split(intrinsics, self.batch_size),
            strict=True,
        )
        depth = torch.cat([self.network(image, K) for image, K in chunks]).double()
        valid = depth.isfinite() & (depth > 0)
        factor = self._scale_factor(scene, depth, valid, intrinsics, poses)
        depth, poses, scale = normalise_scene(factor * depth, poses, intrinsics, valid)
        return Scenes(
            ids=scene.ids,
            frame_ids=scene.arrays.get("frame_ids"),
            geometry=Geometry(
                cameras=Cameras(intrinsics=scene.intrinsics, cam_to_world=poses.numpy()[None]),
                depth=depth.float().numpy()[None],
                valid=valid.numpy()[None],
                confidence=valid.float().numpy()[None],
                scale=scale.numpy()[None] if scene.unit == "metre" else None,
            ),
            unit="relative",
            source=self.source,
            revision=self.revision,
            licence=self.licence,
        )

    def _scale_factor(
        self, scene: Scenes, depth: Tensor, valid: Tensor, intrinsics: Tensor, poses: Tensor
    ) -> float:
        """Return the factor from the network's depth to the unit of the scene's cameras."""
        source, factor = "known depth", None
        if scene.has_geometry:
            known = valid & torch.from_numpy(scene.valid[0])
            if int(known.sum()) >= MIN_KNOWN_PIXELS:
                factor = scale_from_points(depth, torch.from_numpy(scene.depth[0]), known)
        if factor is None:
            image = torch.from_numpy(np.ascontiguousarray(scene.image[0])) / 255
            source, factor = "views", scale_from_views(depth, valid, image, intrinsics, poses)
        if factor is None and scene.unit == "metre":
            source, factor = "metres", 1.0
        if factor is None:
            raise ValueError(
                f"Scene {scene.ids[0]!r}: cannot find the unit of its cameras: it has fewer than"
                f" {MIN_KNOWN_PIXELS} pixels of known depth, and no factor makes its views agree."
                " Remove the scene."
            )
        self._factors.append(factor)
        self._sources[source] += 1
        return factor
