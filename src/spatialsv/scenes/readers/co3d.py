"""CO3Dv2: sequences of objects, with cameras and depth maps from COLMAP.

The directory of a category contains its sequences and frame_annotations.jgz. Cameras follow
PyTorch3D: points are rows, X_cam = X_world R + T, with x left and y up. Depth maps are 16-bit PNGs
of half-precision floats. Lengths are relative, with a different unit in each sequence.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Mapping
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from spatialsv.io.text import parse_json
from spatialsv.scenes.images import read_integers
from spatialsv.scenes.readers.capture import (
    Capture,
    CaptureError,
    Frame,
    FrameError,
    intrinsics_matrix,
    invert_pose,
    natural_key,
    resolve_below,
)
from spatialsv.scenes.readers.files import capture_errors, collect_frames

ANNOTATIONS = "frame_annotations.jgz"
FAR = 1e5  # camera distance beyond which COLMAP has failed on a sequence
FLIP = np.array([-1.0, -1.0, 1.0])  # from x left and y up to x right and y down
LICENCE = "CC-BY-NC-4.0"


def scenes(root: Path) -> list[Path]:
    """Return the sequence `root`, or those of the category or categories at `root`."""
    if (root.parent / ANNOTATIONS).is_file() and (root / "images").is_dir():
        return [root]
    annotations = [*root.glob(ANNOTATIONS), *root.glob(f"*/{ANNOTATIONS}")]
    found = [path.parent for file in annotations for path in file.parent.glob("*/images")]
    return sorted(found, key=natural_key)


def capture(scene: Path) -> Capture:
    """Return the frames of one sequence, by number.

    Raises:
        CaptureError: the annotations cannot be read or lack the sequence, or a camera is too far
            away.
    """
    scene = scene.resolve()
    path = scene.parent / ANNOTATIONS
    try:
        sequences = _annotations(path, path.stat().st_mtime_ns)
    except FileNotFoundError:
        raise CaptureError(f"{path}: no such file") from None
    if scene.name not in sequences:
        raise CaptureError(f"{path}: no sequence {scene.name!r}")

    def frame(fields: Mapping[str, Any]) -> Frame:
        try:
            return _frame(scene.parents[1], fields)
        except FrameError:
            raise
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            detail = f"{path}: {scene.name}: {type(error).__name__} {error}"
            raise FrameError("bad annotation", detail) from None

    frames, skipped = collect_frames(sequences[scene.name], frame)
    for one in frames:
        centre = np.zeros(3) if one.cam_to_world is None else one.cam_to_world[:3, 3]
        if FAR < np.abs(centre).max() < np.inf:
            detail = f"{scene.name}: frame {one.id} has its camera at {centre.tolist()}"
            raise CaptureError(f"{path}: {detail}")
    return Capture(
        id=f"{scene.parent.name}/{scene.name}",
        frames=sorted(frames, key=lambda frame: int(frame.id)),
        source="co3d",
        licence=LICENCE,
        unit="relative",
        skipped=skipped,
    )


@lru_cache(maxsize=1)  # sequences are read category by category
def _annotations(path: Path, written: int) -> dict[str, list[Mapping[str, Any]]]:
    """Return the annotations of frames by sequence; `written` (mtime) invalidates the cache."""
    try:
        with gzip.open(path) as opened:
            text = opened.read().decode("utf-8-sig")
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise CaptureError(f"{path}: cannot be read as gzipped JSON ({error})") from None
    with capture_errors(path):
        fields = parse_json(text, path)
    if not isinstance(fields, list):
        raise CaptureError(f"{path}: expected a list of frames, found {type(fields).__name__}")
    sequences: dict[str, list[Mapping[str, Any]]] = {}
    for number, frame in enumerate(fields):
        if not isinstance(frame, dict) or not isinstance(frame.get("sequence_name"), str):
            raise CaptureError(f"{path}: frame {number} has no sequence_name")
        sequences.setdefault(frame["sequence_name"], []).append(frame)
    return sequences


def _frame(root: Path, fields: Mapping[str, Any]) -> Frame:
    image, viewpoint = fields["image"], fields.get("viewpoint")
    if viewpoint is None:
        raise FrameError("no pose", str(image["path"]))
    height, width = (int(n) for n in image["size"])
    time = fields.get("frame_timestamp")
    return Frame(
        id=str(int(fields["frame_number"])),
        image=resolve_below(root, image["path"]),
        time=float(time) if time is not None and time >= 0 else None,
        intrinsics=_intrinsics(viewpoint, width, height),
        size=(width, height),
        cam_to_world=_pose(viewpoint),
        depth=_depth(root, fields.get("depth"), (height, width)),
    )


def _intrinsics(fields: Mapping[str, Any], width: int, height: int) -> Float[np.ndarray, "3 3"]:
    """Return K in pixels. NDC is 0 at the centre and grows to the left and upwards."""
    kind = fields.get("intrinsics_format", "ndc_norm_image_bounds")
    if kind == "ndc_isotropic":  # from -1 to 1 on the shorter side
        unit = np.full(2, min(width, height) / 2)
    elif kind == "ndc_norm_image_bounds":  # on either side
        unit = np.array([width, height]) / 2
    else:
        raise ValueError(f"intrinsics_format {kind!r}")
    focal = np.array(fields["focal_length"], float) * unit
    centre = np.array([width, height]) / 2 - np.array(fields["principal_point"], float) * unit
    if not np.isfinite([*focal, *centre]).all() or min(*focal, width, height) <= 0:
        raise ValueError(f"focal lengths {focal.tolist()} of {width} x {height} pixels")
    return intrinsics_matrix(*focal, *centre)


def _pose(fields: Mapping[str, Any]) -> Float[np.ndarray, "4 4"]:
    rotation, translation = np.array(fields["R"], float), np.array(fields["T"], float)
    if rotation.shape != (3, 3) or translation.shape != (3,):
        raise ValueError(f"R of shape {rotation.shape}, T of shape {translation.shape}")
    world_to_cam = np.eye(4)
    world_to_cam[:3, :3] = (rotation * FLIP).T
    world_to_cam[:3, 3] = translation * FLIP
    return invert_pose(world_to_cam)


def _depth(root: Path, fields: Mapping[str, Any] | None, shape: tuple[int, int]) -> partial | None:
    if fields is None or fields.get("path") is None:
        return None
    mask = fields.get("mask_path")
    scale = float(fields["scale_adjustment"])
    if not np.isfinite(scale) or scale <= 0:
        raise ValueError(f"scale_adjustment {scale}")
    mask = None if mask is None else resolve_below(root, mask)
    return partial(read_depth, resolve_below(root, fields["path"]), mask, scale, shape)


def read_depth(
    path: Path, mask: Path | None, scale: float, shape: tuple[int, int]
) -> Float[np.ndarray, "H W"]:
    """Return z-depth, 0 where unknown or masked.

    Raises:
        FileNotFoundError: a file does not exist.
        ValueError: a file is invalid, or not of `shape`.
    """
    bits = read_integers(path)
    if bits.shape != shape or bits.max() >= 2**16:
        raise ValueError(f"{path}: {bits.shape} of {bits.dtype}, expected 16 bits of {shape}")
    depth = bits.astype("<u2").view("<f2").astype(np.float32) * np.float32(scale)
    if mask is not None:
        known = read_integers(mask) > 0
        if known.shape != shape:
            raise ValueError(f"{mask}: {known.shape}, expected {shape}")
        depth = np.where(known, depth, 0)
    return np.where(np.isfinite(depth), depth, 0).astype(np.float32)
