"""cameras.json, COLMAP's text model in sparse/0, and nerfstudio's transforms.json.

In the COLMAP model each image has its own camera. A point is observed by the view it comes from,
and by no other, since nothing was matched; its error is 0. Poses in transforms.json are
camera-to-world with OpenGL's axes, in the world of all other files. An identity as
`applied_transform` says that lengths are not metres, see `scenes.readers.nerfstudio`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from spatialsv.io.atomic import write_json, write_text
from spatialsv.lift.files.maps import DEPTH_STEPS
from spatialsv.lift.result import LiftResult, PointCloud
from spatialsv.scenes.readers.capture import from_opengl

BOX = ("left", "top", "width", "height")  # in pixels
CONVENTION = {
    "cam_to_world": "OpenCV camera (x right, y down, z forward) to the first view's camera",
    "intrinsics": "K for the lifted map of `size` pixels; the top-left pixel's centre: (0.5, 0.5)",
    "intrinsics_image": "K for images/, the `part` of the photo that was lifted; likewise",
    "window": "the pixels of the map that show the photo; the others are padding, and not valid",
    "intrinsics_photo": "K for the upright photo's own pixels; likewise",
    "unit": "relative: 1 = mean distance of the points to the first camera",
    "joins": "windows after the first: views [first, end), residual: median distance / depth",
    "depth_png": f"z-depth; {DEPTH_STEPS} steps a unit, 16 bit, 0 = invalid, 65535 = that or more",
    "confidence_png": "255 (1 - 1 / confidence); confidences start at 1",
    "scene.glb": "glTF axes (y up): this world after diag(1, -1, -1)",
    "scene.ply": "this world; dots of confidence 0 draw the cameras; sparse_pc.ply has none",
    "transforms.json": "this world; camera axes are OpenGL's",
    "sparse/0": "this world; for the files in images/",
}


def write_cameras(path: Path, result: LiftResult, about: Mapping[str, Any]) -> None:
    """Write K and pose of each view, the conventions of all files, and `about`."""
    height, width = result.size
    views = [
        {
            "photo": view.name,
            "photo_size": list(view.size),
            "part": dict(zip(BOX, view.part, strict=True)),
            "image": f"images/{name}.jpg",
            "image_size": list(view.image.size),
            "size": [width, height],
            "window": _box(*view.window(result.size)),
            "intrinsics": K.tolist(),
            "intrinsics_image": view.image_intrinsics(K, result.size).tolist(),
            "intrinsics_photo": view.photo_intrinsics(K, result.size).tolist(),
            "cam_to_world": pose.tolist(),
        }
        for name, view, K, pose in zip(
            result.names, result.views, result.intrinsics, result.cam_to_world, strict=True
        )
    ]
    write_json(path, {"convention": CONVENTION, "views": views, **about})


def _box(rows: slice, columns: slice) -> dict[str, int]:
    """Return rows and columns as a box."""
    sides = columns.start, rows.start, columns.stop - columns.start, rows.stop - rows.start
    return dict(zip(BOX, sides, strict=True))


def write_transforms(path: Path, result: LiftResult) -> None:
    """Write nerfstudio's transforms.json, with one camera for each frame."""
    frames = [
        {
            "file_path": f"images/{name}.jpg",
            "depth_file_path": f"depth/{name}.png",
            "transform_matrix": from_opengl(pose).tolist(),  # its own inverse
            "w": view.image.width,
            "h": view.image.height,
            "fl_x": K[0, 0],
            "fl_y": K[1, 1],
            "cx": K[0, 2],
            "cy": K[1, 2],
        }
        for name, view, K, pose in zip(
            result.names, result.views, result.image_intrinsics(), result.cam_to_world, strict=True
        )
    ]
    transforms = {
        "camera_model": "PINHOLE",
        "depth_unit_scale_factor": 1 / DEPTH_STEPS,
        "applied_transform": np.eye(4)[:3].tolist(),
        "ply_file_path": "sparse_pc.ply",
        "frames": frames,
    }
    write_json(path, transforms)


def write_colmap(folder: Path, result: LiftResult, cloud: PointCloud) -> None:
    """Write cameras.txt, images.txt and points3D.txt, with COLMAP's (and our) pixel centres."""
    intrinsics = result.image_intrinsics()
    _write_table(
        folder / "cameras.txt",
        [
            "# CAMERA_ID, MODEL, WIDTH, HEIGHT, PARAMS[]",
            f"# Number of cameras: {len(intrinsics)}",
        ],
        (
            f"{number} PINHOLE {view.image.width} {view.image.height}"
            f" {_format_row((K[0, 0], K[1, 1], K[0, 2], K[1, 2]))}"
            for number, (view, K) in enumerate(zip(result.views, intrinsics, strict=True), start=1)
        ),
    )
    _write_table(
        folder / "images.txt",
        [
            "# IMAGE_ID, QW, QX, QY, QZ, TX, TY, TZ, CAMERA_ID, NAME",
            "# POINTS2D[] as (X, Y, POINT3D_ID)",
            f"# Number of images: {len(intrinsics)}",
        ],
        _image_lines(result, cloud, intrinsics),
    )
    _write_table(
        folder / "points3D.txt",
        [
            "# POINT3D_ID, X, Y, Z, R, G, B, ERROR, TRACK[] as (IMAGE_ID, POINT2D_IDX)",
            f"# Number of points: {len(cloud.points)}",
        ],
        _point_lines(cloud),
    )


def _image_lines(result: LiftResult, cloud: PointCloud, intrinsics: np.ndarray) -> Iterable[str]:
    poses = result.world_to_cam()
    rotations = Rotation.from_matrix(poses[:, :3, :3]).as_quat(scalar_first=True)
    to_images = intrinsics @ np.linalg.inv(result.intrinsics.astype(np.float64))
    for number, name in enumerate(result.names):
        pose = _format_row((*rotations[number], *poses[number, :3, 3]))
        yield f"{number + 1} {pose} {number + 1} {name}.jpg"
        (ids,) = np.nonzero(cloud.view == number)
        uv = cloud.pixels[ids] @ to_images[number, :2, :2].T + to_images[number, :2, 2]
        observations = zip(uv.tolist(), (ids + 1).tolist(), strict=True)
        yield " ".join(f"{u!r} {v!r} {point}" for (u, v), point in observations)


def _point_lines(cloud: PointCloud) -> Iterable[str]:
    first_points = np.searchsorted(cloud.view, cloud.view)  # points are ordered by view
    indices = np.arange(len(cloud.view)) - first_points
    columns = zip(
        cloud.points.tolist(), cloud.colours.tolist(), cloud.view.tolist(), indices, strict=True
    )
    for number, (point, (r, g, b), view, index) in enumerate(columns, start=1):
        yield f"{number} {_format_row(point)} {r} {g} {b} 0 {view + 1} {index}"


def _write_table(path: Path, header: list[str], lines: Iterable[str]) -> None:
    write_text(path, "\n".join([*header, *lines]) + "\n")


def _format_row(numbers: Iterable[float]) -> str:
    """Return numbers with all their digits."""
    return " ".join(repr(float(number)) for number in numbers)
