"""Cameras of transforms.json, frame by frame: nerfstudio, instant-ngp and Blender.

A value of the frame takes precedence over that of the file. Focal lengths come from the first of
the two that has any: fl_x and fl_y in pixels, camera_angle_x and _y in radians, or x_fov and y_fov
in degrees; an axis without its own has that of the other, as in instant-ngp. Distortion belongs to
a camera model: a frame with another model than the file's does not inherit coefficients.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite, pi, radians, tan
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from spatialsv.scenes.images import image_size
from spatialsv.scenes.readers.capture import FrameError, intrinsics_matrix
from spatialsv.scenes.readers.files import array
from spatialsv.scenes.readers.lens import Lens

Fields = Mapping[str, Any]
PINHOLE = ("SIMPLE_PINHOLE", "PINHOLE")
OPENCV = "OPENCV"
PERSPECTIVE = (*PINHOLE, "SIMPLE_RADIAL", "RADIAL", OPENCV)
FISHEYE = "OPENCV_FISHEYE"
OTHER = ("equirectangular", "latlong", "ftheta", "rolling_shutter")  # models of instant-ngp
COEFFICIENTS = ("k1", "k2", "k3", "k4", "p1", "p2")  # in the order of distortion_params


def frame_camera(fields: Fields, frame: Fields, image: Path) -> dict[str, Any]:
    """Return `size`, `intrinsics` and `lens` of a frame, as of `Frame`.

    Args:
        fields: of the file.
        frame: of the frame.
        image: file of the frame, which gives the size if width or height is missing.

    Raises:
        FrameError: the camera model is not supported.
        ValueError: a value is missing or invalid.
    """
    camera = {**fields, **frame}
    if "w" in camera and "h" in camera:
        size = int(number(camera, "w")), int(number(camera, "h"))
        if min(size) < 1:
            raise ValueError(f"w, h: {size}")
    else:
        size = image_size(image)
    lens = _lens(fields, frame)
    return {"size": size, "intrinsics": _intrinsics((frame, fields), size), "lens": lens}


def number(fields: Fields, name: str, otherwise: float | None = None) -> float:
    """Return a finite number of the mapping `fields`.

    Raises:
        ValueError: the value is not one.
    """
    value = fields.get(name, otherwise)
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
        raise ValueError(f"{name}: expected a number, found {value!r}")
    return float(value)


def _intrinsics(levels: tuple[Fields, Fields], size: tuple[int, int]) -> Float[np.ndarray, "3 3"]:
    """Return K; the principal point is in the image centre where it is not given."""
    found = (
        [_focal(level, axis, n) for axis, n in zip("xy", size, strict=True)] for level in levels
    )
    fx, fy = next((focal for focal in found if any(focal)), (None, None))
    focal = fx or fy, fy or fx
    if focal[0] is None or focal[1] is None:
        raise ValueError("no focal length. Expected fl_x, camera_angle_x or x_fov.")
    camera = {**levels[1], **levels[0]}
    centre = [number(camera, f"c{axis}", n / 2) for axis, n in zip("xy", size, strict=True)]
    return intrinsics_matrix(focal[0], focal[1], centre[0], centre[1])


def _focal(fields: Fields, axis: str, pixels: int) -> float | None:
    """Return the focal length of an axis in pixels, or None if the mapping has none."""
    if f"fl_{axis}" in fields:
        focal = number(fields, f"fl_{axis}")
    elif f"camera_angle_{axis}" in fields or f"{axis}_fov" in fields:
        degrees = f"camera_angle_{axis}" not in fields
        angle = number(fields, f"{axis}_fov" if degrees else f"camera_angle_{axis}")
        angle = radians(angle) if degrees else angle
        if not 0 < angle < pi:
            raise ValueError(f"field of view along {axis}: expected 0 to pi, found {angle}")
        focal = pixels / 2 / tan(angle / 2)
    else:
        return None
    if focal <= 0:
        raise ValueError(f"focal length along {axis}: {focal}")
    return focal


def _model(*levels: Fields) -> Any:
    """Return the camera model of the first mapping that has one."""
    for fields in levels:
        if other := [name for name in fields if name.startswith(OTHER) and np.any(fields[name])]:
            return other[0]
        if "camera_model" in fields or "is_fisheye" in fields:
            return FISHEYE if fields.get("is_fisheye") else fields.get("camera_model", OPENCV)
    return OPENCV


def _lens(fields: Fields, frame: Fields) -> Lens | None:
    model, model_of_file = _model(frame, fields), _model(fields)
    if model not in (*PERSPECTIVE, FISHEYE):
        known = ", ".join((*PERSPECTIVE, FISHEYE))
        raise FrameError("camera model not supported", f"{model!r}. Supported: {known}.")
    inherits = model == model_of_file
    camera = {**fields, **frame} if inherits else frame
    named = {name: number(camera, name) for name in COEFFICIENTS if name in camera}
    if (listed := camera.get("distortion_params")) is not None:
        if any(named.values()):
            raise ValueError("distortion_params and k1, k2, ...: expected one of both")
        named = dict(zip(COEFFICIENTS, array(listed, (len(COEFFICIENTS),)).tolist(), strict=True))
    k1, k2, k3, k4, p1, p2 = (number(named, name, 0.0) for name in COEFFICIENTS)
    if model == FISHEYE:
        if p1 or p2:
            raise ValueError(f"a fisheye lens has no p1 and p2, found {p1} and {p2}")
        return Lens("fisheye", (k1, k2, k3, k4))
    if k4:
        raise ValueError(f"only fisheye lenses have k4, found {k4}")
    if not any((k1, k2, p1, p2, k3)):
        return None
    if model in PINHOLE:
        raise ValueError(f"{model} has no distortion, found {named}")
    return Lens("radial", (k1, k2, p1, p2, k3))
