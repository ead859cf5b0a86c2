"""What is stored of one scene: its pixels' reasons, its size, and whether it is left out."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import UInt8

from spatialsv.geometry.pose_metrics import camera_error
from spatialsv.geometry.scale import baseline_scale, depth_scale
from spatialsv.pseudo.gate import GateConfig, gate
from spatialsv.scenes.scene import GateReason, Scenes


@dataclass(frozen=True, kw_only=True, eq=False)
class Verdict:
    """One scene, still a stack (of one), with what was found out about it."""

    labels: Scenes
    kept: float  # share of its pixels
    scale: float | None = None  # the reference's unit in one of the labels'; None: nothing is known
    camera_error: float | None = None  # degrees, against the reference; None: nothing is known
    left_out: str | None = None  # why, in words


def judge_scene(
    labels: Scenes,
    seen: Scenes,
    config: GateConfig,
    floor: float,
    max_camera_error: float | None = None,
) -> Verdict:
    """Gate one scene's labels and size them by what is known of the scene.

    `valid` becomes what is kept, and nothing where the scene is left out; `reason` still tells of
    each pixel what the gate made of it.

    Args:
        labels: a teacher's, of one scene.
        seen: the scene; its geometry, where it has any, is the reference.
        floor, max_camera_error: as in `PseudoConfig`.
    """
    reason = gate_labels(labels, config)
    keeps = reason == GateReason.KEPT
    kept = float(keeps.mean())
    scale = reference_scale(labels, seen, keeps)
    error = known_camera_error(labels, seen)
    left_out = None
    if kept < floor:
        left_out = f"keeps {kept:.1%} of its pixels, less than the floor of {floor:.0%}"
    elif max_camera_error is not None and error is not None and error > max_camera_error:
        left_out = f"cameras are {error:.1f} degrees off the known ones, over {max_camera_error:g}"
    labels = labels.replace(valid=keeps & (left_out is None), reason=reason)
    if scale is not None:
        labels = labels.replace(scale=np.array([scale]))
    return Verdict(labels=labels, kept=kept, scale=scale, camera_error=error, left_out=left_out)


def gate_labels(labels: Scenes, config: GateConfig) -> UInt8[np.ndarray, "S N H W"]:
    """The `GateReason` of each pixel of `labels`."""
    reason = gate(
        torch.from_numpy(labels.depth).double(),
        torch.from_numpy(labels.valid),
        torch.from_numpy(labels.confidence).double(),
        torch.from_numpy(labels.intrinsics).double(),
        torch.from_numpy(labels.cam_to_world).double(),
        config,
    )
    return reason.numpy()


def reference_scale(labels: Scenes, seen: Scenes, keeps: np.ndarray) -> float | None:
    """The unit of the scene's own geometry in one of its labels'; None where it has none.

    By depth where that is known at pixels that are kept, else by the distances between cameras.
    """
    if seen.has_geometry and (both := keeps & seen.valid).any():
        return depth_scale(torch.from_numpy(labels.depth[both]), torch.from_numpy(seen.depth[both]))
    if not seen.has_cameras:
        return None
    return _known(baseline_scale(*_poses(labels, seen)))


def known_camera_error(labels: Scenes, seen: Scenes) -> float | None:
    """Degrees, as `camera_error` has it; None where no cameras, or too few, are known."""
    return _known(camera_error(*_poses(labels, seen))) if seen.has_cameras else None


def _poses(*stacks: Scenes) -> tuple[torch.Tensor, ...]:
    return tuple(torch.from_numpy(scenes.cam_to_world[0]) for scenes in stacks)


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value
