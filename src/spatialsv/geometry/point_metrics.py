"""Errors of point clouds by nearest neighbours, in the clouds' unit.

Nothing is aligned, sampled or thinned here. No true point: NaN. No predicted one: infinite
distances, and precision, recall and F-score 0, which is Depth Anything 3's convention; it takes
missing truth for the same, we do not.
"""

from __future__ import annotations

import importlib.util
import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from scipy.spatial import cKDTree
from torch import Tensor
from torch.nn.functional import normalize


@dataclass(frozen=True, eq=False)
class PointErrors:
    """Distances between a predicted and a true cloud, each point's to the other's nearest one."""

    to_target: Float[Tensor, " p"]  # of predicted points
    to_prediction: Float[Tensor, " q"]  # of true points

    @property
    def accuracy(self) -> float:
        """The mean distance from predicted to true points."""
        if not len(self.to_prediction):
            return math.nan
        return float(self.to_target.mean()) if len(self.to_target) else math.inf

    @property
    def completeness(self) -> float:
        """The mean distance from true to predicted points."""
        return float(self.to_prediction.mean())

    @property
    def chamfer(self) -> float:
        """The mean of accuracy and completeness."""
        return (self.accuracy + self.completeness) / 2

    @property
    def chamfer_sum(self) -> float:
        """Their sum, which other authors call chamfer distance."""
        return self.accuracy + self.completeness

    def precision(self, threshold: float | int) -> float:
        """The share of predicted points closer than `threshold` to a true one."""
        if not len(self.to_prediction):
            return math.nan
        return float((self.to_target < threshold).double().mean()) if len(self.to_target) else 0.0

    def recall(self, threshold: float | int) -> float:
        """The share of true points closer than `threshold` to a predicted one."""
        return float((self.to_prediction < threshold).double().mean())

    def f_score(self, threshold: float | int) -> float:
        """The harmonic mean of precision and recall; 0 where both are 0."""
        both = self.precision(threshold), self.recall(threshold)
        return 2 * both[0] * both[1] / sum(both) if sum(both) else 0.0


def point_errors(prediction: Float[Tensor, "p 3"], target: Float[Tensor, "q 3"]) -> PointErrors:
    """Distances both ways; not a number, or infinite, where the other cloud is empty."""
    return PointErrors(
        to_target=_distances(prediction, target, math.nan),
        to_prediction=_distances(target, prediction, math.inf),
    )


def _distances(
    queries: Float[Tensor, "p 3"], points: Float[Tensor, "q 3"], otherwise: float
) -> Float[Tensor, " p"]:
    if not len(points):
        return queries.new_full((len(queries),), otherwise)
    return nearest_distances(queries, points)


@dataclass(frozen=True)
class NormalConsistency:
    """Mean absolute cosines between the normals of nearest neighbours, in [0, 1]."""

    nc1: float  # from predicted to true points
    nc2: float  # from true to predicted points

    @property
    def nc(self) -> float:
        """The mean of the two."""
        return (self.nc1 + self.nc2) / 2


def normal_consistency(
    prediction: Float[Tensor, "p 3"],
    prediction_normals: Float[Tensor, "p 3"],
    target: Float[Tensor, "q 3"],
    target_normals: Float[Tensor, "q 3"],
) -> NormalConsistency:
    """Of two clouds with normals of any length and either sign; NaN if one is empty."""
    if not (len(prediction) and len(target)):
        return NormalConsistency(math.nan, math.nan)
    ours, theirs = normalize(prediction_normals, dim=-1), normalize(target_normals, dim=-1)
    to_target = nearest_neighbours(prediction, target)[1]
    to_prediction = nearest_neighbours(target, prediction)[1]
    return NormalConsistency(
        nc1=float(torch.linalg.vecdot(ours, theirs[to_target]).abs().mean()),
        nc2=float(torch.linalg.vecdot(theirs, ours[to_prediction]).abs().mean()),
    )


def nearest_distances(
    queries: Float[Tensor, "p 3"], points: Float[Tensor, "q 3"]
) -> Float[Tensor, " p"]:
    """The distance of each query to the closest point.

    Raises:
        ValueError: no points to be close to.
    """
    return nearest_neighbours(queries, points)[0]


def nearest_neighbours(
    queries: Float[Tensor, "p 3"], points: Float[Tensor, "q 3"]
) -> tuple[Float[Tensor, " p"], Int[Tensor, " p"]]:
    """The distance of each query to the closest point, and that point's index.

    Raises:
        ValueError: no points to be close to.
    """
    if not len(points):
        raise ValueError("no points to measure the distance to: the second cloud is empty")
    if queries.is_cuda and importlib.util.find_spec("pytorch3d") is not None:
        return pytorch3d_neighbours(queries, points)
    return tree_neighbours(queries, points)


def tree_neighbours(
    queries: Float[Tensor, "p 3"], points: Float[Tensor, "q 3"]
) -> tuple[Float[Tensor, " p"], Int[Tensor, " p"]]:
    """On the CPU, in float64 inside."""
    tree = cKDTree(points.detach().double().cpu().numpy())
    distances, indices = tree.query(queries.detach().double().cpu().numpy())
    return torch.from_numpy(distances).to(queries), torch.from_numpy(indices).to(queries.device)


def pytorch3d_neighbours(
    queries: Float[Tensor, "p 3"], points: Float[Tensor, "q 3"]
) -> tuple[Float[Tensor, " p"], Int[Tensor, " p"]]:
    """On the device of the points, in float32, which is all that PyTorch3D's search has."""
    from pytorch3d.ops import knn_points  # optional: only machines with a GPU have it

    found = knn_points(queries.float()[None], points.float()[None], K=1)
    return found.dists[0, :, 0].sqrt().to(queries.dtype), found.idx[0, :, 0]
