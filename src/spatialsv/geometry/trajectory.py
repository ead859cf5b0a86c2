"""Errors of camera trajectories: ATE and RPE as in evo, root mean squares over poses.

Poses are camera-to-world and correspond by index; `associate` matches timestamps. Translations are
in the poses' unit, rotations in degrees.
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
    """Match each timestamp of `first` to the closest one of `second`.

    Args:
        first: Timestamps in seconds; let these be the sparser ones.
        second: Timestamps in seconds; one may be matched several times.
        max_difference: Pairs farther apart, in seconds, are dropped.

    Returns:
        Indices into `first` and into `second`.
    """
    times, order = second.sort(stable=True)
    first = first.contiguous()
    if not len(times):
        return torch.zeros(0, dtype=torch.long), torch.zeros(0, dtype=torch.long)
    after = torch.searchsorted(times, first, right=True)
    before, after = (after - 1).clamp_min(0), after.clamp_max(len(times) - 1)
    nearer = (first - times[before]).abs() <= (times[after] - first).abs()
    closest = torch.where(nearer, before, after)
    matched = (first - times[closest]).abs() <= max_difference
    return matched.nonzero().squeeze(1), order[closest[matched]]


def align_trajectory(
    prediction: Float[Tensor, "N 4 4"], target: Float[Tensor, "N 4 4"], with_scale: bool = True
) -> Float[Tensor, "N 4 4"]:
    """Align a trajectory to another by Umeyama's method on the camera centres.

    Args:
        prediction: Poses to align.
        target: True poses.
        with_scale: Align by Sim(3); False: by SE(3).

    Returns:
        Aligned poses; NaN where fewer than two centres differ.
    """
    transform = umeyama(prediction[:, :3, 3], target[:, :3, 3], with_scale=with_scale)
    centres = transform.apply(prediction[:, :3, 3])
    return make_pose(transform.rotation @ prediction[:, :3, :3], centres)


def absolute_trajectory_error(
    prediction: Float[Tensor, "N 4 4"], target: Float[Tensor, "N 4 4"]
) -> Float[Tensor, ""]:
    """Return ATE, the root mean square distance of the centres of aligned trajectories."""
    return _rms((prediction - target)[:, :3, 3].norm(dim=-1))


@dataclass(frozen=True, eq=False)
class RelativePoseErrors:
    """RPE: root mean squares over all pairs of poses `delta` frames apart."""

    translation: Float[Tensor, ""]
    rotation: Float[Tensor, ""]  # degrees


def relative_pose_errors(
    prediction: Float[Tensor, "N 4 4"], target: Float[Tensor, "N 4 4"], delta: int = 1
) -> RelativePoseErrors:
    """Compare each motion from pose i to pose i + `delta` with the true one.

    Args:
        prediction: Poses; align them first if they are known up to scale.
        target: True poses.
        delta: Frames between the poses of a pair.

    Returns:
        Errors; NaN without such pairs.
    """
    steps, true = (relative_pose(p[:-delta], p[delta:]) for p in (prediction, target))
    return RelativePoseErrors(
        translation=_rms(relative_pose(true, steps)[:, :3, 3].norm(dim=-1)),
        rotation=_rms(rotation_angle(true[:, :3, :3], steps[:, :3, :3])),
    )


def _rms(values: Float[Tensor, " n"]) -> Float[Tensor, ""]:
    return values.square().mean().sqrt()
