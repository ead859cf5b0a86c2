"""What the teacher network is trained on: depth, its edges, rays, and the points both give.

Residuals are absolute (L1), depth's in the logarithm so that near and far count by relative error.
A confidence c weighs a residual as c |r| - lambda log c: its optimum is lambda / |r|.

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

    depth: float = 1.0
    gradient: float = 1.0
    rays: float = 1.0
    points: float = 0.5
    confidence: float = 0.2  # lambda
    gradient_steps: tuple[int, ...] = (1, 2, 4)  # pixels between the two ends of a difference


def teacher_loss(
    prediction: TeacherPrediction, labels: GeometryLabels, config: TeacherLossConfig
) -> dict[str, Float[Tensor, ""]]:
    """The terms by name, unweighted, and their weighted sum as `total`.

    Labels at the network's image size, in the first view's frame with unit mean distance. Pixels
    without valid depth teach no depth; every pixel teaches its ray.
    """
    lifted = prediction.lifted
    valid = labels.valid & labels.present[:, :, None, None]
    residual = lifted.depth.log() - torch.where(valid, labels.depth, 1).log()
    origins = (lifted.ray_origins - labels.ray_origins).abs().sum(-1)
    directions = (lifted.ray_directions - labels.ray_directions).abs().sum(-1)
    everywhere = labels.present[:, :, None, None].expand_as(valid)
    distance = (lifted.points - labels.points).abs().sum(-1)
    terms = {
        "depth": _confident(residual.abs(), lifted.depth_confidence, valid, config.confidence),
        "gradient": _gradient(residual, valid, config.gradient_steps),
        "rays": _confident(
            origins + directions, lifted.ray_confidence, everywhere, config.confidence
        ),
        "points": _mean(distance, valid),
    }
    total = sum(getattr(config, name) * value for name, value in terms.items())
    return terms | {"total": total}


def _mean(values: Float[Tensor, "*shape"], where: Bool[Tensor, "*shape"]) -> Float[Tensor, ""]:
    """The mean over `where`; zero, with a gradient of zero, where that is empty."""
    return torch.where(where, values, 0).sum() / where.sum().clamp_min(1)


def _confident(
    error: Float[Tensor, "B N H W"],
    confidence: Float[Tensor, "B N H W"],
    where: Bool[Tensor, "B N H W"],
    strength: float,
) -> Float[Tensor, ""]:
    return _mean(error * confidence - strength * confidence.log(), where)


def _gradient(
    residual: Float[Tensor, "B N H W"], valid: Bool[Tensor, "B N H W"], steps: tuple[int, ...]
) -> Float[Tensor, ""]:
    """Mean absolute difference of the residual between pixels a few apart, along x and y."""
    terms = []
    for step in steps:
        for a, b in (
            ((..., slice(step, None)), (..., slice(None, -step))),
            ((..., slice(step, None), slice(None)), (..., slice(None, -step), slice(None))),
        ):
            terms.append(_mean((residual[a] - residual[b]).abs(), valid[a] & valid[b]))
    return torch.stack(terms).mean()
