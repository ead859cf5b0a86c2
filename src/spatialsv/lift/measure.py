"""Errors of lifted geometry, scene by scene and in all.

Depth is measured under three alignments, see `scene_depth_errors`. Lengths are in units of the
scene's mean distance, angles in degrees.

Shapes: B scenes, N views, H W pixels.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from jaxtyping import Float
from torch import Tensor

from spatialsv.geometry.depth_metrics import scene_depth_errors
from spatialsv.geometry.maps import GeometryPrediction
from spatialsv.geometry.point_metrics import point_errors
from spatialsv.geometry.pose_metrics import (
    PoseErrors,
    concatenate_pose_errors,
    error_auc,
    pose_errors,
)
from spatialsv.geometry.rays import RayMap, point_map
from spatialsv.lift.truth import Truth


def measure_batch(
    lifted: GeometryPrediction, truth: Truth, poses: Float[Tensor, "B N 4 4"] | None
) -> tuple[list[dict[str, float]], list[PoseErrors]]:
    """One row of errors a scene, and the pose errors of its pairs of views.

    Args:
        poses: the cameras read from the rays; None without a rays head.
    """
    columns: dict[str, Sequence[float]] = {}
    if lifted.depth is not None:
        errors = scene_depth_errors(lifted.depth, truth.depth, truth.valid)
        columns |= {name: values.tolist() for name, values in errors.items()}
    if lifted.points is not None:
        columns |= _point_columns("points", lifted.points, truth)
    pairs = []
    if poses is not None:
        pairs = [pose_errors(p, t) for p, t in zip(poses, truth.cam_to_world, strict=True)]
        columns["rotation_error"] = [float(pair.rotation.mean()) for pair in pairs]
        columns["translation_error"] = [float(pair.translation.nanmean()) for pair in pairs]
    if lifted.depth is not None and lifted.ray_directions is not None:
        rays = RayMap(lifted.ray_origins, lifted.ray_directions)
        columns |= _point_columns("depth_points", point_map(lifted.depth, rays), truth)
    scenes = range(len(truth.depth))
    return [{name: values[i] for name, values in columns.items()} for i in scenes], pairs


def baseline_batch(mean: Float[Tensor, "N H W"], truth: Truth) -> list[dict[str, float]]:
    """The depth errors of the mean depth of the training scenes, one row a scene."""
    errors = scene_depth_errors(mean.expand_as(truth.depth), truth.depth, truth.valid)
    columns = {f"mean_depth_{name}": values.tolist() for name, values in errors.items()}
    return [{name: values[i] for name, values in columns.items()} for i in range(len(truth.depth))]


def summarise(rows: Sequence[Mapping[str, Any]], pairs: Iterable[PoseErrors]) -> dict[str, float]:
    """Means over scenes, pose AUC over all pairs; what cannot be measured is left out."""
    pairs = list(pairs)
    names = dict.fromkeys(name for row in rows for name in row if name != "scene")
    means = {}
    for name in names:
        values = [row[name] for row in rows if math.isfinite(row.get(name, math.nan))]
        if values:
            means[name] = sum(values) / len(values)
    if pairs:
        joined = concatenate_pose_errors(pairs)
        means |= {f"pose_auc{limit}": error_auc(joined.worst(), limit) for limit in (15, 30)}
        means["pose_pairs"] = int((~joined.worst().isnan()).sum())
        means["pose_pairs_without_baseline"] = joined.without_baseline
    if "mean_depth_abs_rel" in means and "abs_rel" in means:
        means["abs_rel_over_mean_depth"] = means["abs_rel"] / means["mean_depth_abs_rel"]
    means["scenes"] = len(rows)
    return {name: value for name, value in means.items() if math.isfinite(value)}


def _point_columns(
    name: str, points: Float[Tensor, "B N H W 3"], truth: Truth
) -> dict[str, list[float]]:
    """`NAME_error`, the mean distance pixel by pixel, and `NAME_chamfer`; nothing is aligned."""
    distances, chamfers = [], []
    for predicted, true, valid in zip(points.double(), truth.points, truth.valid, strict=True):
        distances.append(float((predicted - true)[valid].norm(dim=-1).mean()))
        chamfers.append(point_errors(predicted[valid], true[valid]).chamfer)
    return {f"{name}_error": distances, f"{name}_chamfer": chamfers}
