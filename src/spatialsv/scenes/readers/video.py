"""Videos, decoded by PyAV: a file, or a directory of its frames.

Frames are those that FFmpeg shows, counted by decoding: edit lists, empty chunks and hidden frames
make packets a poor measure. They are upright and have square pixels.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.container import InputContainer
from av.video.stream import VideoStream
from PIL import Image

from spatialsv.scenes.images import (
    IMAGE_SUFFIXES,
    LARGEST,
    check_size,
    limit_pixels,
    read_image,
    to_rgb,
)
from spatialsv.scenes.readers.capture import Capture, CaptureError, Frame, natural_key
from spatialsv.scenes.readers.container import check_length
from spatialsv.scenes.readers.files import walk_folders
from spatialsv.scenes.readers.sampling import evenly_spaced

VIDEOS = {".mp4", ".mov", ".mkv", ".avi", ".webm", ".m4v"}
ONE = 1 << 16  # in numbers of a display matrix
SKEW = 0.02  # numbers of a display matrix, relative to the largest, that count as zero
UPRIGHT = {  # by the signs of a display matrix
    (1, 0, 0, 1): None,
    (-1, 0, 0, 1): Image.Transpose.FLIP_LEFT_RIGHT,
    (1, 0, 0, -1): Image.Transpose.FLIP_TOP_BOTTOM,
    (-1, 0, 0, -1): Image.Transpose.ROTATE_180,
    (0, 1, 1, 0): Image.Transpose.TRANSPOSE,
    (0, 1, -1, 0): Image.Transpose.ROTATE_270,
    (0, -1, 1, 0): Image.Transpose.ROTATE_90,
    (0, -1, -1, 0): Image.Transpose.TRANSVERSE,
}


@dataclass(frozen=True)
class DecodedFrame:
    """A decoded frame, and how it is shown."""

    stored: av.VideoFrame
    size: tuple[int, int]  # width and height with square pixels, as stored
    transpose: Image.Transpose | None  # to be upright

    @classmethod
    def of(cls, stored: av.VideoFrame, aspect: float) -> DecodedFrame:
        """Return a frame whose pixels are `aspect` times as wide as high; none of them is lost.

        Raises:
            ValueError: the size is too large, or the rotation is not by right angles.
        """
        size = round(stored.width * max(1.0, aspect)), round(stored.height / min(1.0, aspect))
        check_size(*size)
        data: Any = stored.side_data.get("DISPLAYMATRIX")
        if data is None:
            return cls(stored, size, None)
        matrix = np.frombuffer(bytes(data), np.int32)[[0, 1, 3, 4]] / ONE
        signs = tuple(np.where(np.abs(matrix) < SKEW * np.abs(matrix).max(), 0, np.sign(matrix)))
        if signs not in UPRIGHT:
            raise ValueError(f"display matrix {matrix.tolist()}, expected multiples of 90 degrees")
        return cls(stored, size, UPRIGHT[signs])

    def to_image(self) -> Image.Image:
        """Return the frame in RGB, upright, with square pixels."""
        is_alpha = any(component.is_alpha for component in self.stored.format.components)
        pixels = self.stored.to_ndarray(format="rgba" if is_alpha else "rgb24")
        image = to_rgb(Image.fromarray(pixels))
        if image.size != self.size:
            image = image.resize(self.size, Image.Resampling.BICUBIC)
        return image if self.transpose is None else image.transpose(self.transpose)


def scenes(root: Path) -> list[Path]:
    """Return a video file, or all videos at or below a directory."""
    if root.is_file():
        return [root] if root.suffix.lower() in VIDEOS else []
    files = (path for folder in walk_folders(root) for path in folder.iterdir())
    found = (path for path in files if path.suffix.lower() in VIDEOS)
    return sorted((path for path in found if not path.is_dir()), key=natural_key)


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
    expected = _count_packets(path)
    while True:  # twice if the numbers of packets and of frames differ
        chosen, images, total = evenly_spaced(expected, count), [], 0
        for total, frame in enumerate(_decode(path), start=1):
            if total - 1 in chosen:
                images.append(limit_pixels(frame.to_image(), pixels))
        if total == expected:
            return images, chosen
        expected = total


def frame_times(path: Path) -> list[float]:
    """Return the presentation time of each frame in seconds; all frames are decoded.

    As in FFmpeg, times count from the start of the file's first stream.

    Raises:
        FileNotFoundError: `path` does not exist.
        ValueError: the file has no frames, is truncated or cannot be decoded.
    """
    with _open(path) as (container, stream):
        start, rate = (container.start_time or 0) / av.time_base, float(stream.average_rate or 1)
    times = [frame.stored.time for frame in _decode(path)]
    if any(time is None for time in times):
        return [number / rate for number in range(len(times))]
    return sorted(time - start for time in times)


def decode_frames(path: Path, numbers: Sequence[int]) -> Iterator[Image.Image]:
    """Decode the frames with these ascending indices, upright, in RGB, with square pixels.

    Yields:
        One image per index.

    Raises:
        FileNotFoundError: `path` does not exist.
        ValueError: the video cannot be decoded that far.
    """
    given = 0
    for number, frame in enumerate(_decode(path)):
        if given == len(numbers):
            return
        if number == numbers[given]:
            given += 1
            yield frame.to_image()
    if given < len(numbers):
        raise ValueError(f"{path}: truncated, {given} of the frames {list(numbers)}")


@contextmanager
def _open(path: Path) -> Iterator[tuple[InputContainer, VideoStream]]:
    """Open a video and the stream that FFmpeg shows, and name the file in errors.

    Yields:
        The container and the stream.

    Raises:
        FileNotFoundError: `path` does not exist.
        ValueError: the file has no video stream, or is truncated or too large.
    """
    if not path.exists():
        raise FileNotFoundError(path)
    try:
        check_length(path)
        with av.open(path, options={"protocol_whitelist": "file"}) as container:  # no network
            stream = container.streams.best("video")
            if not isinstance(stream, VideoStream):
                raise ValueError("no video stream")
            check_size(stream.codec_context.width, stream.codec_context.height)
            stream.codec_context.options = {"max_pixels": str(LARGEST)}
            stream.thread_type = "AUTO"
            yield container, stream
    except (av.FFmpegError, ValueError) as error:
        raise ValueError(f"{path}: cannot be read as video ({error}).") from None


def _decode(path: Path) -> Iterator[DecodedFrame]:
    """Decode all frames that the file shows.

    Yields:
        Each frame.

    Raises:
        ValueError: the file has no frames, or frames of an invalid size or orientation.
    """
    with _open(path) as (container, stream):
        is_empty = True
        for frame in container.decode(stream):
            is_empty = False
            yield DecodedFrame.of(frame, float(stream.sample_aspect_ratio or 1))
        if is_empty:
            raise ValueError("no frames")


def _count_packets(path: Path) -> int:
    """Return the number of packets that are shown, which is mostly the number of frames."""
    with _open(path) as (container, stream):
        return sum(packet.size > 0 and not packet.is_discard for packet in container.demux(stream))


def _read_folder(path: Path, count: int, pixels: int | None) -> tuple[list[Image.Image], list[int]]:
    files = [file for file in path.iterdir() if file.suffix.lower() in IMAGE_SUFFIXES]
    if not files:
        raise ValueError(f"{path}: no image files in this directory")
    files.sort(key=natural_key)
    chosen = evenly_spaced(len(files), count)
    return [read_image(files[frame], max_pixels=pixels) for frame in chosen], chosen
