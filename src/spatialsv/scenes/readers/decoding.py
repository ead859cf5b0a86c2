"""Decode a video file by PyAV, into the frames that FFmpeg shows."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.container import InputContainer
from av.video.stream import VideoStream
from jaxtyping import Int32
from PIL import Image

from spatialsv.scenes.images import LARGEST, check_size, to_rgb
from spatialsv.scenes.readers.container import check_length

OPTIONS = {  # a playlist that is named like a video must not open other files or addresses
    "format_whitelist": "mov,matroska,avi,mpegts,mpeg,flv,asf,ogg,gif,mjpeg,h264,hevc",
    "protocol_whitelist": "file",
}
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


@contextmanager
def open_video(path: Path) -> Iterator[tuple[InputContainer, VideoStream]]:
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
        if not path.is_file():
            raise ValueError("not a file")
        check_length(path)
        with av.open(path, options=OPTIONS) as container:
            stream = container.streams.best("video")
            if not isinstance(stream, VideoStream) or stream.codec_context is None:
                raise ValueError("no video stream that can be decoded")
            check_size(stream.codec_context.width, stream.codec_context.height)
            stream.codec_context.options = {"max_pixels": str(LARGEST)}
            stream.thread_type = "AUTO"
            yield container, stream
    except (av.FFmpegError, ValueError) as error:
        raise ValueError(f"{path}: cannot be read as video ({error}).") from None


def decode(
    path: Path, numbers: Collection[int] = ()
) -> Iterator[tuple[float | None, Image.Image | None]]:
    """Decode all frames that the file shows.

    Yields:
        The time of a frame in seconds, if it is stored, and the image if its index is in `numbers`.

    Raises:
        ValueError: the file has no frames, or frames of an invalid size or orientation.
    """
    with open_video(path) as (container, stream):
        wanted, number = frozenset(numbers), -1
        for number, frame in enumerate(container.decode(stream)):
            aspect = float(stream.sample_aspect_ratio or 1)
            yield frame.time, _to_image(frame, aspect) if number in wanted else None
        if number < 0:
            raise ValueError("no frames")


def _to_image(frame: av.VideoFrame, aspect: float) -> Image.Image:
    """Return a frame in RGB, upright, with square pixels.

    Args:
        frame: the decoded frame.
        aspect: width of a stored pixel divided by its height. Frames are enlarged, never reduced.

    Raises:
        ValueError: the size is too large, or the rotation is not by right angles.
    """
    size = round(frame.width * max(1.0, aspect)), round(frame.height / min(1.0, aspect))
    check_size(*size)
    has_alpha = any(component.is_alpha for component in frame.format.components)
    image = to_rgb(Image.fromarray(frame.to_ndarray(format="rgba" if has_alpha else "rgb24")))
    if image.size != size:
        image = image.resize(size, Image.Resampling.BICUBIC)
    matrix: Any = frame.side_data.get("DISPLAYMATRIX")
    transpose = None if matrix is None else _upright(np.frombuffer(bytes(matrix), np.int32))
    return image if transpose is None else image.transpose(transpose)


def _upright(matrix: Int32[np.ndarray, "9"]) -> Image.Transpose | None:
    """Return what turns a stored frame upright, from its display matrix."""
    linear = matrix[[0, 1, 3, 4]] / ONE
    signs = tuple(np.where(np.abs(linear) < SKEW * np.abs(linear).max(), 0, np.sign(linear)))
    if signs not in UPRIGHT:
        raise ValueError(f"display matrix {linear.tolist()}, expected multiples of 90 degrees")
    return UPRIGHT[signs]


def count_packets(path: Path) -> int:
    """Return the number of packets that are shown, which is mostly the number of frames."""
    with open_video(path) as (container, stream):
        return sum(packet.size > 0 and not packet.is_discard for packet in container.demux(stream))
