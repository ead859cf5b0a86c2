"""Errors of a lifted place against what its source knows, each by a named alignment.

Shapes: N views, H W pixels of the maps.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from spatialsv.geometry.maps import GeometryPrediction
from spatialsv.geometry.pose_metrics import PoseErrors, pose_errors
from spatialsv.geometry.rays import ray_map
from spatialsv.lift.measure import measure_batch
from spatialsv.lift.truth import truth_of
from spatialsv.lift.view import middle
from spatialsv.scenes.scene import Scenes

ALIGNMENT = {
    "abs_rel, rmse, delta1": "depth times one median scale for the whole scene",
    "view_*": "depth times one median scale for each view",
    "raw_*": "depth as it is; in both the mean distance of points to the first camera is 1",
    "rotation_error, translation_error": "degrees between pairs of views; nothing is aligned",
    "pose_auc*": "of the larger of the two, over pairs, VGGT's form",
    "depth_points_*": "points from depth and rays in the first camera's frame; nothing is aligned",
}


@dataclass(frozen=True)
class Errors:
    """What was measured of one scene."""

    row: dict[str, Any]
    pairs: list[PoseErrors]


def errors_of(lifted: Scenes, truth: Scenes, shape: tuple[int, int] | None) -> Errors:
    """Errors of one scene; of its cameras alone, where no depth is known.

    Args:
        truth: the same scene's geometry, for its whole pictures.
        shape: as `view_of` has it: the middle of this shape was lifted.
    """
    poses = torch.from_numpy(lifted.cam_to_world).double()
    if not truth.has_geometry:
        pairs = pose_errors(poses[0], torch.from_numpy(truth.cam_to_world[0]))
        row = {"rotation_error": float(pairs.rotation.mean())}
        row["translation_error"] = float(pairs.translation.nanmean())
        return Errors({"scene": truth.ids[0]} | row, [pairs])
    known = truth_of(cropped(truth, shape), lifted.shape[1:])
    rays = ray_map(torch.from_numpy(lifted.intrinsics).double(), poses, *lifted.shape[1:])
    predicted = GeometryPrediction(
        depth=torch.from_numpy(lifted.depth),
        ray_origins=rays.origins.float(),
        ray_directions=rays.directions.float(),
    )
    [row], pairs = measure_batch(predicted, known, poses)
    return Errors({"scene": truth.ids[0]} | row, pairs)


def cropped(scenes: Scenes, shape: tuple[int, int] | None) -> Scenes:
    """The geometry of the middle of each view, without the images."""
    height, width = scenes.shape[1:]
    left, top, across, down = middle((width, height), shape)
    window = (..., slice(top, top + down), slice(left, left + across))
    intrinsics = scenes.intrinsics.copy()
    intrinsics[..., 0, 2] -= left
    intrinsics[..., 1, 2] -= top
    return Scenes(
        ids=scenes.ids,
        depth=scenes.depth[window],
        valid=scenes.valid[window],
        intrinsics=intrinsics,
        cam_to_world=scenes.cam_to_world,
    )


def told(metrics: Mapping[str, float]) -> str:
    """Two lines for people."""
    lines = []
    if "abs_rel" in metrics:
        lines.append(
            f"AbsRel {metrics['abs_rel']:.3f} with one median scale a scene,"
            f" {metrics['view_abs_rel']:.3f} with one a view, {metrics['raw_abs_rel']:.3f} with"
            f" none; delta1 {metrics['delta1']:.3f} with one a scene"
        )
    if "rotation_error" in metrics:
        line = f"between views: rotation off by {metrics['rotation_error']:.1f} degrees"
        if "translation_error" in metrics:
            line += f", direction by {metrics['translation_error']:.1f}"
        lines.append(line)
    return "\n".join(lines)
