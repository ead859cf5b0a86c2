"""The paper's probe: a fresh DPT head on four taps, its errors, and a guess that sees nothing.

Shapes: S scenes, N views, H W pixels of depth.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from spatialsv.geometry.camera import resample
from spatialsv.geometry.depth_metrics import affine_depth_errors, scene_depth_errors
from spatialsv.probe.features import Groups, Standardise, States
from spatialsv.probe.fit import DepthTarget, FitConfig, fit_probe, predict
from spatialsv.scenes.scene import Scenes

Errors = dict[str, Float[Tensor, " S"]]  # of each scene of all groups, by metric


def target_of(labels: Scenes, stride: int) -> DepthTarget:
    """Depth at every `stride`-th pixel."""
    return DepthTarget(*_thinned(labels, stride)[:2])


def placed(depth: Float[Tensor, "S N h w"], known: Scenes, stride: int, source: str) -> Scenes:
    """The depth of a probe that learnt `target_of`, at the cameras of `known`: no probe reads any.

    Like labels: in the first view's frame, divided by the scale of `known`.
    """
    return Scenes(
        ids=known.ids,
        depth=depth.numpy(),
        valid=np.ones(depth.shape, dtype=bool),
        intrinsics=_thinned(known, stride)[2].numpy(),
        cam_to_world=known.cam_to_world,
        scale=known.scale,
        unit=known.unit,
        source=source,
    )


def _thinned(labels: Scenes, stride: int) -> tuple[Tensor, Tensor, Tensor]:
    size = tuple(max(1, side // stride) for side in labels.shape[1:])
    return resample(
        torch.from_numpy(labels.depth).float(),
        torch.from_numpy(labels.valid),
        torch.from_numpy(labels.intrinsics),
        size,
    )


def mean_depth(targets: Sequence[DepthTarget], like: DepthTarget) -> Float[Tensor, "S N H W"]:
    """Each pixel's mean over the scenes of `like`'s shape where it is valid, else that of all.

    Args:
        targets: of the training scenes of each shape.
        like: the scenes that it is a guess for.
    """
    sums = [target.depth.where(target.valid, 0).sum(dim=0) for target in targets]
    counts = [target.valid.sum(dim=0) for target in targets]
    everywhere = sum(total.sum() for total in sums) / sum(count.sum() for count in counts)
    for total, count in zip(sums, counts, strict=True):
        if total.shape == like.depth.shape[1:]:
            mean = torch.where(count > 0, total / count.clamp_min(1), everywhere)
            return mean.expand_as(like.depth)
    return everywhere.expand_as(like.depth)


def standardised_taps(states: Mapping[str, Sequence[States]]) -> dict[str, Groups]:
    """The taps of each split, each channel brought to mean 0 and deviation 1 over "train"."""
    taps = {split: [group.taps for group in groups] for split, groups in states.items()}
    standardise = Standardise.fit(taps["train"])
    return {split: [standardise(group) for group in groups] for split, groups in taps.items()}


def probe_depth(
    taps: Mapping[str, Groups],
    target: Sequence[DepthTarget],
    truth: Sequence[DepthTarget],
    config: FitConfig,
    seed: int,
    label: str,
) -> list[Float[Tensor, "S N H W"]]:
    """What a head that learns `target` from the taps of "train" reads from those of "test"."""
    head = fit_probe(taps["train"], target, config, seed, label)
    return [
        predict(head, group, tuple(known.depth.shape[-2:]), config.batch_size)
        for group, known in zip(taps["test"], truth, strict=True)
    ]


def errors_of(depth: Sequence[Float[Tensor, "_ _ _ _"]], truth: Sequence[DepthTarget]) -> Errors:
    """As in `scene_depth_errors` and `affine_depth_errors`."""
    errors = [
        scene_depth_errors(found, known.depth, known.valid)
        | affine_depth_errors(found, known.depth, known.valid)
        for found, known in zip(depth, truth, strict=True)
    ]
    return {name: torch.cat([e[name] for e in errors]) for name in errors[0]}


def means_of(errors: Errors, prefix: str) -> dict[str, float]:
    """Over the scenes; what no scene has is left out."""
    means = {f"{prefix}{name}": float(of.nanmean()) for name, of in errors.items()}
    return {name: value for name, value in means.items() if math.isfinite(value)}
