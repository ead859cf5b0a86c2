"""Errors of depth, poses and points. Lengths are in the unit that comes in, angles in degrees.

Depth metrics are given for each leading entry, so that the caller says whether a mean runs over
images or pixels. Where there is nothing to measure the answer is NaN, never 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from spatialsv.geometry.camera import invert_pose
from spatialsv.geometry.nearest import nearest_distances

LEAST_DEPTH = 1e-5  # a prediction's floor in logarithms and ratios


def depth_metrics(
    prediction: Float[Tensor, "*lead n"],
    target: Float[Tensor, "*lead n"],
    valid: Bool[Tensor, "*lead n"],
) -> dict[str, Float[Tensor, "*lead"]]:
    """abs_rel, rmse, log_rmse and delta1 to delta3 (ratio strictly below 1.25^k) of each entry.

    Valid pixels must have a positive target.
    """
    count = valid.sum(dim=-1)

    def mean(values: Tensor) -> Tensor:
        return values.where(valid, 0).sum(dim=-1) / count  # 0 / 0 = NaN where none is valid

    target = target.where(valid, 1)
    floored = prediction.clamp_min(LEAST_DEPTH)
    ratio = torch.maximum(floored / target, target / floored)
    metrics = {
        "abs_rel": mean((prediction - target).abs() / target),
        "rmse": mean((prediction - target).square()).sqrt(),
        "log_rmse": mean((floored.log() - target.log()).square()).sqrt(),
    }
    for k in (1, 2, 3):
        metrics[f"delta{k}"] = mean((ratio < 1.25**k).to(ratio.dtype))
    return metrics


@dataclass(frozen=True, eq=False)
class PoseErrors:
    """Errors in degrees of all pairs of views, of one scene or of many joined."""

    rotation: Float[Tensor, " pairs"]
    translation: Float[Tensor, " pairs"]  # of the direction, in [0, 90]; NaN without a baseline
    without_baseline: int  # pairs whose true centres coincide: their direction means nothing

    def worst(self) -> Float[Tensor, " pairs"]:
        """The larger of the two, NaN without a baseline: what pose AUC is made of."""
        return torch.maximum(self.rotation, self.translation)


def pose_errors(
    prediction: Float[Tensor, "N 4 4"],
    target: Float[Tensor, "N 4 4"],
    least_baseline: float = 1e-4,
) -> PoseErrors:
    """Relative pose errors of all N (N - 1) / 2 pairs of camera-to-world poses (VGGT's form).

    The relative pose is world-to-camera_i @ inverse(world-to-camera_j), and a translation and its
    opposite count as the same direction. Pairs whose true centres are closer than `least_baseline`
    times the scene's extent (its largest distance between centres, or 1 if that is 0) have none.
    """
    pairs = torch.tensor(list(combinations(range(len(target)), 2)), dtype=torch.long)
    i, j = pairs.reshape(-1, 2).to(target.device).unbind(dim=1)
    predicted, true = (invert_pose(p)[i] @ p[j] for p in (prediction.double(), target.double()))
    baseline = true[:, :3, 3].norm(dim=-1)
    extent = baseline.max() if len(baseline) else baseline.new_tensor(0.0)
    still = baseline <= least_baseline * torch.where(extent > least_baseline, extent, 1.0)
    direction = direction_angle(predicted[:, :3, 3], true[:, :3, 3])
    return PoseErrors(
        rotation=rotation_angle(predicted[:, :3, :3], true[:, :3, :3]),
        translation=direction.where(~still, torch.nan),
        without_baseline=int(still.sum()),
    )


def join_pose_errors(parts: list[PoseErrors]) -> PoseErrors:
    """The pairs of many scenes as one set."""
    return PoseErrors(
        rotation=torch.cat([part.rotation for part in parts]),
        translation=torch.cat([part.translation for part in parts]),
        without_baseline=sum(part.without_baseline for part in parts),
    )


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


@dataclass(frozen=True)
class PointErrors:
    """Mean nearest-neighbour distances between two clouds, in their unit."""

    accuracy: float  # from predicted to true points
    completeness: float  # from true to predicted points

    @property
    def chamfer(self) -> float:
        """The mean of the two (some authors add them)."""
        return (self.accuracy + self.completeness) / 2


def point_errors(prediction: Float[Tensor, "p 3"], target: Float[Tensor, "q 3"]) -> PointErrors:
    """Accuracy and completeness; infinite for no predicted point, NaN for no true one."""
    if not len(target):
        return PointErrors(accuracy=float("nan"), completeness=float("nan"))
    if not len(prediction):
        return PointErrors(accuracy=float("inf"), completeness=float("inf"))
    return PointErrors(
        accuracy=float(nearest_distances(prediction, target).mean()),
        completeness=float(nearest_distances(target, prediction).mean()),
    )
