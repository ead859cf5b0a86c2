"""Cross-view correspondence by features alone: the nearest one, held to where the point truly is.

After Probe3D (El Banani et al. 2024): nothing is trained; features are interpolated to the pixels
of the depth map, compared by cosine, and a match is as wrong as it is far from where the pixel's
point projects. There the 1,000 pixels count whose match stands out most from the second best; here
all count whose point the other view sees, and no others. Errors are shares of the image's longer
side, as in PCK (SPair-71k), since a pixel is not the same in images of all sizes.

Shapes: B scenes, N views, h w cells with features of D channels, H W pixels, P = H W, Q of them are
looked for.
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

SEEN = 0.05  # a point is seen where its depth differs from the map's by less than this share


def match_errors(
    features: Float[Tensor, "B N h w D"],
    depth: Float[Tensor, "B N H W"],
    valid: Bool[Tensor, "B N H W"],
    intrinsics: Float[Tensor, "B N 3 3"],
    cam_to_world: Float[Tensor, "B N 4 4"],
    every: int = 1,
) -> tuple[Float[Tensor, "B pairs Q"], Float[Tensor, "B pairs"]]:
    """How far each pixel's match lies from where it should, and how far apart the views look.

    Each view's pixels are looked for in every later view. An error is NaN where the later view does
    not see the pixel's point. Pixels are taken to be square.

    Args:
        every: look for one in so many rows and columns of pixels; they are found among all.

    Returns: errors, in longer sides of the map, and the angles between the views, in degrees.
    """
    height, width = depth.shape[-2:]
    points = point_map(depth.to(intrinsics), ray_map(intrinsics, cam_to_world, height, width))
    spread = _interpolation(features.shape[2:4], (height, width)).to(features)  # (h w, P)
    cells = features.flatten(2, 3)
    pixels = pixel_grid(height, width, like=intrinsics).flatten(0, 1)
    numbers = torch.arange(height * width, device=depth.device).view(height, width)
    asked = numbers[every // 2 :: every, every // 2 :: every].flatten()
    errors, angles = [], []
    for i, j in combinations(range(depth.shape[1]), 2):
        camera = intrinsics[:, j], cam_to_world[:, j]
        true, z = (x.flatten(1, 2)[:, asked] for x in project(points[:, i], *camera))
        seen = valid[:, i].flatten(1)[:, asked] & _sees(depth[:, j], valid[:, j], true, z)
        found = _nearest(cells[:, i], cells[:, j], spread, asked, valid[:, j].flatten(1))
        error = (pixels[found] - true).norm(dim=-1) / max(height, width)
        errors.append(error.where(seen, torch.nan))
        angles.append(rotation_angle(cam_to_world[:, i, :3, :3], cam_to_world[:, j, :3, :3]))
    if not errors:
        return depth.new_zeros(len(depth), 0, len(asked)), depth.new_zeros(len(depth), 0)
    return torch.stack(errors, dim=1), torch.stack(angles, dim=1)


def _interpolation(cells: tuple[int, int], size: tuple[int, int]) -> Float[Tensor, "cells P"]:
    """The weight of each cell in each pixel: bilinear, by centres."""
    count = cells[0] * cells[1]
    one_hot = torch.eye(count).view(count, 1, *cells)
    return interpolate(one_hot, size=size, mode="bilinear", align_corners=False).flatten(1)


def _nearest(
    first: Float[Tensor, "B cells D"],
    second: Float[Tensor, "B cells D"],
    spread: Float[Tensor, "cells P"],
    asked: Int[Tensor, " Q"],
    valid: Bool[Tensor, "B P"],
) -> Int[Tensor, "B Q"]:
    """For each pixel of the first view that is asked for, the most similar one of the second.

    Products of interpolated features are interpolated products of features, which are far fewer.
    """
    squares = ((second @ second.mT @ spread) * spread).sum(dim=1)  # of the second's lengths
    unit = spread / squares.clamp_min(1e-12).sqrt()[:, None]
    # (B, Q, P); the first's lengths would change no order
    likeness = (spread[:, asked].T @ (first @ second.mT)) @ unit
    if not valid.all():
        likeness.masked_fill_(~valid[:, None], -torch.inf)
    return likeness.argmax(dim=-1)


def _sees(
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
    place = row * width + column
    there = depth.flatten(1).gather(1, place)
    known = valid.flatten(1).gather(1, place)
    return inside & known & ((z / there.where(known, 1) - 1).abs() < SEEN)
