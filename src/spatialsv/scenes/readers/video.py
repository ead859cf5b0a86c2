"""Videos, by PyAV: a file, or a folder of its frames as pictures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import av
import numpy as np
from PIL import Image

from spatialsv.scenes.images import IMAGE_SUFFIXES, limit_pixels, read_image
from spatialsv.scenes.readers.capture import Capture, CaptureError, Frame, natural_key
from spatialsv.scenes.readers.sampling import evenly_spaced

VIDEOS = {".mp4", ".mov", ".mkv", ".avi", ".webm", ".m4v"}


def scenes(root: Path) -> list[Path]:
    """A video, or all videos at or below a folder."""
    if root.is_file():
        return [root] if root.suffix.lower() in VIDEOS else []
    found = (path for path in root.rglob("*") if path.suffix.lower() in VIDEOS)
    return sorted((path for path in found if path.is_file()), key=natural_key)


def capture(scene: Path) -> Capture:
    """A video's frames, without any geometry."""
    try:
        times = frame_times(scene)
    except ValueError as error:
        raise CaptureError(str(error)) from None
    frames = [
        Frame(id=str(number), image=scene, number=number, time=time)
        for number, time in enumerate(times)
    ]
    return Capture(id=scene.stem, frames=frames, source="video", unit="relative")


def read_frames(path: Path, count: int, pixels: int | None) -> tuple[list[Image.Image], list[int]]:
    """At most `count` frames, and which these are, from 0; the first and the last are among them.

    Args:
        pixels: of a frame, at most; None keeps its size.

    Raises:
        FileNotFoundError: `path` is missing.
        ValueError: no frame, or one that cannot be read.
    """
    if path.is_dir():
        return _read_folder(path, count, pixels)
    chosen = evenly_spaced(len(frame_times(path)), count)
    return [limit_pixels(image, pixels) for image in decode_frames(path, chosen)], chosen


def frame_times(path: Path) -> list[float]:
    """When each frame of a video is shown, in seconds, without decoding any.

    Raises:
        FileNotFoundError: `path` is missing.
        ValueError: no video, or one that is broken off.
    """
    if not path.exists():
        raise FileNotFoundError(path)
    try:
        with av.open(path) as container:
            if not container.streams.video:
                raise ValueError(f"{path}: no video in it")
            stream = container.streams.video[0]
            told, rate = stream.frames, float(stream.average_rate or 1)  # 0 where it does not say
            shown = [(p.pts, p.time_base) for p in container.demux(stream) if p.size > 0]
    except av.FFmpegError as error:
        raise ValueError(f"{path}: not a video that can be read ({error})") from None
    if not shown or len(shown) < told != _count_packets(path):
        raise ValueError(f"{path}: broken off, {len(shown)} of {told} frames")
    if any(pts is None for pts, _ in shown):
        return [number / rate for number in range(len(shown))]
    return sorted(float(pts * base) for pts, base in shown)


def _count_packets(path: Path) -> int:
    """The frames that are in the file, those too that an edit list hides, as trimming leaves it."""
    with av.open(path, options={"ignore_editlist": "1"}) as container:
        return sum(p.size > 0 for p in container.demux(container.streams.video[0]))


def decode_frames(path: Path, numbers: Sequence[int]) -> Iterator[Image.Image]:
    """The frames of these numbers, which must rise, upright, in RGB.

    Raises:
        ValueError: the video cannot be decoded that far.
    """
    given = 0
    try:
        with av.open(path) as container:
            container.streams.video[0].thread_type = "AUTO"
            for number, frame in enumerate(container.decode(video=0)):
                if given == len(numbers):
                    return
                if number == numbers[given]:
                    upright = np.rot90(frame.to_ndarray(format="rgb24"), frame.rotation // 90)
                    given += 1
                    yield Image.fromarray(upright)
    except av.FFmpegError as error:
        raise ValueError(f"{path}: not a video that can be read ({error})") from None
    if given < len(numbers):
        raise ValueError(f"{path}: broken off, {given} of the frames {list(numbers)}")


def _read_folder(path: Path, count: int, pixels: int | None) -> tuple[list[Image.Image], list[int]]:
    found = [file for file in path.iterdir() if file.suffix.lower() in IMAGE_SUFFIXES]
    if not found:
        raise ValueError(f"{path}: no frames in this folder")
    found.sort(key=natural_key)
    chosen = evenly_spaced(len(found), count)
    return [limit_pixels(read_image(found[frame]), pixels) for frame in chosen], chosen
