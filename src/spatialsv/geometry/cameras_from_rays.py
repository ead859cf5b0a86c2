"""Cameras read back from a ray map: centre, rotation and intrinsics of each view.

A ray map is M [u, v, 1]^T with M = R K^-1, up to what a network gets wrong. M is fitted as a
weighted homography between pixels and directions, in three dimensions since a view may look away
from the first one's z axis, where a homography between image planes breaks down; its QR
decomposition holds R and K^-1. Shapes: *lead any batch axes, H W pixels, P = H W.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from spatialsv.geometry.camera import make_pose, pixel_grid
from spatialsv.geometry.rays import RayMap

MINIMUM = 4  # pixels that determine a homography


@dataclass(frozen=True, kw_only=True)
class RansacConfig:
    """Outliers are searched for with samples of four pixels, then the inliers are fitted anew."""

    iterations: int = 100
    threshold: float = 2.0  # degrees between a ray and the fitted one
    seed: int = 0


@dataclass(frozen=True, eq=False)
class Cameras:
    """Pinhole cameras; K in pixels without skew, poses camera-to-world in the rays' frame."""

    intrinsics: Float[Tensor, "*lead 3 3"]
    cam_to_world: Float[Tensor, "*lead 4 4"]


def cameras_from_rays(
    rays: RayMap,
    confidence: Float[Tensor, "*lead H W"] | None = None,
    ransac: RansacConfig | None = None,
) -> Cameras:
    """The camera of each ray map, in float64.

    The centre is the confidence-weighted mean of the origins, over the rays' inliers if `ransac`
    is given. A view with fewer than four pixels of positive confidence has NaN for its camera.
    """
    lead, (height, width) = rays.directions.shape[:-3], rays.directions.shape[-3:-1]
    directions = rays.directions.double().reshape(-1, height * width, 3)
    directions = torch.nn.functional.normalize(directions, dim=-1)
    origins = rays.origins.double().reshape(-1, height * width, 3)
    weights = torch.ones_like(directions[..., 0])
    if confidence is not None:
        weights = confidence.double().reshape(weights.shape)
    to_unit = _unit_plane(height, width, like=directions)
    pixels = pixel_grid(height, width, like=directions).reshape(-1, 2)
    pixels = torch.cat([pixels, torch.ones_like(pixels[:, :1])], dim=-1) @ to_unit.T  # (P, 3)
    if ransac is not None:
        weights = weights * _inliers(pixels, directions, weights, ransac)
    matrix = fit_homography(pixels, directions, weights) @ to_unit
    rotation, intrinsics = decompose(matrix)
    share = weights / weights.sum(dim=-1, keepdim=True)
    centre = (origins * share[..., None]).sum(dim=-2)
    pose = make_pose(rotation, centre)
    return Cameras(
        intrinsics=intrinsics.reshape(*lead, 3, 3), cam_to_world=pose.reshape(*lead, 4, 4)
    )


def fit_homography(
    pixels: Float[Tensor, "P 3"],
    directions: Float[Tensor, "*lead P 3"],
    weights: Float[Tensor, "*lead P"],
) -> Float[Tensor, "*lead 3 3"]:
    """M of unit norm and positive determinant that turns pixels into unit directions best.

    Minimises the weighted sum of |d x M p|^2: the smallest eigenvector of the sum over pixels of
    (I - d d^T) kron (p p^T). NaN where fewer than four weights are positive.
    """
    across = torch.eye(3).to(directions) - directions[..., :, None] * directions[..., None, :]
    along = (pixels[:, :, None] * pixels[:, None, :]).flatten(1)  # (P, 9)
    normal = (across.flatten(-2) * weights[..., None]).transpose(-1, -2) @ along  # (*lead, 9, 9)
    normal = normal.unflatten(-2, (3, 3)).unflatten(-1, (3, 3)).transpose(-3, -2)
    normal = normal.flatten(-4, -3).flatten(-2)
    enough = (weights > 0).sum(dim=-1) >= MINIMUM
    enough &= normal.isfinite().all(dim=(-2, -1))
    normal = normal.where(enough[..., None, None], torch.eye(9).to(normal))
    matrix = torch.linalg.eigh(normal).eigenvectors[..., 0].unflatten(-1, (3, 3))
    matrix = matrix * torch.where(torch.linalg.det(matrix) < 0, -1.0, 1.0)[..., None, None]
    return matrix.where(enough[..., None, None], torch.nan)


def decompose(
    matrix: Float[Tensor, "*lead 3 3"],
) -> tuple[Float[Tensor, "*lead 3 3"], Float[Tensor, "*lead 3 3"]]:
    """Rotation and K of M = s R K^-1, s > 0: QR with positive diagonals, so R is proper.

    K is scaled to K[2, 2] = 1. Its skew, zero in every camera here, is dropped.
    """
    broken = ~matrix.isfinite().all(dim=(-2, -1))[..., None, None]
    rotation, upper = torch.linalg.qr(matrix.where(~broken, torch.eye(3).to(matrix)))
    signs = torch.where(upper.diagonal(dim1=-2, dim2=-1) < 0, -1.0, 1.0).to(matrix.dtype)
    rotation, upper = rotation * signs[..., None, :], upper * signs[..., :, None]
    intrinsics = torch.linalg.inv(upper)
    intrinsics = intrinsics / intrinsics[..., 2:, 2:]
    skewless = torch.ones(3, 3).to(matrix)
    skewless[0, 1] = 0
    nan = torch.where(broken, torch.nan, 0.0).to(matrix.dtype)
    return rotation + nan, intrinsics * skewless + nan


def _unit_plane(height: int, width: int, like: Tensor) -> Float[Tensor, "3 3"]:
    """Pixels to coordinates around 0 of size about 1, which keeps the fit well conditioned."""
    size = max(height, width) / 2
    rows = [[1 / size, 0, -width / 2 / size], [0, 1 / size, -height / 2 / size], [0, 0, 1]]
    return like.new_tensor(rows)


def _inliers(
    pixels: Float[Tensor, "P 3"],
    directions: Float[Tensor, "V P 3"],
    weights: Float[Tensor, "V P"],
    config: RansacConfig,
) -> Bool[Tensor, "V P"]:
    """The rays that agree with the best of many four-pixel fits, view by view.

    Views are taken one at a time: iterations x pixels rays for all at once would fill the memory.
    """
    generator = torch.Generator().manual_seed(config.seed)
    masks = [
        _view_inliers(pixels, view, weight, config, generator)
        for view, weight in zip(directions, weights, strict=True)
    ]
    return torch.stack(masks)


def _view_inliers(
    pixels: Float[Tensor, "P 3"],
    directions: Float[Tensor, "P 3"],
    weights: Float[Tensor, " P"],
    config: RansacConfig,
    generator: torch.Generator,
) -> Bool[Tensor, " P"]:
    usable = (weights > 0).nonzero().squeeze(1)
    if len(usable) < MINIMUM:
        return weights > 0
    order = torch.rand(config.iterations, len(usable), generator=generator)
    chosen = usable[order.topk(MINIMUM, dim=1).indices.to(usable.device)]  # (iterations, 4)
    matrices = _minimal_fits(pixels[chosen], directions[chosen])
    rays = torch.nn.functional.normalize(pixels @ matrices.transpose(-1, -2), dim=-1)
    cosine = (rays * directions).sum(dim=-1)  # (iterations, P)
    agrees = (cosine > torch.cos(torch.deg2rad(cosine.new_tensor(config.threshold)))) & (
        weights > 0
    )
    score = (agrees * weights).sum(dim=-1)
    return agrees[score.argmax()]


def _minimal_fits(
    pixels: Float[Tensor, "I 4 3"], directions: Float[Tensor, "I 4 3"]
) -> Float[Tensor, "I 3 3"]:
    """One homography for each sample of four pixels."""
    fit = torch.vmap(fit_homography)
    return fit(pixels, directions, torch.ones_like(directions[..., 0]))
