"""How far a teacher's labels are from geometry that is known. Reported, never used."""

from __future__ import annotations

import math

import torch

from spatialsv.geometry.aligned import scene_depth_errors
from spatialsv.geometry.metrics import error_auc, join_pose_errors, pose_errors
from spatialsv.scenes.scene import Scenes


def label_errors(labels: Scenes, truth: Scenes) -> dict[str, float]:
    """Mean depth errors over scenes, and pose AUC over all pairs of views.

    Depth is measured on pixels valid in both, in the truth's unit after one median scale a scene.
    Empty where nothing is known: photos, say.
    """
    valid = torch.from_numpy(labels.valid & truth.valid)
    known = valid.flatten(1).any(dim=1)
    if not known.any():
        return {}
    depth, target = (torch.from_numpy(scenes.depth)[known] for scenes in (labels, truth))
    depth_errors = scene_depth_errors(depth, target, valid[known])
    poses = join_pose_errors(
        [
            pose_errors(torch.from_numpy(p), torch.from_numpy(t))
            for p, t, k in zip(labels.cam_to_world, truth.cam_to_world, known, strict=True)
            if k
        ]
    )
    errors = {name: float(depth_errors[name].mean()) for name in ("abs_rel", "rmse", "delta1")}
    errors |= {f"pose_auc{limit}": error_auc(poses.worst(), limit) for limit in (15, 30)}
    return {name: value for name, value in errors.items() if math.isfinite(value)}
