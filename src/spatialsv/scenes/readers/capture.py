"""A capture: what a dataset says of one place, before any pixel is read.

A format is a module of two functions: `scenes(root)` finds the captures at or below a path, and
`capture(scene)` tells what one of them holds. Everything else, from broken poses to the size that
is delivered, is the same for all formats and stands in `load.py`.
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

from spatialsv.scenes.readers.lens import Lens
from spatialsv.scenes.readers.skipped import SkippedError

DIGITS = re.compile(r"(\d+)")


class CaptureError(ValueError):
    """A capture that is refused; the message names the file, and the line where it has one."""


class FrameError(SkippedError):
    """A frame that is skipped; the detail says which file."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Frame:
    """One view; what its source does not know is None.

    Poses are camera-to-world with OpenCV axes; pixel centres of all K are at half integers. A
    sensor of its own for depth is taken to stand where the camera stands.
    """

    id: str
    image: Path | Callable[[], Image]  # a picture, or the video of which this is frame `number`
    number: int | None = None
    time: float | None = None  # seconds
    intrinsics: Float[np.ndarray, "3 3"] | None = None  # for an image of `size` pixels
    size: tuple[int, int] | None = None  # width, height; None: the image's own
    lens: Lens | None = None  # how the image differs from a pinhole's
    cam_to_world: Float[np.ndarray, "4 4"] | None = None
    depth: Callable[[], Float[np.ndarray, "H W"]] | None = None  # z-depth, 0 = unknown
    depth_intrinsics: Float[np.ndarray, "3 3"] | None = None  # None: the image's, scaled
    points: Float[np.ndarray, "n 3"] | None = None  # u, v in pixels of `size`, and z-depth there


@dataclass(frozen=True, kw_only=True, eq=False)
class Capture:
    """The frames of one place, in order."""

    id: str
    frames: Sequence[Frame]
    source: str
    licence: str = "unknown"
    revision: str = ""
    unit: Literal["metre", "relative"] = "metre"
    skipped: Sequence[FrameError] = ()  # frames that the source itself rules out


class Format(Protocol):
    """What a module of a format offers."""

    @staticmethod
    def scenes(root: Path) -> list[Path]:
        """The captures at or below `root`, sorted; none where this is another format."""
        ...

    @staticmethod
    def capture(scene: Path) -> Capture:
        """One of them.

        Raises:
            CaptureError: it cannot be understood.
        """
        ...


def natural_key(path: Path | str) -> list[str | int]:
    """A key that puts frame 10 after frame 9."""
    return [int(part) if i % 2 else part for i, part in enumerate(DIGITS.split(str(path)))]


def read_numbers(path: Path, shape: tuple[int, ...]) -> Shaped[np.ndarray, "..."]:
    """The numbers that a text file holds, and nothing else, in this shape, in float64.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: they are not numbers, or not so many.
    """
    try:
        return parse_numbers(path.read_text(encoding="utf-8"), shape, str(path))
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not text ({error})") from None


def parse_numbers(text: str, shape: tuple[int, ...], where: str) -> Shaped[np.ndarray, "..."]:
    """As `numbers`, of `text`, which stands at `where` (a file, or file:line)."""
    try:
        found = np.array([float(word) for word in text.split()])
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None
    if found.size != np.prod(shape):
        raise ValueError(f"{where}: {found.size} numbers, expected {' x '.join(map(str, shape))}")
    return found.reshape(shape)


def intrinsics_matrix(fx: float, fy: float, cx: float, cy: float) -> Float[np.ndarray, "3 3"]:
    """K without skew."""
    return np.array([[fx, 0.0, cx], [0.0, fy, cy], [0.0, 0.0, 1.0]])


def to_half_integer_centres(intrinsics: Float[np.ndarray, "3 3"]) -> Float[np.ndarray, "3 3"]:
    """K with pixel centres at half integers, from one with centres at integers (OpenCV's)."""
    return intrinsics + np.array([[0, 0, 0.5], [0, 0, 0.5], [0, 0, 0]])


def from_opengl(cam_to_world: Float[np.ndarray, "4 4"]) -> Float[np.ndarray, "4 4"]:
    """A pose of OpenCV axes from one of OpenGL's (y up, looking along -z)."""
    return cam_to_world * np.array([1.0, -1.0, -1.0, 1.0])


def invert_pose(world_to_cam: Float[np.ndarray, "4 4"]) -> Float[np.ndarray, "4 4"]:
    """A camera-to-world pose from a world-to-camera one, which should be rigid."""
    cam_to_world = np.eye(4)
    with np.errstate(invalid="ignore"):  # a pose that is not finite gives one that is not, either
        cam_to_world[:3, :3] = world_to_cam[:3, :3].T
        cam_to_world[:3, 3] = -cam_to_world[:3, :3] @ world_to_cam[:3, 3]
    return cam_to_world


def resolve_below(folder: Path, name: str) -> Path:
    """The file `name` of a dataset, which must lie below its folder.

    Raises:
        FrameError: a name that leads out of it.
    """
    path = Path(name)
    if not path.parts or path.is_absolute() or ".." in path.parts or "\0" in name:
        raise FrameError("unsafe name", f"{name!r} in {folder}")
    return folder / path
