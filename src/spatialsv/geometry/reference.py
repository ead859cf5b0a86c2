"""The size of a scene that is known up to scale, by a reference, and how well its cameras agree.

Medians throughout: a few wrong pixels or cameras, of either side, move nothing. Where there is
nothing to compare the answer is NaN. Shapes: N views, n values.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from spatialsv.geometry.pose_metrics import pose_errors

STILL = 1e-4  # of a scene's extent; cameras closer than this have no distance to go by


def depth_scale(depth: Float[Tensor, " n"], target: Float[Tensor, " n"]) -> float:
    """The median ratio of known depths to these, of pixels valid in both."""
    return middle(target.double() / depth.double())


def baseline_scale(cam_to_world: Float[Tensor, "N 4 4"], target: Float[Tensor, "N 4 4"]) -> float:
    """The median ratio of distances between known camera centres to these, over pairs of views."""
    if len(target) < 2:
        return math.nan
    first, second = torch.combinations(torch.arange(len(target))).unbind(dim=1)
    ours, known = (
        (poses[first, :3, 3] - poses[second, :3, 3]).double().norm(dim=-1)
        for poses in (cam_to_world, target)
    )
    moved = (ours > STILL * ours.max()) & (known > STILL * known.max())
    return middle(known[moved] / ours[moved])


def camera_error(cam_to_world: Float[Tensor, "N 4 4"], target: Float[Tensor, "N 4 4"]) -> float:
    """Degrees: the larger of a pair's rotation and direction errors, the median over pairs.

    Of pairs whose known centres coincide, the rotation error alone.
    """
    errors = pose_errors(cam_to_world, target)
    return middle(torch.where(errors.translation.isnan(), errors.rotation, errors.worst()))


def middle(values: Float[Tensor, " n"]) -> float:
    """The median, the two middle values averaged; of any number of values, unlike torch's."""
    if not len(values):
        return math.nan
    ordered = values.sort().values
    return float((ordered[(len(values) - 1) // 2] + ordered[len(values) // 2]) / 2)
