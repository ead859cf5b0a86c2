"""Errors of a lifted image set against the geometry of its source, each by a named alignment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any

import torch

from spatialsv.geometry.maps import GeometryPrediction
from spatialsv.geometry.pose_metrics import PoseErrors, pose_errors
from spatialsv.geometry.rays import ray_map
from spatialsv.io.atomic import write_json
from spatialsv.lift.measure import ground_truth, measure_batch, pose_columns, summarise
from spatialsv.lift.result import LiftResult
from spatialsv.scenes.scene import Cameras, Geometry, Scenes

ALIGNMENT = {
    "abs_rel, rmse, delta1": "depth times one median scale for the scene",
    "view_*": "depth times one median scale for each view",
    "raw_*": "depth as it is; in both the mean distance of points to the first camera is 1",
    "rotation_error, translation_error": "degrees between pairs of views; nothing is aligned",
    "pose_auc*": "of the larger of the two, over pairs, VGGT's form",
    "depth_points_*": "points from depth and rays in the first camera's frame; nothing is aligned",
}


@dataclass(frozen=True)
class SourceErrors:
    """The errors of one scene."""

    row: dict[str, Any]  # its id as `scene`, and the errors by name
    pairs: list[PoseErrors]


def compare_with_source(result: LiftResult, source: Scenes) -> SourceErrors:
    """Measure a lifted scene on what it shows of its source; only cameras, if depth is unknown."""
    lifted = result.scenes
    row: dict[str, Any] = {"scene": source.ids[0]}
    poses = torch.from_numpy(lifted.cam_to_world).double()
    if not source.has_geometry:
        pairs = [pose_errors(poses[0], torch.from_numpy(source.cam_to_world[0]))]
        columns = pose_columns(pairs)
        return SourceErrors(row | {name: value for name, (value,) in columns.items()}, pairs)
    view = result.views[0]  # a scene's images have one shape
    lifted = _cut(lifted, view.window(result.size))
    left, top, width, height = map(round, view.part)
    source = _cut(source, (slice(top, top + height), slice(left, left + width)))
    truth = ground_truth(source, lifted.shape[1:])
    rays = ray_map(torch.from_numpy(lifted.intrinsics).double(), poses, *lifted.shape[1:])
    predicted = GeometryPrediction(
        depth=torch.from_numpy(lifted.depth),
        ray_origins=rays.origins.float(),
        ray_directions=rays.directions.float(),
    )
    [errors], pairs = measure_batch(predicted, truth, poses)
    return SourceErrors(row | errors, pairs)


def _cut(scenes: Scenes, window: tuple[slice, slice]) -> Scenes:
    """Return the geometry of these rows and columns of each view, without images."""
    rows, columns = window
    intrinsics = scenes.intrinsics.copy()
    intrinsics[..., 0, 2] -= columns.start
    intrinsics[..., 1, 2] -= rows.start
    return Scenes(
        ids=scenes.ids,
        geometry=Geometry(
            cameras=Cameras(intrinsics=intrinsics, cam_to_world=scenes.cam_to_world),
            depth=scenes.depth[..., rows, columns],
            valid=scenes.valid[..., rows, columns],
        ),
        unit=scenes.unit,
    )


def write_errors(path: Path, errors: Sequence[SourceErrors]) -> None:
    """Write errors.json, with a row for each scene, means and alignments, and print the means."""
    rows = [
        {name: v for name, v in error.row.items() if isinstance(v, str) or isfinite(v)}
        for error in errors
    ]
    means = summarise(rows, [pair for error in errors for pair in error.pairs])
    write_json(path, {"alignment": ALIGNMENT, "mean": means, "scenes": rows})
    print(f"Mean errors against the source's geometry over {len(rows)} scenes (details in {path}):")
    print(format_errors(means))


def format_errors(metrics: Mapping[str, float]) -> str:
    """Return mean errors as up to two lines of text."""
    lines = []
    if "abs_rel" in metrics:
        lines.append(
            f"AbsRel {metrics['abs_rel']:.3f} with one median scale per scene,"
            f" {metrics['view_abs_rel']:.3f} with one per view, {metrics['raw_abs_rel']:.3f}"
            f" unaligned; delta1 {metrics['delta1']:.3f} with one scale per scene"
        )
    if "rotation_error" in metrics:
        line = f"Pairs of views: rotation error {metrics['rotation_error']:.1f} degrees"
        if "translation_error" in metrics:
            line += f", direction error {metrics['translation_error']:.1f} degrees"
        lines.append(line)
    return "\n".join(lines)
