"""Training loss of the teacher network: depth, depth gradients, rays, and points.

Residuals are absolute (L1); those of depth are logarithmic, so that relative errors count. A
confidence c weights a residual r as c |r| - lambda log c, with the optimum c = lambda / |r|.

Shapes: B scenes, N views, H W pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from spatialsv.geometry.maps import GeometryLabels
from spatialsv.teachers.network import TeacherPrediction


@dataclass(frozen=True, kw_only=True)
class TeacherLossConfig:
    """Weights of the terms."""

    depth: float = 1.0  # weight of the depth term
    gradient: float = 1.0  # weight of the term of depth differences
    rays: float = 1.0  # weight of the ray term
    points: float = 0.5  # weight of the point term
    confidence: float = 0.2  # lambda
    gradient_steps: tuple[int, ...] = (1, 2, 4)  # pixels between the two ends of a difference


def teacher_loss(
    prediction: TeacherPrediction, labels: GeometryLabels, config: TeacherLossConfig
) -> dict[str, Float[Tensor, ""]]:
    """Compute the loss.

    Args:
        prediction: The network's output.
        labels: Labels at the network's image size. Depth and points count where depth is valid,
            rays at all pixels of present views.
        config: Weights of the terms.

    Returns:
        The unweighted terms by name, and their weighted sum as `total`.
    """
    valid = labels.valid & labels.present[:, :, None, None]
    residual = prediction.depth.log() - torch.where(valid, labels.depth, 1).log()
    origins = (prediction.rays.origins - labels.ray_origins).abs().sum(-1)
    directions = (prediction.rays.directions - labels.ray_directions).abs().sum(-1)
    everywhere = labels.present[:, :, None, None].expand_as(valid)
    distance = (prediction.points - labels.points).abs().sum(-1)
    terms = {
        "depth": _confident(residual.abs(), prediction.depth_confidence, valid, config.confidence),
        "gradient": _gradient(residual, valid, config.gradient_steps),
        "rays": _confident(
            origins + directions, prediction.ray_confidence, everywhere, config.confidence
        ),
        "points": _mean(distance, valid),
    }
    total = sum(getattr(config, name) * value for name, value in terms.items())
    return terms | {"total": total}


def _mean(values: Float[Tensor, "*shape"], where: Bool[Tensor, "*shape"]) -> Float[Tensor, ""]:
    """Return the mean over `where`; zero, with zero gradient, if that is empty."""
    return torch.where(where, values, 0).sum() / where.sum().clamp_min(1)


def _confident(
    error: Float[Tensor, "B N H W"],
    confidence: Float[Tensor, "B N H W"],
    where: Bool[Tensor, "B N H W"],
    strength: float,
) -> Float[Tensor, ""]:
    """Return the mean of the error weighted by confidence, minus `strength` log confidence."""
    return _mean(error * confidence - strength * confidence.log(), where)


def _gradient(
    residual: Float[Tensor, "B N H W"], valid: Bool[Tensor, "B N H W"], steps: tuple[int, ...]
) -> Float[Tensor, ""]:
    """Return the mean absolute difference of residuals `steps` pixels apart, along x and y."""
    terms = []
    for step in steps:
        for a, b in (
            ((..., slice(step, None)), (..., slice(None, -step))),
            ((..., slice(step, None), slice(None)), (..., slice(None, -step), slice(None))),
        ):
            terms.append(_mean((residual[a] - residual[b]).abs(), valid[a] & valid[b]))
    return torch.stack(terms).mean()
