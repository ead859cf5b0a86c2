"""Videos, decoded by PyAV: a file, or a directory of its frames.

Frames are those that FFmpeg shows, counted by decoding: edit lists, empty chunks and hidden frames
make packets a poor measure. They are upright and have square pixels.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import av
from PIL import Image

from spatialsv.scenes.images import IMAGE_SUFFIXES, limit_pixels, read_image
from spatialsv.scenes.readers.capture import Capture, CaptureError, Frame
from spatialsv.scenes.readers.decoding import count_packets, decode, open_video
from spatialsv.scenes.readers.files import list_files, walk_folders
from spatialsv.scenes.readers.sampling import evenly_spaced

VIDEOS = {".mp4", ".mov", ".mkv", ".avi", ".webm", ".m4v"}


def scenes(root: Path) -> list[Path]:
    """Return a video file, or all videos at or below a directory."""
    if root.is_file():
        return [root] if root.suffix.lower() in VIDEOS else []
    files = (path for folder in walk_folders(root) for path in folder.iterdir())
    return list_files(files, VIDEOS)


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
    expected = count_packets(path)
    while True:  # twice if the numbers of packets and of frames differ
        chosen = evenly_spaced(expected, count)
        frames = [image and limit_pixels(image, pixels) for _, image in decode(path, chosen)]
        if len(frames) == expected:
            return [image for image in frames if image is not None], chosen
        expected = len(frames)


def frame_times(path: Path) -> list[float]:
    """Return the presentation time of each frame in seconds; all frames are decoded.

    As in FFmpeg, times count from the start of the file's first stream.

    Raises:
        FileNotFoundError: `path` does not exist.
        ValueError: the file has no frames, is truncated or cannot be decoded.
    """
    with open_video(path) as (container, stream):
        start, rate = (container.start_time or 0) / av.time_base, float(stream.average_rate or 1)
    times = [time for time, _ in decode(path)]
    if None in times:
        return [number / rate for number in range(len(times))]
    return sorted(time - start for time in times if time is not None)


def decode_frames(path: Path, numbers: Sequence[int]) -> Iterator[Image.Image]:
    """Decode the frames with these ascending indices, upright, in RGB, with square pixels.

    Yields:
        One image per index.

    Raises:
        FileNotFoundError: `path` does not exist.
        ValueError: the video cannot be decoded that far.
    """
    given = 0
    for _, image in decode(path, numbers) if numbers else ():
        if image is not None:
            given += 1
            yield image
            if given == len(numbers):
                return
    if given < len(numbers):
        raise ValueError(f"{path}: truncated, {given} of the frames {list(numbers)}")


def _read_folder(path: Path, count: int, pixels: int | None) -> tuple[list[Image.Image], list[int]]:
    files = list_files(path.iterdir(), IMAGE_SUFFIXES)
    if not files:
        raise ValueError(f"{path}: no image files in this directory")
    chosen = evenly_spaced(len(files), count)
    return [read_image(files[frame], max_pixels=pixels) for frame in chosen], chosen
