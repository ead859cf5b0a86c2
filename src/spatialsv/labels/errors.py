"""Errors of a teacher's labels where the geometry is known. They are reported only, never used."""

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
    """Return mean depth errors over scenes, and pose AUC over all pairs of views.

    Depth is compared on pixels valid in both, in the truth's unit, after one median scale for each
    scene.

    Args:
        labels: groups of labels, or one stack.
        truth: the same scenes, in the same groups.

    Returns:
        Errors by name; empty where nothing is known, as of photos.
    """
    depths: dict[str, list[Tensor]] = {}
    poses: list[PoseErrors] = []
    for label, known in zip(labels, truth, strict=True):
        if known.has_geometry and (label.valid & known.valid).any():
            errors, pairs = _group_errors(label, known)
            poses += pairs
            for name, values in errors.items():
                depths.setdefault(name, []).append(values)
    if not poses:
        return {}
    means = {name: float(torch.cat(depths[name]).mean()) for name in ("abs_rel", "rmse", "delta1")}
    worst = concatenate_pose_errors(poses).worst()
    means |= {f"pose_auc{limit}": error_auc(worst, limit) for limit in (15, 30)}
    return {name: value for name, value in means.items() if math.isfinite(value)}


def _group_errors(labels: Scenes, truth: Scenes) -> tuple[dict[str, Tensor], list[PoseErrors]]:
    """Return the errors of the scenes that have known pixels."""
    valid = torch.from_numpy(labels.valid & truth.valid)
    is_known = valid.flatten(1).any(dim=1)
    depth, target = (torch.from_numpy(scenes.depth)[is_known] for scenes in (labels, truth))
    poses = [
        pose_errors(torch.from_numpy(p), torch.from_numpy(t))
        for p, t, k in zip(labels.cam_to_world, truth.cam_to_world, is_known, strict=True)
        if k
    ]
    return scene_depth_errors(depth, target, valid[is_known]), poses
