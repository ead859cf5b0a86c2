"""transforms.json of nerfstudio, and of its predecessors instant-ngp and Blender.

Poses are used as written, after any `applied_transform`. Frames are in the order of their names, as
in nerfstudio. Camera values of a frame take precedence over those of the file.

Lengths are relative, except in files with depth maps and without `applied_transform`. Scanners
write depth in millimetres; only the COLMAP converter writes `applied_transform`, and its depth maps
have no metric scale. Masks are not used.
"""

from __future__ import annotations

import re
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
HASH = re.compile(r"[0-9a-f]{64}")  # scene name of DL3DV, which uses this format
SPLITS = ("train", "val", "test")
MILLIMETRE = 1e-3  # unit of depth maps without depth_unit_scale_factor


def scenes(root: Path) -> list[Path]:
    """Return the file `root`, or transforms.json (or transforms_train.json, ...) at or below it."""
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
    """Return whether a file belongs to DL3DV or ScanNet++."""
    return is_dl3dv(path) or "dslr" in path.relative_to(root).parts


def is_dl3dv(path: Path) -> bool:
    """Return whether one of the two parent directories is named by a hash."""
    return any(HASH.fullmatch(folder.name) for folder in list(path.resolve().parents)[:2])


def is_transforms(path: Path) -> bool:
    """Return whether a file looks like a transforms.json."""
    if path.suffix != ".json":
        return False
    with path.open("rb") as opened:
        return b'"transform_matrix"' in opened.read(2**20).replace(b"\0", b"")  # of UTF-16


def capture(scene: Path) -> Capture:
    """Return the frames of one file.

    Raises:
        CaptureError: the file is not JSON, has no frames, or its camera model is not supported.
    """
    fields = read_json_object(scene)
    if not isinstance(fields.get("frames"), list):
        raise CaptureError(f"{scene}: no list of frames")
    model = fields.get("camera_model", "OPENCV")
    if model not in (*PERSPECTIVE, FISHEYE):
        known = ", ".join((*PERSPECTIVE, FISHEYE))
        raise CaptureError(f"{scene}: camera model {model!r} is not supported. Known: {known}.")

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
    camera = {**fields, **frame}
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
    """Return the image file; Blender omits its suffix.

    If `reduced`, images_2, images_4 and images_8 are searched after images.

    Raises:
        FrameError: the file does not exist.
    """
    given, (first, *rest) = resolve_below(folder, name), Path(name).parts
    candidates = [given]
    if reduced and first == "images":
        candidates += [folder.joinpath(f"images_{factor}", *rest) for factor in (2, 4, 8)]
    for candidate in candidates:
        for suffix in ("", ".png", ".jpg", ".jpeg"):
            path = candidate.with_name(candidate.name + suffix)
            if path.is_file():
                return path
    raise FrameError("missing image", str(given))


def _size(camera: Mapping[str, Any], image: Path) -> tuple[int, int]:
    if "w" not in camera or "h" not in camera:
        return image_size(image)
    size = int(_number(camera, "w")), int(_number(camera, "h"))
    if min(size) < 1:
        raise ValueError(f"w, h: {size}")
    return size


def _intrinsics(camera: Mapping[str, Any], width: int, height: int) -> Float[np.ndarray, "3 3"]:
    """Return K; by default, the principal point is the image centre and pixels are square."""
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
        raise ValueError("distortion_params is not supported: give k1, k2, ... by name")
    k1, k2, k3, k4, p1, p2 = (_number(camera, n, 0.0) for n in ("k1", "k2", "k3", "k4", "p1", "p2"))
    if camera.get("camera_model") == FISHEYE or camera.get("is_fisheye"):
        if p1 or p2:
            raise ValueError(f"a fisheye lens has no p1 and p2, found {p1} and {p2}")
        return Lens("fisheye", (k1, k2, k3, k4))
    if k4:
        raise ValueError(f"only fisheye lenses have k4, found {k4}")
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
    """Return z-depth from a 16-bit image or an .npy file, times `unit`.

    Raises:
        FileNotFoundError: `path` does not exist.
        ValueError: the file is invalid.
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
