"""Where lifted points are seen, in plain NumPy: nothing of the project's geometry is used."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from spatialsv.lift.result import LiftResult, PointCloud


def seen(result: LiftResult, points: np.ndarray, view: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pixel (u, v) in its map, and depth, of each point in its own view."""
    K, poses = result.scenes.intrinsics[0][view], result.scenes.cam_to_world[0][view]
    there = np.einsum("pji,pj->pi", poses[:, :3, :3], points - poses[:, :3, 3])
    pixels = np.einsum("pij,pj->pi", K, there)
    return pixels[:, :2] / there[:, 2:], there[:, 2]


def assert_seen_where_they_came_from(
    result: LiftResult, cloud: PointCloud, points: np.ndarray
) -> None:
    """In float32, each point lies on its pixel's ray at its pixel's depth."""
    pixels, depth = seen(result, points.astype(float), cloud.view)
    column, row = np.floor(cloud.pixels).astype(int).T
    eps = np.finfo(np.float32).eps
    # A point's coordinates are rounded at the size of its distance from the first camera.
    slack = 2 * eps * np.linalg.norm(points, axis=1)
    expected = result.scenes.depth[0][cloud.view, row, column]
    assert (np.abs(depth - expected) <= slack + eps * expected).all()
    assert (np.abs(pixels - cloud.pixels).max(axis=1) <= 40 * slack / expected).all()


def with_pictures(folder: Path, result: LiftResult) -> None:
    """images/ as it stands beside the other files."""
    (folder / "images").mkdir()
    for name, view in zip(result.names, result.views, strict=True):
        view.image.save(folder / "images" / f"{name}.jpg")
