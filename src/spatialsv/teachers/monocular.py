"""Monocular depth in scenes whose cameras are known.

A network that sees one view at a time knows no poses, and its metres are a guess. So a scene's
cameras are kept as they are, and one factor brings all its depths to their unit, the first of
these that can be had:

1. depth that is known somewhere: a sensor's, or of COLMAP's points; the median ratio;
2. the views themselves: with which factor they look alike through their depths and cameras;
3. the network's own metres, where the cameras are in metres.
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

POINTS = 16  # pixels of known depth in a scene, without which they say nothing


class MonocularTeacher:
    """A `DepthNetwork` that labels scenes, `batch_size` views at a time."""

    def __init__(
        self, network: DepthNetwork, batch_size: int, source: str, revision: str, licence: str
    ) -> None:
        self.network, self.batch_size = network, batch_size
        self.said = {"source": source, "revision": revision, "licence": licence}
        self.factors: list[float] = []  # of each scene labelled so far
        self.by: Counter[str] = Counter()  # scenes

    @property
    def about(self) -> dict[str, Any]:
        """What the factors came from, and their median: far from 1, metres are not believed."""
        if not self.factors:
            return {}
        return {"scaled_by": dict(self.by), "scale_factor": statistics.median(self.factors)}

    def label(self, scenes: Scenes) -> Scenes:
        """Labels as `Teacher` says: the scenes' cameras, confidence 1, no features.

        Raises:
            ValueError: scenes without images or cameras, or a scene whose unit nothing tells.
        """
        if not scenes.has_image or not scenes.has_cameras:
            raise ValueError(
                f"scenes of {scenes.source}: monocular depth needs images of known cameras"
                " (intrinsics and poses); a teacher that finds these is `rooms`, DA3 or VGGT"
            )
        parts = [self._label(one) for one in progress(scenes, "teacher", len(scenes))]
        return stack(parts)

    def _label(self, one: Scenes) -> Scenes:
        intrinsics, poses = (
            torch.from_numpy(array[0].astype(np.float64))
            for array in (one.intrinsics, one.cam_to_world)
        )
        chunks = zip(
            np.array_split(one.image[0], range(self.batch_size, len(poses), self.batch_size)),
            intrinsics.split(self.batch_size),
            strict=True,
        )
        depth = torch.cat([self.network(image, K) for image, K in chunks]).double()
        valid = depth.isfinite() & (depth > 0)
        factor = self._factor(one, depth, valid, intrinsics, poses)
        depth, poses, scale = normalise_scene(factor * depth, poses, intrinsics, valid)
        return Scenes(
            ids=one.ids,
            frame_ids=one.arrays.get("frame_ids"),
            geometry=Geometry(
                cameras=Cameras(intrinsics=one.intrinsics, cam_to_world=poses.numpy()[None]),
                depth=depth.float().numpy()[None],
                valid=valid.numpy()[None],
                confidence=valid.float().numpy()[None],
                scale=scale.numpy()[None] if one.unit == "metre" else None,
            ),
            unit="relative",
            **self.said,
        )

    def _factor(
        self, one: Scenes, depth: Tensor, valid: Tensor, intrinsics: Tensor, poses: Tensor
    ) -> float:
        by, factor = "known depth", None
        if one.has_geometry:
            known = valid & torch.from_numpy(one.valid[0])
            if int(known.sum()) >= POINTS:
                factor = scale_from_points(depth, torch.from_numpy(one.depth[0]), known)
        if factor is None:
            image = torch.from_numpy(np.ascontiguousarray(one.image[0])) / 255
            by, factor = "views", scale_from_views(depth, valid, image, intrinsics, poses)
        if factor is None and one.unit == "metre":
            by, factor = "metres", 1.0
        if factor is None:
            raise ValueError(
                f"scene {one.ids[0]!r}: nothing tells the unit of its cameras: fewer than {POINTS}"
                " pixels of known depth, and its views look alike with no factor; leave it out"
            )
        self.factors.append(factor)
        self.by[by] += 1
        return factor
