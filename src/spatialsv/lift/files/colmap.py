"""COLMAP's text model in sparse/0, for the pictures in images/: one camera a picture.

A point was seen by the view it comes from, and by no other: nothing was matched. Its error is 0.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from spatialsv.io.atomic import write_text
from spatialsv.lift.files.result import Cloud, Result

PICTURES = "images"


def write_colmap(folder: Path, result: Result, cloud: Cloud) -> None:
    """cameras.txt, images.txt and points3D.txt in `folder`. Pixel centres are COLMAP's and ours."""
    intrinsics = result.picture_intrinsics()
    write_text(folder / "cameras.txt", _cameras(result, intrinsics))
    write_text(folder / "images.txt", _images(result, cloud, intrinsics))
    write_text(folder / "points3D.txt", _points(cloud))


def _cameras(result: Result, intrinsics: np.ndarray) -> str:
    lines = [
        "# CAMERA_ID, MODEL, WIDTH, HEIGHT, PARAMS[]",
        f"# Number of cameras: {len(intrinsics)}",
    ]
    for number, (view, K) in enumerate(zip(result.views, intrinsics, strict=True), start=1):
        params = _row((K[0, 0], K[1, 1], K[0, 2], K[1, 2]))
        lines.append(f"{number} PINHOLE {view.picture.width} {view.picture.height} {params}")
    return "\n".join(lines) + "\n"


def _images(result: Result, cloud: Cloud, intrinsics: np.ndarray) -> str:
    lines = [
        "# IMAGE_ID, QW, QX, QY, QZ, TX, TY, TZ, CAMERA_ID, NAME",
        "# POINTS2D[] as (X, Y, POINT3D_ID)",
        f"# Number of images: {len(intrinsics)}",
    ]
    poses = result.world_to_cam()
    turns = Rotation.from_matrix(poses[:, :3, :3]).as_quat(scalar_first=True)
    to_pictures = intrinsics @ np.linalg.inv(result.scenes.intrinsics[0].astype(np.float64))
    for number, name in enumerate(result.names()):
        pose = _row((*turns[number], *poses[number, :3, 3]))
        lines.append(f"{number + 1} {pose} {number + 1} {name}.jpg")
        (ids,) = np.nonzero(cloud.view == number)
        uv = cloud.pixels[ids] @ to_pictures[number, :2, :2].T + to_pictures[number, :2, 2]
        seen = zip(uv.tolist(), (ids + 1).tolist(), strict=True)
        lines.append(" ".join(f"{u!r} {v!r} {point}" for (u, v), point in seen))
    return "\n".join(lines) + "\n"


def _points(cloud: Cloud) -> str:
    lines = [
        "# POINT3D_ID, X, Y, Z, R, G, B, ERROR, TRACK[] as (IMAGE_ID, POINT2D_IDX)",
        f"# Number of points: {len(cloud.points)}",
    ]
    firsts = np.searchsorted(cloud.view, cloud.view)  # points stand view by view
    places = np.arange(len(cloud.view)) - firsts
    columns = zip(
        cloud.points.tolist(), cloud.colours.tolist(), cloud.view.tolist(), places, strict=True
    )
    for number, (point, (r, g, b), view, place) in enumerate(columns, start=1):
        lines.append(f"{number} {_row(point)} {r} {g} {b} 0 {view + 1} {place}")
    return "\n".join(lines) + "\n"


def _row(numbers) -> str:
    """So many digits that nothing is lost."""
    return " ".join(repr(float(number)) for number in numbers)
