"""A picture from a file, upright; or a depth map that was saved as one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedIOBase
from pathlib import Path

import numpy as np
from jaxtyping import Shaped
from PIL import Image, ImageOps

PICTURES = {".jpg", ".jpeg", ".png", ".webp", ".bmp"}


def read_picture(path: Path | BufferedIOBase, upright: bool = True) -> Image.Image:
    """All of a picture, in RGB, turned as its EXIF says if `upright`, else as it is stored.

    Raises:
        FileNotFoundError: `path` is missing.
        ValueError: Pillow cannot read it to its end.
    """
    with opened_picture(path) as opened:
        return (ImageOps.exif_transpose(opened) if upright else opened).convert("RGB")


def picture_size(path: Path) -> tuple[int, int]:
    """Width and height of a picture as it is stored; its pixels are not read.

    Raises:
        FileNotFoundError: `path` is missing.
        ValueError: no picture.
    """
    with opened_picture(path) as opened:
        return opened.size


def read_integers(path: Path) -> Shaped[np.ndarray, "H W"]:
    """The values of a picture of one channel, 1 to 32 bits each, as they are stored.

    Raises:
        FileNotFoundError: `path` is missing.
        ValueError: Pillow cannot read it to its end, or it has several channels.
    """
    with opened_picture(path) as opened:
        found = np.asarray(opened)
    if found.ndim != 2 or found.dtype.kind not in "biu":
        raise ValueError(f"{path}: {found.shape} values of {found.dtype}, expected one channel")
    return found


@contextmanager
def opened_picture(path: Path | BufferedIOBase) -> Iterator[Image.Image]:
    """A picture as it is stored; what goes wrong while it is read is told as below.

    Raises:
        FileNotFoundError: `path` is missing.
        ValueError: Pillow cannot read it.
    """
    try:
        with Image.open(path) as opened:
            yield opened
    except FileNotFoundError:
        raise
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(f"{path}: not a picture that can be read ({error})") from None


def limited(picture: Image.Image, pixels: int | None) -> Image.Image:
    """`picture` with at most so many pixels, its shape kept."""
    width, height = picture.size
    if pixels is None or width * height <= pixels:
        return picture
    shrink = (pixels / (width * height)) ** 0.5
    size = (max(1, int(width * shrink)), max(1, int(height * shrink)))
    return picture.resize(size, Image.Resampling.BICUBIC, reducing_gap=3)
