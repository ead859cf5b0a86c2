"""A picture from a file, upright."""

from __future__ import annotations

from pathlib import Path

from PIL import Image, ImageOps

PICTURES = {".jpg", ".jpeg", ".png", ".webp", ".bmp"}


def read_picture(path: Path, upright: bool = True) -> Image.Image:
    """All of a picture, in RGB, turned as its EXIF says if `upright`, else as it is stored.

    Raises:
        FileNotFoundError: `path` is missing.
        ValueError: Pillow cannot read it to its end.
    """
    try:
        with Image.open(path) as opened:
            return (ImageOps.exif_transpose(opened) if upright else opened).convert("RGB")
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
