"""Crops of views as other cameras: a part of an image, resized, is a pinhole camera's image too.

The camera stays where it is, and its K changes exactly. Depth is sampled, and rays and points are
computed from depth and K.

Shapes: H W pixels of images or labels, h w patches of features with C channels.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from jaxtyping import Bool, Float, UInt8
from PIL import Image
from torch import Tensor

GREY = 127  # of 255: the image of the no-image baseline, and borders
# A pixel between depths that differ by more than this ratio belongs to none of their surfaces.
STEP = 1.05


class Crop(NamedTuple):
    """A part of an image, and where it is shown: left, top, right, bottom, as integers."""

    source: tuple[int, int, int, int]
    target: tuple[int, int, int, int]
    size: tuple[int, int]  # height and width of both images


def crop_image(image: UInt8[np.ndarray, "H W 3"], crop: Crop) -> UInt8[np.ndarray, "H W 3"]:
    """Return the image of the crop's camera, grey where it shows nothing."""
    left, top, right, bottom = crop.target
    part = Image.fromarray(image).resize(
        (right - left, bottom - top), Image.Resampling.BICUBIC, box=crop.source
    )
    out = np.full_like(image, GREY)
    out[top:bottom, left:right] = np.asarray(part)
    return out


def crop_transform(crop: Crop, height: int, width: int) -> Float[Tensor, "3 3"]:
    """Return the matrix A from old to new pixels of maps of height x width; K becomes A K."""
    matrix = torch.eye(3, dtype=torch.float64)
    for axis, (side, full) in enumerate(((width, crop.size[1]), (height, crop.size[0]))):
        (start, end), (new_start, new_end) = (
            (box[axis], box[axis + 2]) for box in (crop.source, crop.target)
        )
        scale = (new_end - new_start) / (end - start)
        matrix[axis, axis] = scale
        matrix[axis, 2] = (new_start - scale * start) * side / full
    return matrix


def crop_depth(
    depth: Float[Tensor, "H W"], valid: Bool[Tensor, "H W"], transform: Float[Tensor, "3 3"]
) -> tuple[Float[Tensor, "H W"], Bool[Tensor, "H W"]]:
    """Return z-depth at the pixels of the transformed camera.

    1 / depth is linear in pixels on a plane, so that interpolating it is exact there. A pixel is
    valid where all its neighbours of the old map are, and none lies on another surface.

    Args:
        depth: the old map.
        valid: its known pixels.
        transform: `crop_transform` of the map's size.

    Returns:
        Depth, 0 where not valid, and the valid pixels.
    """
    height, width = depth.shape
    (above, down), (left, right) = (
        _neighbours(n, float(transform[i, i]), float(transform[i, 2]))
        for n, i in ((height, 1), (width, 0))
    )
    inverse = torch.zeros((height, width), dtype=torch.float64)
    known = torch.ones_like(valid)
    near, far = torch.full_like(inverse, torch.inf), torch.zeros_like(inverse)
    old = depth.double().where(valid, 1)
    for rows, row_weight in (above, down):
        for columns, column_weight in (left, right):
            inside = (rows >= 0) & (rows < height)
            inside = inside[:, None] & (columns >= 0) & (columns < width)
            index = rows.clamp(0, height - 1)[:, None], columns.clamp(0, width - 1)
            weight, value = row_weight[:, None] * column_weight, old[index]
            counts = weight > 1e-9
            known &= (inside & valid[index]) | ~counts
            near = torch.minimum(near, value.where(counts, torch.inf))
            far = torch.maximum(far, value.where(counts, 0))
            inverse += weight / value
    known &= far <= STEP * near
    return (1 / inverse).where(known, 0).to(depth.dtype), known


Side = tuple[Tensor, Tensor]  # the old pixel at each new one, and its weight


def _neighbours(length: int, scale: float, shift: float) -> tuple[Side, Side]:
    """Return the two old pixels around each new one, with their weights in interpolation."""
    centres = (torch.arange(length, dtype=torch.float64) + 0.5 - shift) / scale - 0.5
    centres = torch.where((centres - centres.round()).abs() < 1e-9, centres.round(), centres)
    first = centres.floor()
    weight = centres - first
    return (first.long(), 1 - weight), (first.long() + 1, weight)


def crop_nearest(maps: Float[Tensor, "H W"], transform: Float[Tensor, "3 3"]) -> Tensor:
    """Return the value of the old pixel nearest to each new pixel's centre."""
    rows, columns = (
        ((torch.arange(n, dtype=torch.float64) + 0.5 - transform[i, 2]) / transform[i, i])
        .floor()
        .long()
        .clamp(0, n - 1)
        for n, i in zip(maps.shape, (1, 0), strict=True)
    )
    return maps[rows[:, None], columns]


def crop_features(
    features: Float[Tensor, "h w C"], crop: Crop
) -> tuple[Float[Tensor, "h w C"], Bool[Tensor, "h w"]]:
    """Return features at the patches of the new camera, and the patches that lie in the image.

    Features of a patch are interpolated bilinearly. They remain those of the full image's views: a
    teacher sees more there than the crop has.
    """
    height, width, _ = features.shape
    inverse = torch.linalg.inv(crop_transform(crop, height, width))
    centres = [torch.arange(n, dtype=torch.float64) + 0.5 for n in (height, width)]
    y, x = (
        (centre * inverse[i, i] + inverse[i, 2]) * 2 / n - 1
        for centre, i, n in zip(centres, (1, 0), (height, width), strict=True)
    )
    grid = torch.stack([x.expand(height, width), y[:, None].expand(height, width)], dim=-1)
    flat = features.movedim(-1, 0)[None].float()
    out = F.grid_sample(flat, grid[None].float(), padding_mode="border", align_corners=False)
    left, top, right, bottom = crop.target
    rows, columns = (
        ((centre - 0.5) / n >= start / full) & ((centre + 0.5) / n <= end / full)
        for centre, n, full, start, end in zip(
            centres, (height, width), crop.size, (top, left), (bottom, right), strict=True
        )
    )
    return out[0].movedim(0, -1).to(features.dtype), rows[:, None] & columns
