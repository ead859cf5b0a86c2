"""Compare our robust camera solver with Depth Anything 3's: errors and time.

Both solvers get the same float32 rays of pinhole cameras, with 1 % noise and a share of outliers in
origin and direction. Views look within 40 degrees of the first view's axis and have centred
principal points, because DA3's solver assumes both. The last row drops these assumptions for our
solver. Rays have the size of DA3's maps for images of 504 x 378 pixels. Time is processor time of
this process. DA3's solver takes minutes.

DA3's solver comes from its published wheel: two modules are extracted to a temporary folder,
without its dependencies. Without `--wheel` the wheel is downloaded from PyPI:

    pip download --no-deps depth-anything-3==0.1.1
    python perf/cameras_from_rays.py [--wheel depth_anything_3-0.1.1-py3-none-any.whl]
        [--views 64] [--height 216] [--width 288] [--outliers 0.3] [--noise 0.01] [--threads 1]
"""

from __future__ import annotations

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
from common.figures import Figure, make_parser, parse, report
from scipy.spatial.transform import Rotation

from spatialsv.geometry.camera import make_pose
from spatialsv.geometry.cameras_from_rays import Cameras, RobustConfig, cameras_from_rays
from spatialsv.geometry.pose_metrics import rotation_angle
from spatialsv.geometry.rays import RayMap, ray_map

WHEEL = "depth-anything-3==0.1.1"


def load_da3_solver(wheel: Path | None) -> Callable[..., tuple[torch.Tensor, ...]]:
    """Return `get_extrinsic_from_camray` of DA3's wheel."""
    folder = Path(tempfile.mkdtemp(prefix="da3-"))
    if wheel is None:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", WHEEL]
        if subprocess.run([*command, "--dest", str(folder)]).returncode:
            raise SystemExit(
                f"Cannot download {WHEEL}. Run pip download --no-deps {WHEEL}, pass --wheel FILE."
            )
        (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        for name in ("ray_utils", "geometry"):
            archive.extract(f"depth_anything_3/utils/{name}.py", folder)
    sys.path.insert(0, str(folder))
    return importlib.import_module("depth_anything_3.utils.ray_utils").get_extrinsic_from_camray


def make_cameras(views: int, size: tuple[int, int], restricted: bool) -> Cameras:
    """Return random cameras; `restricted` ones meet the assumptions of DA3's solver."""
    draw = np.random.default_rng(0)
    axis = draw.normal(size=(views, 3))
    axis *= draw.uniform(0, np.radians(40 if restricted else 180), (views, 1)) / np.linalg.norm(
        axis, axis=1, keepdims=True
    )
    rotation = torch.from_numpy(Rotation.from_rotvec(axis).as_matrix())
    pose = make_pose(rotation, torch.from_numpy(draw.uniform(-1, 1, (views, 3))))
    height, width = size
    K = np.zeros((views, 3, 3))
    K[:, 0, 0] = K[:, 1, 1] = draw.uniform(0.7, 1.3, views) * width
    shift = np.zeros((views, 2)) if restricted else draw.uniform(-0.1, 0.1, (views, 2))
    K[:, :2, 2] = np.array([width, height]) * (0.5 + shift)
    K[:, 2, 2] = 1
    return Cameras(intrinsics=torch.from_numpy(K), cam_to_world=pose)


def corrupted_rays(
    cameras: Cameras, size: tuple[int, int], noise: float, outliers: float
) -> RayMap:
    """Return the cameras' rays in float32 with Gaussian noise and a share of outliers."""
    rays = ray_map(cameras.intrinsics, cameras.cam_to_world, *size)
    draw = torch.Generator().manual_seed(0)
    is_outlier = (torch.rand(rays.directions.shape[:-1], generator=draw) < outliers)[..., None]
    maps = []
    for clean in (rays.origins, rays.directions):
        noisy = clean.float() + noise * torch.randn(clean.shape, generator=draw)
        outliers_map = 2 * torch.rand(clean.shape, generator=draw) - 1
        maps.append(outliers_map.where(is_outlier, noisy))
    return RayMap(*maps)


def da3_cameras(solve: Callable, rays: RayMap) -> Cameras:
    """Solve with DA3: direction first in the rays, focal lengths for an image of 2 x 2."""
    height, width = rays.directions.shape[1:3]
    camray = torch.cat([rays.directions, rays.origins], dim=-1)[None]
    pose, focal, centre = solve(camray, torch.ones_like(camray[..., :1]), height, width)
    K = torch.eye(3).repeat(len(pose[0]), 1, 1)
    half = torch.tensor([width, height]) / 2
    K[:, [0, 1], [0, 1]] = focal[0] * half
    K[:, :2, 2] = centre[0] * half
    return Cameras(intrinsics=K.double(), cam_to_world=pose[0].double())


def measure(name: str, solve: Callable[[], Cameras], truth: Cameras) -> tuple[float, list[Figure]]:
    """Return a solver's processor time in seconds, and its median errors."""
    start = time.process_time()
    solved = solve()
    seconds = time.process_time() - start
    rotation = rotation_angle(solved.cam_to_world[:, :3, :3], truth.cam_to_world[:, :3, :3])
    diagonal = [K[:, [0, 1], [0, 1]] for K in (solved.intrinsics, truth.intrinsics)]
    focal = 100 * (diagonal[0] / diagonal[1] - 1).abs().amax(dim=1)
    errors = {"rotation": (rotation, "degrees"), "focal length": (focal, "%")}
    return seconds, [
        Figure(comparison=f"median {what} error, {name}", value=float(error.median()), unit=unit)
        for what, (error, unit) in errors.items()
    ]


def main() -> None:
    """Parse the command line, measure and report."""
    parser = make_parser(__doc__, views=(64, 2), height=(216, 16), width=(288, 16), threads=(1, 1))
    parser.add_argument("--wheel", type=Path)
    parser.add_argument("--outliers", type=float, default=0.3)
    parser.add_argument("--noise", type=float, default=0.01)
    arguments = parse(parser)
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)  # DA3's solver draws from torch's own generator
    size, corruption = (arguments.height, arguments.width), (arguments.noise, arguments.outliers)
    solve = load_da3_solver(arguments.wheel)

    truth = make_cameras(arguments.views, size, restricted=True)
    rays = corrupted_rays(truth, size, *corruption)
    robust = RobustConfig()
    ours, our_errors = measure("ours", lambda: cameras_from_rays(rays, robust=robust), truth)
    theirs, da3_errors = measure("Depth Anything 3", lambda: da3_cameras(solve, rays), truth)
    truth = make_cameras(arguments.views, size, restricted=False)
    any_rays = corrupted_rays(truth, size, *corruption)
    _, any_errors = measure(
        "ours, any cameras", lambda: cameras_from_rays(any_rays, robust=robust), truth
    )
    speed = Figure(comparison="speed, ours / Depth Anything 3", value=theirs / ours)
    about = (
        f"{arguments.views} views of {size[0]} x {size[1]} rays, {arguments.outliers:.0%} outliers,"
        f" {arguments.noise:.0%} noise, {arguments.threads} thread(s)"
    )
    report(arguments, about, [speed, *our_errors, *da3_errors, *any_errors])


if __name__ == "__main__":
    main()
