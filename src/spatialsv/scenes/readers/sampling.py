"""Selection of the frames that form scenes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import scipy.fft
from jaxtyping import Float
from PIL import Image

from spatialsv.scenes.readers.capture import CaptureError, Frame

THUMBNAIL = 96  # pixels, longer side of images for registration
GRID = 24  # depth samples per axis, which are projected into the next view
ImageReader = Callable[[Sequence[Frame]], Iterator[Image.Image | None]]


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How frames are selected.

    `uniform`: one scene of evenly spaced frames. `fps` and `overlap`: consecutive scenes.
    """

    by: Literal["uniform", "fps", "overlap"] = "uniform"  # which rule
    fps: float = 1.0  # frames per second
    overlap: float = 0.6  # select a frame if it shares less than this with the last one

    def __post_init__(self) -> None:
        if not self.fps > 0:
            raise ValueError(f"sampling.fps: expected a value above 0, found {self.fps}.")
        if not 0 < self.overlap <= 1:
            raise ValueError(f"sampling.overlap: expected a value in (0, 1], found {self.overlap}.")


def select_frames(
    frames: Sequence[Frame], count: int, sampling: Sampling, read_images: ImageReader
) -> list[list[Frame]]:
    """Select the frames of each scene.

    Args:
        frames: of a capture, in order.
        count: maximum number of frames per scene.
        sampling: the rule.
        read_images: reads thumbnails of frames; None for unreadable ones.

    Returns:
        The frames of each scene, in order.

    Raises:
        CaptureError: `fps` was requested, but the frames have no times.
    """
    if sampling.by == "uniform":
        return [[frames[i] for i in evenly_spaced(len(frames), count)]]
    if sampling.by == "fps":
        chosen = _by_time(frames, sampling.fps)
    else:
        chosen = list(_by_overlap(frames, sampling.overlap, read_images))
    return [chosen[start : start + count] for start in range(0, len(chosen), count)]


def evenly_spaced(frames: int, count: int) -> list[int]:
    """Return up to `count` evenly spaced indices below `frames`, including both ends."""
    return np.linspace(0, frames - 1, min(count, frames)).astype(int).tolist()


def _by_time(frames: Sequence[Frame], fps: float) -> list[Frame]:
    """Return the first frame at or after each tick, starting at the first frame."""
    times = [frame.time for frame in frames if frame.time is not None]
    if len(times) < len(frames):
        raise CaptureError(
            "sampling.by: fps needs frame times, which this source lacks. Use uniform or overlap."
        )
    chosen, tick = [], -1
    for frame, time in zip(frames, times, strict=True):
        passed = int((time - times[0]) * fps + 1e-6)
        if passed > tick:
            chosen.append(frame)
            tick = passed
    return chosen


def _by_overlap(frames: Sequence[Frame], least: float, read_images: ImageReader) -> Iterator[Frame]:
    """Use projected depth where depth and poses are known, else image registration."""
    if all(frame.depth and frame.cam_to_world is not None for frame in frames):
        yield from _by_visibility(frames, least)
        return
    last = None
    for frame, image in zip(frames, read_images(frames), strict=True):
        if image is None:
            continue
        grey = _grey(image)
        if last is None or shift_overlap(last, grey) < least:
            yield frame
            last = grey


def _by_visibility(frames: Sequence[Frame], least: float) -> Iterator[Frame]:
    """Select frames by the visible share of the last selected depth map."""
    last = None
    for frame in frames:
        if last is None or last.visible_share(frame) < least:
            yield frame
            current = SampledDepth.of(frame)
            last = current if current.points.size else last


@dataclass(frozen=True, eq=False)
class SampledDepth:
    """A grid of depth samples of a view, as points in its camera frame."""

    points: Float[np.ndarray, "3 n"]
    cam_to_world: Float[np.ndarray, "4 4"]
    size: tuple[int, int]  # width and height of the depth map

    @classmethod
    def of(cls, frame: Frame) -> SampledDepth:
        """Sample the depth of `frame`; empty if it cannot be read."""
        empty = cls(np.empty((3, 0)), frame.pose, (1, 1))
        if frame.depth is None:
            return empty
        try:
            depth = frame.depth()
        except (OSError, ValueError):
            return empty
        height, width = depth.shape
        rows = ((np.arange(GRID) + 0.5) * height / GRID).astype(int)
        columns = ((np.arange(GRID) + 0.5) * width / GRID).astype(int)
        v, u = (a.ravel() for a in np.meshgrid(rows, columns, indexing="ij"))
        z = depth[v, u].astype(float)
        known = np.isfinite(z) & (z > 0)
        K = frame.depth_intrinsics
        if K is None:
            grow = 1.0 if frame.size is None else frame.size[0] / width
            K = frame.camera_matrix / [[grow], [grow], [1]]
        pixels = np.stack([u + 0.5, v + 0.5, np.ones(len(u))])[:, known]
        return cls(np.linalg.inv(K) @ pixels * z[known], frame.pose, (width, height))

    def visible_share(self, frame: Frame) -> float:
        """Return the share of points that project into `frame`; NaN without points."""
        turn = np.linalg.inv(frame.pose) @ self.cam_to_world
        there = turn[:3, :3] @ self.points + turn[:3, 3:]
        image = frame.camera_matrix @ there
        inside = (there[2] > 0) & (image[:2] >= 0).all(axis=0)
        bounds = np.array(frame.size or self.size)[:, None]
        return float((inside & (image[:2] < bounds * image[2]).all(axis=0)).mean())


def shift_overlap(first: Float[np.ndarray, "h w"], second: Float[np.ndarray, "h w"]) -> float:
    """Return the common share of two grey images after the best translation.

    Phase correlation (Kuglin and Hines 1975) with a Hann window. 0 for images of different size.
    """
    if first.shape != second.shape:
        return 0.0
    window = np.outer(np.hanning(first.shape[0]), np.hanning(first.shape[1]))
    one, two = (scipy.fft.rfft2((grey - grey.mean()) * window) for grey in (first, second))
    cross = one * two.conj()
    peak = scipy.fft.irfft2(cross / np.maximum(np.abs(cross), 1e-9), s=first.shape).argmax()
    shifts = np.unravel_index(peak, first.shape)
    share = [1 - min(s, n - s) / n for s, n in zip(shifts, first.shape, strict=True)]
    return float(share[0] * share[1])


def _grey(image: Image.Image) -> Float[np.ndarray, "h w"]:
    read_thumbnails = image.convert("L")
    read_thumbnails.thumbnail((THUMBNAIL, THUMBNAIL))
    return np.asarray(read_thumbnails, dtype=float)
