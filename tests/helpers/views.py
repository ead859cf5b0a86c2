"""How well views agree on depth, in plain NumPy: nothing of the project is used."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest


def samples(name: str) -> Path:
    """A folder of the real samples; the test is skipped where they are not."""
    folder = Path(os.environ.get("SPATIALSV_SAMPLES", "/nowhere")) / name
    if not folder.is_dir():
        pytest.skip(f"no real sample {name}: set SPATIALSV_SAMPLES")
    return folder


def depth_errors(intrinsics: np.ndarray, poses: np.ndarray, depth: np.ndarray) -> np.ndarray:
    """Relative depth errors of all known points of each view in all other ones.

    Args:
        intrinsics: (N, 3, 3), pixel centres at half integers.
        poses: (N, 4, 4) camera-to-world, OpenCV axes.
        depth: (N, H, W), 0 where unknown.
    """
    count, height, width = depth.shape
    found = []
    for i in range(count):
        rows, columns = np.nonzero(depth[i])
        rays = np.linalg.solve(intrinsics[i], np.array([columns + 0.5, rows + 0.5, rows**0]))
        points = poses[i, :3, :3] @ (rays * depth[i, rows, columns]) + poses[i, :3, 3:]
        for j in set(range(count)) - {i}:
            there = poses[j, :3, :3].T @ (points - poses[j, :3, 3:])
            there = there[:, there[2] > 0]
            u, v, _ = np.floor(intrinsics[j] @ there / there[2]).astype(int)
            inside = (u >= 0) & (u < width) & (v >= 0) & (v < height)
            seen = depth[j, v[inside], u[inside]]
            error = np.abs(there[2, inside] - seen) / np.maximum(seen, 1e-9)
            found.append(error[seen > 0])
    return np.concatenate(found)
