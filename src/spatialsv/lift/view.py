"""One picture as a model sees it, and its camera as the picture's owner sees it.

A model that was trained at one size is shown pictures of that shape: the middle of each, resized.
Any other one is shown them whole.

Shapes: H W pixels of a lifted map, h w of what the model is shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image

from spatialsv.geometry.camera import intrinsics_before_resampling
from spatialsv.scenes.images import limit_pixels

Box = tuple[int, int, int, int]  # left, top, width, height, pixels


@dataclass(frozen=True, kw_only=True, eq=False)
class View:
    """One picture, and what of it is lifted."""

    name: str  # of its file, or of its frame
    size: tuple[int, int]  # width, height of the whole picture, upright, pixels
    part: tuple[float, float, float, float]  # left, top, width, height of what is lifted, in it
    picture: Image.Image  # that part, in its own proportions
    shown: UInt8[np.ndarray, "h w 3"]  # that part, as the model is shown it

    @property
    def cut(self) -> float:
        """The share of the picture that is left out."""
        return 1 - self.part[2] * self.part[3] / (self.size[0] * self.size[1])

    def picture_intrinsics(
        self, K: Float[np.ndarray, "3 3"], size: tuple[int, int]
    ) -> Float[np.ndarray, "3 3"]:
        """K of `picture`, from K of a lifted map of `size` (height, width)."""
        return _stretch(self.shown.shape[1::-1], self.picture.size) @ self._shown(K, size)

    def whole_intrinsics(
        self, K: Float[np.ndarray, "3 3"], size: tuple[int, int]
    ) -> Float[np.ndarray, "3 3"]:
        """K of the whole picture at its own size, likewise."""
        left, top, *part = self.part
        to_whole = _stretch(self.shown.shape[1::-1], part)
        to_whole[:2, 2] = left, top
        return to_whole @ self._shown(K, size)

    def _shown(
        self, K: Float[np.ndarray, "3 3"], size: tuple[int, int]
    ) -> Float[np.ndarray, "3 3"]:
        """A map smaller than what was shown stands for pixels picked from it, as labels were."""
        return intrinsics_before_resampling(torch.from_numpy(K), size, self.shown.shape[:2]).numpy()


def view_of(
    name: str,
    picture: Image.Image,
    size: tuple[int, int],
    shape: tuple[int, int] | None,
    pixels: int,
) -> View:
    """What of a picture a model is shown.

    Args:
        picture: upright, whole, perhaps made smaller.
        size: width and height that it had.
        shape: height and width at which the model was trained; None: any.
        pixels: of what is shown to a model without a `shape`, at most.
    """
    left, top, width, height = box = middle(picture.size, shape)
    part = picture.crop((left, top, left + width, top + height))
    if shape is None:
        shown = limit_pixels(part, pixels)
    else:
        shown = part.resize(shape[::-1], Image.Resampling.BICUBIC, reducing_gap=3)
    grow = size[0] / picture.width, size[1] / picture.height
    return View(
        name=name,
        size=size,
        part=tuple(edge * by for edge, by in zip(box, grow * 2, strict=True)),
        picture=part,
        shown=np.asarray(shown),
    )


def middle(size: tuple[int, int], shape: tuple[int, int] | None) -> Box:
    """The largest box of the shape (height, width) amid a picture of `size` (width, height)."""
    width, height = size
    if shape is None:
        return 0, 0, width, height
    across = min(width, max(1, round(height * shape[1] / shape[0])))
    down = min(height, max(1, round(width * shape[0] / shape[1])))
    return (width - across) // 2, (height - down) // 2, across, down


def _stretch(old: Sequence[float | int], new: Sequence[float | int]) -> Float[np.ndarray, "3 3"]:
    return np.diag([new[0] / old[0], new[1] / old[1], 1.0])
