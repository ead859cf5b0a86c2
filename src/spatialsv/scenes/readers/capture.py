"""Captures: the metadata of one recorded place, before any pixel is read.

A format is a module with two functions: `scenes(root)` finds the captures at or below a path, and
`capture(scene)` parses one of them. Validation, undistortion and resizing are the same for all
formats (`load.py`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
from jaxtyping import Float, Shaped
from PIL.Image import Image

from spatialsv.io.text import read_lines
from spatialsv.scenes.readers.lens import Lens
from spatialsv.scenes.readers.skipped import SkippedError

DIGITS = re.compile(r"(\d+)")
SEPARATOR = re.compile(r"\s*[,;]\s*|\s+")


class CaptureError(ValueError):
    """An invalid capture; the message names the file and, if it has one, the line."""


class FrameError(SkippedError):
    """A skipped frame; the detail names the file."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Frame:
    """One view; None where the source provides no value.

    Poses are camera-to-world with OpenCV axes; pixel centres of all K are at half integers. A
    separate depth sensor is assumed to have the pose of the camera.
    """

    id: str
    image: Path | Callable[[], Image]  # a file, a video with this frame `number`, or a loader
    number: int | None = None
    time: float | None = None  # seconds
    intrinsics: Float[np.ndarray, "3 3"] | None = None  # for an image of `size` pixels
    size: tuple[int, int] | None = None  # width, height; None: those of the image file
    lens: Lens | None = None  # lens distortion of the image
    cam_to_world: Float[np.ndarray, "4 4"] | None = None
    depth: Callable[[], Float[np.ndarray, "H W"]] | None = None  # z-depth, 0 = unknown
    depth_intrinsics: Float[np.ndarray, "3 3"] | None = None  # None: those of the image, scaled
    points: Float[np.ndarray, "n 3"] | None = None  # sparse depth: u, v (pixels), z-depth

    @property
    def camera_matrix(self) -> Float[np.ndarray, "3 3"]:
        """Return the intrinsics.

        Raises:
            FrameError: there are none.
        """
        if self.intrinsics is None:
            raise FrameError("no intrinsics", f"frame {self.id}")
        return self.intrinsics

    @property
    def pose(self) -> Float[np.ndarray, "4 4"]:
        """Return the camera-to-world pose.

        Raises:
            FrameError: there is none.
        """
        if self.cam_to_world is None:
            raise FrameError("no pose", f"frame {self.id}")
        return self.cam_to_world


@dataclass(frozen=True, kw_only=True, eq=False)
class Capture:
    """The frames of one place, in order."""

    id: str
    frames: Sequence[Frame]
    source: str
    licence: str = "unknown"
    revision: str = ""
    unit: Literal["metre", "relative"] = "metre"
    skipped: Sequence[FrameError] = ()  # frames that the source marks unusable


class Format(Protocol):
    """The interface of a format module."""

    def scenes(self, root: Path) -> list[Path]:
        """Return the captures at or below `root`, sorted; empty if it is another format."""
        ...

    def capture(self, scene: Path) -> Capture:
        """Parse one capture.

        Raises:
            CaptureError: the capture is invalid.
        """
        ...


def natural_key(path: Path | str) -> list[str | int]:
    """Return a sort key that places frame 10 after frame 9."""
    return [int(part) if i % 2 else part for i, part in enumerate(DIGITS.split(str(path)))]


def read_numbers(path: Path, shape: tuple[int, ...]) -> Shaped[np.ndarray, "..."]:
    """Return the numbers of a text file as float64 array of this shape; # starts a comment.

    Raises:
        FileNotFoundError: the file does not exist.
        ValueError: the content is not numeric, or has another size.
    """
    text = "\n".join(line.partition("#")[0] for _, line in read_lines(path))
    return parse_numbers(text, shape, str(path))


def parse_numbers(text: str, shape: tuple[int, ...], where: str) -> Shaped[np.ndarray, "..."]:
    """Parse `text` as numbers of this shape; `where` (file or file:line) is used in errors."""
    words = split_fields(text)
    try:
        if "_" in text:  # which Python would ignore
            raise ValueError(f"not a number: {next(word for word in words if '_' in word)!r}")
        found = np.array([float(word) for word in words])
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None
    if found.size != np.prod(shape):
        expected = " x ".join(map(str, shape))
        raise ValueError(f"{where}: expected {expected} numbers, found {found.size}.")
    return found.reshape(shape)


def split_fields(text: str, most: int = -1) -> list[str]:
    """Split a line at spaces, tabs, commas and semicolons, at most `most` times (-1: at all)."""
    return SEPARATOR.split(text.strip(), max(most, 0)) if text.strip() else []


def intrinsics_matrix(fx: float, fy: float, cx: float, cy: float) -> Float[np.ndarray, "3 3"]:
    """Return K without skew."""
    return np.array([[fx, 0.0, cx], [0.0, fy, cy], [0.0, 0.0, 1.0]])


def to_half_integer_centres(intrinsics: Float[np.ndarray, "3 3"]) -> Float[np.ndarray, "3 3"]:
    """Convert K from pixel centres at integers (as in OpenCV) to half integers."""
    return intrinsics + np.array([[0, 0, 0.5], [0, 0, 0.5], [0, 0, 0]])


def from_opengl(cam_to_world: Float[np.ndarray, "4 4"]) -> Float[np.ndarray, "4 4"]:
    """Convert a pose from OpenGL axes (y up, looking along -z) to OpenCV axes."""
    return cam_to_world * np.array([1.0, -1.0, -1.0, 1.0])


def invert_pose(world_to_cam: Float[np.ndarray, "4 4"]) -> Float[np.ndarray, "4 4"]:
    """Invert a rigid world-to-camera pose."""
    cam_to_world = np.eye(4)
    with np.errstate(invalid="ignore"):  # non-finite poses stay non-finite
        cam_to_world[:3, :3] = world_to_cam[:3, :3].T
        cam_to_world[:3, 3] = -cam_to_world[:3, :3] @ world_to_cam[:3, 3]
    return cam_to_world


def resolve_below(folder: Path, name: str) -> Path:
    """Return the path of `name`, which must lie below `folder`.

    Raises:
        FrameError: the name points outside the folder.
    """
    path = Path(name)
    if not path.parts or path.is_absolute() or ".." in path.parts or "\0" in name:
        raise FrameError("unsafe name", f"{name!r} in {folder}")
    return folder / path
