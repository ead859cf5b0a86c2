"""Errors of lifted geometry against ground truth, for each scene and as means.

Depth is measured under three alignments, see `scene_depth_errors`. Lengths are in units of the
scene's mean distance, angles in degrees.

Shapes: B or S scenes, N views, H W pixels of the maps.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import pad

from spatialsv.geometry.camera import resample
from spatialsv.geometry.depth_metrics import scene_depth_errors
from spatialsv.geometry.maps import GeometryPrediction, normalise_scene
from spatialsv.geometry.point_metrics import point_errors
from spatialsv.geometry.pose_metrics import (
    PoseErrors,
    concatenate_pose_errors,
    error_auc,
    pose_errors,
)
from spatialsv.geometry.rays import RayMap, point_map, ray_map
from spatialsv.io.manifest import read_manifest
from spatialsv.scenes.scene import Scenes
from spatialsv.scenes.store import load_groups


@dataclass(frozen=True, kw_only=True, eq=False)
class GroundTruth:
    """Known geometry, in the first view's frame and divided by the mean distance of points."""

    depth: Float[Tensor, "S N H W"]
    valid: Bool[Tensor, "S N H W"]
    points: Float[Tensor, "S N H W 3"]
    cam_to_world: Float[Tensor, "S N 4 4"]
    intrinsics: Float[Tensor, "S N 3 3"]

    def select(self, rows: slice) -> GroundTruth:
        """Return some of the scenes."""
        return GroundTruth(**{name: value[rows] for name, value in vars(self).items()})


def ground_truth(scenes: Scenes, size: tuple[int, int]) -> GroundTruth:
    """Return the geometry of `scenes` at the pixels of maps of `size` (height, width)."""
    depth, poses, K = (
        torch.from_numpy(array).double()
        for array in (scenes.depth, scenes.cam_to_world, scenes.intrinsics)
    )
    depth, poses, _ = normalise_scene(depth, poses, K, torch.from_numpy(scenes.valid))
    depth, valid, K = resample(depth, torch.from_numpy(scenes.valid), K, size)
    points = point_map(depth, ray_map(K, poses, *size))
    return GroundTruth(depth=depth, valid=valid, points=points, cam_to_world=poses, intrinsics=K)


def mean_depth(paths: Sequence[Path], size: tuple[int, int]) -> Float[Tensor, "N H W"]:
    """Return each view's and pixel's mean depth over scenes or labels: a baseline without images.

    N is that of the scene with most views. Where no pixel is valid, it is the mean of all pixels.

    Args:
        paths: manifests of the training scenes, or of their labels.
        size: height and width of the maps.

    Returns:
        The depth.
    """
    total, count = torch.zeros(0, *size).double(), torch.zeros(0, *size).long()
    for path in paths:
        for group in load_groups(read_manifest(path).find(".zarr"), ["depth"]):
            truth = ground_truth(group, size)
            views = max(len(total), group.shape[0])
            depth = truth.depth.where(truth.valid, 0).sum(dim=0)
            total = with_views(total, views) + with_views(depth, views)
            count = with_views(count, views) + with_views(truth.valid.sum(dim=0), views)
    return torch.where(count > 0, total / count.clamp_min(1), total.sum() / count.sum())


def with_views(
    maps: Float[Tensor, "M H W"] | Int[Tensor, "M H W"], views: int, fill: float = 0
) -> Tensor:
    """Return the maps of the first `views` views; missing ones are filled with `fill`."""
    return pad(maps, (0, 0, 0, 0, 0, views - len(maps)), value=fill)


def measure_batch(
    lifted: GeometryPrediction, truth: GroundTruth, poses: Float[Tensor, "B N 4 4"] | None
) -> tuple[list[dict[str, float]], list[PoseErrors]]:
    """Measure lifted geometry.

    Args:
        lifted: the geometry.
        truth: the ground truth at the same pixels.
        poses: the cameras read from the rays; None without a rays head.

    Returns:
        One row of errors for each scene, and the pose errors of its pairs of views.
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
        columns |= pose_columns(pairs)
    if (
        lifted.depth is not None
        and lifted.ray_origins is not None
        and lifted.ray_directions is not None
    ):
        rays = RayMap(lifted.ray_origins, lifted.ray_directions)
        columns |= _point_columns("depth_points", point_map(lifted.depth, rays), truth)
    return _rows(columns, len(truth.depth)), pairs


def baseline_batch(mean: Float[Tensor, "N H W"], truth: GroundTruth) -> list[dict[str, float]]:
    """Return one row for each scene with the depth errors of `mean_depth`."""
    errors = scene_depth_errors(mean.expand_as(truth.depth), truth.depth, truth.valid)
    columns = {f"mean_depth_{name}": values.tolist() for name, values in errors.items()}
    return _rows(columns, len(truth.depth))


def pose_columns(pairs: Sequence[PoseErrors]) -> dict[str, list[float]]:
    """Return each scene's mean pose errors in degrees, by name."""
    return {
        "rotation_error": [float(pair.rotation.mean()) for pair in pairs],
        "translation_error": [float(pair.translation.nanmean()) for pair in pairs],
    }


def summarise(rows: Sequence[Mapping[str, Any]], pairs: Iterable[PoseErrors]) -> dict[str, float]:
    """Return means over scenes and the pose AUC over all pairs; undefined values are skipped."""
    pairs = list(pairs)
    names = dict.fromkeys(name for row in rows for name in row if name != "scene")
    means: dict[str, float] = {}
    for name in names:
        values = [row[name] for row in rows if math.isfinite(row.get(name, math.nan))]
        if values:
            means[name] = sum(values) / len(values)
    if pairs:
        joined = concatenate_pose_errors(pairs)
        means |= {f"pose_auc{limit}": error_auc(joined.worst(), limit) for limit in (15, 30)}
        means["pose_pairs"] = int((~joined.worst().isnan()).sum())
        means["pose_pairs_without_baseline"] = joined.without_baseline
        means["pose_pairs_without_camera"] = joined.without_camera
    if "mean_depth_abs_rel" in means and "abs_rel" in means:
        means["abs_rel_over_mean_depth"] = means["abs_rel"] / means["mean_depth_abs_rel"]
    means["scenes"] = len(rows)
    return {name: value for name, value in means.items() if math.isfinite(value)}


def _rows(columns: Mapping[str, Sequence[float]], count: int) -> list[dict[str, float]]:
    return [{name: values[i] for name, values in columns.items()} for i in range(count)]


def _point_columns(
    name: str, points: Float[Tensor, "B N H W 3"], truth: GroundTruth
) -> dict[str, list[float]]:
    """Return the mean distance at equal pixels and the chamfer distance; nothing is aligned."""
    distances, chamfers = [], []
    for predicted, true, valid in zip(points.double(), truth.points, truth.valid, strict=True):
        distances.append(float((predicted - true)[valid].norm(dim=-1).mean()))
        chamfers.append(point_errors(predicted[valid], true[valid]).chamfer)
    return {f"{name}_error": distances, f"{name}_chamfer": chamfers}
