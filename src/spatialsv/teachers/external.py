"""Depth Anything 3 and VGGT, run by their authors' code in a separate environment.

Both predict z-depth, world-to-camera poses, a field of view and final-layer features, at the size
of the network's input. Labels have their depth, K and pose. The rays of Depth Anything 3 come from
another head: they need not be those of a pinhole camera, and their origins vary within a view.
`about` states their deviation from K and pose; views in which it is too large are invalid.

Shapes: N views, H W pixels of the scene's images.
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
from jaxtyping import Bool, Float
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

MIN_VALID_SHARE = 1 - 1e-3  # of the pixels that a resized pixel is interpolated from


class ExternalTeacher:
    """A teacher in a worker process, which starts with the first scene."""

    def __init__(self, config: TeacherConfig) -> None:
        self.config = config
        self._ray_degrees: list[float] = []  # of each view labelled so far
        self._origin_offsets: list[float] = []
        self._invalid_views = 0

    @cached_property
    def worker(self) -> Worker:
        """The worker process."""
        assert self.config.python is not None  # `TeacherConfig` checks it
        return Worker(self.config.kind, Path(self.config.python), Path(self.config.path))

    @cached_property
    def revision(self) -> str:
        """Version of the teacher's package, and digest of its weights."""
        return f"{self.worker.about['package']}, {digest_weights(Path(self.config.path))}"

    @property
    def about(self) -> dict[str, Any]:
        """Entries of the manifest: the hub repository, and deviations of rays from K and pose."""
        about: dict[str, Any] = {"hub": self.config.hub, "hub_revision": self.config.revision}
        if self._ray_degrees:
            about["ray_degrees"] = round(statistics.median(self._ray_degrees), 3)
            about["ray_origin_spread"] = round(statistics.median(self._origin_offsets), 4)
            about["views_distrusted"] = self._invalid_views
        return about

    def label(self, scenes: Scenes) -> Scenes:
        """Label scenes as `Teacher` describes.

        Pixels are valid if their depth and confidence are finite and positive and they are not sky.

        Args:
            scenes: Scenes with images.

        Returns:
            Labels; only metric networks (DA3NESTED) give a `scale`.

        Raises:
            ValueError: The scenes have no images, or the teacher fails on a scene.
        """
        require_images(scenes)
        return stack(
            [self._label(scene) for scene in progress(scenes, self.config.kind, len(scenes))]
        )

    def _label(self, scene: Scenes) -> Scenes:
        name, (views, height, width) = scene.ids[0], scene.image.shape[1:4]
        with tempfile.TemporaryDirectory(prefix="spatialsv-") as folder:
            self._write_request(Path(folder), scene)
            answer = self.worker.label(Path(folder), name)
            output = read_output(Path(folder), answer["channels"], name, views)
        rows, columns = output.depth.shape[1:]
        intrinsics = scale_intrinsics(output.intrinsics, width / columns, height / rows)
        depth, confidence, valid = _resize(output, self._valid_views(output), height, width)
        if not valid.any():
            raise ValueError(
                f"Scene {name!r}: no valid pixel. The teacher's rays contradict its cameras, or all"
                " depth is missing or sky."
            )
        depth, poses, scale = normalise_scene(depth, output.cam_to_world, intrinsics, valid)
        return Scenes(
            ids=scene.ids,
            frame_ids=scene.arrays.get("frame_ids"),
            geometry=Geometry(
                cameras=Cameras(
                    intrinsics=intrinsics.numpy()[None], cam_to_world=poses.numpy()[None]
                ),
                depth=depth.float().numpy()[None],
                valid=valid.numpy()[None],
                confidence=confidence.float().numpy()[None],
                features=output.features.half().numpy()[None],
                scale=scale.numpy()[None] if answer["metric"] else None,
            ),
            unit="relative",
            source=self.config.hub,
            revision=self.revision,
            licence=self.config.terms,
        )

    def _write_request(self, folder: Path, scene: Scenes) -> None:
        for number, image in enumerate(scene.image[0]):
            Image.fromarray(np.ascontiguousarray(image)).save(folder / f"{number:05d}.png")
        request = {
            "scene": scene.ids[0],
            "resolution": self.config.resolution,
            "feature_grid": self.config.feature_grid,
        }
        (folder / "request.json").write_text(json.dumps(request))

    def _valid_views(self, output: WorkerOutput) -> Bool[Tensor, " N"]:
        """Return the views whose rays agree with K and pose; all if the teacher has no rays."""
        errors = output.ray_errors()
        if errors is None:
            return torch.ones(len(output.depth), dtype=torch.bool)
        degrees, offsets = errors
        self._ray_degrees += degrees.tolist()
        self._origin_offsets += offsets.tolist()
        valid = degrees <= self.config.max_ray_degrees
        self._invalid_views += int((~valid).sum())
        return valid


def _resize(
    output: WorkerOutput, valid_views: Bool[Tensor, " N"], height: int, width: int
) -> tuple[Float[Tensor, "N H W"], Float[Tensor, "N H W"], Bool[Tensor, "N H W"]]:
    """Return depth, confidence and valid pixels at the size of the images."""
    depth, confidence = output.depth.double(), output.confidence.double()
    valid = (depth.isfinite() & (depth > 0)) & (confidence.isfinite() & (confidence > 0))
    valid = valid & ~output.sky & valid_views[:, None, None]
    maps = torch.stack([depth.where(valid, 0), confidence.where(valid, 0), valid.double()], dim=1)
    depth, confidence, share = resize_maps(maps[None], height, width)[0].unbind(dim=1)
    valid = share > MIN_VALID_SHARE
    return depth.where(valid, 0), confidence.where(valid, 0), valid
