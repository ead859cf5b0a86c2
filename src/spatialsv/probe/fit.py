"""A fresh DPT head, trained on frozen features to give depth.

Shapes: S scenes, N views, h w visual tokens, H W pixels of depth, D the MLLM's width.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from spatialsv.model.dpt import DPTConfig, DPTHead
from spatialsv.model.projectors import positive
from spatialsv.probe.features import Features, Groups
from spatialsv.progress import progress


@dataclass(frozen=True, kw_only=True)
class FitConfig:
    """How the head is trained."""

    steps: int = 200
    batch_size: int = 8  # scenes
    lr: float = 3e-3  # the peak of one cycle
    weight_decay: float = 0.01
    dpt: DPTConfig = field(default_factory=DPTConfig)


@dataclass(frozen=True, eq=False)
class DepthTarget:
    """Depth of scenes of one shape, in units of each scene's mean distance."""

    depth: Float[Tensor, "S N H W"]
    valid: Bool[Tensor, "S N H W"]

    def rows(self, rows: Int[Tensor, " _"]) -> DepthTarget:
        return DepthTarget(self.depth[rows], self.valid[rows])


def fit_probe(
    features: Groups,
    targets: Sequence[DepthTarget],
    config: FitConfig,
    seed: int,
    label: str,
) -> DPTHead:
    """The head after `config.steps` steps on the mean absolute error of log depth.

    Args:
        features: of the scenes of each shape.
        targets: of the same scenes.

    Raises:
        ValueError: features and targets of different numbers of scenes, or no valid pixel.
    """
    for group, target in zip(features, targets, strict=True):
        if any(len(x) != len(target.depth) for x in group):
            raise ValueError(
                f"{len(group[0])} scenes with features, {len(target.depth)} with depth"
            )
    if not any(target.valid.any() for target in targets):
        raise ValueError("no valid depth to train the probe on: force the labels stage")
    torch.manual_seed(seed)
    head = DPTHead(features[0][0].shape[-1], 1, config.dpt)
    optimiser = torch.optim.AdamW(head.parameters(), lr=config.lr, weight_decay=config.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, max_lr=config.lr, total_steps=config.steps
    )
    generator = torch.Generator().manual_seed(seed)
    sizes = [len(target.depth) for target in targets]
    for _ in progress(range(config.steps), label):
        drawn = (min(config.batch_size, sum(sizes)),)
        rows = torch.randint(sum(sizes), drawn, generator=generator)
        errors, count = torch.zeros(()), torch.zeros((), dtype=torch.long)
        for group, target, first in zip(features, targets, _starts(sizes), strict=True):
            own = rows[(rows >= first) & (rows < first + len(target.depth))] - first
            if len(own):
                error, valid = _errors(head, [x[own] for x in group], target.rows(own))
                errors, count = errors + error, count + valid
        loss = errors / count.clamp_min(1)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    return head.eval()


def _starts(sizes: Sequence[int]) -> list[int]:
    return [sum(sizes[:number]) for number in range(len(sizes))]


def _errors(
    head: DPTHead, features: Features, target: DepthTarget
) -> tuple[Float[Tensor, ""], Int[Tensor, ""]]:
    """The absolute errors of log depth over valid pixels, summed, and how many these are."""
    depth, valid = target.depth, target.valid
    predicted = read_depth(head, features, tuple(depth.shape[-2:]))
    error = (predicted.log() - torch.where(valid, depth, 1).log()).abs()
    return torch.where(valid, error, 0).sum(), valid.sum()


def read_depth(
    head: DPTHead, features: Features, size: tuple[int, int]
) -> Float[Tensor, "S N H W"]:
    """The head's depth, positive."""
    views = features[0].shape[:2]
    maps = [x.flatten(0, 1).permute(0, 3, 1, 2) for x in features]
    return positive(head(maps, size)[:, 0]).unflatten(0, views)


@torch.no_grad()
def predict(
    head: DPTHead, features: Features, size: tuple[int, int], batch_size: int
) -> Float[Tensor, "S N H W"]:
    """`read_depth` in batches, without gradients."""
    starts = range(0, len(features[0]), batch_size)
    return torch.cat(
        [read_depth(head, [x[i : i + batch_size] for x in features], size) for i in starts]
    )
