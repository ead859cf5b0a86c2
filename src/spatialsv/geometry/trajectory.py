"""Errors of a camera's path: ATE and RPE as evo has them, root mean squares over poses.

Poses are camera-to-world and belong together by their index; `associate` finds such pairs among
timestamps. Translations are in the poses' unit, rotations in degrees.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from spatialsv.geometry.camera import make_pose, relative_pose
from spatialsv.geometry.pose_metrics import rotation_angle
from spatialsv.geometry.similarity import umeyama


def associate(
    first: Float[Tensor, " n"], second: Float[Tensor, " m"], max_difference: float = 0.02
) -> tuple[Int[Tensor, " pairs"], Int[Tensor, " pairs"]]:
    """Indices of the timestamps (seconds) of `first` and of the closest ones of `second`.

    Those farther apart than `max_difference` are left out. A timestamp of `second` may serve
    several of `first`, so let `first` be the sparser one.
    """
    times, order = second.sort(stable=True)
    first = first.contiguous()
    if not len(times):
        return torch.zeros(0, dtype=torch.long), torch.zeros(0, dtype=torch.long)
    after = torch.searchsorted(times, first, right=True)
    before, after = (after - 1).clamp_min(0), after.clamp_max(len(times) - 1)
    nearer = (first - times[before]).abs() <= (times[after] - first).abs()
    closest = torch.where(nearer, before, after)
    kept = (first - times[closest]).abs() <= max_difference
    return kept.nonzero().squeeze(1), order[closest[kept]]


def align_trajectory(
    prediction: Float[Tensor, "N 4 4"], target: Float[Tensor, "N 4 4"], with_scale: bool = True
) -> Float[Tensor, "N 4 4"]:
    """`prediction` after the Sim(3) of its centres to those of `target` (Umeyama); else SE(3).

    NaN where fewer than two centres differ.
    """
    moved = umeyama(prediction[:, :3, 3], target[:, :3, 3], with_scale=with_scale)
    centres = moved.apply(prediction[:, :3, 3])
    return make_pose(moved.rotation @ prediction[:, :3, :3], centres)


def absolute_trajectory_error(
    prediction: Float[Tensor, "N 4 4"], target: Float[Tensor, "N 4 4"]
) -> Float[Tensor, ""]:
    """ATE: the root mean square distance of the centres; align the path before. NaN of none."""
    return _rms((prediction - target)[:, :3, 3].norm(dim=-1))


@dataclass(frozen=True, eq=False)
class RelativePoseErrors:
    """RPE: root mean squares over all pairs of poses `delta` frames apart."""

    translation: Float[Tensor, ""]
    rotation: Float[Tensor, ""]  # degrees


def relative_pose_errors(
    prediction: Float[Tensor, "N 4 4"], target: Float[Tensor, "N 4 4"], delta: int = 1
) -> RelativePoseErrors:
    """How far each step from pose i to i + `delta` is from the true one; NaN without such pairs.

    Length matters: a path up to scale must be aligned before.
    """
    steps, true = (relative_pose(p[:-delta], p[delta:]) for p in (prediction, target))
    return RelativePoseErrors(
        translation=_rms(relative_pose(true, steps)[:, :3, 3].norm(dim=-1)),
        rotation=_rms(rotation_angle(true[:, :3, :3], steps[:, :3, :3])),
    )


def _rms(values: Float[Tensor, " n"]) -> Float[Tensor, ""]:
    return values.square().mean().sqrt()
