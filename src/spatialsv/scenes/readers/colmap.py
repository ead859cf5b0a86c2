"""COLMAP sparse models, with dense depth maps where they exist.

Lengths are relative: COLMAP reconstructions have no metric scale.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import Float
from scipy.spatial.transform import Rotation

from spatialsv.scenes.readers.capture import (
    Capture,
    CaptureError,
    Frame,
    FrameError,
    invert_pose,
    natural_key,
    resolve_below,
)
from spatialsv.scenes.readers.colmap_files import Camera, Image
from spatialsv.scenes.readers.colmap_model import Points, is_model, read_model
from spatialsv.scenes.readers.files import collect_frames

# Locations of models below a scene, and of scenes below the given directory.
PATTERNS = ("", "sparse", "sparse/*", "dense/sparse", "dense/*/sparse")
DEPTHS = ("", "*/", "*/*/")
FOREIGN_FOLDERS = {"dslr", "iphone", "gaussian_splat"}  # models of ScanNet++ and DL3DV
MAX_DEVIATION = 1e-2  # of a quaternion's norm from 1


def scenes(root: Path) -> list[Path]:
    """Return the model directories: `root`, or `sparse/0` and similar ones below it.

    Models inside a nerfstudio scene are excluded; give the model's own directory to read one.
    """
    if not root.is_dir():
        return []
    patterns = {f"{depth}{place}".strip("/") for depth in DEPTHS for place in PATTERNS}
    folders = {root, *(f for pattern in patterns - {""} for f in root.glob(pattern))}
    found = {f for f in folders if is_model(f) and not _belongs_elsewhere(root, f)}
    nested = {f for f in found if not found.isdisjoint(f.parents)}  # left behind by the mapper
    return sorted(found - nested, key=natural_key)


def _belongs_elsewhere(root: Path, model: Path) -> bool:
    between = [folder for folder in model.parents if folder.is_relative_to(root)]
    if any((folder / "transforms.json").is_file() for folder in between):
        return True
    return not FOREIGN_FOLDERS.isdisjoint(model.relative_to(root).parts)


def capture(scene: Path) -> Capture:
    """Return the images of a model in natural order, with the 3D points visible in each.

    Raises:
        CaptureError: the model is invalid (with file and line or offset) or its images are missing.
    """
    model = read_model(scene)
    images = _image_folder(scene, [image.name for image in model.images])

    def frame(image: Image) -> Frame:
        try:
            return _frame(scene, images, image, model.cameras[image.camera], model.points)
        except OSError as error:  # not a valid file name
            raise FrameError("unsafe name", f"{image.where}: {error}") from None

    frames, skipped = collect_frames(
        sorted(model.images, key=lambda image: natural_key(image.name)), frame
    )
    return Capture(
        id=scene.resolve().name, frames=frames, source="colmap", unit="relative", skipped=skipped
    )


def _image_folder(scene: Path, names: Iterable[str]) -> Path:
    """Return the root directory of the images."""
    above = [scene, *scene.absolute().parents[:3]]
    folders = [folder / "images" for folder in above] + above
    for folder in folders:
        for name in names:
            try:
                if resolve_below(folder, name).is_file():
                    return folder
            except (FrameError, OSError):
                continue
    raise CaptureError(f"{scene}: none of the model's images is in {', '.join(map(str, folders))}")


def _frame(scene: Path, images: Path, image: Image, camera: Camera, points: Points) -> Frame:
    length = np.hypot.reduce(image.pose[:4])
    if not np.isfinite(image.pose).all():
        raise FrameError("pose not finite", image.where)
    if abs(length - 1) > MAX_DEVIATION:
        raise FrameError("pose not rigid", f"{image.where}: a quaternion of norm {length}")
    world_to_cam = np.eye(4)
    world_to_cam[:3, :3] = Rotation.from_quat(image.pose[:4], scalar_first=True).as_matrix()
    world_to_cam[:3, 3] = image.pose[4:]
    visible = points.xyz[np.searchsorted(points.ids, np.unique(image.points))]
    return Frame(
        id=image.name,
        image=resolve_below(images, image.name),
        intrinsics=camera.intrinsics,
        size=camera.size,
        lens=camera.lens,
        cam_to_world=invert_pose(world_to_cam),
        depth=_dense_depth(scene, image.name),
        points=_project(visible, world_to_cam, camera),
    )


def _project(
    points: Float[np.ndarray, "n 3"], world_to_cam: Float[np.ndarray, "4 4"], camera: Camera
) -> Float[np.ndarray, "m 3"]:
    """Return u, v and z of the points that project into the undistorted image."""
    with np.errstate(over="ignore", invalid="ignore"):
        there = points @ world_to_cam[:3, :3].T + world_to_cam[:3, 3]
        there = there[there[:, 2] > 0]
        pixels = there @ camera.intrinsics.T / there[:, 2:]
    inside = ((pixels[:, :2] >= 0) & (pixels[:, :2] < camera.size)).all(axis=1)
    return np.column_stack([pixels[inside, :2], there[inside, 2]])


def _dense_depth(scene: Path, name: str) -> partial | None:
    """Return a loader of an image's depth map: geometric if it exists, else photometric."""
    for kind in ("geometric", "photometric"):
        path = scene.parent / "stereo/depth_maps" / f"{name}.{kind}.bin"
        if path.is_file():
            return partial(read_depth_map, path)
    return None


def read_depth_map(path: Path) -> Float[np.ndarray, "H W"]:
    """Return a dense z-depth map of COLMAP, 0 where unknown.

    Raises:
        ValueError: the file is not a depth map or is truncated.
    """
    *header, data = path.read_bytes().split(b"&", 3)
    if len(header) != 3 or not all(word.isdigit() and len(word) < 9 for word in header):
        raise ValueError(f"{path}: not a COLMAP depth map, which starts with W&H&1&")
    width, height, channels = map(int, header)
    if channels != 1 or len(data) != 4 * width * height or not data:
        declared = f"{width} x {height} x {channels}"
        raise ValueError(f"{path}: {len(data)} bytes, but the header declares {declared} floats")
    return np.frombuffer(data, "<f4").reshape(height, width)
