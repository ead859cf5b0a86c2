"""Errors of relative poses, in degrees, over all pairs of views.

Three measures are called pose AUC. They are not comparable:

| form | call |
|---|---|
| VGGT's | `error_auc(pose_errors(prediction, target).worst(), T)` |
| Depth Anything 3's | `error_auc(pose_errors(prediction, target, form="da3").worst(), T)` |
| exact area | `exact_auc(pose_errors(prediction, target).worst(), T)` |

Where there is nothing to measure the result is NaN.
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

ROUNDING = 1e-6  # of a centre's distance from the origin: shorter baselines are float32's rounding


@dataclass(frozen=True, eq=False)
class PoseErrors:
    """Errors of all pairs of views, for one scene, several scenes, or several concatenated."""

    rotation: Float[Tensor, "*lead pairs"]  # degrees
    # Degrees between translation directions, in [0, 90]; NaN for a pair without a baseline.
    translation: Float[Tensor, "*lead pairs"]
    without_baseline: int  # pairs whose true centres coincide, so that their direction is undefined
    without_camera: int  # pairs with the largest errors, since a predicted pose is not finite

    def worst(self) -> Float[Tensor, "*lead pairs"]:
        """Return the larger error of each pair, on which pose AUC is based; NaN if undefined."""
        return torch.maximum(self.rotation, self.translation)


def pose_errors(
    prediction: Float[Tensor, "*lead N 4 4"],
    target: Float[Tensor, "*lead N 4 4"],
    least_baseline: float = 1e-4,
    form: Literal["vggt", "da3"] = "vggt",
) -> PoseErrors:
    """Compute relative pose errors of all N (N - 1) / 2 pairs of views.

    A translation and its opposite count as the same direction. A predicted pose that is not finite
    has the largest errors, 180 and 90 degrees.

    Args:
        prediction: Camera-to-world poses.
        target: True camera-to-world poses.
        least_baseline: Pairs whose true translation is shorter than this share of the scene's
            longest one, or is rounding, have no translation error.
        form: `vggt` compares world-to-camera_i @ inverse(world-to-camera_j); `da3` compares
            inverse(world-to-camera_i) @ world-to-camera_j in the first camera's frame, whose
            translations are not those between the cameras.

    Returns:
        Errors in degrees.
    """
    pairs = torch.tensor(list(combinations(range(target.shape[-3]), 2)), dtype=torch.long)
    i, j = pairs.reshape(-1, 2).to(target.device).unbind(dim=1)
    relative = _vggt_pairs if form == "vggt" else _da3_pairs
    predicted, true = (relative(p, i, j) for p in (prediction.double(), target.double()))
    baseline = true[..., :3, 3].norm(dim=-1)
    extent = baseline.amax(dim=-1, keepdim=True) if len(pairs) else baseline
    distance = target[..., :3, 3].double().norm(dim=-1).amax(dim=-1, keepdim=True)
    still = baseline <= torch.maximum(least_baseline * extent, ROUNDING * distance)
    finite = predicted.isfinite().all(dim=-1).all(dim=-1)
    direction = direction_angle(predicted[..., :3, 3], true[..., :3, 3]).where(finite, 90.0)
    return PoseErrors(
        rotation=rotation_angle(predicted[..., :3, :3], true[..., :3, :3]).where(finite, 180.0),
        translation=direction.where(~still, torch.nan),
        without_baseline=int(still.sum()),
        without_camera=int((~finite).sum()),
    )


def _vggt_pairs(poses: Tensor, i: Tensor, j: Tensor) -> Tensor:
    return invert_pose(poses)[..., i, :, :] @ poses[..., j, :, :]


def _da3_pairs(poses: Tensor, i: Tensor, j: Tensor) -> Tensor:
    from_first = invert_pose(poses[..., :1, :, :]) @ poses
    return from_first[..., i, :, :] @ invert_pose(from_first)[..., j, :, :]


def concatenate_pose_errors(parts: list[PoseErrors]) -> PoseErrors:
    """Return the pairs of several scenes as one set."""
    return PoseErrors(
        rotation=torch.cat([part.rotation for part in parts]),
        translation=torch.cat([part.translation for part in parts]),
        without_baseline=sum(part.without_baseline for part in parts),
        without_camera=sum(part.without_camera for part in parts),
    )


def camera_error(cam_to_world: Float[Tensor, "N 4 4"], target: Float[Tensor, "N 4 4"]) -> float:
    """Return the median over pairs of views of the larger of rotation and translation error.

    Args:
        cam_to_world: Poses to measure.
        target: True poses. Pairs whose centres coincide count by their rotation error.

    Returns:
        The error in degrees; NaN for fewer than two views.
    """
    errors = pose_errors(cam_to_world, target)
    return median(torch.where(errors.translation.isnan(), errors.rotation, errors.worst()))


def rotation_angle(
    first: Float[Tensor, "*lead 3 3"], second: Float[Tensor, "*lead 3 3"]
) -> Float[Tensor, "*lead"]:
    """Return degrees between rotations, by atan2, which is accurate at 0 and 180 unlike arccos."""
    relative = first.transpose(-1, -2) @ second
    skew = torch.stack(
        [
            relative[..., 2, 1] - relative[..., 1, 2],
            relative[..., 0, 2] - relative[..., 2, 0],
            relative[..., 1, 0] - relative[..., 0, 1],
        ],
        dim=-1,
    )
    cosine = relative.diagonal(dim1=-2, dim2=-1).sum(dim=-1) - 1
    return torch.rad2deg(torch.atan2(skew.norm(dim=-1), cosine))


def direction_angle(
    first: Float[Tensor, "*lead 3"], second: Float[Tensor, "*lead 3"]
) -> Float[Tensor, "*lead"]:
    """Return degrees between two lines, in [0, 90]; 90 where the first vector is zero."""
    across = torch.linalg.cross(first, second).norm(dim=-1)
    along = (first * second).sum(dim=-1).abs()
    angle = torch.rad2deg(torch.atan2(across, along))
    return angle.where(first.norm(dim=-1) > 0, 90.0)


def error_auc(degrees: Float[Tensor, " pairs"], threshold: int) -> float:
    """Return the area under the accuracy curve up to a threshold, in bins of one degree.

    Args:
        degrees: Errors; NaN entries are skipped. `PoseErrors.worst()` gives pose AUC.
        threshold: Upper limit in degrees.

    Returns:
        The area in [0, 1]; NaN without errors.
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
    """Return the area under the accuracy curve as in SuperGlue and LoFTR, by trapezoids.

    Args:
        degrees: Errors; NaN entries are skipped, a missing pose counts as infinite.
        threshold: Upper limit in degrees.

    Returns:
        The area in [0, 1]; NaN without errors.
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
    """Return the share of pairs with an error below a threshold, skipping NaN entries.

    Args:
        degrees: `PoseErrors.rotation` for RRA@T, `PoseErrors.translation` for RTA@T.
        threshold: T in degrees.

    Returns:
        The share in [0, 1]; NaN without errors.
    """
    measured = degrees[~degrees.isnan()]
    return float((measured < threshold).double().mean())
