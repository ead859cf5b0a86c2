"""Depth errors of whole scenes under the alignments that the stages report.

Shapes: B scenes, N views, H W pixels.
"""

from __future__ import annotations

from jaxtyping import Bool, Float
from torch import Tensor

from spatialsv.geometry.align import align_depth, median_scale
from spatialsv.geometry.depth_metrics import depth_metrics

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
