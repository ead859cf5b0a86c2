"""The paper's depth probe: a new DPT head on four taps, its errors, and a mean-depth baseline.

Shapes: S scenes, N views, h w visual tokens, H W pixels of depth, D the MLLM's width.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from spatialsv.geometry.camera import resample
from spatialsv.geometry.depth_metrics import affine_depth_errors, scene_depth_errors
from spatialsv.model.dpt import DPTConfig, DPTHead
from spatialsv.model.projectors import positive
from spatialsv.probe.cache import ChannelScaling
from spatialsv.probe.states import States, Taps, derange
from spatialsv.progress import progress
from spatialsv.scenes.scene import Cameras, Geometry, Scenes

Errors = dict[str, Float[Tensor, " S"]]  # of each scene of all groups, by metric
Groups = Sequence[list[Float[Tensor, "_ _ _ _ D"]]]  # the taps of scenes of each shape


@dataclass(frozen=True, kw_only=True)
class FitConfig:
    """How the head is trained."""

    steps: int = 200  # optimiser steps
    batch_size: int = 8  # scenes
    lr: float = 3e-3  # the peak of one cycle
    weight_decay: float = 0.01  # of all parameters
    dpt: DPTConfig = field(default_factory=DPTConfig)  # sizes of the head


@dataclass(frozen=True, eq=False)
class DepthTarget:
    """Depth of scenes of equal shape, in units of each scene's mean distance."""

    depth: Float[Tensor, "S N H W"]
    valid: Bool[Tensor, "S N H W"]

    @classmethod
    def from_labels(cls, labels: Scenes, stride: int) -> DepthTarget:
        """Return the depth at every `stride`-th pixel."""
        depth, valid, _ = _subsample(labels, stride)
        return cls(depth, valid)

    def select(self, rows: Int[Tensor, " _"]) -> DepthTarget:
        """Return some of the scenes."""
        return DepthTarget(self.depth[rows], self.valid[rows])


def _subsample(labels: Scenes, stride: int) -> tuple[Tensor, Tensor, Tensor]:
    height, width = (max(1, side // stride) for side in labels.shape[1:])
    return resample(
        torch.from_numpy(labels.depth).float(),
        torch.from_numpy(labels.valid),
        torch.from_numpy(labels.intrinsics),
        (height, width),
    )


def depth_as_scenes(
    depth: Float[Tensor, "S N h w"], truth: Scenes, stride: int, source: str
) -> Scenes:
    """Return predicted depth at the cameras, and in the frame and unit, of the labels `truth`."""
    intrinsics = _subsample(truth, stride)[2]
    return Scenes(
        ids=truth.ids,
        geometry=Geometry(
            cameras=Cameras(intrinsics=intrinsics.numpy(), cam_to_world=truth.cam_to_world),
            depth=depth.numpy(),
            valid=np.ones(depth.shape, dtype=bool),
            scale=truth.get("scale"),
        ),
        unit=truth.unit,
        source=source,
    )


def scaled_taps(states: Mapping[str, Sequence[States]]) -> dict[str, Groups]:
    """Return the taps of each split, scaled to mean 0 and deviation 1 over the split "train"."""
    train = [group.taps for group in states["train"]]
    scalings = [ChannelScaling.fit(tap) for tap in zip(*train, strict=True)]
    return {
        split: [
            [scale(x) for scale, x in zip(scalings, group.taps, strict=True)] for group in groups
        ]
        for split, groups in states.items()
    }


def shuffle_scenes(taps: Taps, seed: int) -> Taps:
    """Give each scene the states of another one, if its shape has several scenes."""
    order = derange(range(len(taps[0])), torch.Generator().manual_seed(seed))
    return [x[order] for x in taps]


def probe_depth(
    taps: Mapping[str, Groups],
    train: Sequence[DepthTarget],
    test: Sequence[DepthTarget],
    config: FitConfig,
    seed: int,
    label: str,
) -> list[Float[Tensor, "S N H W"]]:
    """Train a head on the taps of "train", and predict the depth of each group of "test"."""
    head = fit_probe(taps["train"], train, config, seed, label)
    return [
        predict(head, group, target.depth.shape[-2:], config.batch_size)
        for group, target in zip(taps["test"], test, strict=True)
    ]


def fit_probe(
    groups: Groups, targets: Sequence[DepthTarget], config: FitConfig, seed: int, label: str
) -> DPTHead:
    """Train a head on the taps of each group by the mean absolute error of log depth."""
    for taps, target in zip(groups, targets, strict=True):
        if any(len(x) != len(target.depth) for x in taps):
            raise ValueError(
                f"Found states of {len(taps[0])} scenes, but depth of {len(target.depth)}."
            )
    if not any(target.valid.any() for target in targets):
        raise ValueError("No depth is valid, so no probe can be trained. Force the stage labels.")
    torch.manual_seed(seed)
    head = DPTHead(groups[0][0].shape[-1], 1, config.dpt)
    optimiser = torch.optim.AdamW(head.parameters(), lr=config.lr, weight_decay=config.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, max_lr=config.lr, total_steps=config.steps
    )
    generator = torch.Generator().manual_seed(seed)
    sizes = [len(target.depth) for target in targets]
    starts = [sum(sizes[:number]) for number in range(len(sizes))]
    for _ in progress(range(config.steps), label):
        batch_size = min(config.batch_size, sum(sizes))
        rows = torch.randint(sum(sizes), (batch_size,), generator=generator)
        errors, count = torch.zeros(()), torch.zeros((), dtype=torch.long)
        for taps, target, start, size in zip(groups, targets, starts, sizes, strict=True):
            drawn = rows[(rows >= start) & (rows < start + size)] - start
            if len(drawn):
                error, valid = _log_errors(head, [x[drawn] for x in taps], target.select(drawn))
                errors, count = errors + error, count + valid
        loss = errors / count.clamp_min(1)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    return head.eval()


def _log_errors(
    head: DPTHead, taps: Taps, target: DepthTarget
) -> tuple[Float[Tensor, ""], Int[Tensor, ""]]:
    """Return the sum of absolute errors of log depth over valid pixels, and their number."""
    depth, valid = target.depth, target.valid
    predicted = predict_depth(head, taps, depth.shape[-2:])
    error = (predicted.log() - torch.where(valid, depth, 1).log()).abs()
    return torch.where(valid, error, 0).sum(), valid.sum()


def predict_depth(head: DPTHead, taps: Taps, size: tuple[int, ...]) -> Float[Tensor, "S N H W"]:
    """Return the head's depth, which is positive, at `size` (height, width)."""
    maps = [x.flatten(0, 1).permute(0, 3, 1, 2) for x in taps]
    raw = head(maps, (size[0], size[1]))[:, 0]
    return positive(raw).unflatten(0, taps[0].shape[:2])


@torch.no_grad()
def predict(
    head: DPTHead, taps: Taps, size: tuple[int, ...], batch_size: int
) -> Float[Tensor, "S N H W"]:
    """Return `predict_depth` in batches, without gradients."""
    starts = range(0, len(taps[0]), batch_size)
    return torch.cat(
        [predict_depth(head, [x[i : i + batch_size] for x in taps], size) for i in starts]
    )


def mean_depth(targets: Sequence[DepthTarget], like: DepthTarget) -> Float[Tensor, "S N H W"]:
    """Return each pixel's mean over targets of `like`'s shape; else the mean of all pixels."""
    sums = [target.depth.where(target.valid, 0).sum(dim=0) for target in targets]
    counts = [target.valid.sum(dim=0) for target in targets]
    pixels = sum((count.sum() for count in counts), torch.zeros((), dtype=torch.long))
    mean = sum((total.sum() for total in sums), torch.zeros(())) / pixels
    for total, count in zip(sums, counts, strict=True):
        if total.shape == like.depth.shape[1:]:
            return torch.where(count > 0, total / count.clamp_min(1), mean).expand_as(like.depth)
    return mean.expand_as(like.depth)


def depth_errors(depth: Sequence[Float[Tensor, "_ _ _ _"]], truth: Sequence[DepthTarget]) -> Errors:
    """Return the errors of `scene_depth_errors` and `affine_depth_errors` for each scene."""
    errors = [
        scene_depth_errors(predicted, target.depth, target.valid)
        | affine_depth_errors(predicted, target.depth, target.valid)
        for predicted, target in zip(depth, truth, strict=True)
    ]
    return {name: torch.cat([e[name] for e in errors]) for name in errors[0]}


def mean_errors(errors: Errors, prefix: str) -> dict[str, float]:
    """Return means over scenes; metrics that are undefined for all scenes are skipped."""
    means = {f"{prefix}{name}": float(values.nanmean()) for name, values in errors.items()}
    return {name: value for name, value in means.items() if math.isfinite(value)}
