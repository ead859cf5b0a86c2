"""The result of lifting one image set: views, maps, cameras, and the point cloud of them.

A model trained at one size gets images of that aspect ratio: the centre of each, resized. Any other
model gets full images.

Shapes: N views, H W pixels of the maps, h w pixels of the model's input, p points.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8
from PIL import Image

from spatialsv.geometry.camera import intrinsics_before_resampling, invert_pose
from spatialsv.geometry.rays import point_map, ray_map
from spatialsv.scenes.images import limit_pixels
from spatialsv.scenes.scene import Scenes

Matrix = Float[np.ndarray, "3 3"]


@dataclass(frozen=True, kw_only=True, eq=False)
class View:
    """An image, and the part of it that is lifted."""

    name: str  # of its file, or of its frame
    size: tuple[int, int]  # width and height of the photo, upright, in pixels
    crop: tuple[float, float, float, float]  # left, top, width, height in the photo, in pixels
    image: Image.Image  # the cropped part, in its own aspect ratio
    model_input: UInt8[np.ndarray, "h w 3"]  # the cropped part as the model gets it

    @property
    def cropped_share(self) -> float:
        """The share of the photo that is not lifted."""
        return 1 - self.crop[2] * self.crop[3] / (self.size[0] * self.size[1])

    def image_intrinsics(self, K: Matrix, size: tuple[int, int]) -> Matrix:
        """Return K of `image`, from K of a lifted map of `size` (height, width)."""
        return self._to_size(self.image.size) @ self._input_intrinsics(K, size)

    def photo_intrinsics(self, K: Matrix, size: tuple[int, int]) -> Matrix:
        """Return K of the photo, from K of a lifted map of `size` (height, width)."""
        left, top, width, height = self.crop
        to_photo = self._to_size((width, height))
        to_photo[:2, 2] = left, top
        return to_photo @ self._input_intrinsics(K, size)

    def _input_intrinsics(self, K: Matrix, size: tuple[int, int]) -> Matrix:
        """Return K of the model's input; smaller maps stand for pixels picked from it."""
        shape = (self.model_input.shape[0], self.model_input.shape[1])
        return intrinsics_before_resampling(torch.from_numpy(K), size, shape).numpy()

    def _to_size(self, size: tuple[float | int, float | int]) -> Matrix:
        """Return the matrix from pixels of the model's input to pixels at `size`."""
        height, width = self.model_input.shape[:2]
        return np.diag([size[0] / width, size[1] / height, 1.0])


def make_view(
    name: str,
    image: Image.Image,
    size: tuple[int, int],
    shape: tuple[int, int] | None,
    max_pixels: int,
) -> View:
    """Prepare an image for a model.

    Args:
        name: of the image.
        image: the upright photo, possibly reduced.
        size: width and height of the photo before it was reduced.
        shape: height and width at which the model was trained; None: any.
        max_pixels: of the input of a model without a `shape`.

    Returns:
        The view.
    """
    left, top, width, height = centre_crop(image.size, shape)
    part = image.crop((left, top, left + width, top + height))
    if shape is None:
        resized = limit_pixels(part, max_pixels)
    else:
        resized = part.resize(shape[::-1], Image.Resampling.BICUBIC, reducing_gap=3)
    x, y = size[0] / image.width, size[1] / image.height
    return View(
        name=name,
        size=size,
        crop=(left * x, top * y, width * x, height * y),
        image=part,
        model_input=np.asarray(resized),
    )


def centre_crop(size: tuple[int, int], shape: tuple[int, int] | None) -> tuple[int, int, int, int]:
    """Find the largest centred box with the aspect ratio of a shape.

    Args:
        size: width and height of an image.
        shape: height and width; None for the full image.

    Returns:
        Left, top, width and height of the box in pixels.
    """
    width, height = size
    if shape is None:
        return 0, 0, width, height
    box_width = min(width, max(1, round(height * shape[1] / shape[0])))
    box_height = min(height, max(1, round(width * shape[0] / shape[1])))
    return (width - box_width) // 2, (height - box_height) // 2, box_width, box_height


@dataclass(frozen=True, kw_only=True, eq=False)
class LiftResult:
    """The geometry of one image set: maps, cameras, and the views that they belong to."""

    scenes: Scenes  # one scene, with images of the maps' size
    views: Sequence[View]

    @property
    def depth(self) -> Float[np.ndarray, "N H W"]:
        """Z-depth; 1 is the mean distance of the points to the first camera."""
        return self.scenes.depth[0]

    @property
    def valid(self) -> Bool[np.ndarray, "N H W"]:
        """Pixels with usable depth."""
        return self.scenes.valid[0]

    @property
    def confidence(self) -> Float[np.ndarray, "N H W"]:
        """Confidence of the depth, at least 1."""
        return self.scenes.confidence[0]

    @property
    def intrinsics(self) -> Float[np.ndarray, "N 3 3"]:
        """K for the maps."""
        return self.scenes.intrinsics[0]

    @property
    def cam_to_world(self) -> Float[np.ndarray, "N 4 4"]:
        """Poses; the world is the first view's camera."""
        return self.scenes.cam_to_world[0]

    @property
    def images(self) -> UInt8[np.ndarray, "N H W 3"]:
        """The images at the maps' size."""
        return self.scenes.image[0]

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the maps."""
        return self.scenes.shape[1:]

    @property
    def names(self) -> list[str]:
        """The name of each view's files, without suffix: 0000, 0001, ..., like DA3's."""
        return [f"{number:04d}" for number in range(len(self.views))]

    def image_intrinsics(self) -> Float[np.ndarray, "N 3 3"]:
        """Return K of each view's image."""
        pairs = zip(self.views, self.intrinsics.astype(np.float64), strict=True)
        return np.stack([view.image_intrinsics(K, self.size) for view, K in pairs])

    def world_to_cam(self) -> Float[np.ndarray, "N 4 4"]:
        """Return the inverse poses."""
        return invert_pose(torch.from_numpy(self.cam_to_world).double()).numpy()


@dataclass(frozen=True, kw_only=True, eq=False)
class PointCloud:
    """Coloured points in the first view's frame, each from one pixel of one view."""

    points: Float[np.ndarray, "p 3"]  # float64
    colours: UInt8[np.ndarray, "p 3"]
    confidence: Float[np.ndarray, " p"]
    view: Int[np.ndarray, " p"]
    pixels: Float[np.ndarray, "p 2"]  # u, v in the view's map
    min_confidence: float
    skipped: int  # valid pixels without a point

    def extent(self) -> float:
        """Return the diagonal of the points' box, without the outermost 5 % on each side."""
        if not len(self.points):
            return 1.0
        low, high = np.percentile(self.points, [5, 95], axis=0)
        return float(np.linalg.norm(high - low)) or 1.0


def make_point_cloud(result: LiftResult, percentile: float | int, max_points: int) -> PointCloud:
    """Unproject the confident valid pixels of all views.

    Args:
        result: the maps and cameras.
        percentile: of the valid pixels' confidences; pixels below it are skipped. 0 keeps all.
        max_points: if there are more points, evenly spaced ones are kept.

    Returns:
        The cloud, ordered by view.
    """
    depth, K, poses = (
        torch.from_numpy(array).double()
        for array in (result.depth, result.intrinsics, result.cam_to_world)
    )
    points = point_map(depth, ray_map(K, poses, *result.size)).numpy()
    valid, confidence = result.valid, result.confidence
    least = float(np.percentile(confidence[valid], percentile)) if valid.any() else 0.0
    view, row, column = np.nonzero(valid & (confidence >= least))
    if len(view) > max_points:
        kept = np.linspace(0, len(view) - 1, max_points).astype(int)
        view, row, column = view[kept], row[kept], column[kept]
    return PointCloud(
        points=points[view, row, column],
        colours=result.images[view, row, column],
        confidence=confidence[view, row, column],
        view=view,
        pixels=np.column_stack([column, row]) + 0.5,
        min_confidence=least,
        skipped=int(valid.sum()) - len(view),
    )
