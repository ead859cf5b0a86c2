"""One forward pass's loss: text and geometry added up, every weight 1 unless told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from jaxtyping import Float
from torch import Tensor

from spatialsv.geometry.lifted import Lifted
from spatialsv.losses.text import text_loss
from spatialsv.losses.total import Signal, signal_of, spatial_losses
from spatialsv.model.spatialsv import Output
from spatialsv.samples.batch import Batch
from spatialsv.train.config import ArmConfig, TrainConfig
from spatialsv.train.shares import WHOLE, Shares


def arm_losses(
    output: Output,
    batch: Batch,
    arm: ArmConfig,
    config: TrainConfig,
    weights: Mapping[str, float] | None = None,
    shares: Shares = WHOLE,
) -> dict[str, Float[Tensor, ""]]:
    """Every term of `arm` by name, times its share of the step, and "total".

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
        signals: tuple[Signal, ...] = (*(("distill",) if arm.distill else ()), *arm.tasks)
        losses = replace(config.losses, tasks=signals)
        weight = config.spatial_weight * arm.spatial_weight
        own = {signal: given.get(signal, 1.0) * weight * shares.of(signal) for signal in signals}
        spatial = spatial_losses(output.lifted, batch.geometry, losses, output.distilled, own)
        total = total + spatial.pop("total")
        spatial = {name: shares.of(signal_of(name)) * term for name, term in spatial.items()}
        terms |= spatial
    elif arm.geometry:
        total = total + nothing(output.distilled, *vars(output.lifted or Lifted()).values())
    return terms | {"total": total}


def nothing(*outputs: Float[Tensor, "..."] | None) -> Float[Tensor, ""]:
    """0, with a zero gradient to all these."""
    return sum(0 * output.sum() for output in outputs if output is not None)
