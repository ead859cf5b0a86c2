"""COLMAP's sparse models, with the dense depth maps beside them where there are any.

Lengths are relative: COLMAP knows no metre.
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
from spatialsv.scenes.readers.colmap_model import Points, model_files, read_model
from spatialsv.scenes.readers.files import collect_frames

# Where models lie below the folder of a scene, and that below the one that is named.
PATTERNS = ("", "sparse", "sparse/*", "dense/sparse", "dense/*/sparse")
DEPTHS = ("", "*/", "*/*/")
FOREIGN_FOLDERS = {"dslr", "iphone", "gaussian_splat"}  # models that belong to ScanNet++ and DL3DV
MAX_DEVIATION = 1e-2  # how far a quaternion's length may be from 1


def scenes(root: Path) -> list[Path]:
    """The folders of the models: `root`, or `sparse/0` and the like in it or in folders of it.

    A model within a scene of nerfstudio's is that one's: name the model's own folder to read it.
    """
    if not root.is_dir():
        return []
    patterns = {f"{depth}{place}".strip("/") for depth in DEPTHS for place in PATTERNS}
    folders = {root, *(f for pattern in patterns - {""} for f in root.glob(pattern))}
    found = {f for f in folders if model_files(f) and not _belongs_elsewhere(root, f)}
    nested = {f for f in found if not found.isdisjoint(f.parents)}  # what the mapper left there
    return sorted(found - nested, key=natural_key)


def _belongs_elsewhere(root: Path, model: Path) -> bool:
    between = [folder for folder in model.parents if folder.is_relative_to(root)]
    if any((folder / "transforms.json").is_file() for folder in between):
        return True
    return not FOREIGN_FOLDERS.isdisjoint(model.relative_to(root).parts)


def capture(scene: Path) -> Capture:
    """The images of a model by name; each has the 3D points that were seen in it.

    Raises:
        CaptureError: the model is broken, with file and line or offset, or its images are not here.
    """
    model = read_model(scene)
    pictures = _image_folder(scene, [image.name for image in model.images])

    def frame(image: Image) -> Frame:
        try:
            return _frame(scene, pictures, image, model.cameras[image.camera], model.points)
        except OSError as error:  # a name that no file can have
            raise FrameError("unsafe name", f"{image.where}: {error}") from None

    frames, skipped = collect_frames(
        sorted(model.images, key=lambda image: natural_key(image.name)), frame
    )
    return Capture(
        id=scene.resolve().name, frames=frames, source="colmap", unit="relative", skipped=skipped
    )


def _image_folder(scene: Path, names: Iterable[str]) -> Path:
    """The folder below which the images lie."""
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


def _frame(scene: Path, pictures: Path, image: Image, camera: Camera, points: Points) -> Frame:
    length = np.hypot.reduce(image.pose[:4])
    if not np.isfinite(image.pose).all():
        raise FrameError("pose not finite", image.where)
    if abs(length - 1) > MAX_DEVIATION:
        raise FrameError("pose not rigid", f"{image.where}: a quaternion of length {length}")
    world_to_cam = np.eye(4)
    world_to_cam[:3, :3] = Rotation.from_quat(image.pose[:4], scalar_first=True).as_matrix()
    world_to_cam[:3, 3] = image.pose[4:]
    seen = points.xyz[np.searchsorted(points.ids, np.unique(image.points))]
    return Frame(
        id=image.name,
        image=resolve_below(pictures, image.name),
        intrinsics=camera.intrinsics,
        size=camera.size,
        lens=camera.lens,
        cam_to_world=invert_pose(world_to_cam),
        depth=_dense_depth(scene, image.name),
        points=_project(seen, world_to_cam, camera),
    )


def _project(
    points: Float[np.ndarray, "n 3"], world_to_cam: Float[np.ndarray, "4 4"], camera: Camera
) -> Float[np.ndarray, "m 3"]:
    """u, v and z of the points that the camera, without its lens, has in its image."""
    with np.errstate(over="ignore", invalid="ignore"):
        there = points @ world_to_cam[:3, :3].T + world_to_cam[:3, 3]
        there = there[there[:, 2] > 0]
        pixels = there @ camera.intrinsics.T / there[:, 2:]
    inside = ((pixels[:, :2] >= 0) & (pixels[:, :2] < camera.size)).all(axis=1)
    return np.column_stack([pixels[inside, :2], there[inside, 2]])


def _dense_depth(scene: Path, name: str) -> partial | None:
    """The depth map of an image, fused over the views if there is one, else of stereo alone."""
    for kind in ("geometric", "photometric"):
        path = scene.parent / "stereo/depth_maps" / f"{name}.{kind}.bin"
        if path.is_file():
            return partial(read_depth_map, path)
    return None


def read_depth_map(path: Path) -> Float[np.ndarray, "H W"]:
    """COLMAP's dense z-depth, 0 where it is unknown.

    Raises:
        ValueError: no such map, or one that is broken off.
    """
    *header, data = path.read_bytes().split(b"&", 3)
    if len(header) != 3 or not all(word.isdigit() and len(word) < 9 for word in header):
        raise ValueError(f"{path}: no depth map of COLMAP's, it must start with W&H&1&")
    width, height, channels = map(int, header)
    if channels != 1 or len(data) != 4 * width * height or not data:
        told = f"{width} x {height} x {channels}"
        raise ValueError(f"{path}: {len(data)} bytes, and its head counts {told} of 4 bytes")
    return np.frombuffer(data, "<f4").reshape(height, width)
