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
    MINIMUM,
    centred_or_not,
    decompose,
    fit_homography,
    minimal_homographies,
    normal_matrix,
)
from spatialsv.geometry.rays import RayMap
from spatialsv.geometry.robust import (
    biweight,
    draw,
    minimal_samples,
    squared_length,
    take,
    variance_of,
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


CHUNK = 2**22  # numbers at a time while samples are scored


@dataclass(frozen=True, kw_only=True)
class RobustConfig:
    """Many four-pixel fits are tried; the best are refined by reweighted least squares."""

    samples: int = 128  # four-pixel fits
    kept: int = 4  # of them, to be refined
    drawn: int = 512  # pixels, drawn by weight, on which fits are compared and refined
    steps: int = 6  # of reweighting on these; two more follow on all pixels
    seed: int = 0


def robust_weights(
    pixels: Float[Tensor, "3 P"],
    directions: Float[Tensor, "V 3 P"],
    weights: Float[Tensor, "V P"],
    config: RobustConfig,
) -> Float[Tensor, "V P"]:
    """`weights` times how well each pixel's unit direction agrees with its view's camera.

    0 for outliers (Tukey's biweight of the distance between unit vectors).
    """
    drawn = draw(weights, config.drawn, config.seed)
    near, rays = pixels.T[drawn].mT, take(directions, drawn)  # (V, 3, S) each
    matrix = _best_fit(near, rays, config)
    variance = variance_of(_error(matrix, near, rays), 2)
    trusted = weights * biweight(_error(matrix, pixels, directions), variance)
    matrix = fit_homography(normal_matrix(pixels, directions, trusted))
    return weights * biweight(_error(matrix, pixels, directions), variance)


def robust_centre(
    origins: Float[Tensor, "V 3 P"], weights: Float[Tensor, "V P"], config: RobustConfig
) -> Float[Tensor, "V 3"]:
    """The weighted mean of the origins that lie together (Tukey's biweight of their distance)."""
    drawn = take(origins, draw(weights, config.drawn, config.seed))  # (V, 3, S)
    centre = drawn.median(dim=-1).values
    size = centre.square().sum(dim=1)
    for _ in range(config.steps):
        error = squared_length(drawn - centre[..., None])
        centre = weighted_mean(drawn, biweight(error, variance_of(error, 3, size)))
    variance = variance_of(squared_length(drawn - centre[..., None]), 3, size)
    for _ in range(2):
        error = squared_length(origins - centre[..., None])
        centre = weighted_mean(origins, weights * biweight(error, variance))
    return centre


def weighted_mean(
    values: Float[Tensor, "V C P"], weights: Float[Tensor, "V P"]
) -> Float[Tensor, "V C"]:
    """Over pixels; NaN where no weight is positive."""
    return (values @ weights[..., None]).squeeze(-1) / weights.sum(dim=-1, keepdim=True)


def _best_fit(
    pixels: Float[Tensor, "V 3 S"],
    directions: Float[Tensor, "V 3 S"],
    config: RobustConfig,
) -> Float[Tensor, "V 3 3"]:
    """The M of least median error: the plain one or one through four pixels, after reweighting."""
    chosen = minimal_samples(config.samples, MINIMUM, pixels.shape[-1], config.seed)  # (K, 4)
    fits = minimal_homographies(
        *(x[:, :, chosen.to(x.device)].transpose(1, 2) for x in (pixels, directions))
    )
    plain = fit_homography(normal_matrix(pixels, directions, torch.ones_like(directions[:, 0])))
    fits = torch.cat([plain[:, None], fits], dim=1)
    best = (
        _agreement(fits.float(), pixels.float(), directions.float())
        .topk(config.kept, dim=1)
        .indices
    )
    fits = fits.take_along_dim(best[..., None, None], dim=1).flatten(0, 1)  # (V kept, 3, 3)
    near, rays = (x.repeat_interleave(config.kept, dim=0) for x in (pixels, directions))
    for _ in range(config.steps):
        error = _error(fits, near, rays)
        fits = fit_homography(normal_matrix(near, rays, biweight(error, variance_of(error, 2))))
    fits = fits.unflatten(0, (-1, config.kept))
    best = _agreement(fits, pixels, directions).argmax(dim=1)
    return fits.take_along_dim(best[:, None, None, None], dim=1).squeeze(1)


def _agreement(
    fits: Float[Tensor, "V K 3 3"],
    pixels: Float[Tensor, "V 3 S"],
    directions: Float[Tensor, "V 3 S"],
) -> Float[Tensor, "V K"]:
    """The median cosine between directions and fitted ones; -2 of a fit that is not finite."""
    medians = []
    for some in fits.split(max(1, CHUNK // directions.numel()), dim=1):
        rays = some @ pixels[:, None]  # (V, K, 3, S)
        cosine = (rays * directions[:, None]).sum(dim=-2) / squared_length(rays).sqrt()
        medians.append(cosine.median(dim=-1).values)
    return torch.cat(medians, dim=1).nan_to_num(nan=-2.0)


def _error(
    matrix: Float[Tensor, "V 3 3"],
    pixels: Float[Tensor, "*views 3 P"],
    directions: Float[Tensor, "V 3 P"],
) -> Float[Tensor, "V P"]:
    """Squared distance of each direction from the fitted one, both of length 1; 4 if opposite."""
    rays = matrix @ pixels
    return squared_length(rays * squared_length(rays).rsqrt()[:, None] - directions)
