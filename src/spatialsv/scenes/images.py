"""Read image files in RGB, and depth maps stored as single-channel images.

Every stage opens image files here, so that all see the same pixels:

- 16-bit grey values are divided by 257; 16-bit colours keep their upper 8 bits.
- Transparent pixels show `BACKGROUND`, never the colour stored below.
- Floating-point images are refused, since their range is unknown.
- Colour profiles are ignored: values are taken as sRGB.
- The header is checked before pixels are decoded. Images above `LARGEST` pixels are refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import numpy as np
from jaxtyping import Shaped
from PIL import ExifTags, Image
from PIL.PngImagePlugin import PngImageFile

Box = tuple[int | float, int | float, int | float, int | float]  # left, top, right, bottom
IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp"}
BACKGROUND = (255, 255, 255)  # below transparent pixels
LARGEST = 2**27  # pixels, about 134 million: half a gigabyte in Pillow's RGB
LONGEST = 200  # longer side over shorter one; Qwen's processors refuse more
REDUCING_GAP = 3  # times the final size, to which images are reduced without a filter
UPRIGHT = {  # by EXIF orientation
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def read_image(
    source: Path | bytes, upright: bool = True, max_pixels: int | None = None, name: str = ""
) -> Image.Image:
    """Return an image in RGB, with all pixels decoded.

    Args:
        source: image file, or its content.
        upright: rotate the image as its EXIF orientation says; False keeps the stored orientation.
        max_pixels: larger images are reduced to this number of pixels at the same aspect ratio.
        name: name of the image in errors; by default that of the file.

    Returns:
        The image.

    Raises:
        FileNotFoundError: the file does not exist.
        ValueError: the image is truncated, too large, or has no known range of values.
    """
    with _open_image(source, name) as opened:
        size, box = _limited_size(opened.size, max_pixels), None
        if size != opened.size:  # a JPEG can be decoded to a fraction of its size
            draft = opened.draft(None, (REDUCING_GAP * size[0], REDUCING_GAP * size[1]))
            box = draft and draft[1]
        image = _resize(to_rgb(opened), size, box)
        orientation = opened.getexif().get(ExifTags.Base.Orientation) if upright else None
    return image.transpose(UPRIGHT[orientation]) if orientation in UPRIGHT else image


def image_size(path: Path) -> tuple[int, int]:
    """Return the stored width and height of an image, without decoding its pixels."""
    with _open_image(path) as opened:
        return opened.size


def read_integers(path: Path) -> Shaped[np.ndarray, "H W"]:
    """Return the stored values of a single-channel image of 1 to 32 bits a pixel.

    Args:
        path: image file.

    Returns:
        The values, in the integer type that Pillow decodes them to.

    Raises:
        FileNotFoundError: `path` does not exist.
        ValueError: the image has several channels, or cannot be decoded.
    """
    with _open_image(path) as opened:
        values = np.asarray(opened)
    if values.ndim != 2 or values.dtype.kind not in "biu":
        raise ValueError(
            f"{path}: expected one channel of integers, found {values.shape} of {values.dtype}."
        )
    return values


def to_rgb(image: Image.Image) -> Image.Image:
    """Return an image of any mode in RGB, transparent pixels on `BACKGROUND`.

    Raises:
        ValueError: the values have no known range.
    """
    if image.mode == "F":
        raise ValueError("floating-point values have no known range; convert it to 16 bits")
    if image.mode.startswith("I"):
        image = _from_16_bits(image)
    if not image.has_transparency_data:
        return image.convert("RGB")
    layer = image.convert("LA") if image.mode == "La" else image
    layer = layer if layer.mode == "RGBA" else layer.convert("RGBA")  # which copies
    shown = Image.new("RGB", image.size, BACKGROUND)
    shown.paste(layer.convert("RGB"), mask=layer.getchannel("A"))
    return shown


def _from_16_bits(image: Image.Image) -> Image.Image:
    """Return a grey image in 8 bits a channel, with alpha if one of its values is transparent."""
    values = np.asarray(image).astype(np.int64 if image.mode == "I" else np.uint32)
    if values.min() < 0 or values.max() > 65535:
        found = f"{values.min()} to {values.max()}"
        raise ValueError(f"expected values from 0 to 65535, found {found}; convert it to 16 bits")
    grey = Image.fromarray(((values + 128) // 257).astype(np.uint8))
    key = image.info.get("transparency")
    if key is not None:
        grey.putalpha(Image.fromarray(np.where(values == key, 0, 255).astype(np.uint8)))
    return grey


def check_size(width: int, height: int) -> None:
    """Check the size in a header, before pixels are decoded.

    Raises:
        ValueError: an image of this size is empty, too large or too elongated.
    """
    if min(width, height) < 1 or width * height > LARGEST:
        raise ValueError(f"{width} x {height} pixels, expected 1 to {LARGEST}")
    if max(width, height) > LONGEST * min(width, height):
        raise ValueError(f"{width} x {height} pixels, expected a ratio of at most {LONGEST}")


@contextmanager
def _open_image(source: Path | bytes, name: str = "") -> Iterator[Image.Image]:
    """Open an image as it is stored, and name it in any error of its decoder.

    Yields:
        The image, whose pixels are decoded on first use.

    Raises:
        FileNotFoundError: the file does not exist.
        ValueError: the file is not an image, or its header is refused.
    """
    where = name or (source if isinstance(source, Path) else "image")
    try:
        if isinstance(source, Path) and source.exists() and not source.is_file():
            raise ValueError("not a file")
        with Image.open(BytesIO(source) if isinstance(source, bytes) else source) as opened:
            check_size(*opened.size)
            _scale_colour_key(opened)
            yield opened
    except FileNotFoundError:
        raise
    except Exception as error:  # decoders raise errors of many types
        raise ValueError(f"{where}: cannot be read as an image ({error}).") from None


def _scale_colour_key(image: Image.Image) -> None:
    """Scale a PNG's transparent colour from its stored bits to Pillow's 8 bits."""
    key = image.info.get("transparency")
    if key is None or not isinstance(image, PngImageFile) or not image.tile:
        return
    stored = image.tile[0].args
    if stored == "RGB;16B":
        raise ValueError("transparent colours of 16 bits are not supported; convert it to RGBA")
    if stored in ("L;2", "L;4"):
        image.info["transparency"] = key * (85 if stored == "L;2" else 17)


def limit_pixels(image: Image.Image, max_pixels: int | None) -> Image.Image:
    """Return `image`, reduced to at most `max_pixels` pixels at the same aspect ratio."""
    return _resize(image, _limited_size(image.size, max_pixels), None)


def _limited_size(size: tuple[int, int], max_pixels: int | None) -> tuple[int, int]:
    width, height = size
    if max_pixels is None or width * height <= max_pixels:
        return size
    shrink = (max_pixels / (width * height)) ** 0.5
    return max(1, int(width * shrink)), max(1, int(height * shrink))


def _resize(image: Image.Image, size: tuple[int, int], box: Box | None) -> Image.Image:
    """Return `box` of an image, by default all, resized to `size` (width, height)."""
    if image.size == size and box is None:
        return image
    return image.resize(size, Image.Resampling.BICUBIC, box=box, reducing_gap=REDUCING_GAP)
