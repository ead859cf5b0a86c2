"""Cameras from ray maps: our robust solver against Depth Anything 3's own, errors and time.

Both get the same float32 rays: pinhole cameras with 1 % noise, and a share of pixels whose rays are
wild, origin and direction. Views look within 40 degrees of the first one's axis and have centred
principal points, since DA3's solver takes both for granted; the last row lets ours look anywhere,
with principal points that are not centred. Rays have the size of DA3's own maps for photos of
504 x 378. Time is the process's own; DA3's takes minutes.

DA3's side is its published wheel, of which two modules are imported, from a temporary folder; its
dependencies are not needed. Without `--wheel` it is fetched, which needs PyPI:

    pip download --no-deps depth-anything-3==0.1.1
    python perf/cameras_from_rays.py [--wheel depth_anything_3-0.1.1-py3-none-any.whl]
        [--views 64] [--size 216 288] [--outliers 0.3] [--noise 0.01] [--threads 1]
"""

from __future__ import annotations

import argparse
import importlib
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from scipy.spatial.transform import Rotation

from spatialsv.geometry.camera import make_pose
from spatialsv.geometry.cameras_from_rays import Cameras, RobustConfig, cameras_from_rays
from spatialsv.geometry.pose_metrics import rotation_angle
from spatialsv.geometry.rays import RayMap, ray_map

WHEEL = "depth-anything-3==0.1.1"


def da3_solver(wheel: Path | None) -> Callable[..., tuple[torch.Tensor, ...]]:
    """DA3's `get_extrinsic_from_camray`, from its wheel."""
    folder = Path(tempfile.mkdtemp(prefix="da3-"))
    if wheel is None:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", WHEEL]
        if subprocess.run([*command, "--dest", str(folder)]).returncode:
            raise SystemExit(f"no wheel of DA3: pip download --no-deps {WHEEL}, then --wheel FILE")
        (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        for name in ("ray_utils", "geometry"):
            archive.extract(f"depth_anything_3/utils/{name}.py", folder)
    sys.path.insert(0, str(folder))
    return importlib.import_module("depth_anything_3.utils.ray_utils").get_extrinsic_from_camray


def make_cameras(views: int, size: tuple[int, int], fair: bool) -> Cameras:
    """Random cameras; `fair`: such as DA3's solver expects."""
    draw = np.random.default_rng(0)
    axis = draw.normal(size=(views, 3))
    axis *= draw.uniform(0, np.radians(40 if fair else 180), (views, 1)) / np.linalg.norm(
        axis, axis=1, keepdims=True
    )
    rotation = torch.from_numpy(Rotation.from_rotvec(axis).as_matrix())
    pose = make_pose(rotation, torch.from_numpy(draw.uniform(-1, 1, (views, 3))))
    height, width = size
    K = np.zeros((views, 3, 3))
    K[:, 0, 0] = K[:, 1, 1] = draw.uniform(0.7, 1.3, views) * width
    shift = np.zeros((views, 2)) if fair else draw.uniform(-0.1, 0.1, (views, 2))
    K[:, :2, 2] = np.array([width, height]) * (0.5 + shift)
    K[:, 2, 2] = 1
    return Cameras(intrinsics=torch.from_numpy(K), cam_to_world=pose)


def spoilt_rays(cameras: Cameras, size: tuple[int, int], noise: float, outliers: float) -> RayMap:
    """The cameras' rays with Gaussian noise, and wild ones in the place of some; float32."""
    rays = ray_map(cameras.intrinsics, cameras.cam_to_world, *size)
    draw = torch.Generator().manual_seed(0)
    wrong = (torch.rand(rays.directions.shape[:-1], generator=draw) < outliers)[..., None]
    maps = []
    for clean in (rays.origins, rays.directions):
        noisy = clean.float() + noise * torch.randn(clean.shape, generator=draw)
        wild = 2 * torch.rand(clean.shape, generator=draw) - 1
        maps.append(wild.where(wrong, noisy))
    return RayMap(*maps)


def da3_cameras(solve: Callable, rays: RayMap) -> Cameras:
    """By DA3's solver: rays with the direction first, focal lengths for an image of 2 x 2."""
    height, width = rays.directions.shape[1:3]
    camray = torch.cat([rays.directions, rays.origins], dim=-1)[None]
    pose, focal, centre = solve(camray, torch.ones_like(camray[..., :1]), height, width)
    K = torch.eye(3).repeat(len(pose[0]), 1, 1)
    half = torch.tensor([width, height]) / 2
    K[:, [0, 1], [0, 1]] = focal[0] * half
    K[:, :2, 2] = centre[0] * half
    return Cameras(intrinsics=K.double(), cam_to_world=pose[0].double())


def measure(name: str, solve: Callable[[], Cameras], truth: Cameras) -> float:
    """Prints a solver's errors; the seconds it took."""
    start = time.process_time()
    found = solve()
    seconds = time.process_time() - start
    turn = rotation_angle(found.cam_to_world[:, :3, :3], truth.cam_to_world[:, :3, :3])
    diagonal = [K[:, [0, 1], [0, 1]] for K in (found.intrinsics, truth.intrinsics)]
    focal = 100 * (diagonal[0] / diagonal[1] - 1).abs().amax(dim=1)
    moved = (found.cam_to_world - truth.cam_to_world)[:, :3, 3].norm(dim=1)
    errors = [f"{x.median():.4f} ({x.max():.4f})" for x in (turn, focal, moved)]
    print(
        f"{name:22} rotation {errors[0]} deg, focal {errors[1]} %, centre {errors[2]},"
        f" {seconds:.2f} s"
    )
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--wheel", type=Path)
    parser.add_argument("--views", type=int, default=64)
    parser.add_argument("--size", type=int, nargs=2, default=(216, 288))
    parser.add_argument("--outliers", type=float, default=0.3)
    parser.add_argument("--noise", type=float, default=0.01)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)  # DA3's solver draws from torch's own generator
    size, spoil = tuple(arguments.size), (arguments.noise, arguments.outliers)
    solve = da3_solver(arguments.wheel)
    print(f"{arguments.views} views of {size[0]} x {size[1]} rays; median error (largest error)")
    truth = make_cameras(arguments.views, size, fair=True)
    rays = spoilt_rays(truth, size, *spoil)
    ours = measure("ours", lambda: cameras_from_rays(rays, robust=RobustConfig()), truth)
    theirs = measure("Depth Anything 3", lambda: da3_cameras(solve, rays), truth)
    print(f"ours is {theirs / ours:.1f} times as fast")
    truth = make_cameras(arguments.views, size, fair=False)
    rays = spoilt_rays(truth, size, *spoil)
    measure("ours, any cameras", lambda: cameras_from_rays(rays, robust=RobustConfig()), truth)


if __name__ == "__main__":
    main()
