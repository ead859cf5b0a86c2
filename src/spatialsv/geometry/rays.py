"""Ray maps and point maps: a pinhole camera written as one ray a pixel, and depth along it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from spatialsv.geometry.camera import pixel_grid


@dataclass(frozen=True, eq=False)
class RayMap:
    """One ray a pixel: centre t and direction R K^-1 [u, v, 1]^T, in the frame of the poses.

    Directions are not normalised: they have z = 1 in their own camera's frame, so a point lies at
    origin + z-depth * direction.
    """

    origins: Float[Tensor, "*lead H W 3"]
    directions: Float[Tensor, "*lead H W 3"]


def ray_map(
    intrinsics: Float[Tensor, "*lead 3 3"],
    cam_to_world: Float[Tensor, "*lead 4 4"],
    height: int,
    width: int,
) -> RayMap:
    """The rays through all pixel centres. Origins are an expanded view: do not write into them."""
    pixels = pixel_grid(height, width, like=intrinsics)
    pixels = torch.cat([pixels, torch.ones_like(pixels[..., :1])], dim=-1)  # (H, W, 3)
    to_world = cam_to_world[..., :3, :3] @ torch.linalg.inv(intrinsics)
    directions = torch.einsum("...ij,hwj->...hwi", to_world, pixels)
    origins = cam_to_world[..., None, None, :3, 3].expand(directions.shape)
    return RayMap(origins=origins, directions=directions)


def point_map(depth: Float[Tensor, "*lead H W"], rays: RayMap) -> Float[Tensor, "*lead H W 3"]:
    """Points at z-depth `depth` along `rays`, in the rays' frame and unit."""
    return rays.origins + depth[..., None] * rays.directions
