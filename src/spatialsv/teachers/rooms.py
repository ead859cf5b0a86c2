"""The shipped network as a teacher: any images in, geometry labels out.

It was trained on rendered rooms only, and is no substitute for a real 3D foundation model.
Shapes: S scenes, B scenes of a batch, N views, H W pixels as delivered.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn.functional import interpolate

from spatialsv.geometry.camera import scale_intrinsics
from spatialsv.geometry.cameras_from_rays import cameras_from_rays
from spatialsv.geometry.maps import normalise_scene
from spatialsv.geometry.rays import RayMap
from spatialsv.progress import progress
from spatialsv.scenes.scene import Scenes
from spatialsv.teachers.checkpoint import SHIPPED, load_network
from spatialsv.teachers.network import TeacherNetwork
from spatialsv.teachers.teacher import check_images

SOURCE = "rooms-teacher"


@dataclass(frozen=True, eq=False)
class RoomsTeacher:
    """A `TeacherNetwork` that labels scenes, `batch_size` at a time."""

    network: TeacherNetwork
    batch_size: int = 8  # larger batches fall out of a CPU's cache and are slower

    @classmethod
    def load(cls, folder: Path = SHIPPED, batch_size: int = 8) -> RoomsTeacher:
        """The teacher whose weights lie in `folder`.

        Raises:
            ValueError: weights that are missing or do not fit; the message names the file.
        """
        return cls(load_network(folder), batch_size)

    @torch.no_grad()
    def label(self, scenes: Scenes) -> Scenes:
        """Labels as `Teacher` says. Cameras are read from the rays; every finite depth is valid.

        Images of another size or shape are stretched to the network's square, and the labels
        brought back to the size delivered. Metres are unknown, so there is no `scale`.

        Raises:
            ValueError: scenes without images.
        """
        check_images(scenes)
        starts = range(0, len(scenes), self.batch_size)
        parts = [
            self._label(scenes.image[start : start + self.batch_size])
            for start in progress(starts, "teacher")
        ]
        arrays = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        return Scenes(ids=scenes.ids, unit="relative", source=SOURCE, **arrays)

    def _label(self, image: UInt8[np.ndarray, "B N H W 3"]) -> dict[str, np.ndarray]:
        size, (height, width) = self.network.config.image_size, image.shape[2:4]
        device = next(self.network.parameters()).device
        pixels = torch.from_numpy(np.ascontiguousarray(image)).to(device).float() / 255
        prediction = self.network(resize(pixels.movedim(-1, 2), size, size).movedim(2, -1))
        lifted = prediction.lifted
        cameras = cameras_from_rays(
            RayMap(lifted.ray_origins, lifted.ray_directions), lifted.ray_confidence
        )
        intrinsics = scale_intrinsics(cameras.intrinsics, width / size, height / size)
        depth = resize(lifted.depth[:, :, None], height, width)[:, :, 0]
        confidence = resize(lifted.depth_confidence[:, :, None], height, width)[:, :, 0]
        valid = depth.isfinite() & (depth > 0)
        depth, poses, _ = normalise_scene(depth.double(), cameras.cam_to_world, intrinsics, valid)
        return {
            "depth": depth.float().cpu().numpy(),
            "confidence": confidence.cpu().numpy(),
            "valid": valid.cpu().numpy(),
            "intrinsics": intrinsics.cpu().numpy(),
            "cam_to_world": poses.cpu().numpy(),
            "features": prediction.features.half().cpu().numpy(),
        }


def resize(
    maps: Float[Tensor, "B N C h w"], height: int, width: int
) -> Float[Tensor, "B N C {height} {width}"]:
    """Bilinear, and without aliasing where it shrinks; the same tensor where the size fits."""
    if tuple(maps.shape[-2:]) == (height, width):
        return maps
    flat = interpolate(maps.flatten(0, 1), size=(height, width), mode="bilinear", antialias=True)
    return flat.unflatten(0, maps.shape[:2])
