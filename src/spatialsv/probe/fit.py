"""A fresh DPT head, trained on frozen features to give depth.

Shapes: S scenes, N views, h w visual tokens, H W pixels of depth, D the MLLM's width.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from spatialsv.model.dpt import DPTConfig, DPTHead
from spatialsv.model.projectors import positive
from spatialsv.probe.features import Features
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
    """Depth in units of each scene's mean distance."""

    depth: Float[Tensor, "S N H W"]
    valid: Bool[Tensor, "S N H W"]


def fit_probe(
    features: Features, target: DepthTarget, config: FitConfig, seed: int, label: str
) -> DPTHead:
    """The head after `config.steps` steps on the mean absolute error of log depth.

    Raises:
        ValueError: features and targets of different numbers of scenes, or no valid pixel.
    """
    scenes = len(target.depth)
    if any(len(x) != scenes for x in features):
        raise ValueError(f"{len(features[0])} scenes with features, {scenes} with depth")
    if not target.valid.any():
        raise ValueError("no valid depth to train the probe on: force the labels stage")
    torch.manual_seed(seed)
    head = DPTHead(features[0].shape[-1], 1, config.dpt)
    optimiser = torch.optim.AdamW(head.parameters(), lr=config.lr, weight_decay=config.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, max_lr=config.lr, total_steps=config.steps
    )
    generator = torch.Generator().manual_seed(seed)
    for _ in progress(range(config.steps), label):
        rows = torch.randint(scenes, (min(config.batch_size, scenes),), generator=generator)
        depth, valid = target.depth[rows], target.valid[rows]
        predicted = read_depth(head, [x[rows] for x in features], tuple(depth.shape[-2:]))
        error = (predicted.log() - torch.where(valid, depth, 1).log()).abs()
        loss = torch.where(valid, error, 0).sum() / valid.sum().clamp_min(1)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    return head.eval()


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
