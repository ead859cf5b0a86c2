"""The gate of pseudo-labels: which pixels of a teacher's depth the other views confirm.

A pixel of view i is lifted to a point, the point is projected into view j, view j's own depth there
is lifted again and projected back into i. Where the round trip ends near its start, at a similar
depth, view j confirms the pixel. Shapes: *lead any batch axes, N views, H W pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor
from torch.nn.functional import grid_sample

from spatialsv.geometry.camera import pixel_grid
from spatialsv.geometry.rays import point_map, project, ray_map
from spatialsv.scenes.scene import GateReason

EDGE = 1e-3  # pixels; a still camera's own border pixels project onto themselves, but for rounding


@dataclass(frozen=True, kw_only=True)
class GateConfig:
    """When a pixel is trusted."""

    confidence_percentile: float = 20.0  # of each scene's pixels, the least confident are dropped
    pixels: float = 1.5  # largest reprojection error of the round trip
    relative_depth: float = 0.1  # largest |depth after the trip / depth - 1|
    min_views: int = 1  # other views that must confirm
    keep_unseen: bool = True  # trust pixels that fewer than min_views other views could confirm


def gate(
    depth: Float[Tensor, "*lead N H W"],
    valid: Bool[Tensor, "*lead N H W"],
    confidence: Float[Tensor, "*lead N H W"],
    intrinsics: Float[Tensor, "*lead N 3 3"],
    cam_to_world: Float[Tensor, "*lead N 4 4"],
    config: GateConfig,
) -> UInt8[Tensor, "*lead N H W"]:
    """The `GateReason` of each pixel."""
    limits = [(config.pixels, config.relative_depth)]
    seen, (confirmed,) = count_views(depth, valid, intrinsics, cam_to_world, limits)
    return judge(seen, confirmed, valid, confidence, config)


def judge(
    seen: Int[Tensor, "*lead N H W"],
    confirmed: Int[Tensor, "*lead N H W"],
    valid: Bool[Tensor, "*lead N H W"],
    confidence: Float[Tensor, "*lead N H W"],
    config: GateConfig,
) -> UInt8[Tensor, "*lead N H W"]:
    """The `GateReason` of each pixel, by how many other views look at it and confirm it."""
    unsure = confidence < _percentile(confidence, valid, config.confidence_percentile)
    unseen = seen < config.min_views
    reason = torch.full(seen.shape, GateReason.KEPT, dtype=torch.uint8, device=seen.device)
    reason[(confirmed < config.min_views) & ~unseen] = GateReason.INCONSISTENT
    if not config.keep_unseen:
        reason[unseen] = GateReason.UNSEEN
    reason[unsure] = GateReason.UNSURE
    reason[~valid] = GateReason.INVALID
    return reason


def count_views(
    depth: Float[Tensor, "*lead N H W"],
    valid: Bool[Tensor, "*lead N H W"],
    intrinsics: Float[Tensor, "*lead N 3 3"],
    cam_to_world: Float[Tensor, "*lead N 4 4"],
    limits: Sequence[tuple[float, float]],
) -> tuple[Int[Tensor, "*lead N H W"], list[Int[Tensor, "*lead N H W"]]]:
    """For each pixel, how many other views look at its point, and how many confirm it.

    A view looks at a point that falls inside its frame, in front of it, where its own depth is
    valid; a point that is hidden there counts as looked at, and is not confirmed.

    Args:
        limits: pairs of `GateConfig.pixels` and `.relative_depth`; there is a count for each.
    """
    views, (height, width) = depth.shape[-3], depth.shape[-2:]
    dtype = intrinsics.dtype
    points = point_map(depth.to(dtype), ray_map(intrinsics, cam_to_world, height, width))
    start = pixel_grid(height, width, like=intrinsics)
    seen = torch.zeros(depth.shape, dtype=torch.int16, device=depth.device)
    confirmed = [torch.zeros_like(seen) for _ in limits]
    for step in range(1, views):  # every view i with the view i + step, all pairs in N - 1 rounds
        other = [(i + step) % views for i in range(views)]
        pixel, z = project(points, intrinsics[..., other, :, :], cam_to_world[..., other, :, :])
        there, known = _sample(depth[..., other, :, :].to(dtype), valid[..., other, :, :], pixel)
        looks = known & (z > 0)
        lifted = _lift(pixel, there, intrinsics[..., other, :, :], cam_to_world[..., other, :, :])
        back, z_back = project(lifted, intrinsics, cam_to_world)
        astray = (back - start).norm(dim=-1)  # pixels
        unlike = (z_back / depth.to(dtype) - 1).abs()
        seen += looks
        for count, (pixels, relative_depth) in zip(confirmed, limits, strict=True):
            count += looks & (z_back > 0) & (astray <= pixels) & (unlike <= relative_depth)
    return seen, confirmed


def _lift(
    pixel: Float[Tensor, "*lead H W 2"],
    depth: Float[Tensor, "*lead H W"],
    intrinsics: Float[Tensor, "*lead 3 3"],
    cam_to_world: Float[Tensor, "*lead 4 4"],
) -> Float[Tensor, "*lead H W 3"]:
    """World points at z-depth `depth` behind any pixel coordinates."""
    pixel = torch.cat([pixel, torch.ones_like(pixel[..., :1])], dim=-1)
    to_world = cam_to_world[..., :3, :3] @ torch.linalg.inv(intrinsics)
    direction = torch.einsum("...ij,...hwj->...hwi", to_world, pixel)
    return cam_to_world[..., None, None, :3, 3] + depth[..., None] * direction


def _sample(
    depth: Float[Tensor, "*lead H W"],
    valid: Bool[Tensor, "*lead H W"],
    pixel: Float[Tensor, "*lead H W 2"],
) -> tuple[Float[Tensor, "*lead H W"], Bool[Tensor, "*lead H W"]]:
    """Depth between pixels, and where it is known: between pixel centres that are all valid.

    The inverse of depth is what is interpolated: it is linear in the image on any plane.
    """
    height, width = depth.shape[-2:]
    size = pixel.new_tensor([width, height])
    inside = ((pixel > 0.5 - EDGE) & (pixel < size - 0.5 + EDGE)).all(dim=-1)
    grid = (2 * pixel / size - 1).clamp(-2, 2).reshape(-1, height, width, 2)
    inverse = torch.where(valid, 1 / torch.where(valid, depth, 1), 0)
    maps = torch.stack([inverse, valid.to(inverse)], dim=-3).reshape(-1, 2, height, width)
    found = grid_sample(maps, grid, align_corners=False, padding_mode="border")
    inverse, share = (found[:, k].reshape(depth.shape) for k in range(2))
    known = inside & (share > 1 - 1e-6)
    return torch.where(known, 1 / torch.where(known, inverse, 1), 0), known


def _percentile(
    confidence: Float[Tensor, "*lead N H W"], valid: Bool[Tensor, "*lead N H W"], percent: float
) -> Float[Tensor, "*lead 1 1 1"]:
    """Of the valid pixels of each scene; NaN, which nothing is below, where there are none."""
    values = confidence.where(valid, torch.nan).flatten(-3)
    return torch.nanquantile(values, percent / 100, dim=-1)[..., None, None, None]
