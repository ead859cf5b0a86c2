"""The files of a COLMAP model, text or binary.

`read_text` and `read_binary` yield the entries of one file: (id, where, `Camera`) of "cameras",
`Image` of "images", and (id, where, xyz, track length) of "points3D". `where` is file and line, or
file and offset. Both raise CaptureError with that position.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Float, Int

from spatialsv.io.text import read_lines
from spatialsv.scenes.readers.capture import CaptureError, intrinsics_matrix, parse_numbers
from spatialsv.scenes.readers.files import capture_errors, check_last_line
from spatialsv.scenes.readers.lens import Lens

# Camera model: COLMAP's number, number of focal lengths, kind of lens, number of coefficients.
LENSES: dict[str, tuple[int, int, Literal["radial", "fisheye"] | None, int]] = {
    "SIMPLE_PINHOLE": (0, 1, None, 0),
    "PINHOLE": (1, 2, None, 0),
    "SIMPLE_RADIAL": (2, 1, "radial", 1),
    "RADIAL": (3, 1, "radial", 2),
    "OPENCV": (4, 2, "radial", 4),
    "OPENCV_FISHEYE": (5, 2, "fisheye", 4),
    "FULL_OPENCV": (6, 2, "radial", 8),
    "SIMPLE_RADIAL_FISHEYE": (8, 1, "fisheye", 1),
    "RADIAL_FISHEYE": (9, 1, "fisheye", 2),
    "SIMPLE_FISHEYE": (14, 1, "fisheye", 0),
    "FISHEYE": (15, 2, "fisheye", 0),
}
NAMES = {number: name for name, (number, *_) in LENSES.items()} | {
    7: "FOV",
    10: "THIN_PRISM_FISHEYE",
    11: "RAD_TAN_THIN_PRISM_FISHEYE",
    12: "SIMPLE_DIVISION",
    13: "DIVISION",
    16: "EUCM",
    17: "EQUIRECTANGULAR",
}
COUNT = re.compile(r"#\s*Number of \w+:\s*(\d+)")


@dataclass(frozen=True, eq=False)
class Camera:
    """One camera; pixel centres are at half integers, as in COLMAP."""

    size: tuple[int, int]  # width, height
    intrinsics: Float[np.ndarray, "3 3"]
    lens: Lens | None


@dataclass(frozen=True, eq=False)
class Image:
    """One image; `where` is file and line or offset."""

    where: str
    id: int
    name: str
    camera: int
    pose: Float[np.ndarray, " 7"]  # qw qx qy qz tx ty tz, world-to-camera
    points: Int[np.ndarray, " n"]  # ids of its 3D points


def _camera(where: str, name: str, size: tuple[int, int], params: np.ndarray) -> Camera:
    _, focals, kind, count = LENSES[name]
    possible = 0 < min(size) <= max(size) < 2**31 and min(params[:focals]) > 0
    if not possible or not np.isfinite(params).all():
        raise CaptureError(
            f"{where}: invalid camera of {size} pixels with parameters {params.tolist()}"
        )
    fx, fy, (cx, cy) = params[0], params[focals - 1], params[focals : focals + 2]
    lens = None
    if kind:
        coefficients = np.zeros(max(4, count))
        coefficients[:count] = params[focals + 2 :]
        lens = Lens(kind, tuple(coefficients.tolist()))
        if kind == "radial" and not coefficients.any():
            lens = None
    return Camera(size, intrinsics_matrix(fx, fy, cx, cy), lens)


def _params(where: str, name: str) -> int:
    """Return the number of parameters of a camera model."""
    if name not in LENSES:
        raise CaptureError(
            f"{where}: camera model {name} is not supported. Known models: {', '.join(LENSES)}."
            " Undistort the images with colmap image_undistorter."
        )
    _, focals, _, count = LENSES[name]
    return focals + 2 + count


def read_text(kind: str, path: Path) -> Iterator:
    """Yield the entries of a text file.

    Raises:
        CaptureError: an entry is invalid, or their number differs from the one in the header.
    """
    counted, declared = 0, None
    lines = _lines(path)
    for number, line in lines:
        if line.startswith("#"):
            declared = int(count[1]) if (count := COUNT.match(line)) else declared
        elif line:
            with _at(where := f"{path}:{number}"):
                entry = TEXT[kind](where, line, lines)
            counted += 1
            yield entry
    if declared is not None and counted != declared:
        raise CaptureError(f"{path}: {counted} {kind}, but the header declares {declared}")


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    check_last_line(path)
    with capture_errors(path):
        yield from ((number, line.strip()) for number, line in read_lines(path))


@contextmanager
def _at(where: str) -> Iterator[None]:
    try:
        yield
    except CaptureError:
        raise
    except (ValueError, IndexError, OverflowError) as error:
        raise CaptureError(f"{where}: {error}") from None


def _camera_line(where: str, line: str, _: Iterator) -> tuple[int, str, Camera]:
    key, name, width, height, *params = line.split()
    numbers = parse_numbers(" ".join(params), (_params(where, name),), where)
    return int(key), where, _camera(where, name, (int(width), int(height)), numbers)


def _image_lines(where: str, line: str, lines: Iterator[tuple[int, str]]) -> Image:
    """Parse the line of an image and the next one, its keypoints, which may be empty."""
    key, *numbers, camera, name = line.split(maxsplit=9)
    _, keypoints = next(lines, (0, ""))
    words = keypoints.split()
    if len(words) % 3:
        raise CaptureError(
            f"{where}: {len(words)} numbers in its line of keypoints, expected a multiple of 3"
        )
    ids = np.array([int(word) for word in words[2::3]], np.int64)
    pose = parse_numbers(" ".join(numbers), (7,), where)
    return Image(where, int(key), name, int(camera), pose, ids[ids >= 0])


def _point_line(where: str, line: str, lines: Iterator) -> tuple[int, str, tuple, int]:
    key, x, y, z, _, _, _, _, *track = line.split()
    if len(track) % 2:
        raise CaptureError(f"{where}: {len(track)} numbers in its track, expected an even number")
    return int(np.int64(key)), where, (float(x), float(y), float(z)), len(track) // 2


TEXT = {"cameras": _camera_line, "images": _image_lines, "points3D": _point_line}


def read_binary(kind: str, path: Path) -> Iterator:
    """Yield the entries of a little-endian binary file.

    Raises:
        CaptureError: the file is invalid.
    """
    data = _BinaryReader(path)
    (count,) = data.take("<Q")
    for _ in range(count):
        yield BINARY[kind](data)
    if data.at != len(data.bytes):
        raise CaptureError(f"{data.where}: unexpected data after {count} {kind}")


class _BinaryReader:
    """Sequential reader of a binary file."""

    def __init__(self, path: Path) -> None:
        self.path, self.bytes, self.at = path, path.read_bytes(), 0

    @property
    def where(self) -> str:
        """Return file and offset, for errors."""
        return f"{self.path}: offset {self.at}"

    def skip(self, size: int) -> int:
        """Advance by `size` bytes and return their start."""
        if self.at + size > len(self.bytes):
            raise CaptureError(f"{self.where}: truncated, expected {size} more bytes")
        self.at += size
        return self.at - size

    def take(self, layout: str) -> tuple:
        """Unpack the next values of a `struct` layout."""
        return struct.unpack_from(layout, self.bytes, self.skip(struct.calcsize(layout)))

    def name(self) -> str:
        """Read a null-terminated string."""
        end = self.bytes.find(b"\0", self.at)
        start = self.skip(end + 1 - self.at if end >= 0 else len(self.bytes) + 1)
        return self.bytes[start : self.at - 1].decode()


def _camera_record(data: _BinaryReader) -> tuple[int, str, Camera]:
    where = data.where
    key, number, width, height = data.take("<IiQQ")
    name = NAMES.get(number, f"number {number}")
    params = np.array(data.take(f"<{_params(where, name)}d"))
    return key, where, _camera(where, name, (width, height), params)


def _image_record(data: _BinaryReader) -> Image:
    where = data.where
    key, *pose, camera = data.take("<I7dI")
    with _at(where):
        name = data.name()
    (count,) = data.take("<Q")
    start = data.skip(24 * count)
    keypoints = np.frombuffer(data.bytes, "<f8, <f8, <i8", count, start)
    ids = keypoints["f2"].astype(np.int64)  # -1: keypoint without point
    return Image(where, key, name, camera, np.array(pose), ids[ids >= 0])


def _point_record(data: _BinaryReader) -> tuple[int, str, tuple, int]:
    where = data.where
    key, x, y, z, _, _, _, _, count = data.take("<q3d3BdQ")
    data.skip(8 * count)
    return key, where, (x, y, z), count


BINARY = {"cameras": _camera_record, "images": _image_record, "points3D": _point_record}
