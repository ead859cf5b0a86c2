"""Videos, decoded by PyAV: a file, or a directory of its frames."""

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
    """Return a video file, or all videos at or below a directory."""
    if root.is_file():
        return [root] if root.suffix.lower() in VIDEOS else []
    found = (path for path in root.rglob("*") if path.suffix.lower() in VIDEOS)
    return sorted((path for path in found if path.is_file()), key=natural_key)


def capture(scene: Path) -> Capture:
    """Return the frames of a video, without geometry."""
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
    """Read up to `count` evenly spaced frames, including the first and the last.

    Args:
        path: a video, or a directory of frames.
        count: maximum number of frames.
        pixels: maximum number of pixels per frame; None keeps the size.

    Returns:
        The frames, and their indices from 0.

    Raises:
        FileNotFoundError: `path` does not exist.
        ValueError: a frame is missing or cannot be read.
    """
    if path.is_dir():
        return _read_folder(path, count, pixels)
    chosen = evenly_spaced(len(frame_times(path)), count)
    return [limit_pixels(image, pixels) for image in decode_frames(path, chosen)], chosen


def frame_times(path: Path) -> list[float]:
    """Return the presentation time of each frame in seconds, without decoding.

    Raises:
        FileNotFoundError: `path` does not exist.
        ValueError: the file has no video stream or is truncated.
    """
    if not path.exists():
        raise FileNotFoundError(path)
    try:
        with av.open(path) as container:
            if not container.streams.video:
                raise ValueError(f"{path}: no video stream")
            stream = container.streams.video[0]
            declared, rate = stream.frames, float(stream.average_rate or 1)  # 0: not declared
            packets = [(p.pts, p.time_base) for p in container.demux(stream) if p.size > 0]
    except av.FFmpegError as error:
        raise ValueError(f"{path}: cannot be read as video ({error})") from None
    if not packets or len(packets) < declared != _count_packets(path):
        raise ValueError(f"{path}: truncated, {len(packets)} of {declared} frames")
    if any(pts is None for pts, _ in packets):
        return [number / rate for number in range(len(packets))]
    return sorted(float(pts * base) for pts, base in packets if pts is not None)


def _count_packets(path: Path) -> int:
    """Count all frames in the file, including those hidden by an edit list (trimmed videos)."""
    with av.open(path, options={"ignore_editlist": "1"}) as container:
        return sum(p.size > 0 for p in container.demux(container.streams.video[0]))


def decode_frames(path: Path, numbers: Sequence[int]) -> Iterator[Image.Image]:
    """Decode the frames with these ascending indices, upright, in RGB.

    Yields:
        One image per index.

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
        raise ValueError(f"{path}: cannot be read as video ({error})") from None
    if given < len(numbers):
        raise ValueError(f"{path}: truncated, {given} of the frames {list(numbers)}")


def _read_folder(path: Path, count: int, pixels: int | None) -> tuple[list[Image.Image], list[int]]:
    files = [file for file in path.iterdir() if file.suffix.lower() in IMAGE_SUFFIXES]
    if not files:
        raise ValueError(f"{path}: no image files in this directory")
    files.sort(key=natural_key)
    chosen = evenly_spaced(len(files), count)
    return [limit_pixels(read_image(files[frame]), pixels) for frame in chosen], chosen
