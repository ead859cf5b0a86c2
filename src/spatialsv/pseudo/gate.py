"""The gate of pseudo labels: keep the pixels of a teacher's depth that other views confirm.

A pixel of view i is unprojected to a point, and the point is projected into view j. View j's depth
there is unprojected again and projected back into i. Where the round trip ends near its start, at a
similar depth, view j confirms the pixel.

Shapes: *lead any batch axes, S scenes, N views, H W pixels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor
from torch.nn.functional import grid_sample

from spatialsv.geometry.camera import pixel_grid
from spatialsv.geometry.pose_metrics import camera_error
from spatialsv.geometry.rays import point_map, project, ray_map
from spatialsv.geometry.scale import baseline_scale, depth_scale
from spatialsv.scenes.scene import GateReason, Scenes

EDGE = 1e-3  # pixels; tolerance for rounding, as border pixels of a static camera map to themselves


@dataclass(frozen=True, kw_only=True)
class GateConfig:
    """Conditions for keeping a pixel."""

    confidence_percentile: float = 20.0  # drop each scene's least confident pixels, in percent
    pixels: float = 1.5  # maximum reprojection error of the round trip
    relative_depth: float = 0.1  # maximum |depth after the round trip / depth - 1|
    min_views: int = 1  # number of other views that must confirm
    keep_unseen: bool = True  # keep pixels that fewer than min_views other views see


def gate(
    depth: Float[Tensor, "*lead N H W"],
    valid: Bool[Tensor, "*lead N H W"],
    confidence: Float[Tensor, "*lead N H W"],
    intrinsics: Float[Tensor, "*lead N 3 3"],
    cam_to_world: Float[Tensor, "*lead N 4 4"],
    config: GateConfig,
) -> UInt8[Tensor, "*lead N H W"]:
    """Return the `GateReason` of each pixel."""
    limits = [(config.pixels, config.relative_depth)]
    visible, (confirmed,) = count_views(depth, valid, intrinsics, cam_to_world, limits)
    return score_pixels(visible, confirmed, valid, confidence, config)


def score_pixels(
    visible: Int[Tensor, "*lead N H W"],
    confirmed: Int[Tensor, "*lead N H W"],
    valid: Bool[Tensor, "*lead N H W"],
    confidence: Float[Tensor, "*lead N H W"],
    config: GateConfig,
) -> UInt8[Tensor, "*lead N H W"]:
    """Return the `GateReason` of each pixel, given how many other views see and confirm it."""
    unsure = confidence < _percentile(confidence, valid, config.confidence_percentile)
    unseen = visible < config.min_views
    reason = torch.full(visible.shape, GateReason.KEPT, dtype=torch.uint8, device=visible.device)
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
    """Count, for each pixel, the other views that see its point, and those that confirm it.

    A view sees a point that is inside its frame and in front of it, at valid depth of the view. An
    occluded point counts as seen and is not confirmed.

    Args:
        depth: z-depth of each view.
        valid: pixels with usable depth.
        intrinsics: K of each view, for these pixels.
        cam_to_world: pose of each view.
        limits: pairs of `GateConfig.pixels` and `.relative_depth`.

    Returns:
        The number of views that see each pixel's point, and for each limit the number of views that
        confirm it.
    """
    views, (height, width) = depth.shape[-3], depth.shape[-2:]
    dtype = intrinsics.dtype
    points = point_map(depth.to(dtype), ray_map(intrinsics, cam_to_world, height, width))
    start = pixel_grid(height, width, like=intrinsics)
    visible = torch.zeros(depth.shape, dtype=torch.int16, device=depth.device)
    confirmed = [torch.zeros_like(visible) for _ in limits]
    for step in range(1, views):  # view i with view i + step: all pairs in N - 1 rounds
        other = [(i + step) % views for i in range(views)]
        pixel, z = project(points, intrinsics[..., other, :, :], cam_to_world[..., other, :, :])
        there, is_known = _sample(depth[..., other, :, :].to(dtype), valid[..., other, :, :], pixel)
        sees = is_known & (z > 0)
        lifted = _unproject(
            pixel, there, intrinsics[..., other, :, :], cam_to_world[..., other, :, :]
        )
        back, z_back = project(lifted, intrinsics, cam_to_world)
        shift = (back - start).norm(dim=-1)  # pixels
        change = (z_back / depth.to(dtype) - 1).abs()
        visible += sees
        for count, (pixels, relative_depth) in zip(confirmed, limits, strict=True):
            count += sees & (z_back > 0) & (shift <= pixels) & (change <= relative_depth)
    return visible, confirmed


def _unproject(
    pixel: Float[Tensor, "*lead H W 2"],
    depth: Float[Tensor, "*lead H W"],
    intrinsics: Float[Tensor, "*lead 3 3"],
    cam_to_world: Float[Tensor, "*lead 4 4"],
) -> Float[Tensor, "*lead H W 3"]:
    """Return world points at z-depth `depth` for any pixel coordinates."""
    pixel = torch.cat([pixel, torch.ones_like(pixel[..., :1])], dim=-1)
    to_world = cam_to_world[..., :3, :3] @ torch.linalg.inv(intrinsics)
    direction = torch.einsum("...ij,...hwj->...hwi", to_world, pixel)
    return cam_to_world[..., None, None, :3, 3] + depth[..., None] * direction


def _sample(
    depth: Float[Tensor, "*lead H W"],
    valid: Bool[Tensor, "*lead H W"],
    pixel: Float[Tensor, "*lead H W 2"],
) -> tuple[Float[Tensor, "*lead H W"], Bool[Tensor, "*lead H W"]]:
    """Interpolate depth at any pixel coordinates.

    Inverse depth is interpolated, since it is linear in the image on any plane.

    Returns:
        Depth, and where it is known: between pixel centres that are all valid.
    """
    height, width = depth.shape[-2:]
    size = pixel.new_tensor([width, height])
    inside = ((pixel > 0.5 - EDGE) & (pixel < size - 0.5 + EDGE)).all(dim=-1)
    grid = (2 * pixel / size - 1).clamp(-2, 2).reshape(-1, height, width, 2)
    inverse = torch.where(valid, 1 / torch.where(valid, depth, 1), 0)
    maps = torch.stack([inverse, valid.to(inverse)], dim=-3).reshape(-1, 2, height, width)
    sampled = grid_sample(maps, grid, align_corners=False, padding_mode="border")
    inverse, share = (sampled[:, k].reshape(depth.shape) for k in range(2))
    is_known = inside & (share > 1 - 1e-6)
    return torch.where(is_known, 1 / torch.where(is_known, inverse, 1), 0), is_known


def _percentile(
    confidence: Float[Tensor, "*lead N H W"], valid: Bool[Tensor, "*lead N H W"], percent: float
) -> Float[Tensor, "*lead 1 1 1"]:
    """Return the percentile over valid pixels of each scene; NaN where there are none."""
    values = confidence.where(valid, torch.nan).flatten(-3)
    return torch.nanquantile(values, percent / 100, dim=-1)[..., None, None, None]


@dataclass(frozen=True, kw_only=True, eq=False)
class GateResult:
    """The gated labels of one scene (a stack of one), with their measurements."""

    labels: Scenes
    kept: float  # fraction of pixels
    scale: float | None = None  # unit of the reference in the labels' unit; None: unknown
    camera_error: float | None = None  # degrees, against the reference; None: unknown
    exclusion: str | None = None  # why the scene is excluded


def gate_scene(
    labels: Scenes,
    reference: Scenes,
    config: GateConfig,
    floor: float,
    max_camera_error: float | None = None,
) -> GateResult:
    """Gate the labels of one scene, and scale them by the reference.

    Args:
        labels: a teacher's labels of one scene.
        reference: the scene, with geometry or cameras if it has any.
        config: conditions for keeping a pixel.
        floor: exclude scenes that keep a smaller fraction of their pixels.
        max_camera_error: exclude scenes with a larger error, in degrees.

    Returns:
        The labels whose `valid` is true at kept pixels, nowhere if the scene is excluded. `reason`
        has the gate's reasons in both cases.
    """
    reason = gate_labels(labels, config)
    is_kept = reason == GateReason.KEPT
    kept = float(is_kept.mean())
    scale = reference_scale(labels, reference, is_kept)
    error = reference_camera_error(labels, reference)
    exclusion = None
    if kept < floor:
        exclusion = f"keeps {kept:.1%} of its pixels, less than the floor of {floor:.0%}"
    elif max_camera_error is not None and error is not None and error > max_camera_error:
        exclusion = f"camera error of {error:.1f} degrees exceeds {max_camera_error:g}"
    labels = labels.replace(valid=is_kept & (exclusion is None), reason=reason)
    if scale is not None:
        labels = labels.replace(scale=np.array([scale]))
    return GateResult(
        labels=labels, kept=kept, scale=scale, camera_error=error, exclusion=exclusion
    )


def gate_labels(labels: Scenes, config: GateConfig) -> UInt8[np.ndarray, "S N H W"]:
    """Return the `GateReason` of each pixel of `labels`."""
    reason = gate(
        torch.from_numpy(labels.depth).double(),
        torch.from_numpy(labels.valid),
        torch.from_numpy(labels.confidence).double(),
        torch.from_numpy(labels.intrinsics).double(),
        torch.from_numpy(labels.cam_to_world).double(),
        config,
    )
    return reason.numpy()


def reference_scale(
    labels: Scenes, reference: Scenes, is_kept: Bool[np.ndarray, "1 N H W"]
) -> float | None:
    """Return the unit of the reference's geometry in the unit of the labels.

    Args:
        labels: labels of one scene.
        reference: the scene.
        is_kept: pixels whose depths are compared.

    Returns:
        The ratio of depths where the reference has any at kept pixels, else of the distances
        between cameras; None without a reference.
    """
    if reference.has_geometry and (both := is_kept & reference.valid).any():
        return depth_scale(
            torch.from_numpy(labels.depth[both]), torch.from_numpy(reference.depth[both])
        )
    if not reference.has_cameras:
        return None
    return _finite(baseline_scale(_poses(labels), _poses(reference)))


def reference_camera_error(labels: Scenes, reference: Scenes) -> float | None:
    """Return the `camera_error` in degrees; None where the reference has too few cameras."""
    if not reference.has_cameras:
        return None
    return _finite(camera_error(_poses(labels), _poses(reference)))


def _poses(scenes: Scenes) -> Float[Tensor, "N 4 4"]:
    return torch.from_numpy(scenes.cam_to_world[0])


def _finite(value: float) -> float | None:
    return None if math.isnan(value) else value
