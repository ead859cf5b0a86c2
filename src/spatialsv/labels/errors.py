"""How far a teacher's labels are from geometry that is known. Reported, never used."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor

from spatialsv.geometry.depth_metrics import scene_depth_errors
from spatialsv.geometry.pose_metrics import (
    PoseErrors,
    concatenate_pose_errors,
    error_auc,
    pose_errors,
)
from spatialsv.scenes.scene import Scenes


def label_errors(labels: Iterable[Scenes], truth: Iterable[Scenes]) -> dict[str, float]:
    """Mean depth errors over scenes, and pose AUC over all pairs of views.

    Depth is measured on pixels valid in both, in the truth's unit after one median scale a scene.
    Empty where nothing is known: photos, say.

    Args:
        labels: groups of scenes, or one stack.
        truth: the same scenes, group by group.
    """
    depths: dict[str, list[Tensor]] = {}
    poses = []
    for label, known in zip(labels, truth, strict=True):
        if known.has_geometry and (label.valid & known.valid).any():
            found, pairs = _group_errors(label, known)
            poses += pairs
            for name, values in found.items():
                depths.setdefault(name, []).append(values)
    if not poses:
        return {}
    errors = {name: float(torch.cat(depths[name]).mean()) for name in ("abs_rel", "rmse", "delta1")}
    worst = concatenate_pose_errors(poses).worst()
    errors |= {f"pose_auc{limit}": error_auc(worst, limit) for limit in (15, 30)}
    return {name: value for name, value in errors.items() if math.isfinite(value)}


def _group_errors(labels: Scenes, truth: Scenes) -> tuple[dict[str, Tensor], list[PoseErrors]]:
    """Of the scenes of which anything is known."""
    valid = torch.from_numpy(labels.valid & truth.valid)
    known = valid.flatten(1).any(dim=1)
    depth, target = (torch.from_numpy(scenes.depth)[known] for scenes in (labels, truth))
    poses = [
        pose_errors(torch.from_numpy(p), torch.from_numpy(t))
        for p, t, k in zip(labels.cam_to_world, truth.cam_to_world, known, strict=True)
        if k
    ]
    return scene_depth_errors(depth, target, valid[known]), poses
