"""Cameras read back from a ray map: centre, rotation and intrinsics of each view.

A ray map is M [u, v, 1]^T with M = R K^-1, up to what a network gets wrong. M is fitted as a
weighted homography between pixels and directions; its QR decomposition holds R and K^-1. Shapes:
*lead any batch axes, H W pixels, V = all of lead, P = H W.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from spatialsv.geometry.camera import make_pose, pixel_grid
from spatialsv.geometry.homography import (
    centred_or_not,
    decompose,
    fit_homography,
    normal_matrix,
)
from spatialsv.geometry.rays import RayMap
from spatialsv.geometry.robust import squared_length
from spatialsv.geometry.robust_rays import (
    RobustConfig,
    robust_centre,
    robust_weights,
    weighted_mean,
)


@dataclass(frozen=True, eq=False)
class Cameras:
    """Pinhole cameras; K in pixels without skew, poses camera-to-world in the rays' frame."""

    intrinsics: Float[Tensor, "*lead 3 3"]
    cam_to_world: Float[Tensor, "*lead 4 4"]


def cameras_from_rays(
    rays: RayMap,
    confidence: Float[Tensor, "*lead H W"] | None = None,
    robust: RobustConfig | None = None,
) -> Cameras:
    """The camera of each ray map, in float64, on the rays' device, all views at once.

    The centre is the confidence-weighted mean of the origins. `robust` finds outliers among
    directions and among origins, which may also vary within a frame, and leaves them out; so it
    does with rays that are not finite. A view with fewer than four pixels of positive confidence
    has NaN for its camera.
    """
    lead, (height, width) = rays.directions.shape[:-3], rays.directions.shape[-3:-1]
    directions, origins = (
        x.reshape(-1, height * width, 3).mT.contiguous().double()
        for x in (rays.directions, rays.origins)
    )  # (V, 3, P)
    weights = torch.ones_like(directions[:, 0])
    if confidence is not None:
        weights = confidence.double().reshape(weights.shape)
    directions = directions / squared_length(directions).sqrt()[:, None].clamp_min(1e-12)
    to_unit = _unit_plane(height, width, like=directions)
    pixels = pixel_grid(height, width, like=directions).reshape(-1, 2)
    pixels = to_unit @ torch.cat([pixels, torch.ones_like(pixels[:, :1])], dim=-1).T  # (3, P)
    if robust is None:
        matrix = fit_homography(normal_matrix(pixels, directions, weights))
        centre = weighted_mean(origins, weights)
    else:
        directions, origins, weights = _finite(directions, origins, weights)
        centre = robust_centre(origins, weights, robust)
        weights = robust_weights(pixels, directions, weights, robust)
        matrix = centred_or_not(normal_matrix(pixels, directions, weights), weights)
    rotation, intrinsics = decompose(matrix @ to_unit)
    pose = make_pose(rotation, centre)
    return Cameras(
        intrinsics=intrinsics.reshape(*lead, 3, 3), cam_to_world=pose.reshape(*lead, 4, 4)
    )


def _unit_plane(height: int, width: int, like: Tensor) -> Float[Tensor, "3 3"]:
    """Pixels to coordinates around 0 of size about 1, which keeps the fit well conditioned."""
    size = max(height, width) / 2
    rows = [[1 / size, 0, -width / 2 / size], [0, 1 / size, -height / 2 / size], [0, 0, 1]]
    return like.new_tensor(rows)


def _finite(
    directions: Float[Tensor, "V 3 P"],
    origins: Float[Tensor, "V 3 P"],
    weights: Float[Tensor, "V P"],
) -> tuple[Float[Tensor, "V 3 P"], Float[Tensor, "V 3 P"], Float[Tensor, "V P"]]:
    """The same with zeros, and no weight, where a ray or its weight is not finite."""
    finite = (directions.sum(dim=1) + origins.sum(dim=1) + weights).isfinite()
    kept = finite[:, None]
    return directions.where(kept, 0), origins.where(kept, 0), weights.where(finite, 0)
