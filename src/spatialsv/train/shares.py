"""How much each forward pass of a step counts: by what it has of all that the step learns from.

Memory decides how a step's samples are cut into forward passes, over processes or one after the
other. The loss must not depend on that, so a pass's mean counts by what it runs over: text by
scored tokens, distillation by views, each mean of the geometry losses by the pixels that it takes.
Then a step's mean is that of all its samples in one batch.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from spatialsv.geometry.maps import GeometryLabels, GeometryPrediction
from spatialsv.losses.masked import Mean, masked_mean
from spatialsv.losses.text import IGNORED
from spatialsv.losses.total import SpatialLossConfig, spatial_losses
from spatialsv.samples.batch import Batch


class Shares(NamedTuple):
    """What makes the loss of one forward pass its share of the step's; those of all average it."""

    text: Float[Tensor, ""] | float = 1.0  # by what the mean is to be multiplied
    views: Float[Tensor, ""] | float = 1.0  # the same, of the distillation
    mean: Mean = masked_mean  # of pixels


UNCUT = Shares()  # of the only forward pass of a step


def counts(
    batch: Batch, reduction: Literal["mean", "sum"], losses: SpatialLossConfig
) -> Float[Tensor, " K"]:
    """What the means of `batch` run over: scored tokens, views with geometry, pixels mean by mean.

    Where text is a "sum" over a sample's tokens, samples that have any in place of tokens. K goes
    by `losses` alone, whatever the batch has.
    """
    scored = batch.labels[:, 1:] != IGNORED  # the first token is nobody's next one
    found = [scored.sum() if reduction == "mean" else scored.any(dim=1).sum()]
    labels = batch.geometry or _nothing(scored.device)
    found += [labels.present.sum(), *pixels(labels, losses)]
    return torch.stack(found).float()


@torch.no_grad()
def pixels(labels: GeometryLabels, losses: SpatialLossConfig) -> list[Tensor]:
    """How many pixels each mean of the geometry losses runs over, in their order.

    The losses are asked for them, with the labels in the place of predictions, which do not matter.
    """
    found: list[Tensor] = []

    def count(values: Tensor, mask: Tensor) -> Tensor:
        found.append(mask.sum())
        return values.new_zeros(())

    ones = torch.ones_like(labels.depth)
    guess = GeometryPrediction(
        depth=labels.depth,
        depth_confidence=ones,
        ray_origins=labels.ray_origins,
        ray_directions=labels.ray_directions,
        ray_confidence=ones,
        points=labels.points,
        points_confidence=ones,
    )
    tasks = tuple(task for task in losses.tasks if task != "distill")
    spatial_losses(guess, labels, replace(losses, tasks=tasks), mean=count)
    return found


def shares(own: Float[Tensor, " K"], average: Float[Tensor, " K"]) -> Shares:
    """The shares of a forward pass with `own` counts, where all of its step have these on average.

    What no pass has any of counts 0.
    """
    average = average.clamp_min(torch.finfo(average.dtype).tiny)
    text, views = (own / average)[:2]
    over = iter(average[2:])

    def mean(values: Tensor, mask: Tensor) -> Tensor:
        return values.where(mask, 0).sum() / next(over)

    return Shares(text, views, mean)


def _nothing(device: torch.device) -> GeometryLabels:
    """Labels of no sample."""
    depth, vectors = torch.zeros(0, 1, 2, 2, device=device), torch.zeros(0, 1, 2, 2, 3)
    vectors = vectors.to(device)
    return GeometryLabels(
        depth=depth,
        ray_origins=vectors,
        ray_directions=vectors,
        points=vectors,
        valid=depth > 0,
        present=torch.zeros(0, 1, dtype=torch.bool, device=device),
    )
