"""A COLMAP model: its cameras, images and points, which must fit together.

Binary files win where text is there as well, as with COLMAP itself. The files of rigs and frames
that newer versions add are not needed: an image's own pose is always told as well.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from spatialsv.scenes.readers.capture import CaptureError
from spatialsv.scenes.readers.colmap_files import Camera, Image, read_binary, read_text


@dataclass(frozen=True, eq=False)
class Points:
    """All 3D points, by rising id."""

    ids: Int[np.ndarray, " P"]
    xyz: Float[np.ndarray, "P 3"]
    tracks: Int[np.ndarray, " P"]  # in how many places each was seen


@dataclass(frozen=True, eq=False)
class Model:
    """A sparse reconstruction."""

    cameras: dict[int, Camera]
    images: list[Image]
    points: Points


def model_files(folder: Path) -> dict[str, Path]:
    """The files of the model in a folder, by "cameras", "images" and "points3D"; {} if none is."""
    for ending in ("bin", "txt"):
        files = {n: folder / f"{n}.{ending}" for n in ("cameras", "images", "points3D")}
        if files["cameras"].is_file() and files["images"].is_file():
            return files
    return {}


def read_model(folder: Path) -> Model:
    """The model in a folder; without a file of points, its images must see none.

    Raises:
        CaptureError: what is broken, with file and line, or offset.
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


def _by_id(found: Iterable[tuple[int, str, object]]) -> dict:
    kept = {}
    for key, where, value in found:
        if key in kept:
            raise CaptureError(f"{where}: id {key} seen before")
        kept[key] = value
    return kept


def _points(rows: list[tuple[int, str, tuple[float, float, float], int]]) -> Points:
    rows.sort(key=lambda row: row[0])
    for (before, *_), (key, where, xyz, _) in zip([(-1,), *rows], rows, strict=False):
        if key == before:
            raise CaptureError(f"{where}: id {key} seen before")
        if not np.isfinite(xyz).all():
            raise CaptureError(f"{where}: point {key} is at {xyz}")
    return Points(
        ids=np.array([row[0] for row in rows], np.int64),
        xyz=np.array([row[2] for row in rows], float).reshape(-1, 3),
        tracks=np.array([row[3] for row in rows], np.int64),
    )


def _check_tracks(images: list[Image], points: Points, path: Path) -> None:
    """Points must have been seen as often as they say, or a file is broken, or another model's."""
    known = np.append(points.ids, -1)
    for image in images:
        unknown = image.points[known[np.searchsorted(points.ids, image.points)] != image.points]
        if len(unknown):
            raise CaptureError(f"{image.where}: sees point {unknown[0]}, which {path} lacks")
    seen = np.concatenate([image.points for image in images] or [points.ids[:0]])
    if not len(seen) or not points.tracks.any():  # tools that make models up tell one side only
        return
    counts = np.bincount(np.searchsorted(points.ids, seen), minlength=len(points.ids))
    if len(wrong := np.flatnonzero(counts != points.tracks)):
        key, told = points.ids[wrong[0]], points.tracks[wrong[0]]
        raise CaptureError(
            f"{path}: point {key} has a track of {told}, and images see it {counts[wrong[0]]} times"
        )
