"""One step's loss: text and geometry added up, every weight 1 unless told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from jaxtyping import Float
from torch import Tensor

from spatialsv.losses.text import text_loss
from spatialsv.losses.total import Signal, spatial_losses
from spatialsv.model.spatialsv import Output
from spatialsv.samples.batch import Batch
from spatialsv.train.config import ArmConfig, TrainConfig


def arm_losses(
    output: Output,
    batch: Batch,
    arm: ArmConfig,
    config: TrainConfig,
    weights: Mapping[str, float] | None = None,
) -> dict[str, Float[Tensor, ""]]:
    """Every term of `arm` by name, and "total", in which `weights` by signal count.

    A batch in which nothing is scored, or no sample has labels, leaves that part at 0.
    """
    given = weights or {}
    terms: dict[str, Tensor] = {}
    total = output.logits.new_zeros(()).float()
    if arm.text:
        terms["text"] = text_loss(output.logits, output.targets, config.text_reduction)
        total = total + given.get("text", 1.0) * terms["text"]
    if arm.geometry and batch.geometry is not None:
        signals: tuple[Signal, ...] = (*(("distill",) if arm.distill else ()), *arm.tasks)
        losses = replace(config.losses, tasks=signals)
        own = {signal: given.get(signal, 1.0) * arm.spatial_weight for signal in signals}
        spatial = spatial_losses(output.lifted, batch.geometry, losses, output.distilled, own)
        total = total + spatial.pop("total")
        terms |= spatial
    return terms | {"total": total}
