"""COLMAP models: cameras, images and points, checked for consistency.

Binary files take precedence over text, as in COLMAP. The rigs and frames files of newer versions
are not needed, since every image also has its own pose.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from spatialsv.scenes.readers.capture import CaptureError
from spatialsv.scenes.readers.colmap_files import Camera, Image, read_binary, read_text


@dataclass(frozen=True, eq=False)
class Points:
    """All 3D points, in ascending order of id."""

    ids: Int[np.ndarray, " P"]
    xyz: Float[np.ndarray, "P 3"]
    tracks: Int[np.ndarray, " P"]  # track lengths


@dataclass(frozen=True, eq=False)
class Model:
    """A sparse reconstruction."""

    cameras: dict[int, Camera]
    images: list[Image]
    points: Points


KINDS = ("cameras", "images", "points3D")
ENDINGS = (".bin", ".txt")


def is_model(folder: Path) -> bool:
    """Return whether a directory has a model, or the remains of one: two kinds of files."""
    names = [[f"{kind}{ending}" for ending in ENDINGS] for kind in KINDS]
    return sum(any((folder / name).is_file() for name in kind) for kind in names) > 1


def model_files(folder: Path) -> dict[str, Path]:
    """Return the files of the model in `folder` by kind.

    Raises:
        CaptureError: cameras or images are missing, or are of different forms.
    """
    for ending in ENDINGS:
        files = {kind: folder / f"{kind}{ending}" for kind in KINDS}
        if files["cameras"].is_file() and files["images"].is_file():
            return files
    present = sorted(path.name for path in folder.iterdir() if path.stem in KINDS)
    raise CaptureError(
        f"{folder}: incomplete COLMAP model. Expected cameras and images, both .bin or both .txt;"
        f" found {', '.join(present)}."
    )


def read_model(folder: Path) -> Model:
    """Return the model in a directory; without a file of points, images must not refer to any.

    Raises:
        CaptureError: the model is invalid; with file and line, or offset.
    """
    files = model_files(folder)
    form = read_binary if files["cameras"].suffix == ".bin" else read_text
    cameras = _by_id(form("cameras", files["cameras"]))
    images = list(_by_id((i.id, i.where, i) for i in form("images", files["images"])).values())
    for image in images:
        if image.camera not in cameras:
            raise CaptureError(f"{image.where}: no camera {image.camera} in {files['cameras']}")
    rows = list(form("points3D", files["points3D"])) if files["points3D"].is_file() else []
    points = _points(rows)
    _check_tracks(images, points, files["points3D"])
    return Model(cameras, images, points)


def _by_id(entries: Iterable[tuple[int, str, Any]]) -> dict[int, Any]:
    by_id: dict[int, Any] = {}
    for key, where, value in entries:
        if key in by_id:
            raise CaptureError(f"{where}: duplicate id {key}")
        by_id[key] = value
    return by_id


def _points(rows: list[tuple[int, str, tuple[float, float, float], int]]) -> Points:
    rows.sort(key=lambda row: row[0])
    for (before, *_), (key, where, xyz, _) in zip([(-1,), *rows], rows, strict=False):
        if key == before:
            raise CaptureError(f"{where}: duplicate id {key}")
        if not np.isfinite(xyz).all():
            raise CaptureError(f"{where}: point {key} is at {xyz}")
    return Points(
        ids=np.array([row[0] for row in rows], np.int64),
        xyz=np.array([row[2] for row in rows], float).reshape(-1, 3),
        tracks=np.array([row[3] for row in rows], np.int64),
    )


def _check_tracks(images: list[Image], points: Points, path: Path) -> None:
    """Check that track lengths and image observations agree, as they do in one model."""
    known = np.append(points.ids, -1)
    for image in images:
        unknown = image.points[known[np.searchsorted(points.ids, image.points)] != image.points]
        if len(unknown):
            raise CaptureError(
                f"{image.where}: refers to point {unknown[0]}, which is not in {path}"
            )
    observed = np.concatenate([image.points for image in images] or [points.ids[:0]])
    if not len(observed) or not points.tracks.any():  # synthetic models contain one side only
        return
    counts = np.bincount(np.searchsorted(points.ids, observed), minlength=len(points.ids))
    if len(wrong := np.flatnonzero(counts != points.tracks)):
        key, length = points.ids[wrong[0]], points.tracks[wrong[0]]
        raise CaptureError(
            f"{path}: point {key} has track length {length}, but {counts[wrong[0]]} observations"
        )
