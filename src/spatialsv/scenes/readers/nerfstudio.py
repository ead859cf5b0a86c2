"""nerfstudio's transforms.json; also instant-ngp's and Blender's, from which it descends.

Poses are used as they are written: in the file's own world, to which `applied_transform`, where
there is one, took the world of the program that found the cameras. Frames are in the order of
their names, as with nerfstudio. What a frame says of its camera goes before what the file says.

Lengths are relative, but in metres where the file names depth maps and has no `applied_transform`:
scanners write their depth in millimetres, while the converter from COLMAP, which alone writes an
`applied_transform`, scales its sparse depth maps without knowing a metre. Masks are not used.
"""

from __future__ import annotations

import re
from collections import ChainMap
from collections.abc import Mapping
from functools import partial
from math import isfinite, tan
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from spatialsv.scenes.images import image_size
from spatialsv.scenes.readers import depth_png
from spatialsv.scenes.readers.capture import (
    Capture,
    CaptureError,
    Frame,
    FrameError,
    from_opengl,
    intrinsics_matrix,
    natural_key,
    resolve_below,
)
from spatialsv.scenes.readers.files import collect_frames, read_json_object
from spatialsv.scenes.readers.lens import Lens

PERSPECTIVE = ("SIMPLE_PINHOLE", "PINHOLE", "SIMPLE_RADIAL", "RADIAL", "OPENCV")
FISHEYE = "OPENCV_FISHEYE"
HASH = re.compile(r"[0-9a-f]{64}")  # the name of a scene of DL3DV, whose files are in this format
SPLITS = ("train", "val", "test")
MILLIMETRE = 1e-3  # of depth maps, unless the file has a depth_unit_scale_factor


def scenes(root: Path) -> list[Path]:
    """The file `root`, or the transforms.json (or transforms_train.json and the like) in it or in
    folders of it."""
    if root.is_file():
        return [root] if is_transforms(root) and not is_dl3dv(root) else []
    folders = [root, *root.glob("*/")] if root.is_dir() else []
    found = [
        path for folder in folders for path in _files(folder) if not _belongs_elsewhere(root, path)
    ]
    return sorted(found, key=natural_key)


def _files(folder: Path) -> list[Path]:
    one = folder / "transforms.json"
    parts = [folder / f"transforms_{split}.json" for split in SPLITS]
    return [path for path in ([one] if one.is_file() else parts) if path.is_file()]


def _belongs_elsewhere(root: Path, path: Path) -> bool:
    """ScanNet++ has such files, too."""
    return is_dl3dv(path) or "dslr" in path.relative_to(root).parts


def is_dl3dv(path: Path) -> bool:
    """The file, or the folder in which it is, stands in a folder that is named by a hash."""
    return any(HASH.fullmatch(folder.name) for folder in list(path.resolve().parents)[:2])


def is_transforms(path: Path) -> bool:
    """Whether a file of any name looks like a transforms.json."""
    if path.suffix != ".json":
        return False
    with path.open("rb") as opened:
        return b'"transform_matrix"' in opened.read(2**20)


def capture(scene: Path) -> Capture:
    """The frames of one file.

    Raises:
        CaptureError: no JSON, with file and line; no frames; a camera model that no `Lens` has.
    """
    fields = read_json_object(scene)
    if not isinstance(fields.get("frames"), list):
        raise CaptureError(f"{scene}: no list of frames")
    model = fields.get("camera_model", "OPENCV")
    if model not in (*PERSPECTIVE, FISHEYE):
        known = ", ".join((*PERSPECTIVE, FISHEYE))
        raise CaptureError(f"{scene}: camera model {model!r} is not supported; known are {known}")

    def frame(entry: tuple[int, Any]) -> Frame:
        try:
            return _frame(scene, fields, entry[1])
        except FrameError:
            raise
        except (KeyError, TypeError, ValueError, OverflowError, OSError) as error:
            detail = f"{scene}: frames[{entry[0]}]: {type(error).__name__} {error}"
            raise FrameError("bad frame", detail) from None

    frames, skipped = collect_frames(enumerate(fields["frames"]), frame)
    metric = any(frame.depth for frame in frames) and "applied_transform" not in fields
    return Capture(
        id=scene.resolve().parent.name,
        frames=sorted(frames, key=lambda frame: natural_key(frame.id)),
        source="nerfstudio",
        unit="metre" if metric else "relative",
        skipped=skipped,
    )


def _frame(scene: Path, fields: Mapping[str, Any], frame: Mapping[str, Any]) -> Frame:
    name, folder = frame["file_path"], scene.parent
    camera = ChainMap(frame, fields)
    image = _find_image(folder, name, reduced="w" in camera and "h" in camera)
    size = _size(camera, image)
    depth = frame.get("depth_file_path")
    if depth is not None:
        unit = _number(fields, "depth_unit_scale_factor", MILLIMETRE)
        if unit <= 0:
            raise ValueError(f"depth_unit_scale_factor {unit}")
        depth = partial(read_depth, resolve_below(folder, depth), unit)
    return Frame(
        id=str(name),
        image=image,
        intrinsics=_intrinsics(camera, *size),
        size=size,
        lens=_lens(camera),
        cam_to_world=from_opengl(_pose(frame["transform_matrix"])),
        depth=depth,
    )


def _find_image(folder: Path, name: str, reduced: bool) -> Path:
    """The image of this name; Blender leaves its ending out.

    Args:
        reduced: take smaller ones, from images_2, images_4 or images_8, where images/ lacks it.
    """
    told, (first, *rest) = resolve_below(folder, name), Path(name).parts
    places = [told]
    if reduced and first == "images":
        places += [folder.joinpath(f"images_{factor}", *rest) for factor in (2, 4, 8)]
    for place in places:
        for ending in ("", ".png", ".jpg", ".jpeg"):
            path = place.with_name(place.name + ending)
            if path.is_file():
                return path
    raise FrameError("missing image", str(told))


def _size(camera: Mapping[str, Any], image: Path) -> tuple[int, int]:
    if "w" not in camera or "h" not in camera:
        return image_size(image)
    size = int(_number(camera, "w")), int(_number(camera, "h"))
    if min(size) < 1:
        raise ValueError(f"w, h: {size}")
    return size


def _intrinsics(camera: Mapping[str, Any], width: int, height: int) -> Float[np.ndarray, "3 3"]:
    """K; the principal point is the image's centre and pixels are square unless told otherwise."""
    if "fl_x" in camera:
        fx = _number(camera, "fl_x")
    else:
        fx = width / 2 / tan(_number(camera, "camera_angle_x") / 2)
    fy = _number(camera, "fl_y", fx)
    if min(fx, fy) <= 0:
        raise ValueError(f"focal lengths {fx}, {fy}")
    return intrinsics_matrix(
        fx, fy, _number(camera, "cx", width / 2), _number(camera, "cy", height / 2)
    )


def _lens(camera: Mapping[str, Any]) -> Lens | None:
    if "distortion_params" in camera:
        raise ValueError("distortion_params: write k1, k2, ... by name")
    k1, k2, k3, k4, p1, p2 = (_number(camera, n, 0.0) for n in ("k1", "k2", "k3", "k4", "p1", "p2"))
    if camera.get("camera_model") == FISHEYE or camera.get("is_fisheye"):
        if p1 or p2:
            raise ValueError(f"a fisheye lens with p1 {p1} and p2 {p2}")
        return Lens("fisheye", (k1, k2, k3, k4))
    if k4:
        raise ValueError(f"k4 {k4}, which only a fisheye lens has")
    return Lens("radial", (k1, k2, p1, p2, k3)) if any((k1, k2, p1, p2, k3)) else None


def _number(fields: Mapping[str, Any], name: str, otherwise: float | None = None) -> float:
    value = fields.get(name, otherwise)
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
        raise ValueError(f"{name}: expected a number, found {value!r}")
    return float(value)


def _pose(rows: Any) -> Float[np.ndarray, "4 4"]:
    pose = np.array(rows, dtype=float)
    if pose.shape not in ((4, 4), (3, 4)):
        raise ValueError(f"transform_matrix: of shape {pose.shape}, expected 4 x 4")
    return np.vstack([pose, [0, 0, 0, 1]]) if len(pose) == 3 else pose


def read_depth(path: Path, unit: float) -> Float[np.ndarray, "H W"]:
    """z-depth from a picture of integers or an .npy, times `unit`.

    Raises:
        FileNotFoundError: `path` is missing.
        ValueError: it holds something else.
    """
    if path.suffix != ".npy":
        return depth_png.read_depth(path, 1 / unit)
    try:
        values = np.load(path, mmap_mode="r", allow_pickle=False)
    except (EOFError, SyntaxError) as error:
        raise ValueError(f"{path}: not a NumPy array ({error})") from None
    values = values[..., 0] if values.ndim == 3 and values.shape[2] == 1 else values
    if values.ndim != 2 or values.dtype.kind not in "iuf":
        raise ValueError(f"{path}: {values.shape} of {values.dtype}, expected a map of numbers")
    return values.astype(np.float32) * np.float32(unit)
