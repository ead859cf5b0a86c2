"""Errors of point clouds by nearest neighbours, in the clouds' unit.

Clouds are not aligned or subsampled here. Without predicted points distances are infinite, and
precision, recall and F-score 0, as in Depth Anything 3. Without true points the result is NaN,
where Depth Anything 3 treats them like missing predictions. Neighbours are searched with PyTorch3D
on a GPU if it is installed, otherwise with SciPy's k-d tree.
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
    """Distances of each point of a predicted and a true cloud to the other's nearest point."""

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
        """The sum of accuracy and completeness, which some authors call Chamfer distance."""
        return self.accuracy + self.completeness

    def precision(self, threshold: float | int) -> float:
        """Return the share of predicted points closer than `threshold` to a true one."""
        if not len(self.to_prediction):
            return math.nan
        return float((self.to_target < threshold).double().mean()) if len(self.to_target) else 0.0

    def recall(self, threshold: float | int) -> float:
        """Return the share of true points closer than `threshold` to a predicted one."""
        return float((self.to_prediction < threshold).double().mean())

    def f_score(self, threshold: float | int) -> float:
        """Return the harmonic mean of precision and recall; 0 where both are 0."""
        both = self.precision(threshold), self.recall(threshold)
        return 2 * both[0] * both[1] / sum(both) if sum(both) else 0.0


def point_errors(prediction: Float[Tensor, "p 3"], target: Float[Tensor, "q 3"]) -> PointErrors:
    """Compute distances between two clouds in both directions.

    Args:
        prediction: Predicted points.
        target: True points.

    Returns:
        Distances; to an empty target they are NaN, to an empty prediction infinite.
    """
    return PointErrors(
        to_target=_distances(prediction, target, math.nan),
        to_prediction=_distances(target, prediction, math.inf),
    )


def _distances(
    queries: Float[Tensor, "p 3"], points: Float[Tensor, "q 3"], if_empty: float
) -> Float[Tensor, " p"]:
    """Return each query's distance to the nearest point, or `if_empty` where there are none."""
    if not len(points):
        return queries.new_full((len(queries),), if_empty)
    return nearest_neighbours(queries, points)[0]


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
    """Compare the normals of two clouds.

    Args:
        prediction: Predicted points.
        prediction_normals: Their normals, of any length and either sign.
        target: True points.
        target_normals: Their normals, of any length and either sign.

    Returns:
        Mean absolute cosines; NaN if one cloud is empty.
    """
    if not (len(prediction) and len(target)):
        return NormalConsistency(math.nan, math.nan)
    tiny = torch.finfo(prediction_normals.dtype).tiny
    predicted, true = (normalize(x, dim=-1, eps=tiny) for x in (prediction_normals, target_normals))
    to_target = nearest_neighbours(prediction, target)[1]
    to_prediction = nearest_neighbours(target, prediction)[1]
    return NormalConsistency(
        nc1=float(torch.linalg.vecdot(predicted, true[to_target]).abs().mean()),
        nc2=float(torch.linalg.vecdot(true, predicted[to_prediction]).abs().mean()),
    )


def nearest_neighbours(
    queries: Float[Tensor, "p 3"], points: Float[Tensor, "q 3"]
) -> tuple[Float[Tensor, " p"], Int[Tensor, " p"]]:
    """Find the nearest point to each query.

    Args:
        queries: Points to search for.
        points: Points to search among.

    Returns:
        Distances and indices into `points`.

    Raises:
        ValueError: `points` is empty.
    """
    if not len(points):
        raise ValueError("Nearest neighbours: the cloud to search in has no points.")
    if queries.is_cuda and importlib.util.find_spec("pytorch3d") is not None:
        return pytorch3d_neighbours(queries, points)
    return tree_neighbours(queries, points)


def tree_neighbours(
    queries: Float[Tensor, "p 3"], points: Float[Tensor, "q 3"]
) -> tuple[Float[Tensor, " p"], Int[Tensor, " p"]]:
    """Find nearest neighbours on the CPU by SciPy's k-d tree, in float64."""
    tree = cKDTree(points.detach().double().cpu().numpy())
    distances, indices = tree.query(queries.detach().double().cpu().numpy())
    return torch.from_numpy(distances).to(queries), torch.from_numpy(indices).to(queries.device)


def pytorch3d_neighbours(
    queries: Float[Tensor, "p 3"], points: Float[Tensor, "q 3"]
) -> tuple[Float[Tensor, " p"], Int[Tensor, " p"]]:
    """Find nearest neighbours on the points' device by PyTorch3D, which supports float32 only."""
    from pytorch3d.ops import knn_points  # optional: installed on GPU machines only

    nearest = knn_points(queries.float()[None], points.float()[None], K=1)
    return nearest.dists[0, :, 0].sqrt().to(queries.dtype), nearest.idx[0, :, 0]
