"""Read image files upright, and depth maps stored as single-channel images."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import numpy as np
from jaxtyping import Shaped
from PIL import Image, ImageOps

IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp"}


def read_image(path: Path | BytesIO, upright: bool = True) -> Image.Image:
    """Return an image in RGB, with all pixels decoded.

    Args:
        path: image file.
        upright: rotate the image as its EXIF orientation says; False keeps the stored orientation.

    Returns:
        The image.

    Raises:
        FileNotFoundError: `path` does not exist.
        ValueError: Pillow cannot decode the file.
    """
    with open_image(path) as opened:
        return (ImageOps.exif_transpose(opened) if upright else opened).convert("RGB")


def image_size(path: Path) -> tuple[int, int]:
    """Return the stored width and height of an image, without decoding its pixels."""
    with open_image(path) as opened:
        return opened.size


def read_integers(path: Path) -> Shaped[np.ndarray, "H W"]:
    """Return the stored values of a single-channel image of 1 to 32 bits a pixel.

    Args:
        path: image file.

    Returns:
        The values, in the integer type that Pillow decodes them to.

    Raises:
        ValueError: the image has several channels, or Pillow cannot decode it.
    """
    with open_image(path) as opened:
        values = np.asarray(opened)
    if values.ndim != 2 or values.dtype.kind not in "biu":
        raise ValueError(
            f"{path}: expected one channel of integers, found {values.shape} of {values.dtype}."
        )
    return values


@contextmanager
def open_image(path: Path | BytesIO) -> Iterator[Image.Image]:
    """Open an image as it is stored, and report any decoding error as a ValueError.

    Args:
        path: image file.

    Yields:
        The image, whose pixels are decoded on first use.

    Raises:
        FileNotFoundError: `path` does not exist.
        ValueError: Pillow cannot decode the file.
    """
    try:
        with Image.open(path) as opened:
            yield opened
    except FileNotFoundError:
        raise
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(f"{path}: cannot be read as an image ({error}).") from None


def limit_pixels(image: Image.Image, max_pixels: int | None) -> Image.Image:
    """Return `image`, reduced to at most `max_pixels` pixels at the same aspect ratio."""
    width, height = image.size
    if max_pixels is None or width * height <= max_pixels:
        return image
    shrink = (max_pixels / (width * height)) ** 0.5
    size = (max(1, int(width * shrink)), max(1, int(height * shrink)))
    return image.resize(size, Image.Resampling.BICUBIC, reducing_gap=3)
