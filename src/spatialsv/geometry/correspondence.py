"""Cross-view correspondence by features, without training: nearest features against true positions.

After Probe3D (El Banani et al. 2024): features are interpolated to the pixels of the depth map and
matched by cosine similarity; the error of a match is its distance to the projection of the pixel's
point. Probe3D scores the 1,000 pixels whose match is most distinctive; here all pixels count whose
point the other view sees, and no others. Errors are shares of the image's longer side, as in PCK
(SPair-71k), which makes images of different sizes comparable.

Shapes: B scenes, N views, h w cells with features of D channels, H W pixels, P = H W, Q query
pixels.
"""

from __future__ import annotations

from itertools import combinations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import interpolate

from spatialsv.geometry.camera import pixel_grid
from spatialsv.geometry.pose_metrics import rotation_angle
from spatialsv.geometry.rays import point_map, project, ray_map

MAX_DEPTH_DIFFERENCE = 0.05  # relative; a point farther from the depth map is hidden


def match_errors(
    features: Float[Tensor, "B N h w D"],
    depth: Float[Tensor, "B N H W"],
    valid: Bool[Tensor, "B N H W"],
    intrinsics: Float[Tensor, "B N 3 3"],
    cam_to_world: Float[Tensor, "B N 4 4"],
    every: int = 1,
) -> tuple[Float[Tensor, "B pairs Q"], Float[Tensor, "B pairs"]]:
    """Match pixels of each view in every later view and measure the matches' errors.

    Args:
        features: Feature maps.
        depth: Z-depth.
        valid: Pixels of known depth.
        intrinsics: K of the depth map; pixels are assumed square.
        cam_to_world: Poses in the depth's unit.
        every: Query one in `every` rows and columns of pixels; matches are sought among all.

    Returns:
        Errors as shares of the map's longer side, NaN where the later view does not see the pixel's
        point; and the angles between the views in degrees.
    """
    height, width = depth.shape[-2:]
    points = point_map(depth.to(intrinsics), ray_map(intrinsics, cam_to_world, height, width))
    cells = features.flatten(2, 3)
    weights = _interpolation(features.shape[2], features.shape[3], (height, width)).to(features)
    pixels = pixel_grid(height, width, like=intrinsics).flatten(0, 1)
    indices = torch.arange(height * width, device=depth.device).view(height, width)
    queries = indices[every // 2 :: every, every // 2 :: every].flatten()
    errors, angles = [], []
    for i, j in combinations(range(depth.shape[1]), 2):
        camera = intrinsics[:, j], cam_to_world[:, j]
        true, z = (x.flatten(1, 2)[:, queries] for x in project(points[:, i], *camera))
        visible = _is_visible(depth[:, j], valid[:, j], true, z)
        visible &= valid[:, i].flatten(1)[:, queries]
        matches = _nearest(cells[:, i], cells[:, j], weights, queries, valid[:, j].flatten(1))
        error = (pixels[matches] - true).norm(dim=-1) / max(height, width)
        errors.append(error.where(visible, torch.nan))
        angles.append(rotation_angle(cam_to_world[:, i, :3, :3], cam_to_world[:, j, :3, :3]))
    if not errors:
        return depth.new_zeros(len(depth), 0, len(queries)), depth.new_zeros(len(depth), 0)
    return torch.stack(errors, dim=1), torch.stack(angles, dim=1)


def _interpolation(rows: int, columns: int, size: tuple[int, int]) -> Float[Tensor, "cells P"]:
    """Return the bilinear weight of each cell of a grid in each pixel of an image of `size`."""
    one_hot = torch.eye(rows * columns).view(-1, 1, rows, columns)
    return interpolate(one_hot, size=size, mode="bilinear", align_corners=False).flatten(1)


def _nearest(
    first: Float[Tensor, "B cells D"],
    second: Float[Tensor, "B cells D"],
    weights: Float[Tensor, "cells P"],
    queries: Int[Tensor, " Q"],
    valid: Bool[Tensor, "B P"],
) -> Int[Tensor, "B Q"]:
    """Return the most similar valid pixel of the second view for each query pixel of the first.

    Products of interpolated features are interpolated products of features, of which there are far
    fewer.

    Args:
        first: Features of the first view.
        second: Features of the second view.
        weights: Of each cell in each pixel.
        queries: Indices of the first view's pixels.
        valid: Pixels of the second view that may be matched.

    Returns:
        Indices of the second view's pixels.
    """
    squares = ((second @ second.mT @ weights) * weights).sum(dim=1)  # of the second's lengths
    unit = weights / squares.clamp_min(torch.finfo(squares.dtype).tiny).sqrt()[:, None]
    # (B, Q, P); dividing by the first's lengths would not change the order
    similarity = (weights[:, queries].T @ (first @ second.mT)) @ unit
    if not valid.all():
        similarity.masked_fill_(~valid[:, None], -torch.inf)
    return similarity.argmax(dim=-1)


def _is_visible(
    depth: Float[Tensor, "B H W"],
    valid: Bool[Tensor, "B H W"],
    pixel: Float[Tensor, "B Q 2"],
    z: Float[Tensor, "B Q"],
) -> Bool[Tensor, "B Q"]:
    """Whether points at `pixel` and depth `z` are in the view's frame and on its surface."""
    height, width = depth.shape[1:]
    size = pixel.new_tensor([width, height])
    inside = ((pixel >= 0) & (pixel < size)).all(dim=-1) & (z > 0)
    column, row = pixel.where(inside[..., None], 0).long().unbind(dim=-1)
    index = row * width + column
    surface = depth.flatten(1).gather(1, index)
    known = valid.flatten(1).gather(1, index)
    close = (z / surface.where(known, 1) - 1).abs() < MAX_DEPTH_DIFFERENCE
    return inside & known & close
