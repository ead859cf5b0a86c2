"""Pinhole cameras: intrinsics K in pixels and rigid poses, with OpenCV axes.

Shapes: *lead any batch axes, H W pixels. A camera looks along +z with x right and y down; pixel
(row r, column c) has its centre at (u, v) = (c + 0.5, r + 0.5).
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


def pixel_grid(height: int, width: int, like: Tensor) -> Float[Tensor, "{height} {width} 2"]:
    """Return pixel centres (u, v) in pixels, with the device and dtype of `like`."""
    v = torch.arange(height, device=like.device, dtype=like.dtype) + 0.5
    u = torch.arange(width, device=like.device, dtype=like.dtype) + 0.5
    return torch.stack([u.expand(height, width), v[:, None].expand(height, width)], dim=-1)


def intrinsics_from_fov(
    fov_x: Float[Tensor, "*lead"], height: int, width: int
) -> Float[Tensor, "*lead 3 3"]:
    """Return K of square pixels with the principal point at the image's centre.

    Args:
        fov_x: Horizontal field of view in radians.
        height: Image height in pixels.
        width: Image width in pixels.

    Returns:
        Intrinsics in pixels.
    """
    focal = 0.5 * width / torch.tan(0.5 * fov_x)
    intrinsics = fov_x.new_zeros((*fov_x.shape, 3, 3))
    intrinsics[..., 0, 0] = focal
    intrinsics[..., 1, 1] = focal
    intrinsics[..., 0, 2] = width / 2
    intrinsics[..., 1, 2] = height / 2
    intrinsics[..., 2, 2] = 1
    return intrinsics


def scale_intrinsics(
    intrinsics: Float[Tensor, "*lead 3 3"], scale_x: float, scale_y: float
) -> Float[Tensor, "*lead 3 3"]:
    """Return K after the image is resized.

    With pixel centres at half integers the principal point scales like the focal length.

    Args:
        intrinsics: K before.
        scale_x: New width / old width.
        scale_y: New height / old height.

    Returns:
        K after.
    """
    factors = intrinsics.new_tensor([scale_x, scale_y, 1.0])
    return intrinsics * factors[:, None]


def subsample(
    depth: Float[Tensor, "*lead H W"],
    valid: Tensor,
    intrinsics: Float[Tensor, "*lead 3 3"],
    factor: int,
) -> tuple[Float[Tensor, "*lead h w"], Tensor, Float[Tensor, "*lead 3 3"]]:
    """Take every `factor`-th pixel of a depth map, with the K for which these pixels are exact.

    Pixels are selected and not averaged: depth must not be blended across an object's edge. With an
    even `factor` the selected pixel is half a pixel off its block's centre; K accounts for that.

    Args:
        depth: Depth map.
        valid: Mask of the same shape.
        intrinsics: K of the depth map.
        factor: Step in rows and columns.

    Returns:
        Depth, mask and K of the smaller map.

    Raises:
        ValueError: The map's size is not a multiple of `factor`.
    """
    height, width = depth.shape[-2:]
    if factor < 1 or height % factor or width % factor:
        raise ValueError(
            f"Image size {height} x {width} is not a multiple of the subsampling factor {factor}."
        )
    first = factor // 2
    small = intrinsics / intrinsics.new_tensor([factor, factor, 1.0])[:, None]
    shift = 0.5 - (first + 0.5) / factor  # u' = (u - first - 0.5) / factor + 0.5
    small = small + intrinsics.new_tensor([[0, 0, shift], [0, 0, shift], [0, 0, 0]])
    selected = (..., slice(first, None, factor), slice(first, None, factor))
    return depth[selected], valid[selected], small


def resample(
    depth: Float[Tensor, "*lead H W"],
    valid: Tensor,
    intrinsics: Float[Tensor, "*lead 3 3"],
    size: tuple[int, int],
) -> tuple[Float[Tensor, "*lead h w"], Tensor, Float[Tensor, "*lead 3 3"]]:
    """Resample a depth map to `size` by nearest pixels.

    Where the old size is a multiple of the new one, K is exact, as in `subsample`; otherwise the
    selected pixels are at most half an old pixel off the positions that K states.

    Args:
        depth: Depth map.
        valid: Mask of the same shape.
        intrinsics: K of the depth map.
        size: New (height, width) in pixels.

    Returns:
        Depth, mask and K of the new map.
    """
    (rows, y), (columns, x) = (
        _nearest_pixels(old, new) for old, new in zip(depth.shape[-2:], size, strict=True)
    )
    scale = intrinsics.new_tensor([depth.shape[-1] / size[1], depth.shape[-2] / size[0], 1.0])
    shift = intrinsics.new_tensor([[0, 0, x], [0, 0, y], [0, 0, 0]])
    selected = (..., rows[:, None].to(depth.device), columns.to(depth.device))
    return depth[selected], valid[selected], intrinsics / scale[:, None] + shift


def intrinsics_before_resampling(
    intrinsics: Float[Tensor, "*lead 3 3"], size: tuple[int, int], before: tuple[int, int]
) -> Float[Tensor, "*lead 3 3"]:
    """Return K of the map that `resample` was given.

    Args:
        intrinsics: K of the resampled map.
        size: (height, width) of the resampled map.
        before: (height, width) before resampling.

    Returns:
        K for the size `before`.
    """
    (_, y), (_, x) = (_nearest_pixels(old, new) for old, new in zip(before, size, strict=True))
    scale = intrinsics.new_tensor([before[1] / size[1], before[0] / size[0], 1.0])
    shift = intrinsics.new_tensor([[0, 0, x], [0, 0, y], [0, 0, 0]])
    return (intrinsics - shift) * scale[:, None]


def _nearest_pixels(old: int, new: int) -> tuple[Tensor, float]:
    """Return the old pixel nearest to each new one, and the mean shift of K in new pixels."""
    factor = old / new
    centres = (torch.arange(new, dtype=torch.float64) + 0.5) * factor
    nearest = centres.floor().long().clamp_max(old - 1)
    return nearest, float((centres - nearest - 0.5).mean()) / factor


def invert_pose(pose: Float[Tensor, "*lead 4 4"]) -> Float[Tensor, "*lead 4 4"]:
    """Return the inverse of a rigid pose, by transposing its rotation."""
    rotation = pose[..., :3, :3].transpose(-1, -2)
    translation = -(rotation @ pose[..., :3, 3:])
    top = torch.cat([rotation, translation], dim=-1)
    return torch.cat([top, pose[..., 3:, :]], dim=-2)


def relative_pose(
    first: Float[Tensor, "*lead 4 4"], second: Float[Tensor, "*lead 4 4"]
) -> Float[Tensor, "*lead 4 4"]:
    """Return the pose from `second`'s camera axes to `first`'s; both are camera-to-world."""
    return invert_pose(first) @ second


def make_pose(
    rotation: Float[Tensor, "*lead 3 3"], translation: Float[Tensor, "*lead 3"]
) -> Float[Tensor, "*lead 4 4"]:
    """Return the 4 x 4 pose of a rotation and a translation."""
    top = torch.cat([rotation, translation[..., None]], dim=-1)
    bottom = top.new_tensor([0.0, 0.0, 0.0, 1.0]).expand(*top.shape[:-2], 1, 4)
    return torch.cat([top, bottom], dim=-2)
