"""Images as a model gets them, and the cameras of maps, images and photos.

A model trained at one shape gets the full image, padded with grey to that shape, so that its aspect
ratio stays. `crop` selects the centre instead. Any other model gets the image in its own shape.

Shapes: h w pixels of the model's input, H W pixels of a lifted map.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from PIL import Image

from spatialsv.geometry.camera import intrinsics_before_resampling
from spatialsv.samples.views import GREY
from spatialsv.scenes.images import limit_pixels

Matrix = Float[np.ndarray, "3 3"]
Box = tuple[int, int, int, int]  # left, top, width, height


@dataclass(frozen=True, kw_only=True, eq=False)
class View:
    """An image, the part of it that is lifted, and the input that shows this part to a model."""

    name: str  # of its file, or of its frame
    size: tuple[int, int]  # width and height of the photo, upright, in pixels
    part: tuple[float, float, float, float]  # that is lifted: a box in the photo, in its pixels
    image: Image.Image  # this part, in its own aspect ratio
    model_input: UInt8[np.ndarray, "h w 3"]
    content: Box  # of the input's pixels that show the part; the others are padding

    @property
    def cropped_share(self) -> float:
        """The share of the photo that is not lifted."""
        return 1 - self.part[2] * self.part[3] / (self.size[0] * self.size[1])

    @property
    def is_padded(self) -> bool:
        """Whether some pixels of the input show nothing of the photo."""
        return self.content[2:] != self.model_input.shape[1::-1]

    def window(self, size: tuple[int, int]) -> tuple[slice, slice]:
        """Return the rows and columns of a map of `size` (height, width) that show the photo.

        These are the pixels that stand for one of the content, see `geometry.camera.resample`.
        """
        left, top, width, height = self.content
        shape = self.model_input.shape
        return (
            _selected(top, height, size[0] / shape[0]),
            _selected(left, width, size[1] / shape[1]),
        )

    def mask(self, size: tuple[int, int]) -> Bool[np.ndarray, "H W"]:
        """Return the same pixels as a mask."""
        mask = np.zeros(size, dtype=bool)
        mask[self.window(size)] = True
        return mask

    def image_intrinsics(self, K: Matrix, size: tuple[int, int]) -> Matrix:
        """Return K of `image`, from K of a lifted map of `size` (height, width)."""
        return self._from_content(self.image.size) @ self._input_intrinsics(K, size)

    def photo_intrinsics(self, K: Matrix, size: tuple[int, int]) -> Matrix:
        """Return K of the photo, from K of a lifted map of `size` (height, width)."""
        left, top, width, height = self.part
        to_photo = self._from_content((width, height))
        to_photo[:2, 2] += left, top
        return to_photo @ self._input_intrinsics(K, size)

    def _input_intrinsics(self, K: Matrix, size: tuple[int, int]) -> Matrix:
        """Return K of the model's input; smaller maps stand for pixels picked from it."""
        shape = (self.model_input.shape[0], self.model_input.shape[1])
        return intrinsics_before_resampling(torch.from_numpy(K), size, shape).numpy()

    def _from_content(self, size: tuple[float | int, float | int]) -> Matrix:
        """Return the matrix from pixels of the input to those of its content resized to `size`."""
        left, top, width, height = self.content
        x, y = size[0] / width, size[1] / height
        return np.array([[x, 0, -x * left], [0, y, -y * top], [0, 0, 1]])


def make_view(
    name: str,
    image: Image.Image,
    size: tuple[int, int],
    shape: tuple[int, int] | None,
    max_pixels: int,
    crop: bool = False,
) -> View:
    """Prepare an image for a model.

    Args:
        name: of the image.
        image: the upright photo, possibly reduced.
        size: width and height of the photo before it was reduced.
        shape: height and width at which the model was trained; None: any.
        max_pixels: of the input of a model without a `shape`.
        crop: fill `shape` with the image's centre; by default, the full image is padded to it.

    Returns:
        The view.
    """
    x, y = size[0] / image.width, size[1] / image.height
    left, top, width, height = 0, 0, *image.size
    if shape is None:
        resized = limit_pixels(image, max_pixels)
        content = (0, 0, *resized.size)
    elif crop:
        left, top, width, height = centre_crop(image.size, shape)
        image = image.crop((left, top, left + width, top + height))
        content = (0, 0, shape[1], shape[0])
        resized = _pad(image, content, shape)
    else:
        content = centred_content(image.size, shape)
        resized = _pad(image, content, shape)
    return View(
        name=name,
        size=size,
        part=(left * x, top * y, width * x, height * y),
        image=image,
        model_input=np.asarray(resized),
        content=content,
    )


def centre_crop(size: tuple[int, int], shape: tuple[int, int]) -> Box:
    """Return the largest box with the aspect ratio of `shape` in an image of `size`."""
    width, height = size
    box_width = min(width, max(1, round(height * shape[1] / shape[0])))
    box_height = min(height, max(1, round(width * shape[0] / shape[1])))
    return (width - box_width) // 2, (height - box_height) // 2, box_width, box_height


def centred_content(size: tuple[int, int], shape: tuple[int, int]) -> Box:
    """Return the largest box with the aspect ratio of an image of `size` in an input of `shape`."""
    scale = min(shape[1] / size[0], shape[0] / size[1])
    width, height = (max(1, round(scale * side)) for side in size)
    return (shape[1] - width) // 2, (shape[0] - height) // 2, width, height


def _pad(image: Image.Image, content: Box, shape: tuple[int, int]) -> Image.Image:
    """Return the image resized to the box `content` of a grey input of `shape`."""
    left, top, *size = content
    padded = Image.new("RGB", shape[::-1], (GREY, GREY, GREY))
    padded.paste(image.resize(size, Image.Resampling.BICUBIC, reducing_gap=3), (left, top))
    return padded


def _selected(first: int, count: int, scale: float) -> slice:
    """Return the pixels of a map that stand for `count` pixels of the input from `first` on."""
    start, stop = (math.ceil(edge * scale - 0.5) for edge in (first, first + count))
    if start == stop:  # a narrow photo in a small map
        start = math.floor((first + count / 2) * scale)
    return slice(start, max(stop, start + 1))
