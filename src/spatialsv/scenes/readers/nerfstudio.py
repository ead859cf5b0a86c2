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
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from spatialsv.scenes.readers import depth_png
from spatialsv.scenes.readers.capture import (
    Capture,
    CaptureError,
    Frame,
    FrameError,
    from_opengl,
    natural_key,
    resolve_below,
)
from spatialsv.scenes.readers.files import collect_frames, read_json_object
from spatialsv.scenes.readers.transforms_camera import frame_camera, number

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
        CaptureError: the file is not JSON or has no frames.
    """
    fields = read_json_object(scene)
    if not isinstance(fields.get("frames"), list):
        raise CaptureError(f"{scene}: no list of frames")

    def frame(entry: tuple[int, Any]) -> Frame:
        try:
            return _frame(scene, fields, entry[1])
        except FrameError as error:
            detail = str(error).partition(": ")[2]
            raise FrameError(error.reason, f"{scene}: frames[{entry[0]}]: {detail}") from None
        except (KeyError, TypeError, ValueError, OverflowError, OSError) as error:
            detail = f"{scene}: frames[{entry[0]}]: {type(error).__name__} {error}"
            raise FrameError("bad frame", detail) from None

    frames, skipped = collect_frames(enumerate(fields["frames"]), frame)
    scaled = "applied_transform" in fields or fields.get("applied_scale", 1) != 1
    listed = [frame for frame in fields["frames"] if isinstance(frame, dict)]
    metric = any("depth_file_path" in frame for frame in listed) and not scaled
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
    depth = frame.get("depth_file_path")
    if depth is not None:
        unit = number(camera, "depth_unit_scale_factor", MILLIMETRE)
    elif (depth := frame.get("depth_path")) is not None:
        unit = number(camera, "integer_depth_scale")
    if depth is not None:
        if unit <= 0:
            raise ValueError(f"unit of depth: {unit}")
        depth = partial(read_depth, resolve_below(folder, depth), unit)
    return Frame(
        id=str(name),
        image=image,
        cam_to_world=from_opengl(_pose(frame["transform_matrix"])),
        depth=depth,
        **frame_camera(fields, frame, image),
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
