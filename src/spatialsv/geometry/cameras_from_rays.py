"""Recover cameras from ray maps: centre, rotation and intrinsics of each view.

A ray map is M [u, v, 1]^T with M = R K^-1, up to the errors of the network that predicts it. M is
fitted as a weighted homography between pixels and directions; its QR decomposition gives R and
K^-1. Robust weights assume no error scale: it is estimated in each view as a median over pixels, so
up to 40 % of a view's weight may be outliers, scattered or contiguous. Views are processed in a
batch but independently: a view's camera does not depend on the other views.

Shapes: *lead any batch axes, H W pixels, V = all of lead, P = H W, S drawn pixels, K samples;
coordinates precede pixels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from spatialsv.geometry.camera import make_pose, pixel_grid
from spatialsv.geometry.homography import (
    MIN_PIXELS,
    decompose,
    fit_homography,
    minimal_homographies,
    normal_matrix,
    select_homography,
)
from spatialsv.geometry.rays import RayMap, squared_length
from spatialsv.geometry.robust import (
    biweight,
    draw_by_weight,
    draw_minimal_samples,
    robust_variance,
    take_points,
)

CHUNK = 2**22  # numbers processed at a time while samples are scored


@dataclass(frozen=True, kw_only=True)
class RobustConfig:
    """Settings of the robust fit: many four-pixel fits, the best of them refined."""

    samples: int = 128  # four-pixel fits
    refined: int = 4  # of them, by reweighted least squares
    pixels: int = 512  # drawn by weight, on which fits are compared and refined
    steps: int = 6  # of reweighting on the drawn pixels; two more follow on all pixels
    seed: int = 0


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
    """Return the camera of each ray map, in float64, on the rays' device.

    The centre is the confidence-weighted mean of the origins. Rays that are not finite, or whose
    direction is zero, have no weight.

    Args:
        rays: Ray maps.
        confidence: Weights of the pixels; all equal by default.
        robust: Detect outliers among directions and origins, and give them no weight. None: plain
            weighted least squares.

    Returns:
        Cameras of the same leading axes. K and pose are NaN in a view with fewer than four rays of
        positive weight, or whose rays fit no pinhole camera; other views are not affected.
    """
    lead, (height, width) = rays.directions.shape[:-3], rays.directions.shape[-3:-1]
    directions, origins = (
        x.reshape(-1, height * width, 3).mT.contiguous().double()
        for x in (rays.directions, rays.origins)
    )  # (V, 3, P)
    weights = torch.ones_like(directions[:, 0])
    if confidence is not None:
        weights = confidence.double().reshape(weights.shape)
    directions = directions / squared_length(directions).sqrt()[:, None]  # NaN for zero
    directions, origins, weights = _zero_non_finite(directions, origins, weights)
    to_unit = _unit_plane(height, width, like=directions)
    pixels = pixel_grid(height, width, like=directions).reshape(-1, 2)
    pixels = to_unit @ torch.cat([pixels, torch.ones_like(pixels[:, :1])], dim=-1).T  # (3, P)
    if robust is None:
        matrix = fit_homography(normal_matrix(pixels, directions, weights))
        centre = _weighted_mean(origins, weights)
    else:
        centre = _robust_centre(origins, weights, robust)
        weights = _robust_weights(pixels, directions, weights, robust)
        matrix = select_homography(normal_matrix(pixels, directions, weights), weights)
    rotation, intrinsics = decompose(matrix @ to_unit)
    failed = rotation.isnan().any(dim=-1)  # (V, 3)
    pose = make_pose(rotation, centre.masked_fill(failed, torch.nan))
    return Cameras(
        intrinsics=intrinsics.reshape(*lead, 3, 3), cam_to_world=pose.reshape(*lead, 4, 4)
    )


def _unit_plane(height: int, width: int, like: Tensor) -> Float[Tensor, "3 3"]:
    """Map pixels to coordinates of mean 0 and variance 1, which conditions the fit well."""
    # Isotropic noise of the directions then adds the same to all M of unit norm: no bias.
    x, y, centre = math.sqrt(12) / width, math.sqrt(12) / height, -math.sqrt(3)
    rows = [[x, 0, centre], [0, y, centre], [0, 0, 1]]
    return like.new_tensor(rows)


def _zero_non_finite(
    directions: Float[Tensor, "V 3 P"],
    origins: Float[Tensor, "V 3 P"],
    weights: Float[Tensor, "V P"],
) -> tuple[Float[Tensor, "V 3 P"], Float[Tensor, "V 3 P"], Float[Tensor, "V P"]]:
    """Set rays and weights to zero where a ray or its weight is not finite."""
    finite = (directions.sum(dim=1) + origins.sum(dim=1) + weights).isfinite()
    mask = finite[:, None]
    return directions.where(mask, 0), origins.where(mask, 0), weights.where(finite, 0)


def _robust_weights(
    pixels: Float[Tensor, "3 P"],
    directions: Float[Tensor, "V 3 P"],
    weights: Float[Tensor, "V P"],
    config: RobustConfig,
) -> Float[Tensor, "V P"]:
    """Multiply `weights` by Tukey's biweight of each direction's distance from the fitted one."""
    drawn = draw_by_weight(weights, config.pixels, config.seed)
    near, rays = pixels.T[drawn].mT, take_points(directions, drawn)  # (V, 3, S) each
    matrix = _best_fit(near, rays, config)
    variance = robust_variance(_squared_error(matrix, near, rays), 2)
    trusted = weights * biweight(_squared_error(matrix, pixels, directions), variance)
    matrix = fit_homography(normal_matrix(pixels, directions, trusted))
    return weights * biweight(_squared_error(matrix, pixels, directions), variance)


def _robust_centre(
    origins: Float[Tensor, "V 3 P"], weights: Float[Tensor, "V P"], config: RobustConfig
) -> Float[Tensor, "V 3"]:
    """Return the weighted mean of the origins, with Tukey's biweight of their distances to it."""
    drawn = take_points(origins, draw_by_weight(weights, config.pixels, config.seed))  # (V, 3, S)
    centre = drawn.median(dim=-1).values
    size = centre.square().sum(dim=1)
    for _ in range(config.steps):
        error = squared_length(drawn - centre[..., None])
        centre = _weighted_mean(drawn, biweight(error, robust_variance(error, 3, size)))
    variance = robust_variance(squared_length(drawn - centre[..., None]), 3, size)
    for _ in range(2):
        error = squared_length(origins - centre[..., None])
        centre = _weighted_mean(origins, weights * biweight(error, variance))
    return centre


def _weighted_mean(
    values: Float[Tensor, "V C P"], weights: Float[Tensor, "V P"]
) -> Float[Tensor, "V C"]:
    """Return the weighted mean over pixels, NaN where no weight is positive."""
    return (values @ weights[..., None]).squeeze(-1) / weights.sum(dim=-1, keepdim=True)


def _best_fit(
    pixels: Float[Tensor, "V 3 S"],
    directions: Float[Tensor, "V 3 S"],
    config: RobustConfig,
) -> Float[Tensor, "V 3 3"]:
    """Return the M of the smallest median error, among refined plain and four-pixel fits."""
    chosen = draw_minimal_samples(config.samples, MIN_PIXELS, pixels.shape[-1], config.seed)
    fits = minimal_homographies(  # chosen: (K, 4)
        *(x[:, :, chosen.to(x.device)].transpose(1, 2) for x in (pixels, directions))
    )
    plain = fit_homography(normal_matrix(pixels, directions, torch.ones_like(directions[:, 0])))
    fits = torch.cat([plain[:, None], fits], dim=1)
    best = (
        _median_cosine(fits.float(), pixels.float(), directions.float())
        .topk(config.refined, dim=1)
        .indices
    )
    fits = fits.take_along_dim(best[..., None, None], dim=1).flatten(0, 1)  # (V refined, 3, 3)
    near, rays = (x.repeat_interleave(config.refined, dim=0) for x in (pixels, directions))
    for _ in range(config.steps):
        error = _squared_error(fits, near, rays)
        weights = biweight(error, robust_variance(error, 2))
        fits = fit_homography(normal_matrix(near, rays, weights))
    fits = fits.reshape(-1, config.refined, 3, 3)
    best = _median_cosine(fits, pixels, directions).argmax(dim=1)
    return fits.take_along_dim(best[:, None, None, None], dim=1).squeeze(1)


def _median_cosine(
    fits: Float[Tensor, "V K 3 3"],
    pixels: Float[Tensor, "V 3 S"],
    directions: Float[Tensor, "V 3 S"],
) -> Float[Tensor, "V K"]:
    """Return the median cosine between directions and fitted ones; -2 for a non-finite fit."""
    medians = []
    for part in torch.split(fits, max(1, CHUNK // directions.numel()), dim=1):
        rays = part @ pixels[:, None]  # (V, K, 3, S)
        cosine = (rays * directions[:, None]).sum(dim=-2) / squared_length(rays).sqrt()
        medians.append(cosine.median(dim=-1).values)
    return torch.cat(medians, dim=1).nan_to_num(nan=-2.0)


def _squared_error(
    matrix: Float[Tensor, "V 3 3"],
    pixels: Float[Tensor, "*views 3 P"],
    directions: Float[Tensor, "V 3 P"],
) -> Float[Tensor, "V P"]:
    """Return squared distances between unit directions and fitted ones; 4 if they are opposite."""
    rays = matrix @ pixels
    return squared_length(rays * squared_length(rays).rsqrt()[:, None] - directions)
