"""The shipped network as a teacher, and its checkpoint: config.json and model.safetensors.

It was trained on rendered rooms only and does not replace a real 3D foundation model.

Shapes: B scenes of a batch, N views, H W pixels of the scenes' images.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, UInt8
from safetensors.torch import load_file, save_file

from spatialsv.config import from_mapping, to_mapping
from spatialsv.geometry.camera import scale_intrinsics
from spatialsv.geometry.cameras_from_rays import cameras_from_rays
from spatialsv.geometry.maps import normalise_scene, resize_maps
from spatialsv.io.atomic import write_json
from spatialsv.io.manifest import check_listed
from spatialsv.io.text import load_json
from spatialsv.model.loading import checkpoint_errors
from spatialsv.progress import progress
from spatialsv.scenes.scene import CAMERAS, Cameras, Geometry, Scenes
from spatialsv.teachers.network import TeacherNetwork, TeacherNetworkConfig
from spatialsv.teachers.teacher import require_images

SOURCE = "rooms-teacher"
SHIPPED = Path(__file__).parents[1] / "weights" / "teacher"


@dataclass(frozen=True, eq=False)
class RoomsTeacher:
    """A teacher that applies a `TeacherNetwork` to `batch_size` scenes at a time."""

    network: TeacherNetwork
    batch_size: int = 8  # larger batches exceed a CPU's cache and are slower

    @classmethod
    def load(cls, folder: Path = SHIPPED, batch_size: int = 8) -> RoomsTeacher:
        """Load the teacher.

        Args:
            folder: Directory of its checkpoint.
            batch_size: Scenes that are processed at a time.

        Returns:
            The teacher.

        Raises:
            ValueError: The checkpoint is missing or invalid; the message names the file.
        """
        return cls(load_network(folder), batch_size)

    def label(self, scenes: Scenes) -> Scenes:
        """Label scenes as `Teacher` describes.

        Images are resized to the network's square input and labels back to the images' size.
        Cameras follow from the predicted rays; all finite positive depth is valid.

        Args:
            scenes: Scenes with images.

        Returns:
            Labels without a `scale`, since metres are unknown.

        Raises:
            ValueError: The scenes have no images.
        """
        require_images(scenes)
        starts = range(0, len(scenes), self.batch_size)
        parts = [
            self.predict(scenes.image[start : start + self.batch_size])
            for start in progress(starts, "teacher")
        ]
        arrays = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        cameras = Cameras(**{name: arrays.pop(name) for name in CAMERAS})
        geometry = Geometry(cameras=cameras, **arrays)
        return Scenes(ids=scenes.ids, geometry=geometry, unit="relative", source=SOURCE)

    @torch.no_grad()
    def predict(
        self,
        image: UInt8[np.ndarray, "B N H W 3"],
        inside: Bool[np.ndarray, "B N H W"] | None = None,
    ) -> dict[str, np.ndarray]:
        """Return the variables of one batch of labels by name; see `label`.

        Args:
            image: The images.
            inside: Pixels that count, for depth and cameras; all by default.

        Returns:
            The variables.
        """
        size, (height, width) = self.network.config.image_size, image.shape[2:4]
        device = next(self.network.parameters()).device
        pixels = torch.from_numpy(np.ascontiguousarray(image)).to(device).float() / 255
        prediction = self.network(resize_maps(pixels.movedim(-1, 2), size, size).movedim(2, -1))
        weights = prediction.ray_confidence
        if inside is not None:
            mask = torch.from_numpy(inside).to(device)
            weights = weights * (resize_maps(mask.float()[:, :, None], size, size)[:, :, 0] > 0.5)
        cameras = cameras_from_rays(prediction.rays, weights)
        intrinsics = scale_intrinsics(cameras.intrinsics, width / size, height / size)
        depth = resize_maps(prediction.depth[:, :, None], height, width)[:, :, 0]
        confidence = resize_maps(prediction.depth_confidence[:, :, None], height, width)[:, :, 0]
        valid = depth.isfinite() & (depth > 0)
        if inside is not None:
            valid &= mask
        depth, poses, _ = normalise_scene(depth.double(), cameras.cam_to_world, intrinsics, valid)
        return {
            "depth": depth.float().cpu().numpy(),
            "confidence": confidence.cpu().numpy(),
            "valid": valid.cpu().numpy(),
            "intrinsics": intrinsics.cpu().numpy(),
            "cam_to_world": poses.cpu().numpy(),
            "features": prediction.features.half().cpu().numpy(),
        }


def save_network(network: TeacherNetwork, folder: Path, dtype: torch.dtype = torch.float16) -> None:
    """Write a checkpoint, each file atomically; half precision halves its size."""
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "config.json", to_mapping(network.config))
    weights = {
        name: value.detach().to("cpu", dtype).contiguous()
        for name, value in network.state_dict().items()
    }
    temporary = folder / f".model.safetensors.{os.getpid()}"
    save_file(weights, temporary)
    temporary.replace(folder / "model.safetensors")


def load_network(folder: Path = SHIPPED) -> TeacherNetwork:
    """Load a checkpoint in float32 and evaluation mode.

    Args:
        folder: Directory of the checkpoint.

    Returns:
        The network.

    Raises:
        ValueError: A file is missing or broken, or the files do not match.
    """
    config_path, weights_path = folder / "config.json", folder / "model.safetensors"
    for path in (config_path, weights_path):
        if not path.is_file():
            raise ValueError(f"{path}: file not found. Run `make base` to train the teacher.")
    check_listed(folder)
    record = load_json(config_path)
    network = TeacherNetwork(from_mapping(TeacherNetworkConfig, record, str(config_path)))
    with checkpoint_errors(weights_path):
        weights = load_file(weights_path)
    expected = {name: value.shape for name, value in network.state_dict().items()}
    shapes = {name: value.shape for name, value in weights.items()}
    if wrong := sorted(n for n in expected | shapes if expected.get(n) != shapes.get(n)):
        raise ValueError(
            f"{weights_path}: {len(wrong)} tensors do not match {config_path}, such as {wrong[0]}:"
            f" expected shape {expected.get(wrong[0])}, found {shapes.get(wrong[0])}."
        )
    network.load_state_dict(weights)  # casts to float32
    return network.eval()
