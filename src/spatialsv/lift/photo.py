"""One photo as a model sees it, and its camera as the photo's owner sees it.

A photo is cropped to its central square and resized to the size that the model was trained at.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

from spatialsv.scenes.picture import read_picture


@dataclass(frozen=True, kw_only=True, eq=False)
class Photo:
    """One photo, its central square resized."""

    path: Path
    size: tuple[int, int]  # width, height of the photo, upright, pixels
    corner: tuple[float, float]  # of the square: left, top, pixels
    side: int  # of the square, pixels
    image: UInt8[np.ndarray, "H H 3"]

    def intrinsics(self, K: Float[np.ndarray, "3 3"], size: int) -> Float[np.ndarray, "3 3"]:
        """K for the photo's own pixels, from K for a lifted map of `size` pixels.

        A map smaller than the image stands for every few pixels of it, as `subsample` picks them.
        """
        factor = len(self.image) // size
        shift = factor // 2 + 0.5 - factor / 2  # u = factor * (u' - 0.5) + factor // 2 + 0.5
        to_image = np.array([[factor, 0, shift], [0, factor, shift], [0, 0, 1]])
        grow = self.side / len(self.image)
        to_photo = np.array([[grow, 0, self.corner[0]], [0, grow, self.corner[1]], [0, 0, 1]])
        return to_photo @ to_image @ K


def read_photo(path: Path, size: int) -> Photo:
    """The central square of a photo, upright as its EXIF says, at `size` pixels.

    Raises:
        ValueError: `path` is missing, or Pillow cannot read it.
    """
    try:
        upright = read_picture(path)
    except FileNotFoundError:
        raise ValueError(f"{path}: no such photo") from None
    width, height = upright.size
    side = min(width, height)
    left, top = (width - side) / 2, (height - side) / 2
    box = (left, top, left + side, top + side)
    square = upright.resize((size, size), Image.Resampling.BICUBIC, box=box, reducing_gap=3)
    return Photo(
        path=Path(path),
        size=(width, height),
        corner=(left, top),
        side=side,
        image=np.asarray(square),
    )
