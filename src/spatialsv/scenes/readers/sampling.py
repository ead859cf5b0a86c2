"""Which frames of a capture make up its scenes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import scipy.fft
from jaxtyping import Float
from PIL import Image

from spatialsv.scenes.readers.capture import CaptureError, Frame

THUMBNAIL = 96  # pixels of the side to which pictures are shrunk before they are registered
GRID = 24  # of a depth map, as many pixels across and down are looked for in the next view
ImageReader = Callable[[Sequence[Frame]], Iterator[Image.Image | None]]


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """`uniform`: one scene, evenly spread. `fps` and `overlap`: scene after scene, all through."""

    by: Literal["uniform", "fps", "overlap"] = "uniform"
    fps: float = 1.0  # frames a second
    overlap: float = 0.6  # a frame is taken where it shares less than this with the last one taken

    def __post_init__(self) -> None:
        if not self.fps > 0:
            raise ValueError(f"sampling.fps {self.fps}: expected above 0")
        if not 0 < self.overlap <= 1:
            raise ValueError(f"sampling.overlap {self.overlap}: expected above 0, at most 1")


def select_frames(
    frames: Sequence[Frame], count: int, sampling: Sampling, read_images: ImageReader
) -> list[list[Frame]]:
    """The frames of each scene, `count` at most, in order.

    Args:
        pictures: opens the pictures of frames, small ones for all that is done here; None for one
            that cannot be read.

    Raises:
        CaptureError: by frames a second, where the source tells no times.
    """
    if sampling.by == "uniform":
        return [[frames[i] for i in evenly_spaced(len(frames), count)]]
    if sampling.by == "fps":
        chosen = _by_time(frames, sampling.fps)
    else:
        chosen = list(_by_overlap(frames, sampling.overlap, read_images))
    return [chosen[start : start + count] for start in range(0, len(chosen), count)]


def evenly_spaced(frames: int, count: int) -> list[int]:
    """At most `count` of the numbers 0 to `frames` - 1, evenly, both ends included."""
    return np.linspace(0, frames - 1, min(count, frames)).astype(int).tolist()


def _by_time(frames: Sequence[Frame], fps: float) -> list[Frame]:
    """The first frame at or after each tick, the first frame's time being one."""
    if any(frame.time is None for frame in frames):
        raise CaptureError("sampling by fps: this source tells no times; use uniform or overlap")
    chosen, tick = [], -1
    for frame in frames:
        passed = int((frame.time - frames[0].time) * fps + 1e-6)
        if passed > tick:
            chosen.append(frame)
            tick = passed
    return chosen


def _by_overlap(frames: Sequence[Frame], least: float, read_images: ImageReader) -> Iterator[Frame]:
    """Where depth and poses are known, by what of the one view is seen in the other; else by the
    shift that registers the pictures best."""
    if all(frame.depth and frame.cam_to_world is not None for frame in frames):
        yield from _by_visibility(frames, least)
        return
    seen = None
    for frame, image in zip(frames, read_images(frames), strict=True):
        if image is None:
            continue
        grey = _grey(image)
        if seen is None or shift_overlap(seen, grey) < least:
            yield frame
            seen = grey


def _by_visibility(frames: Sequence[Frame], least: float) -> Iterator[Frame]:
    """A frame's depth is read when it is taken; one without leaves the last that had some."""
    seen = None
    for frame in frames:
        if seen is None or seen.visible_share(frame) < least:
            yield frame
            now = SampledDepth.of(frame)
            seen = now if now.points.size else seen


@dataclass(frozen=True, eq=False)
class SampledDepth:
    """What of a view's depth is looked for in others: points in its own camera's frame."""

    points: Float[np.ndarray, "3 n"]
    cam_to_world: Float[np.ndarray, "4 4"]
    size: tuple[int, int]  # width, height of the depth map

    @classmethod
    def of(cls, frame: Frame) -> SampledDepth:
        """No points where its depth cannot be read."""
        try:
            depth = frame.depth()
        except (OSError, ValueError):
            return cls(np.empty((3, 0)), frame.cam_to_world, (1, 1))
        height, width = depth.shape
        rows = ((np.arange(GRID) + 0.5) * height / GRID).astype(int)
        columns = ((np.arange(GRID) + 0.5) * width / GRID).astype(int)
        v, u = (a.ravel() for a in np.meshgrid(rows, columns, indexing="ij"))
        z = depth[v, u].astype(float)
        known = np.isfinite(z) & (z > 0)
        K = frame.depth_intrinsics
        if K is None:
            grow = 1.0 if frame.size is None else frame.size[0] / width
            K = frame.intrinsics / [[grow], [grow], [1]]
        pixels = np.stack([u + 0.5, v + 0.5, np.ones(len(u))])[:, known]
        return cls(np.linalg.inv(K) @ pixels * z[known], frame.cam_to_world, (width, height))

    def visible_share(self, frame: Frame) -> float:
        """The share of the points that fall into `frame`; of none NaN."""
        turn = np.linalg.inv(frame.cam_to_world) @ self.cam_to_world
        there = turn[:3, :3] @ self.points + turn[:3, 3:]
        image = frame.intrinsics @ there
        inside = (there[2] > 0) & (image[:2] >= 0).all(axis=0)
        bounds = np.array(frame.size or self.size)[:, None]
        return float((inside & (image[:2] < bounds * image[2]).all(axis=0)).mean())


def shift_overlap(first: Float[np.ndarray, "h w"], second: Float[np.ndarray, "h w"]) -> float:
    """The share of the picture that two greys of one size have in common after the best shift.

    By phase correlation (Kuglin and Hines 1975), on a Hann window against the border's own edges.
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
