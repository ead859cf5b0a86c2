"""Small datasets in the layouts of others, worked by hand: no code is shared with the readers.

Each writer makes one scene below a folder and tells what a reader must find in it.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.linalg import expm

from helpers.outside import save_picture

FRAMES = 4
TO_OPENGL = np.diag([1.0, -1.0, -1.0, 1.0])
TILTED = (  # M_cam_from_uv of Hypersim's ai_037_002, a shifted and tilted lens
    (0.579607251426182, 0.0, -0.06955286861651404),
    (0.0, 0.4346865334657201, 0.09273312506660672),
    (0.0, 0.004054126980668954, -1.003909173803896),
)
PROJECTION = (  # M_proj of the same scene, which its authors derived for rasterisers
    (1.7253062268275619, 0.001113868662274642, -0.11942983282195321, 0.0),
    (0.0, 2.2985281393428907, 0.21231970279458348, 0.0),
    (0.0, 0.009300822120943601, -0.9972411188430887, -2.002002002002002),
    (0.0, 0.009282239059762895, -0.9952486290951505, 0.0),
)


@dataclass(frozen=True, kw_only=True)
class Made:
    """A dataset at `root`; poses are camera-to-world, OpenCV axes, depth is in metres."""

    root: Path
    scene: Path
    ids: list[str]
    intrinsics: np.ndarray  # pixel centres at half integers
    poses: np.ndarray
    depth: np.ndarray | None  # None where it follows from more than the file
    quantum: float = 0.001  # of depth
    distances: np.ndarray | None = None


def some_poses(seed: int, count: int = FRAMES) -> np.ndarray:
    """Rigid motions, far apart."""
    rng = np.random.default_rng(seed)
    poses = np.repeat(np.eye(4)[None], count, axis=0)
    for pose in poses:
        x, y, z = rng.normal(size=3)
        pose[:3, :3] = expm(np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]]))
        pose[:3, 3] = rng.normal(size=3)
    return poses


def save_depth(path: Path, size: tuple[int, int], seed: int) -> np.ndarray:
    """Noise of 16 bits as a PNG, with unknown pixels of both kinds; the numbers, 0 = unknown."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    numbers = rng.integers(300, 6000, size[::-1], dtype=np.uint16)
    eighth = size[1] // 8
    numbers[:eighth], numbers[eighth : 2 * eighth] = 0, 65535
    Image.fromarray(numbers).save(path)
    return np.where(numbers == 65535, 0, numbers).astype(float)


def save_text(path: Path, *rows: object) -> None:
    """One row a line; numbers to the last digit."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = [r if isinstance(r, str) else " ".join(repr(float(n)) for n in r) for r in rows]
    path.write_text("\n".join(text) + "\n")


def calibration(fx: float, fy: float, cx: float, cy: float) -> np.ndarray:
    return np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]])


def write_tum(root: Path, seed: int = 0) -> Made:
    """Images, depth and poses at slightly different times, their lines in no order."""
    scene = root / "rgbd_dataset_freiburg3_made"
    rng = np.random.default_rng(seed)
    times = 1305031102.175304 + np.arange(FRAMES) / 30
    quaternions = rng.normal(size=(FRAMES, 4))
    quaternions /= np.linalg.norm(quaternions, axis=1, keepdims=True)
    poses = np.repeat(np.eye(4)[None], FRAMES, axis=0)
    poses[:, :3, 3] = rng.normal(size=(FRAMES, 3))
    lists: dict[str, list[str]] = {"rgb": [], "depth": [], "groundtruth": []}
    depth = []
    for pose, time, (x, y, z, w) in zip(poses, times, quaternions, strict=True):
        pose[:3, :3] = [  # Hamilton's
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
        for kind, moment in (("rgb", time), ("depth", time + 0.012)):
            lists[kind].append(f"{moment:.6f} {kind}/{moment:.6f}.png")
        save_picture(scene / lists["rgb"][-1].split()[1], (64, 48), len(depth))
        depth.append(save_depth(scene / lists["depth"][-1].split()[1], (64, 48), len(depth)) / 5000)
        told = " ".join(repr(float(n)) for n in (*pose[:3, 3], x, y, z, w))
        lists["groundtruth"].append(f"{time - 0.004:.4f} {told}")
    for name, rows in lists.items():
        save_text(scene / f"{name}.txt", f"# {name}", *[rows[i] for i in rng.permutation(FRAMES)])
    return Made(
        root=root,
        scene=scene,
        ids=[f"{time:.6f}" for time in times],
        intrinsics=calibration(535.4, 539.2, 320.6, 248.1),
        poses=poses,
        depth=np.array(depth),
        quantum=1 / 5000,
    )


def write_seven_scenes(root: Path, seed: int = 0) -> Made:
    scene, poses = root / "chess/seq-01", some_poses(seed)
    depth = []
    for i, pose in enumerate(poses):
        name = scene / f"frame-{i:06d}"
        save_picture(name.with_suffix(".color.png"), (64, 48), i)
        depth.append(save_depth(name.with_suffix(".depth.png"), (64, 48), i) / 1000)
        save_text(name.with_suffix(".pose.txt"), *pose)
    return Made(
        root=root,
        scene=scene,
        ids=[f"frame-{i:06d}" for i in range(FRAMES)],
        intrinsics=calibration(585, 585, 320, 240),
        poses=poses,
        depth=np.array(depth),
    )


def write_scannet(root: Path, seed: int = 0) -> Made:
    """Frames 8 to 11: by name, 10 would come before 8."""
    scene, poses = root / "scene0000_00", some_poses(seed)
    depth = []
    for i, pose in enumerate(poses):
        save_picture(scene / f"color/{i + 8}.jpg", (162, 121), i)
        depth.append(save_depth(scene / f"depth/{i + 8}.png", (640, 480), i) / 1000)
        save_text(scene / f"pose/{i + 8}.txt", *pose)
    for part, camera in (
        ("color", (1170.187988, 1170.187988, 647.75, 483.75)),
        ("depth", (571.623718, 571.623718, 319.5, 239.5)),
    ):
        four = np.eye(4)
        four[:3, :3] = calibration(*camera)
        save_text(scene / f"intrinsic/intrinsic_{part}.txt", *four)
        save_text(scene / f"intrinsic/extrinsic_{part}.txt", *np.eye(4))
    return Made(
        root=root,
        scene=scene,
        ids=[str(i + 8) for i in range(FRAMES)],
        intrinsics=calibration(1170.187988, 1170.187988, 648.25, 484.25),
        poses=poses,
        depth=np.array(depth),
    )


def write_scannetpp_dslr(root: Path, seed: int = 0) -> Made:
    """A fisheye, rendered depth, one frame marked bad and one held out for testing."""
    scene, poses = root / "data/0a5c013435", some_poses(seed)
    camera = {"fl_x": 789.1, "fl_y": 789.3, "cx": 875.4, "cy": 584.6, "w": 1752, "h": 1168}
    lens = {"k1": -0.029, "k2": -0.0063, "k3": -0.0014, "k4": 0.0003}
    frames, depth = [], []
    for i, pose in enumerate(poses):
        x, y, z, one = pose  # the toolkit swaps the world's x and y, and turns z around
        frames.append(
            {
                "file_path": f"DSC0{i + 8}.JPG",
                "transform_matrix": (np.array([y, x, -z, one]) @ TO_OPENGL).tolist(),
                "mask_path": f"DSC0{i + 8}.png",
            }
        )
        save_picture(scene / f"dslr/resized_images/DSC0{i + 8}.JPG", (219, 146), i)
        png = scene / f"dslr/render_depth/DSC0{i + 8}.png"
        depth.append(save_depth(png, (219, 146), i) / 1000)
    bad = {**frames[0], "file_path": "DSC01.JPG", "is_bad": True}
    held = {**frames[0], "file_path": "DSC02.JPG"}
    told = {**camera, **lens, "camera_model": "OPENCV_FISHEYE"}
    told |= {"frames": [bad, *frames[::-1]], "test_frames": [held]}
    save_text(scene / "dslr/nerfstudio/transforms.json", json.dumps(told, indent=4))
    return Made(
        root=root,
        scene=scene,
        ids=[f"DSC0{i + 8}.JPG" for i in range(FRAMES)],
        intrinsics=calibration(789.1, 789.3, 875.4, 584.6),
        poses=poses,
        depth=np.array(depth),
    )


def write_scannetpp_iphone(root: Path, seed: int = 0) -> Made:
    scene, poses = root / "data/0a5c013435", some_poses(seed)
    told, depth = {}, []
    for i, pose in enumerate(poses):
        name = f"frame_{i + 9999998:06d}"  # the last two have a digit more
        save_picture(scene / f"iphone/rgb/{name}.jpg", (96, 72), i)
        depth.append(save_depth(scene / f"iphone/depth/{name}.png", (256, 192), i) / 1000)
        told[name] = {
            "timestamp": i / 60,
            "pose": some_poses(seed + 1)[i].tolist(),
            "aligned_pose": pose.tolist(),
            "intrinsic": calibration(1590.5, 1590.5, 958.2, 721.4).tolist(),
            "imu": [],
        }
    save_text(scene / "iphone/pose_intrinsic_imu.json", json.dumps(told))
    return Made(
        root=root,
        scene=scene,
        ids=list(told),
        intrinsics=calibration(1590.5, 1590.5, 958.2, 721.4),
        poses=poses,
        depth=np.array(depth),
    )


def write_arkitscenes(root: Path, seed: int = 0, layout: str = "3dod") -> Made:
    """Names in milliseconds; depth, intrinsics and poses are up to one of them apart."""
    video = "40753679"
    scene = root / layout / "Training" / video
    scene = scene / f"{video}_frames" if layout == "3dod" else scene
    rng = np.random.default_rng(seed)
    poses, depth, rows, ids = [], [], [], []
    for i in range(FRAMES):
        time = 9998.605 + i / 10
        ids.append(f"{video}_{time:.3f}")
        save_picture(scene / f"lowres_wide/{ids[-1]}.png", (256, 192), i)
        png = scene / f"lowres_depth/{video}_{time + 0.001:.3f}.png"
        depth.append(save_depth(png, (256, 192), i) / 1000)
        pincam = scene / f"lowres_wide_intrinsics/{video}_{time - 0.001:.3f}.pincam"
        save_text(pincam, (256, 192, 211.949, 211.949, 127.933, 95.9333))
        turn, move = rng.normal(size=3), rng.normal(size=3)
        x, y, z = turn
        to_camera = np.eye(4)
        to_camera[:3, :3] = expm(np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]]))
        to_camera[:3, 3] = move
        poses.append(np.linalg.inv(to_camera))
        rows.append((time + 0.0007, *turn, *move))
    save_text(scene / "lowres_wide.traj", *rows[::-1])
    return Made(
        root=root,
        scene=scene,
        ids=ids,
        intrinsics=calibration(211.949, 211.949, 127.933, 95.9333),
        poses=np.array(poses),
        depth=np.array(depth),
    )


def write_hypersim(root: Path, seed: int = 0) -> Made:
    """By h5py. Poses are as told, not as a pinhole has them; a frame lacks its HDR image."""
    import h5py

    folder, rng, poses = root / "ai_037_002", np.random.default_rng(seed), some_poses(seed)
    scene, images = folder / "_detail/cam_00", folder / "images"
    size, metres = (64, 48), 0.0254
    distances = rng.uniform(0.5, 8, (FRAMES, *size[::-1])).astype(np.float16).astype(float)
    distances[:, :6] = np.nan

    def save(path: Path, values: np.ndarray) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        with h5py.File(path, "w") as file:
            file["dataset"] = values

    save(scene / "camera_keyframe_positions.hdf5", poses[:, :3, 3] / metres)
    save(scene / "camera_keyframe_orientations.hdf5", (poses @ TO_OPENGL)[:, :3, :3])
    for i, distance in enumerate(distances):
        name = f"frame.{i:04d}"
        geometry, final = (images / f"scene_cam_00_{k}_hdf5" for k in ("geometry", "final"))
        save(geometry / f"{name}.depth_meters.hdf5", distance.astype(np.float16))
        save(geometry / f"{name}.render_entity_id.hdf5", rng.integers(-1, 9, size[::-1]))
        if i != FRAMES - 1:
            save(final / f"{name}.color.hdf5", rng.gamma(1, 3, (*size[::-1], 3)).astype("f2"))
        save_picture(images / f"scene_cam_00_final_preview/{name}.tonemap.jpg", size, i)
    save_text(
        folder / "_detail/metadata_scene.csv",
        "parameter_name,parameter_value",
        f"meters_per_asset_unit,{metres}",
    )
    row = {"scene_name": folder.name}
    row |= {
        f"settings_output_img_{k}": float(n) for k, n in zip(("width", "height"), size, strict=True)
    }
    row |= {f"M_cam_from_uv_{r}{c}": TILTED[r][c] for r in range(3) for c in range(3)}
    with (root / "metadata_camera_parameters.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, row)
        writer.writeheader()
        writer.writerows([{**row, "scene_name": "ai_001_001", "M_cam_from_uv_00": 3}, row])
    return Made(
        root=root,
        scene=scene,
        ids=[f"frame.{i:04d}" for i in range(FRAMES)],
        intrinsics=np.full((3, 3), np.nan),
        poses=poses,
        depth=None,
        distances=distances,
    )


def write_replica(root: Path, seed: int = 0) -> Made:
    scene, poses = root / "room0", some_poses(seed)
    depth = []
    for i in range(FRAMES):
        save_picture(scene / f"results/frame{i:06d}.jpg", (120, 68), i)
        depth.append(save_depth(scene / f"results/depth{i:06d}.png", (120, 68), i) / 6553.5)
    save_text(scene / "traj.txt", *poses.reshape(-1, 16))
    camera = {"w": 1200, "h": 680, "fx": 600.0, "fy": 600.0, "cx": 599.5, "cy": 339.5}
    save_text(root / "cam_params.json", json.dumps({"camera": camera | {"scale": 6553.5}}))
    return Made(
        root=root,
        scene=scene,
        ids=[f"frame{i:06d}" for i in range(FRAMES)],
        intrinsics=calibration(600, 600, 600, 340),
        poses=poses,
        depth=np.array(depth),
        quantum=1 / 6553.5,
    )


WRITERS: dict[str, Callable[[Path], Made]] = {
    "tum": write_tum,
    "7scenes": write_seven_scenes,
    "scannet": write_scannet,
    "scannetpp_dslr": write_scannetpp_dslr,
    "scannetpp_iphone": write_scannetpp_iphone,
    "arkitscenes": write_arkitscenes,
    "hypersim": write_hypersim,
    "replica": write_replica,
}
