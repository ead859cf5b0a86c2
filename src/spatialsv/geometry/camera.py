"""Pinhole cameras: intrinsics in pixels, rigid poses, all with OpenCV axes.

Shapes: *lead any batch axes, H W pixels. A camera looks along +z with x right and y down; pixel
(row r, column c) has its centre at (u, v) = (c + 0.5, r + 0.5).
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


def pixel_grid(height: int, width: int, like: Tensor) -> Float[Tensor, "{height} {width} 2"]:
    """Pixel centres (u, v) in pixels, with the device and dtype of `like`."""
    v = torch.arange(height, device=like.device, dtype=like.dtype) + 0.5
    u = torch.arange(width, device=like.device, dtype=like.dtype) + 0.5
    return torch.stack([u.expand(height, width), v[:, None].expand(height, width)], dim=-1)


def intrinsics_from_fov(
    fov_x: Float[Tensor, "*lead"], height: int, width: int
) -> Float[Tensor, "*lead 3 3"]:
    """K of square pixels from the horizontal field of view in radians, centred on the image."""
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
    """K after the image is resized by these factors (new size / old size).

    With pixel centres at half integers the principal point scales like the focal length.
    """
    factors = intrinsics.new_tensor([scale_x, scale_y, 1.0])
    return intrinsics * factors[:, None]


def subsample(
    depth: Float[Tensor, "*lead H W"],
    valid: Tensor,
    intrinsics: Float[Tensor, "*lead 3 3"],
    factor: int,
) -> tuple[Float[Tensor, "*lead h w"], Tensor, Float[Tensor, "*lead 3 3"]]:
    """Every `factor`-th pixel of a depth map, and the K with which those pixels stay exact.

    Depth must not be averaged across an object's edge, so pixels are picked, not blended. The
    picked pixel is off its block's centre by half a pixel where `factor` is even; K carries that.

    Raises:
        ValueError: the image's size is not a multiple of `factor`.
    """
    height, width = depth.shape[-2:]
    if factor < 1 or height % factor or width % factor:
        raise ValueError(f"cannot take every {factor}-th pixel of a {height} x {width} image")
    first = factor // 2
    small = intrinsics / intrinsics.new_tensor([factor, factor, 1.0])[:, None]
    shift = 0.5 - (first + 0.5) / factor  # u' = (u - first - 0.5) / factor + 0.5
    small = small + intrinsics.new_tensor([[0, 0, shift], [0, 0, shift], [0, 0, 0]])
    picked = (..., slice(first, None, factor), slice(first, None, factor))
    return depth[picked], valid[picked], small


def resample(
    depth: Float[Tensor, "*lead H W"],
    valid: Tensor,
    intrinsics: Float[Tensor, "*lead 3 3"],
    size: tuple[int, int],
) -> tuple[Float[Tensor, "*lead h w"], Tensor, Float[Tensor, "*lead 3 3"]]:
    """A depth map of `size` (height, width): the nearest pixels, picked and not blended, and K.

    Where the old size is a multiple of the new one, the K is exact, as in `subsample`; else the
    picked pixels lie around where it says, half an old pixel off at most.
    """
    rows, columns = (_picks(old, new) for old, new in zip(depth.shape[-2:], size, strict=True))
    (down, y), (across, x) = rows, columns
    scale = intrinsics.new_tensor([depth.shape[-1] / size[1], depth.shape[-2] / size[0], 1.0])
    shift = intrinsics.new_tensor([[0, 0, x], [0, 0, y], [0, 0, 0]])
    picked = (..., down[:, None].to(depth.device), across.to(depth.device))
    return depth[picked], valid[picked], intrinsics / scale[:, None] + shift


def intrinsics_before_resampling(
    intrinsics: Float[Tensor, "*lead 3 3"], size: tuple[int, int], before: tuple[int, int]
) -> Float[Tensor, "*lead 3 3"]:
    """K of an image of the size `before` (height, width), from K of a map that `resample` picked
    from it at `size`."""
    (_, y), (_, x) = (_picks(old, new) for old, new in zip(before, size, strict=True))
    scale = intrinsics.new_tensor([before[1] / size[1], before[0] / size[0], 1.0])
    shift = intrinsics.new_tensor([[0, 0, x], [0, 0, y], [0, 0, 0]])
    return (intrinsics - shift) * scale[:, None]


def _picks(old: int, new: int) -> tuple[Tensor, float]:
    """The old pixel nearest to each new one's centre, and how far, in new pixels, K must move."""
    factor = old / new
    centres = (torch.arange(new, dtype=torch.float64) + 0.5) * factor
    picked = centres.floor().long().clamp_max(old - 1)
    return picked, float((centres - picked - 0.5).mean()) / factor


def invert_pose(pose: Float[Tensor, "*lead 4 4"]) -> Float[Tensor, "*lead 4 4"]:
    """The inverse of a rigid pose: exact, where a general inverse would only be close."""
    rotation = pose[..., :3, :3].transpose(-1, -2)
    translation = -(rotation @ pose[..., :3, 3:])
    top = torch.cat([rotation, translation], dim=-1)
    return torch.cat([top, pose[..., 3:, :]], dim=-2)


def relative_pose(
    first: Float[Tensor, "*lead 4 4"], second: Float[Tensor, "*lead 4 4"]
) -> Float[Tensor, "*lead 4 4"]:
    """The pose that takes `second`'s camera axes to `first`'s; both are camera-to-world."""
    return invert_pose(first) @ second


def make_pose(
    rotation: Float[Tensor, "*lead 3 3"], translation: Float[Tensor, "*lead 3"]
) -> Float[Tensor, "*lead 4 4"]:
    """The 4 x 4 pose of a rotation and a translation."""
    top = torch.cat([rotation, translation[..., None]], dim=-1)
    bottom = top.new_tensor([0.0, 0.0, 0.0, 1.0]).expand(*top.shape[:-2], 1, 4)
    return torch.cat([top, bottom], dim=-2)
