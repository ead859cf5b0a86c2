"""One forward pass's loss: text and geometry added up, every weight 1 unless told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from jaxtyping import Float
from torch import Tensor

from spatialsv.geometry.maps import GeometryPrediction
from spatialsv.losses.text import text_loss
from spatialsv.losses.total import Signal, SpatialLossConfig, spatial_losses
from spatialsv.model.spatialsv import SpatialSVOutput
from spatialsv.samples.batch import Batch
from spatialsv.train.arm import ArmConfig
from spatialsv.train.config import TrainConfig
from spatialsv.train.shares import UNCUT, Shares


def arm_losses(
    output: SpatialSVOutput,
    batch: Batch,
    arm: ArmConfig,
    config: TrainConfig,
    weights: Mapping[str, float] | None = None,
    shares: Shares = UNCUT,
) -> dict[str, Float[Tensor, ""]]:
    """Every term of `arm` by name, its share of the step's, and "total".

    In the total, `weights` by signal count as well.

    A batch in which nothing is scored, or no sample has labels, leaves that part at 0. Outputs that
    no term reads are in the total at no weight: each process must have a gradient for each weight.
    """
    given = weights or {}
    terms: dict[str, Tensor] = {}
    total = output.logits.new_zeros(()).float()
    if arm.text:
        loss = text_loss(output.logits, output.targets, config.text_reduction)
        terms["text"] = shares.text * loss
        total = total + given.get("text", 1.0) * terms["text"]
    else:
        total = total + nothing(output.logits)
    if arm.geometry and batch.geometry is not None:
        losses = losses_of(arm, config)
        weight = config.spatial_weight * arm.spatial_weight
        own = {signal: given.get(signal, 1.0) * weight for signal in losses.tasks}
        own |= {"distill": own["distill"] * shares.views} if arm.distill else {}
        labels, lifted = batch.geometry, output.lifted
        spatial = spatial_losses(lifted, labels, losses, output.distilled, own, shares.mean)
        total = total + spatial.pop("total")
        terms |= spatial | {n: shares.views * spatial[n] for n in spatial if n == "distill"}
    elif arm.geometry:
        total = total + nothing(
            output.distilled, *vars(output.lifted or GeometryPrediction()).values()
        )
    return terms | {"total": total}


def losses_of(arm: ArmConfig, config: TrainConfig) -> SpatialLossConfig:
    """What of the run's losses `arm` is taught; without geometry, no signal."""
    signals: tuple[Signal, ...] = (*(("distill",) if arm.distill else ()), *arm.tasks)
    return replace(config.losses, tasks=signals)


def nothing(*outputs: Float[Tensor, "..."] | None) -> Float[Tensor, ""]:
    """0, with a zero gradient to all these."""
    return sum(0 * output.sum() for output in outputs if output is not None)
