"""Depth Anything 3 and VGGT, run by their authors' code in an environment of their own.

Both give z-depth, world-to-camera poses, a field of view and final-layer features, at the size
that the network saw. What is kept of them is depth, K and pose. Depth Anything 3's own rays come
from another head: they are of no one pinhole camera, and their origins vary within a view. How far
they are from K and pose is told in `about`; a view in which they contradict these is not trusted.
Shapes: N views, H W pixels as delivered.
"""

from __future__ import annotations

import json
import statistics
import tempfile
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from spatialsv.geometry.camera import scale_intrinsics
from spatialsv.geometry.maps import normalise_scene, resize_maps
from spatialsv.io.digests import digest_weights
from spatialsv.progress import progress
from spatialsv.scenes.scene import Cameras, Geometry, Scenes
from spatialsv.scenes.scene_list import stack
from spatialsv.teachers.config import TeacherConfig
from spatialsv.teachers.teacher import require_images
from spatialsv.teachers.worker import Worker, WorkerOutput, read_output

SURE = 1 - 1e-3  # of a pixel between pixels: the share of valid ones among them


class ExternalTeacher:
    """One worker that labels scene after scene; it starts with the first one."""

    def __init__(self, config: TeacherConfig) -> None:
        self.config = config
        self.ray_degrees: list[float] = []  # of each view labelled so far
        self.origin_spread: list[float] = []
        self.distrusted = 0  # views

    @cached_property
    def worker(self) -> Worker:
        return Worker(self.config.kind, Path(self.config.python), Path(self.config.path))

    @cached_property
    def revision(self) -> str:
        """The package that ran, and which weights."""
        return f"{self.worker.about['package']}, {digest_weights(Path(self.config.path))}"

    @property
    def about(self) -> dict[str, Any]:
        """Beside what the labels say: how far the teacher's own rays are from K and pose."""
        told = {"hub": self.config.hub, "hub_revision": self.config.revision}
        if self.ray_degrees:
            told["ray_degrees"] = round(statistics.median(self.ray_degrees), 3)
            told["ray_origin_spread"] = round(statistics.median(self.origin_spread), 4)
            told["views_distrusted"] = self.distrusted
        return told

    def label(self, scenes: Scenes) -> Scenes:
        """Labels as `Teacher` says; `scale` is known of metric networks alone (DA3NESTED).

        Valid are pixels whose depth and confidence are finite and positive, and that are no sky.

        Raises:
            ValueError: scenes without images, or a scene that the teacher fails at or answers
                wrongly; the message names it.
        """
        require_images(scenes)
        return stack([self._label(one) for one in progress(scenes, self.config.kind, len(scenes))])

    def _label(self, one: Scenes) -> Scenes:
        name, (views, height, width) = one.ids[0], one.image.shape[1:4]
        with tempfile.TemporaryDirectory(prefix="spatialsv-") as folder:
            self._request(Path(folder), one)
            said = self.worker.label(Path(folder), name)
            answer = read_output(Path(folder), said["channels"], name, views)
        seen = answer.depth.shape[1:]
        intrinsics = scale_intrinsics(answer.intrinsics, width / seen[1], height / seen[0])
        depth, confidence, valid = _delivered(answer, self._trusted(answer), height, width)
        if not valid.any():
            raise ValueError(
                f"scene {name!r}: the teacher's rays contradict its cameras everywhere"
            )
        depth, poses, scale = normalise_scene(depth, answer.cam_to_world, intrinsics, valid)
        return Scenes(
            ids=one.ids,
            frame_ids=one.arrays.get("frame_ids"),
            geometry=Geometry(
                cameras=Cameras(
                    intrinsics=intrinsics.numpy()[None], cam_to_world=poses.numpy()[None]
                ),
                depth=depth.float().numpy()[None],
                valid=valid.numpy()[None],
                confidence=confidence.float().numpy()[None],
                features=answer.features.half().numpy()[None],
                scale=scale.numpy()[None] if said["metric"] else None,
            ),
            unit="relative",
            source=self.config.hub,
            revision=self.revision,
            licence=self.config.terms,
        )

    def _request(self, folder: Path, one: Scenes) -> None:
        for number, image in enumerate(one.image[0]):
            Image.fromarray(np.ascontiguousarray(image)).save(folder / f"{number:05d}.png")
        request = {
            "scene": one.ids[0],
            "resolution": self.config.resolution,
            "feature_grid": self.config.feature_grid,
        }
        (folder / "request.json").write_text(json.dumps(request))

    def _trusted(self, answer: WorkerOutput) -> Tensor:
        """Of each view; all, where the teacher has no rays of its own."""
        errors = answer.ray_errors()
        if errors is None:
            return torch.ones(len(answer.depth), dtype=torch.bool)
        degrees, offsets = errors
        self.ray_degrees += degrees.tolist()
        self.origin_spread += offsets.tolist()
        trusted = degrees <= self.config.max_ray_degrees
        self.distrusted += int((~trusted).sum())
        return trusted


def _delivered(
    answer: WorkerOutput, trusted: Tensor, height: int, width: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Depth, confidence and what is valid, at the size delivered, (N, H, W) each."""
    depth, confidence = answer.depth.double(), answer.confidence.double()
    valid = (depth.isfinite() & (depth > 0)) & (confidence.isfinite() & (confidence > 0))
    valid = valid & ~answer.sky & trusted[:, None, None]
    maps = torch.stack([depth.where(valid, 0), confidence.where(valid, 0), valid.double()], dim=1)
    depth, confidence, share = resize_maps(maps[None], height, width)[0].unbind(dim=1)
    valid = share > SURE
    return depth.where(valid, 0), confidence.where(valid, 0), valid
