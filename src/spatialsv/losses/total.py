"""The spatial loss (Eq. 6): distillation, depth, rays and points, every weight 1 unless told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from spatialsv.geometry.maps import GeometryLabels, GeometryPrediction
from spatialsv.geometry.rays import RayMap
from spatialsv.losses.depth import depth_terms
from spatialsv.losses.distill import distill_loss
from spatialsv.losses.masked import Mean, at_size, counted, masked_mean
from spatialsv.losses.points import point_terms
from spatialsv.losses.rays import ray_terms
from spatialsv.losses.temporal import temporal_term

Signal = Literal["distill", "depth", "rays", "points"]


@dataclass(frozen=True, kw_only=True)
class SpatialLossConfig:
    """Which signals teach, and what the paper leaves open about their terms.

    Leaving a signal out drops its terms; the others keep their weight of 1.
    """

    tasks: tuple[Signal, ...] = ("distill", "depth", "rays", "points")
    lambda_c: float = 0.2  # of log c; unpublished, VGGT's value
    l2: Literal["norm", "square"] = "norm"
    gradient_scales: int = 4  # of depth; 1: the paper's formula to the letter
    normal_scales: int = 3  # of points
    temporal: bool = False  # of depth, a term beyond the paper: neighbouring views change alike
    temporal_change: float = 0.05  # where the label's own change is at most this part of its depth


def spatial_losses(
    lifted: GeometryPrediction | None,
    labels: GeometryLabels,
    config: SpatialLossConfig,
    distilled: Float[Tensor, "B N h w C"] | None = None,
    weights: Mapping[str, float | Tensor] | None = None,
    mean: Mean = masked_mean,
) -> dict[str, Float[Tensor, ""]]:
    """Every term by name ("depth/l2", "rays/conf", "points/normal", "distill"), and "total".

    Terms are as they are, and `weights`, by signal, count in the total alone; those left out are 1.
    Predictions of another size than the labels' are bilinearly resized to it. Invalid pixels and
    views whose `labels.present` is False add nothing, to values or gradients; where none is left,
    all terms are exactly 0. Confidences are at least 1, so that their logarithms exist. `mean` is
    how pixels are averaged; it does not touch the distillation, whose mean runs over tokens.

    Raises:
        ValueError: a configured signal for which there is no prediction or no label.
    """
    terms: dict[str, Tensor] = {}
    if "distill" in config.tasks:
        _require(distilled, "distill", "the heads need feature_channels")
        _require(labels.features, "distill", "the labels have no features")
        terms["distill"] = distill_loss(distilled, labels.features, labels.present)
    for task in config.tasks:
        if task != "distill":
            found = GEOMETRY[task](lifted, labels, config, mean)
            terms |= {f"{task}/{name}": value for name, value in found.items()}
    zero = torch.zeros((), device=labels.depth.device)
    weighed = [(weights or {}).get(signal_of(name), 1.0) * term for name, term in terms.items()]
    return terms | {"total": sum(weighed, zero)}


def signal_of(term: str) -> str:
    """The signal that a term belongs to: "depth" of "depth/l2"."""
    return term.split("/")[0]


def _depth(
    lifted: GeometryPrediction | None, labels: GeometryLabels, config: SpatialLossConfig, mean: Mean
) -> dict:
    size = tuple(labels.depth.shape[2:])
    depth = at_size(_predicted(lifted, "depth"), size)
    target, mask = labels.depth.to(depth.dtype), counted(labels)
    terms = depth_terms(
        depth,
        at_size(lifted.depth_confidence, size),
        target,
        mask,
        lambda_c=config.lambda_c,
        l2=config.l2,
        scales=config.gradient_scales,
        mean=mean,
    )
    if config.temporal:
        terms["temporal"] = temporal_term(depth, target, mask, config.temporal_change, mean)
    return terms


def _rays(
    lifted: GeometryPrediction | None, labels: GeometryLabels, config: SpatialLossConfig, mean: Mean
) -> dict:
    size = tuple(labels.depth.shape[2:])
    directions = _predicted(lifted, "ray_directions")
    target = RayMap(labels.ray_origins, labels.ray_directions)
    return ray_terms(
        RayMap(at_size(lifted.ray_origins, size), at_size(directions, size)),
        at_size(lifted.ray_confidence, size),
        RayMap(target.origins.to(directions.dtype), target.directions.to(directions.dtype)),
        counted(labels),
        lambda_c=config.lambda_c,
        l2=config.l2,
        mean=mean,
    )


def _points(
    lifted: GeometryPrediction | None, labels: GeometryLabels, config: SpatialLossConfig, mean: Mean
) -> dict:
    size = tuple(labels.depth.shape[2:])
    points = _predicted(lifted, "points")
    return point_terms(
        at_size(points, size),
        at_size(lifted.points_confidence, size),
        labels.points.to(points.dtype),
        counted(labels),
        lambda_c=config.lambda_c,
        l2=config.l2,
        scales=config.normal_scales,
        mean=mean,
    )


GEOMETRY = {"depth": _depth, "rays": _rays, "points": _points}


def _predicted(lifted: GeometryPrediction | None, field: str) -> Tensor:
    value = getattr(lifted, field, None)
    _require(value, field, "the model has no head for it")
    return value


def _require(value: Tensor | None, signal: str, remedy: str) -> None:
    if value is None:
        raise ValueError(f"losses.tasks asks for {signal}, but {remedy}: add it, or drop the task")
