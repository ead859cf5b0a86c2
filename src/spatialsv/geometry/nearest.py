"""Nearest neighbours between point clouds: PyTorch3D on a GPU where it is, else SciPy's tree."""

from __future__ import annotations

import importlib.util

import torch
from jaxtyping import Float, Int
from scipy.spatial import cKDTree
from torch import Tensor


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
