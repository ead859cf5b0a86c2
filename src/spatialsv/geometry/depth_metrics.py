"""Depth errors under their published names.

`depth_metrics` measures each leading entry without alignment (see `align`), so that the caller
decides whether means run over images or pixels. The other functions align entire scenes or views
first. Where there is nothing to measure the result is NaN.

Shapes: B scenes, N views, H W pixels.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from spatialsv.geometry.align import align_depth, median_scale

MIN_DEPTH = 1e-5  # of the true depth: lower bound of predictions in logarithms and ratios
REPORTED = ("abs_rel", "rmse", "delta1")


def depth_metrics(
    prediction: Float[Tensor, "*lead n"],
    target: Float[Tensor, "*lead n"],
    valid: Bool[Tensor, "*lead n"],
) -> dict[str, Float[Tensor, "*lead"]]:
    """Compute abs_rel, sq_rel, rmse, log_rmse and delta1 to delta3 of each entry.

    delta_k is the share of ratios strictly below 1.25^k; sq_rel is the mean of (prediction -
    target)^2 / target, in the unit of depth.

    Args:
        prediction: Predicted depth.
        target: True depth, positive where valid.
        valid: Pixels that count.

    Returns:
        Each metric by its name.
    """
    count = valid.sum(dim=-1)

    def mean(values: Tensor) -> Tensor:
        return values.where(valid, 0).sum(dim=-1) / count  # 0 / 0 = NaN where none is valid

    target = target.where(valid, 1)
    clamped = torch.maximum(prediction, MIN_DEPTH * target)
    ratio = torch.maximum(clamped / target, target / clamped)
    metrics = {
        "abs_rel": mean((prediction - target).abs() / target),
        "sq_rel": mean((prediction - target).square() / target),
        "rmse": mean((prediction - target).square()).sqrt(),
        "log_rmse": mean((clamped.log() - target.log()).square()).sqrt(),
    }
    for k in (1, 2, 3):
        metrics[f"delta{k}"] = mean((ratio < 1.25**k).to(ratio.dtype))
    return metrics


def scene_depth_errors(
    depth: Float[Tensor, "B N H W"],
    target: Float[Tensor, "B N H W"],
    valid: Bool[Tensor, "B N H W"],
) -> dict[str, Float[Tensor, " B"]]:
    """Compute each scene's depth errors, with and without alignment by a median scale.

    Args:
        depth: Predicted depth.
        target: True depth.
        valid: Pixels that count.

    Returns:
        `abs_rel`, `rmse` (in the unit of `target`) and `delta1` after one median scale per scene;
        with the prefix `view_` after one median scale per view, averaged over views with valid
        pixels; with the prefix `raw_` without alignment. NaN for a scene without valid pixels.
    """
    depth, target = depth.double(), target.double()
    flat = [x.flatten(1) for x in (depth, target, valid)]
    views = [x.flatten(2) for x in (depth, target, valid)]
    per_scene = depth_metrics(flat[0] * median_scale(*flat)[:, None], *flat[1:])
    per_view = depth_metrics(views[0] * median_scale(*views)[..., None], *views[1:])
    raw = depth_metrics(*flat)
    errors = {name: per_scene[name] for name in REPORTED}
    errors |= {f"view_{name}": per_view[name].nanmean(dim=1) for name in REPORTED}
    return errors | {f"raw_{name}": raw[name] for name in REPORTED}


def affine_depth_errors(
    depth: Float[Tensor, "B N H W"],
    target: Float[Tensor, "B N H W"],
    valid: Bool[Tensor, "B N H W"],
) -> dict[str, Float[Tensor, " B"]]:
    """Compute each scene's depth errors after a least-squares scale and shift per view.

    Probe3D (El Banani et al. 2024) calls these scale-invariant, and those without alignment
    (`raw_` in `scene_depth_errors`) scale-aware.

    Args:
        depth: Predicted depth.
        target: True depth.
        valid: Pixels that count.

    Returns:
        `affine_abs_rel`, `affine_rmse` and `affine_delta1`, averaged over views.
    """
    depth, target, valid = depth.double().flatten(2), target.double().flatten(2), valid.flatten(2)
    errors = depth_metrics(
        align_depth(depth, target, valid, method="scale_and_shift"), target, valid
    )
    return {f"affine_{name}": errors[name].nanmean(dim=1) for name in REPORTED}
