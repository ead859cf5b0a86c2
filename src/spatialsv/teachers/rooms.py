"""The shipped network as a teacher: any images in, geometry labels out.

It was trained on rendered rooms only, and is no substitute for a real 3D foundation model.
Shapes: S scenes, B scenes of a batch, N views, H W pixels as delivered.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from spatialsv.config import from_mapping, to_mapping
from spatialsv.geometry.camera import scale_intrinsics
from spatialsv.geometry.cameras_from_rays import cameras_from_rays
from spatialsv.geometry.maps import normalise_scene, resize_maps
from spatialsv.io.atomic import write_json
from spatialsv.progress import progress
from spatialsv.scenes.scene import CAMERAS, Cameras, Geometry, Scenes
from spatialsv.teachers.network import TeacherNetwork, TeacherNetworkConfig
from spatialsv.teachers.teacher import require_images

SOURCE = "rooms-teacher"
SHIPPED = Path(__file__).parents[1] / "weights" / "teacher"


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

    def label(self, scenes: Scenes) -> Scenes:
        """Labels as `Teacher` says. Cameras are read from the rays; every finite depth is valid.

        Images of another size or shape are stretched to the network's square, and the labels
        brought back to the size delivered. Metres are unknown, so there is no `scale`.

        Raises:
            ValueError: scenes without images.
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
    def predict(self, image: UInt8[np.ndarray, "B N H W 3"]) -> dict[str, np.ndarray]:
        """Return the variables of one batch of labels by name; see `label`."""
        size, (height, width) = self.network.config.image_size, image.shape[2:4]
        device = next(self.network.parameters()).device
        pixels = torch.from_numpy(np.ascontiguousarray(image)).to(device).float() / 255
        prediction = self.network(resize_maps(pixels.movedim(-1, 2), size, size).movedim(2, -1))
        cameras = cameras_from_rays(prediction.rays, prediction.ray_confidence)
        intrinsics = scale_intrinsics(cameras.intrinsics, width / size, height / size)
        depth = resize_maps(prediction.depth[:, :, None], height, width)[:, :, 0]
        confidence = resize_maps(prediction.depth_confidence[:, :, None], height, width)[:, :, 0]
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


def save_network(network: TeacherNetwork, folder: Path, dtype: torch.dtype = torch.float16) -> None:
    """Write the network, each file in one piece. Half precision keeps what ships small."""
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
    """The network in `folder`, in float32 and evaluation mode.

    Raises:
        ValueError: a file is missing or broken, or the two do not fit; the message names it.
    """
    config_path, weights_path = folder / "config.json", folder / "model.safetensors"
    for path in (config_path, weights_path):
        if not path.is_file():
            raise ValueError(f"{path}: missing; `make base` makes the teacher's weights")
    try:
        record = json.loads(config_path.read_text())
    except json.JSONDecodeError as error:
        raise ValueError(f"{config_path}: not JSON ({error})") from None
    network = TeacherNetwork(from_mapping(TeacherNetworkConfig, record, str(config_path)))
    try:
        weights = load_file(weights_path)
    except SafetensorError as error:
        raise ValueError(f"{weights_path}: not a safetensors file ({error})") from None
    expected = {name: value.shape for name, value in network.state_dict().items()}
    found = {name: value.shape for name, value in weights.items()}
    wrong = sorted(name for name in expected | found if expected.get(name) != found.get(name))
    if wrong:
        raise ValueError(
            f"{weights_path}: {len(wrong)} tensors do not fit {config_path}, such as {wrong[0]}:"
            f" expected {expected.get(wrong[0])}, found {found.get(wrong[0])}"
        )
    network.load_state_dict(weights)  # casts to float32
    return network.eval()
