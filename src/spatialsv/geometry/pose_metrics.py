"""Errors of relative poses, in degrees, over all pairs of views.

Three measures go by the name of pose AUC. They are not comparable:

| form | made of |
|---|---|
| VGGT's | `error_auc(pose_errors(prediction, target).worst(), T)` |
| Depth Anything 3's | `error_auc(pose_errors(prediction, target, form="da3").worst(), T)` |
| exact area | `exact_auc(pose_errors(prediction, target).worst(), T)` |

Where there is nothing to measure the answer is NaN, never 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from spatialsv.geometry.align import median
from spatialsv.geometry.camera import invert_pose


@dataclass(frozen=True, eq=False)
class PoseErrors:
    """Errors in degrees of all pairs of views, of one scene, of each of many, or of many joined."""

    rotation: Float[Tensor, "*lead pairs"]
    translation: Float[
        Tensor, "*lead pairs"
    ]  # of the direction, in [0, 90]; NaN without a baseline
    without_baseline: int  # pairs whose true centres coincide: their direction means nothing

    def worst(self) -> Float[Tensor, "*lead pairs"]:
        """The larger of the two, NaN without a baseline: what pose AUC is made of."""
        return torch.maximum(self.rotation, self.translation)


def pose_errors(
    prediction: Float[Tensor, "*lead N 4 4"],
    target: Float[Tensor, "*lead N 4 4"],
    least_baseline: float = 1e-4,
    form: Literal["vggt", "da3"] = "vggt",
) -> PoseErrors:
    """Relative pose errors of all N (N - 1) / 2 pairs of camera-to-world poses.

    A translation and its opposite count as the same direction. Pairs whose true translation is
    shorter than `least_baseline` times the scene's extent (its longest one, or 1 if that is 0) have
    none. Of a predicted pose that is not finite the errors are the largest, 180 and 90 degrees.

    Args:
        form: `vggt` compares world-to-camera_i @ inverse(world-to-camera_j); `da3` compares
            inverse(world-to-camera_i) @ world-to-camera_j in the first camera's frame, whose
            translations are not those between the cameras.
    """
    pairs = torch.tensor(list(combinations(range(target.shape[-3]), 2)), dtype=torch.long)
    i, j = pairs.reshape(-1, 2).to(target.device).unbind(dim=1)
    relative = _vggt_pairs if form == "vggt" else _da3_pairs
    predicted, true = (relative(p, i, j) for p in (prediction.double(), target.double()))
    baseline = true[..., :3, 3].norm(dim=-1)
    extent = baseline.amax(dim=-1, keepdim=True) if len(pairs) else baseline
    still = baseline <= least_baseline * torch.where(extent > least_baseline, extent, 1.0)
    known = predicted.isfinite().all(dim=-1).all(dim=-1)
    direction = direction_angle(predicted[..., :3, 3], true[..., :3, 3]).where(known, 90.0)
    return PoseErrors(
        rotation=rotation_angle(predicted[..., :3, :3], true[..., :3, :3]).where(known, 180.0),
        translation=direction.where(~still, torch.nan),
        without_baseline=int(still.sum()),
    )


def _vggt_pairs(poses: Tensor, i: Tensor, j: Tensor) -> Tensor:
    return invert_pose(poses)[..., i, :, :] @ poses[..., j, :, :]


def _da3_pairs(poses: Tensor, i: Tensor, j: Tensor) -> Tensor:
    from_first = invert_pose(poses[..., :1, :, :]) @ poses
    return from_first[..., i, :, :] @ invert_pose(from_first)[..., j, :, :]


def concatenate_pose_errors(parts: list[PoseErrors]) -> PoseErrors:
    """The pairs of many scenes as one set."""
    return PoseErrors(
        rotation=torch.cat([part.rotation for part in parts]),
        translation=torch.cat([part.translation for part in parts]),
        without_baseline=sum(part.without_baseline for part in parts),
    )


def camera_error(cam_to_world: Float[Tensor, "N 4 4"], target: Float[Tensor, "N 4 4"]) -> float:
    """Degrees: the larger of a pair's rotation and direction errors, the median over pairs.

    Of pairs whose known centres coincide, the rotation error alone.
    """
    errors = pose_errors(cam_to_world, target)
    return median(torch.where(errors.translation.isnan(), errors.rotation, errors.worst()))


def rotation_angle(
    first: Float[Tensor, "*lead 3 3"], second: Float[Tensor, "*lead 3 3"]
) -> Float[Tensor, "*lead"]:
    """Degrees between two rotations, exact at 0 and at 180, where arccos alone is not."""
    turn = first.transpose(-1, -2) @ second
    skew = torch.stack(
        [
            turn[..., 2, 1] - turn[..., 1, 2],
            turn[..., 0, 2] - turn[..., 2, 0],
            turn[..., 1, 0] - turn[..., 0, 1],
        ],
        dim=-1,
    )
    cosine = turn.diagonal(dim1=-2, dim2=-1).sum(dim=-1) - 1
    return torch.rad2deg(torch.atan2(skew.norm(dim=-1), cosine))


def direction_angle(
    first: Float[Tensor, "*lead 3"], second: Float[Tensor, "*lead 3"]
) -> Float[Tensor, "*lead"]:
    """Degrees between two lines, in [0, 90]; 90 where the first vector is zero."""
    across = torch.linalg.cross(first, second).norm(dim=-1)
    along = (first * second).sum(dim=-1).abs()
    angle = torch.rad2deg(torch.atan2(across, along))
    return angle.where(first.norm(dim=-1) > 0, 90.0)


def error_auc(degrees: Float[Tensor, " pairs"], threshold: int) -> float:
    """Area under the accuracy curve up to `threshold` degrees, in [0, 1], in 1-degree bins.

    NaN entries are left out; NaN if no others are there. Feed it `PoseErrors.worst()` for pose AUC.
    """
    measured = degrees[~degrees.isnan()].double().cpu()
    if not len(measured):
        return float("nan")
    measured = measured[measured <= threshold]
    # the last bin is closed on the right, as in numpy.histogram
    bins = measured.floor().clamp_max(threshold - 1).long()
    share = torch.bincount(bins, minlength=threshold).double() / (~degrees.isnan()).sum().cpu()
    return float(share.cumsum(dim=0).mean())


def exact_auc(degrees: Float[Tensor, " pairs"], threshold: float | int) -> float:
    """The same area as SuperGlue and LoFTR measure it: trapezoids between the sorted errors.

    A pose that was not found counts as an infinite error; NaN entries are left out as above.
    """
    measured = degrees[~degrees.isnan()].double().cpu().sort().values
    if not len(measured):
        return float("nan")
    recall = torch.arange(1, len(measured) + 1, dtype=torch.float64) / len(measured)
    below = int(torch.searchsorted(measured, threshold))
    x = torch.cat([torch.zeros(1).double(), measured[:below], torch.tensor([threshold]).double()])
    y = torch.cat([torch.zeros(1).double(), recall[:below]])
    return float(torch.trapezoid(torch.cat([y, y[-1:]]), x) / threshold)


def share_below(degrees: Float[Tensor, " pairs"], threshold: float | int) -> float:
    """The share of pairs with an error below `threshold` degrees, NaN entries left out.

    RRA@T of `PoseErrors.rotation`, RTA@T of `PoseErrors.translation`.
    """
    measured = degrees[~degrees.isnan()]
    return float((measured < threshold).double().mean())
