"""Frames of a video, spread evenly: of a file, by PyAV, or of a folder of pictures."""

from __future__ import annotations

import re
from pathlib import Path

import av
import numpy as np
from PIL import Image

from spatialsv.scenes.picture import limited, read_picture

NUMBER = re.compile(r"(\d+)")  # frame 10 comes after frame 9
PICTURES = {".jpg", ".jpeg", ".png", ".webp", ".bmp"}


def read_frames(path: Path, count: int, pixels: int | None) -> tuple[list[Image.Image], list[int]]:
    """At most `count` frames, and which these are, from 0; the first and the last are among them.

    Args:
        pixels: of a frame, at most; None keeps its size.

    Raises:
        FileNotFoundError: `path` is missing.
        ValueError: no frame, or one that cannot be read.
    """
    if path.is_dir():
        return _of_folder(path, count, pixels)
    if not path.exists():
        raise FileNotFoundError(path)
    try:
        return _of_file(path, count, pixels)
    except av.FFmpegError as error:
        raise ValueError(f"{path}: not a video that can be read ({error})") from None


def spread(frames: int, count: int) -> list[int]:
    """At most `count` of the numbers 0 to `frames` - 1, evenly, both ends included."""
    return np.linspace(0, frames - 1, min(count, frames)).astype(int).tolist()


def _of_folder(path: Path, count: int, pixels: int | None) -> tuple[list[Image.Image], list[int]]:
    found = [file for file in path.iterdir() if file.suffix.lower() in PICTURES]
    if not found:
        raise ValueError(f"{path}: no frames in this folder")
    found.sort(key=lambda file: [int(n) if n.isdigit() else n for n in NUMBER.split(file.name)])
    chosen = spread(len(found), count)
    return [limited(read_picture(found[frame]), pixels) for frame in chosen], chosen


def _of_file(path: Path, count: int, pixels: int | None) -> tuple[list[Image.Image], list[int]]:
    with av.open(path) as container:
        if not container.streams.video:
            raise ValueError(f"{path}: no video in it")
        told = container.streams.video[0].frames  # 0 where the file does not say
        frames = sum(packet.size > 0 for packet in container.demux(video=0))
    if not frames or frames < told:
        raise ValueError(f"{path}: broken off, {frames} of {told} frames")
    chosen, pictures = spread(frames, count), []
    with av.open(path) as container:
        container.streams.video[0].thread_type = "AUTO"
        for number, frame in enumerate(container.decode(video=0)):
            if number == chosen[len(pictures)]:
                upright = np.rot90(frame.to_ndarray(format="rgb24"), frame.rotation // 90)
                pictures.append(limited(Image.fromarray(upright), pixels))
            if len(pictures) == len(chosen):
                return pictures, chosen
    raise ValueError(f"{path}: broken off, {len(pictures)} of the frames {chosen}")
