"""A point cloud as a small picture, for figures that nobody can turn.

Shapes: P and Q points, H W pixels.
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, UInt8

from spatialsv.geometry.rays import point_map, ray_map
from spatialsv.report.viewer import Cloud

FROM = (0.45, -0.62, -0.75)  # right of, above and behind the first camera: the 3D view's first look
AWAY = 2.9  # median distances of points from their middle
FOCAL = 1.2  # of the width


def points_of(cloud: Cloud) -> Float[np.ndarray, "P 3"]:
    """Each pixel's point, in the first view's frame; not finite where depth is unknown."""
    rays = ray_map(cloud.intrinsics, cloud.cam_to_world, *cloud.depth.shape[1:])
    points = point_map(cloud.depth, rays)
    return torch.where(cloud.valid[..., None], points, torch.nan).reshape(-1, 3).numpy()


def splat(
    points: Float[np.ndarray, "P 3"],
    colours: UInt8[np.ndarray, "P 3"],
    around: Float[np.ndarray, "Q 3"],
    size: tuple[int, int],
    dot: int = 3,
) -> UInt8[np.ndarray, "H W 4"]:
    """The points as squares of `dot` pixels, near ones over far ones; clear where there is none.

    Args:
        around: the points that the camera is placed by, so that several clouds are seen alike.
    """
    (height, width), picture = size, np.zeros((*size, 4), np.uint8)
    known = np.isfinite(points).all(axis=1)
    reference = around[np.isfinite(around).all(axis=1)]
    if not known.any() or not len(reference):
        return picture
    seen = _from_afar(points[known], reference)
    ahead = seen[:, 2] > 1e-6
    order = np.argsort(-seen[ahead, 2], kind="stable")  # the last one written stays
    x, y, z = seen[ahead][order].T
    shown = colours[known][ahead][order]
    across = np.floor(FOCAL * width * x / z + width / 2).astype(int) - dot // 2
    down = np.floor(FOCAL * width * y / z + height / 2).astype(int) - dot // 2
    steps = np.arange(dot)
    rows = (down[:, None, None] + steps[:, None]).repeat(dot, axis=2)
    columns = (across[:, None, None] + steps).repeat(dot, axis=1)
    inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    picture[rows[inside], columns[inside], :3] = np.broadcast_to(
        shown[:, None, None], (*rows.shape, 3)
    )[inside]
    picture[rows[inside], columns[inside], 3] = 255
    return picture


def _from_afar(
    points: Float[np.ndarray, "P 3"], around: Float[np.ndarray, "Q 3"]
) -> Float[np.ndarray, "P 3"]:
    """The points in the frame of a camera that looks at the middle of `around` from outside."""
    middle = np.median(around, axis=0)
    away = AWAY * np.median(np.linalg.norm(around - middle, axis=1)) + 0.1
    back = np.array(FROM) / np.linalg.norm(FROM)
    right = np.cross((0.0, 1.0, 0.0), -back)
    right /= np.linalg.norm(right)
    axes = np.stack([right, np.cross(-back, right), -back])
    return (points - middle - away * back) @ axes.T
