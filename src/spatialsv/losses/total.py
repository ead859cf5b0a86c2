"""The spatial loss (Eq. 6): distillation, depth, rays and points, every weight 1 by default.

The signal "relation" is not the paper's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from spatialsv.geometry.maps import GeometryLabels, GeometryPrediction
from spatialsv.losses.distill import distill_term, token_mask
from spatialsv.losses.regression import (
    gradient_masks,
    gradient_term,
    normal_masks,
    normal_term,
    temporal_mask,
    temporal_term,
    vector_terms,
)
from spatialsv.losses.relation import Relation, count_relations, relation_terms
from spatialsv.losses.terms import Counts, Term, label_mask, residual, resize_to

Signal = Literal["distill", "relation", "depth", "rays", "points"]


@dataclass(frozen=True, kw_only=True)
class SpatialLossConfig:
    """The supervised signals, and what the paper leaves open about their terms.

    Leaving a signal out drops its terms; the others keep their weight of 1.
    """

    tasks: tuple[Signal, ...] = ("distill", "depth", "rays", "points")  # signals to learn
    lambda_c: float = 0.2  # weight of log c; unpublished, VGGT's value
    l2: Literal["norm", "square"] = "norm"  # of residuals: mean ||D||, or mean ||D||^2
    gradient_scales: int = 4  # scales of depth's gradient term; 1: the paper's formula
    normal_scales: int = 3  # scales of the points' normal term
    temporal: bool = False  # add a depth term beyond the paper: neighbouring views change alike
    temporal_change: float = 0.05  # largest change of the label, as a fraction of its depth
    relation: tuple[Relation, ...] = ("l1", "cosine")  # terms of relational distillation
    # weight depth, rays and points of a pixel by the log of the teacher's confidence, beyond the
    # paper; weights of a sample average 1
    confidence_weights: bool = False

    def __post_init__(self) -> None:
        if not self.relation:
            raise ValueError(
                "losses.relation: found no term. Give l1, cosine or both; to learn no relations,"
                " set the arm's relation to null."
            )


def spatial_terms(
    lifted: GeometryPrediction | None,
    labels: GeometryLabels,
    config: SpatialLossConfig,
    distilled: Float[Tensor, "B N h w C"] | None = None,
    related: Float[Tensor, "B N h w D"] | None = None,
) -> dict[str, Term]:
    """Return every term by name: "distill", "depth/l2", "rays/conf", "points/normal", ...

    Predictions of another size than the labels' are bilinearly resized to it. Invalid pixels and
    views whose `labels.present` is False add nothing, to values or gradients. Confidences are at
    least 1, so that their logarithms exist.

    Raises:
        ValueError: a configured signal has no prediction or no label.
    """
    terms: dict[str, Term] = {}
    if "distill" in config.tasks:
        states = _require(distilled, "distill", "the heads need feature_channels")
        features = _require(labels.features, "distill", "the labels have no features")
        terms["distill"] = distill_term(states, features, token_mask(labels, states.shape[2:4]))
    if "relation" in config.tasks:
        states = _require(related, "relation", "the heads have no hidden state for it")
        features = _require(labels.features, "relation", "the labels have no features")
        tokens = token_mask(labels, states.shape[2:4])
        own = relation_terms(states, features, tokens, config.relation)
        terms |= {f"relation/{name}": term for name, term in own.items()}
    mask = label_mask(labels)
    for task in lifted_tasks(config):
        own = _TERMS[task](lifted or GeometryPrediction(), labels, mask, config)
        terms |= {f"{task}/{name}": term for name, term in own.items()}
    return terms


def lifted_tasks(config: SpatialLossConfig) -> list[str]:
    """Return the signals that a DPT head predicts."""
    return [task for task in config.tasks if task in _TERMS]


def spatial_losses(
    lifted: GeometryPrediction | None,
    labels: GeometryLabels,
    config: SpatialLossConfig,
    distilled: Float[Tensor, "B N h w C"] | None = None,
    weights: Mapping[str, float | Tensor] | None = None,
    related: Float[Tensor, "B N h w D"] | None = None,
) -> dict[str, Float[Tensor, ""]]:
    """Return the value of each of `spatial_terms`, and "total", their weighted sum.

    Args:
        lifted: the predicted geometry; None if only "distill" is learned.
        labels: the targets; without any valid pixel all values are exactly 0.
        config: the signals and settings.
        distilled: the predicted features.
        weights: by signal; they count only in the total, and missing ones are 1.
        related: the visual states of the signal "relation".
    """
    terms = spatial_terms(lifted, labels, config, distilled, related)
    values = {name: term.mean() for name, term in terms.items()}
    zero = torch.zeros((), device=labels.depth.device)
    return values | {"total": weighted_sum(values, weights or {}, zero)}


def weighted_sum(
    values: Mapping[str, Tensor], weights: Mapping[str, float | Tensor], start: Tensor
) -> Tensor:
    """Add each of `values` times the weight of its signal (default 1) to `start`."""
    return sum((weights.get(signal_of(name), 1.0) * v for name, v in values.items()), start)


def count_terms(
    labels: GeometryLabels | None,
    config: SpatialLossConfig,
    grid: tuple[int, ...],
    device: torch.device,
) -> dict[str, Counts]:
    """Return what the means of each of `spatial_terms` run over, without any prediction.

    Args:
        labels: None where a batch has none: all counts are 0.
        config: the signals and settings.
        grid: height and width of a view in visual tokens.
        device: where the counts are to be.
    """
    if labels is None:
        depth = torch.zeros(1, 1, 1, 1, device=device)
        mask = tokens = depth > 0
    else:
        depth, mask, tokens = labels.depth, label_mask(labels), token_mask(labels, grid)
    counts: dict[str, list[Tensor]] = {}
    if "distill" in config.tasks:
        counts["distill"] = [tokens.sum()]
    if "relation" in config.tasks:
        relations = count_relations(tokens)
        counts |= {f"relation/{name}": [*relations[name]] for name in config.relation}
    for task in lifted_tasks(config):
        counts |= {f"{task}/l2": [mask.sum()], f"{task}/conf": [mask.sum()]}
    if "depth" in config.tasks:
        both = gradient_masks(mask, config.gradient_scales)
        counts["depth/grad"] = [one.sum() for masks in both for one in masks]
        if config.temporal:
            counts["depth/temporal"] = [temporal_mask(depth, mask, config.temporal_change).sum()]
    if "points" in config.tasks:
        corners = normal_masks(mask, config.normal_scales)
        counts["points/normal"] = [one.sum() for one in corners]
    return {name: torch.stack(own) for name, own in counts.items()}


def signal_of(term: str) -> str:
    """Return the signal of a term: "depth" of "depth/l2"."""
    return term.split("/")[0]


Mask = Bool[Tensor, "B N H W"]


def _depth_terms(
    lifted: GeometryPrediction, labels: GeometryLabels, mask: Mask, config: SpatialLossConfig
) -> dict[str, Term]:
    """Return l2 + conf + grad (Eq. 5, 10 and 11) of z-depth in the labels' unit."""
    depth, confidence = _predicted(lifted, "depth", labels), _confidence(lifted, "depth", labels)
    target = labels.depth.to(depth.dtype)
    difference = residual(depth[..., None], target[..., None], mask)
    weight = _pixel_weight(labels, config)
    terms = vector_terms(difference, confidence, mask, config.lambda_c, config.l2, weight)
    terms["grad"] = gradient_term(
        difference[0], confidence, mask, config.lambda_c, config.gradient_scales, weight
    )
    if config.temporal:
        terms["temporal"] = temporal_term(depth, target, mask, config.temporal_change, weight)
    return terms


def _ray_terms(
    lifted: GeometryPrediction, labels: GeometryLabels, mask: Mask, config: SpatialLossConfig
) -> dict[str, Term]:
    """Return l2 + conf (Eq. 5 and 10) of origin and direction as one vector of six."""
    # Directions are not normalised. Rays are defined wherever the camera is, but only pixels with
    # valid depth count, as for the other tasks: a teacher's camera is only as good as its depth.
    parts = []
    for name in ("ray_origins", "ray_directions"):
        rays = _predicted(lifted, name, labels)
        parts.append(residual(rays, getattr(labels, name).to(rays.dtype), mask))
    confidence, weight = _confidence(lifted, "ray", labels), _pixel_weight(labels, config)
    return vector_terms(torch.cat(parts), confidence, mask, config.lambda_c, config.l2, weight)


def _point_terms(
    lifted: GeometryPrediction, labels: GeometryLabels, mask: Mask, config: SpatialLossConfig
) -> dict[str, Term]:
    """Return l2 + conf + normal (Eq. 5, 10 and 12) of points in the first view's frame."""
    points, confidence = _predicted(lifted, "points", labels), _confidence(lifted, "points", labels)
    target = labels.points.to(points.dtype)
    difference, weight = residual(points, target, mask), _pixel_weight(labels, config)
    terms = vector_terms(difference, confidence, mask, config.lambda_c, config.l2, weight)
    terms["normal"] = normal_term(
        points, target, confidence, mask, config.lambda_c, config.normal_scales, weight
    )
    return terms


_TERMS = {"depth": _depth_terms, "rays": _ray_terms, "points": _point_terms}


def _predicted(lifted: GeometryPrediction, name: str, labels: GeometryLabels) -> Tensor:
    value = _require(getattr(lifted, name), name, "the model has no head for it")
    height, width = labels.depth.shape[2:]
    return resize_to(value, (height, width))


def _confidence(lifted: GeometryPrediction, name: str, labels: GeometryLabels) -> Tensor:
    return _predicted(lifted, f"{name}_confidence", labels)


def _pixel_weight(labels: GeometryLabels, config: SpatialLossConfig) -> Tensor | None:
    """Return the labels' weights where they are used.

    Raises:
        ValueError: they are used, and the labels have none.
    """
    if config.confidence_weights and labels.weight is None:
        raise ValueError(
            "losses.confidence_weights: the labels have no weights. Give `confidence` to"
            " `labels_from_cameras`, or set this to false."
        )
    return labels.weight if config.confidence_weights else None


def _require(value: Tensor | None, signal: str, remedy: str) -> Tensor:
    if value is None:
        raise ValueError(f"losses.tasks asks for {signal}, but {remedy}: add it, or drop the task")
    return value
