"""Worker processes: a teacher's network in its own Python environment, and its checked output.

Shapes: N views, h w pixels as the network sees them, r c cells of rays.
"""

from __future__ import annotations

import json
import os
import subprocess
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import cosine_similarity

from spatialsv.geometry.camera import invert_pose, make_pose, scale_intrinsics
from spatialsv.geometry.rays import RayMap, ray_map

WORKERS = Path(__file__).parent / "workers"
REQUIRED = ("depth", "confidence", "world_to_camera", "intrinsics", "features")
RAY_CHANNELS = tuple(f"{part}_{axis}" for part in ("direction", "origin") for axis in "xyz")
# Largest focal length, in half image sizes. It is a field of view of half a degree; a network that
# fails predicts a field of view of 0.
MAX_FOCAL = 200


class Worker:
    """A running `workers/run_KIND.py` with its network loaded; it logs to standard error.

    The process ends with this object, or when a scene crashes it.

    Args:
        kind: Name of the worker script.
        python: Python interpreter of the worker's environment.
        checkpoint: Directory of the network's weights.

    Raises:
        ValueError: The interpreter or checkpoint is missing, or the worker fails to start.
    """

    def __init__(self, kind: str, python: Path, checkpoint: Path) -> None:
        if not python.exists():
            raise ValueError(
                f"{python}: Python interpreter not found. Create the environment that"
                f" workflow/envs/{kind}.yaml describes."
            )
        if not checkpoint.is_dir():
            raise ValueError(f"{checkpoint}: checkpoint directory not found.")
        private = ("PYTHONPATH", "PYTHONHOME")  # of our environment
        process = subprocess.Popen(
            [str(python), str(WORKERS / f"run_{kind}.py"), str(checkpoint)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={key: value for key, value in os.environ.items() if key not in private},
        )
        assert process.stdin is not None and process.stdout is not None  # both are pipes
        self.process, self._input, self._output = process, process.stdin, process.stdout
        weakref.finalize(self, _stop, process)
        line = self._output.readline()
        if not line:
            raise ValueError(
                f"{kind}: the worker failed to load {checkpoint} with {python} (exit code"
                f" {process.wait()}). See its log above."
            )
        self.about: dict[str, Any] = json.loads(line)

    def label(self, folder: Path, scene: str) -> dict[str, Any]:
        """Run the network on the request in `folder`, to which the worker adds its arrays.

        Args:
            folder: Directory with a request as in `workers/exchange.py`.
            scene: The scene's id, for messages.

        Returns:
            The worker's answer.

        Raises:
            ValueError: The scene failed, or the worker crashed.
        """
        try:
            self._input.write(f"{folder}\n")
            self._input.flush()
        except BrokenPipeError:
            pass  # the worker has ended; reading its output below fails
        if self._output.readline() != f"{folder.name}\n":
            self.process.kill()
            raise ValueError(
                f"Scene {scene!r}: the worker crashed (exit code {self.process.wait()}; -9 usually"
                " means out of memory). See its log above."
            )
        answer: dict[str, Any] = json.loads((folder / "answer.json").read_text())
        if "error" in answer:
            raise ValueError(f"Scene {scene!r}: {answer['error']}. See the log above.")
        return answer


def _stop(process: subprocess.Popen[str]) -> None:
    """Stop the worker by closing its input."""
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()
    try:
        process.wait(timeout=30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@dataclass(frozen=True, kw_only=True, eq=False)
class WorkerOutput:
    """A scene's labels in the teacher's own frame and unit."""

    depth: Float[Tensor, "N h w"]
    confidence: Float[Tensor, "N h w"]
    sky: Bool[Tensor, "N h w"]
    intrinsics: Float[Tensor, "N 3 3"]  # float64, for h x w pixels
    cam_to_world: Float[Tensor, "N 4 4"]  # float64
    features: Float[Tensor, "N i j C"]
    rays: RayMap | None  # predicted by the teacher, (N, r, c, 3) each

    def ray_errors(self) -> tuple[Float[Tensor, " N"], Float[Tensor, " N"]] | None:
        """Compare the predicted rays with those of the predicted K and pose.

        Returns:
            Each view's median angle between directions in degrees, and its median distance between
            ray origins and the camera's centre, relative to its median depth; None without rays.
        """
        if self.rays is None:
            return None
        rows, columns = self.rays.directions.shape[1:3]
        height, width = self.depth.shape[1:]
        intrinsics = scale_intrinsics(self.intrinsics, columns / width, rows / height)
        pinhole = ray_map(intrinsics, self.cam_to_world, rows, columns)
        cosine = cosine_similarity(self.rays.directions, pinhole.directions, dim=-1)
        degrees = torch.rad2deg(cosine.clamp(-1, 1).acos()).flatten(1).median(dim=1).values
        centre = self.cam_to_world[:, None, None, :3, 3]
        distance = (self.rays.origins - centre).norm(dim=-1).flatten(1).median(dim=1).values
        return degrees, distance / self.depth.flatten(1).median(dim=1).values


def read_output(
    folder: Path, channels: Mapping[str, Sequence[str] | None], scene: str, views: int
) -> WorkerOutput:
    """Read and validate the arrays that a worker wrote.

    Args:
        folder: Directory of the arrays.
        channels: Names of the arrays, each with the names of its channels where they matter.
        scene: The scene's id, for messages.
        views: Expected number of views.

    Returns:
        The output.

    Raises:
        ValueError: An array is missing or has an invalid shape or invalid values; the message names
            scene and array.
    """
    try:
        arrays = {
            name: torch.from_numpy(np.load(folder / f"{name}.npy", allow_pickle=False))
            for name in channels
        }
        return _validated(arrays, channels, views)
    except (ValueError, OSError) as error:
        raise ValueError(f"Scene {scene!r}: invalid output of the teacher: {error}") from None


def _validated(
    arrays: dict[str, Tensor], channels: Mapping[str, Sequence[str] | None], views: int
) -> WorkerOutput:
    if missing := [name for name in REQUIRED if name not in arrays]:
        raise ValueError(f"missing arrays: {', '.join(missing)}.")
    size = tuple(arrays["depth"].shape[1:])
    expected = {
        **dict.fromkeys(("depth", "confidence", "sky"), (views, *size)),
        "world_to_camera": (views, 4, 4),
        "intrinsics": (views, 3, 3),
    }
    for name, values in arrays.items():
        shape = tuple(values.shape)
        wanted = expected.get(name, (views, *shape[1:3], *shape[3:]))
        if shape != wanted or len(size) != 2:
            raise ValueError(f"{name}: expected shape {wanted}, found {shape}.")
        if name not in ("depth", "confidence") and not values.isfinite().all():
            raise ValueError(f"{name} has values that are not finite.")
    if not (arrays["depth"].isfinite() & (arrays["depth"] > 0)).any():
        raise ValueError("depth has no positive finite value.")
    return WorkerOutput(
        depth=arrays["depth"],
        confidence=arrays["confidence"],
        sky=arrays.get("sky", torch.zeros_like(arrays["depth"])) > 0.5,
        intrinsics=_valid_intrinsics(arrays["intrinsics"].double()),
        cam_to_world=invert_pose(_orthonormal(arrays["world_to_camera"].double())),
        features=arrays["features"],
        rays=_rays(arrays["rays"].double(), channels["rays"]) if "rays" in arrays else None,
    )


def _valid_intrinsics(intrinsics: Float[Tensor, "N 3 3"]) -> Float[Tensor, "N 3 3"]:
    """Return exact pinhole intrinsics, without skew or rounding."""
    pinhole = torch.zeros_like(intrinsics)
    pinhole[:, 2, 2] = 1
    for row, column in ((0, 0), (1, 1), (0, 2), (1, 2)):
        pinhole[:, row, column] = intrinsics[:, row, column]
    invalid = (pinhole - intrinsics).abs().amax(dim=(1, 2)) > 1e-6
    focal, centre = pinhole[:, [0, 1], [0, 1]], pinhole[:, :2, 2]
    invalid |= ((focal <= 0) | (centre <= 0) | (focal > MAX_FOCAL * centre)).any(dim=1)
    if invalid.any():
        view = int(invalid.nonzero()[0])
        raise ValueError(f"invalid intrinsics of view {view}: {intrinsics[view].tolist()}.")
    return pinhole


def _orthonormal(poses: Float[Tensor, "N 4 4"]) -> Float[Tensor, "N 4 4"]:
    """Return the same poses with rotations that are orthonormal in float64."""
    left, stretch, right = torch.linalg.svd(poses[:, :3, :3])
    rotation = left @ right
    if (stretch - 1).abs().max() > 1e-3 or (torch.linalg.det(rotation) < 0).any():
        raise ValueError(f"world_to_camera is not a rigid motion: {poses[0].tolist()}.")
    return make_pose(rotation, poses[:, :3, 3])


def _rays(rays: Float[Tensor, "N r c channels"], channels: Sequence[str] | None) -> RayMap:
    """Select channels by name: Depth Anything 3 has directions first and origins last."""
    expected = sorted(RAY_CHANNELS)
    if channels is None or sorted(channels) != expected or rays.shape[-1] != len(RAY_CHANNELS):
        raise ValueError(f"rays: expected channels {RAY_CHANNELS}, found {channels}.")
    ordered = rays[..., [list(channels).index(name) for name in RAY_CHANNELS]]
    return RayMap(origins=ordered[..., 3:], directions=ordered[..., :3])
