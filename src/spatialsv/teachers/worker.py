"""A worker: a teacher's network in a process of its own, in its own Python environment."""

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


class Worker:
    """`workers/run_KIND.py`, started and with its network loaded; its log is our standard error.

    It lives until this object does not, or until it dies of a scene.

    Raises:
        ValueError: no such Python, no such checkpoint, or a worker that cannot load it.
    """

    def __init__(self, kind: str, python: Path, checkpoint: Path) -> None:
        if not python.exists():
            raise ValueError(
                f"{python}: no such Python; workflow/envs/{kind}.yaml says how to get it"
            )
        if not checkpoint.is_dir():
            raise ValueError(f"{checkpoint}: no such folder of a checkpoint")
        ours = ("PYTHONPATH", "PYTHONHOME")  # not for an environment that is not ours
        self.process = subprocess.Popen(
            [str(python), str(WORKERS / f"run_{kind}.py"), str(checkpoint)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={key: value for key, value in os.environ.items() if key not in ours},
        )
        weakref.finalize(self, _stop, self.process)
        line = self.process.stdout.readline()
        if not line:
            raise ValueError(
                f"{kind}: its worker cannot load {checkpoint} in {python} (exit code"
                f" {self.process.wait()}); the log above says why"
            )
        self.about: dict[str, Any] = json.loads(line)

    def ask(self, folder: Path, scene: str) -> dict[str, Any]:
        """The answer to the request in `folder`; its arrays then lie beside it.

        Raises:
            ValueError: the scene failed, or the worker died of it.
        """
        try:
            self.process.stdin.write(f"{folder}\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass  # then it answers nothing, either
        if self.process.stdout.readline() != f"{folder.name}\n":
            self.process.kill()
            raise ValueError(
                f"scene {scene!r}: the worker died of it (exit code {self.process.wait()};"
                " -9: killed, most likely for memory); the log above may say why"
            )
        answer = json.loads((folder / "answer.json").read_text())
        if "error" in answer:
            raise ValueError(f"scene {scene!r}: {answer['error']}; the log above says where")
        return answer


def _stop(process: subprocess.Popen) -> None:
    """End of input ends it."""
    process.stdin.close()
    process.stdout.close()
    try:
        process.wait(timeout=30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


NEEDED = ("depth", "confidence", "world_to_camera", "intrinsics", "features")
FOCAL = 200  # half image sizes: a field of view of half a degree; a network that fails gives 0
RAY_CHANNELS = tuple(f"{part}_{axis}" for part in ("direction", "origin") for axis in "xyz")


@dataclass(frozen=True, kw_only=True, eq=False)
class WorkerOutput:
    """A scene as its teacher sees it, in the teacher's own world and unit."""

    depth: Float[Tensor, "N h w"]
    confidence: Float[Tensor, "N h w"]
    sky: Bool[Tensor, "N h w"]
    intrinsics: Float[Tensor, "N 3 3"]  # float64, for h x w pixels
    cam_to_world: Float[Tensor, "N 4 4"]  # float64
    features: Float[Tensor, "N i j C"]
    rays: RayMap | None  # the teacher's own, (N, r, c, 3) each

    def ray_degrees(self) -> Float[Tensor, " N"]:
        """The median angle in a view between the teacher's own rays and those of K and pose."""
        rows, columns = self.rays.directions.shape[1:3]
        height, width = self.depth.shape[1:]
        intrinsics = scale_intrinsics(self.intrinsics, columns / width, rows / height)
        pinhole = ray_map(intrinsics, self.cam_to_world, rows, columns)
        cosine = cosine_similarity(self.rays.directions, pinhole.directions, dim=-1)
        return torch.rad2deg(cosine.clamp(-1, 1).acos()).flatten(1).median(dim=1).values

    def origin_spread(self) -> Float[Tensor, " N"]:
        """How far a view's ray origins lie from the camera's centre, as a share of its depth."""
        centre = self.cam_to_world[:, None, None, :3, 3]
        distance = (self.rays.origins - centre).norm(dim=-1).flatten(1).median(dim=1).values
        return distance / self.depth.flatten(1).median(dim=1).values


def read_output(
    folder: Path, channels: Mapping[str, Sequence[str] | None], scene: str, views: int
) -> WorkerOutput:
    """The arrays of `folder`, each of which `channels` names.

    Raises:
        ValueError: an array that is missing, of another shape, or holds what cannot be right: the
            message names scene and array.
    """
    try:
        arrays = {
            name: torch.from_numpy(np.load(folder / f"{name}.npy", allow_pickle=False))
            for name in channels
        }
        return _checked(arrays, channels, views)
    except (ValueError, OSError) as error:
        raise ValueError(f"scene {scene!r}: the teacher's answer: {error}") from None


def _checked(
    arrays: dict[str, Tensor], channels: Mapping[str, Sequence[str] | None], views: int
) -> WorkerOutput:
    if lacking := [name for name in NEEDED if name not in arrays]:
        raise ValueError(f"no {', '.join(lacking)}")
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
            raise ValueError(f"{name} of shape {shape}, expected {wanted}")
        if name not in ("depth", "confidence") and not values.isfinite().all():
            raise ValueError(f"{name} is not finite")
    if not (arrays["depth"].isfinite() & (arrays["depth"] > 0)).any():
        raise ValueError("no pixel has a depth")
    return WorkerOutput(
        depth=arrays["depth"],
        confidence=arrays["confidence"],
        sky=arrays.get("sky", torch.zeros_like(arrays["depth"])) > 0.5,
        intrinsics=_intrinsics(arrays["intrinsics"].double()),
        cam_to_world=invert_pose(_rigid(arrays["world_to_camera"].double())),
        features=arrays["features"],
        rays=_rays(arrays["rays"].double(), channels["rays"]) if "rays" in arrays else None,
    )


def _intrinsics(found: Float[Tensor, "N 3 3"]) -> Float[Tensor, "N 3 3"]:
    plain = torch.zeros_like(found)
    plain[:, 2, 2] = 1
    for row, column in ((0, 0), (1, 1), (0, 2), (1, 2)):
        plain[:, row, column] = found[:, row, column]
    wrong = (plain - found).abs().amax(dim=(1, 2)) > 1e-6
    focal, centre = plain[:, [0, 1], [0, 1]], plain[:, :2, 2]
    wrong |= ((focal <= 0) | (centre <= 0) | (focal > FOCAL * centre)).any(dim=1)
    if wrong.any():
        view = int(wrong.nonzero()[0])
        raise ValueError(f"intrinsics of view {view} are of no camera: {found[view].tolist()}")
    return plain


def _rigid(found: Float[Tensor, "N 4 4"]) -> Float[Tensor, "N 4 4"]:
    """The same poses with rotations that are orthonormal to float64's precision."""
    left, stretch, right = torch.linalg.svd(found[:, :3, :3])
    rotation = left @ right
    if (stretch - 1).abs().max() > 1e-3 or (torch.linalg.det(rotation) < 0).any():
        raise ValueError(f"world_to_camera is no rigid motion: {found[0].tolist()}")
    return make_pose(rotation, found[:, :3, 3])


def _rays(found: Float[Tensor, "N r c channels"], channels: Sequence[str] | None) -> RayMap:
    """By the channels' names: Depth Anything 3 has the direction first and the origin last."""
    if (
        channels is None
        or sorted(channels) != sorted(RAY_CHANNELS)
        or found.shape[-1] != len(RAY_CHANNELS)
    ):
        raise ValueError(f"rays with channels {channels}, expected {RAY_CHANNELS}")
    picked = found[..., [list(channels).index(name) for name in RAY_CHANNELS]]
    return RayMap(origins=picked[..., 3:], directions=picked[..., :3])
