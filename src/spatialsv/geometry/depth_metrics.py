"""Depth errors under their published names. Nothing is aligned here: see `align`.

They are given for each leading entry, so that the caller says whether a mean runs over images or
pixels. Where there is nothing to measure the answer is NaN, never 0.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from spatialsv.geometry.align import align_depth, median_scale

LEAST_DEPTH = 1e-5  # a prediction's floor in logarithms and ratios


def depth_metrics(
    prediction: Float[Tensor, "*lead n"],
    target: Float[Tensor, "*lead n"],
    valid: Bool[Tensor, "*lead n"],
) -> dict[str, Float[Tensor, "*lead"]]:
    """abs_rel, sq_rel, rmse, log_rmse and delta1 to delta3 of each entry.

    delta_k is the share of ratios strictly below 1.25^k; sq_rel is the mean of (prediction -
    target)^2 / target, in the unit of depth. Valid pixels must have a positive target.
    """
    count = valid.sum(dim=-1)

    def mean(values: Tensor) -> Tensor:
        return values.where(valid, 0).sum(dim=-1) / count  # 0 / 0 = NaN where none is valid

    target = target.where(valid, 1)
    floored = prediction.clamp_min(LEAST_DEPTH)
    ratio = torch.maximum(floored / target, target / floored)
    metrics = {
        "abs_rel": mean((prediction - target).abs() / target),
        "sq_rel": mean((prediction - target).square() / target),
        "rmse": mean((prediction - target).square()).sqrt(),
        "log_rmse": mean((floored.log() - target.log()).square()).sqrt(),
    }
    for k in (1, 2, 3):
        metrics[f"delta{k}"] = mean((ratio < 1.25**k).to(ratio.dtype))
    return metrics


KEPT = ("abs_rel", "rmse", "delta1")


def scene_depth_errors(
    depth: Float[Tensor, "B N H W"],
    target: Float[Tensor, "B N H W"],
    valid: Bool[Tensor, "B N H W"],
) -> dict[str, Float[Tensor, " B"]]:
    """Errors of each scene by itself, over its pixels; NaN where it has no valid one.

    `abs_rel`, `rmse`, `delta1` after one median scale a scene; with `view_` before the name after
    one median scale a view, then the mean over the views that have valid pixels; with `raw_`
    before it, nothing aligned. RMSE is in the unit of `target`.
    """
    depth, target = depth.double(), target.double()
    flat = [x.flatten(1) for x in (depth, target, valid)]
    views = [x.flatten(2) for x in (depth, target, valid)]
    scenes = depth_metrics(flat[0] * median_scale(*flat)[:, None], *flat[1:])
    by_view = depth_metrics(views[0] * median_scale(*views)[..., None], *views[1:])
    raw = depth_metrics(*flat)
    errors = {name: scenes[name] for name in KEPT}
    errors |= {f"view_{name}": by_view[name].nanmean(dim=1) for name in KEPT}
    return errors | {f"raw_{name}": raw[name] for name in KEPT}


def affine_depth_errors(
    depth: Float[Tensor, "B N H W"],
    target: Float[Tensor, "B N H W"],
    valid: Bool[Tensor, "B N H W"],
) -> dict[str, Float[Tensor, " B"]]:
    """The same after one scale and shift a view by least squares, then the mean over the views.

    `affine_` before the names. It is what Probe3D (El Banani et al. 2024) calls scale-invariant;
    what it calls scale-aware is `raw_`.
    """
    views = [x.flatten(2) for x in (depth.double(), target.double(), valid)]
    found = depth_metrics(align_depth(*views, how="scale_and_shift"), *views[1:])
    return {f"affine_{name}": found[name].nanmean(dim=1) for name in KEPT}
