"""Windows of views: more views than a model takes at once, joined into one frame.

Consecutive windows share views. A window is aligned to the views before it by the similarity
transform between its points of the shared views and those that these views already have. Each view
keeps the geometry of the first window that has it.

Shapes: N views of all windows, H W pixels of the maps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from spatialsv.geometry.camera import make_pose
from spatialsv.geometry.rays import point_map, ray_map
from spatialsv.geometry.similarity import MIN_POINTS, Similarity, robust_umeyama
from spatialsv.scenes.scene import Scenes

MAX_RESIDUAL = 0.1  # of a join; a larger one causes a warning


@dataclass(frozen=True, kw_only=True)
class Join:
    """How a window was aligned to the views before it."""

    views: tuple[int, int]  # the window's first view, and the one after its last
    shared: int  # views that were known before
    scale: float  # its lengths were multiplied by this
    residual: float  # median distance of corresponding points, relative to the points' depth


def split_views(count: int, window: int | None, overlap: int) -> list[range]:
    """Return windows over `count` views.

    Args:
        count: number of views.
        window: views of a window; None: all.
        overlap: views that consecutive windows share, at least. The last window may share more,
            since it also has `window` views.

    Returns:
        The views of each window.
    """
    if window is None or count <= window:
        return [range(count)]
    starts = [*range(0, count - window, window - overlap), count - window]
    return [range(start, start + window) for start in starts]


def join_windows(parts: Sequence[Scenes], windows: Sequence[range]) -> tuple[Scenes, list[Join]]:
    """Join the geometry of windows in the frame and unit of the first one.

    Args:
        parts: one scene for each window.
        windows: of `split_views`.

    Returns:
        The scene of all views, and one record for each window but the first.

    Raises:
        ValueError: the shared views have too few valid pixels in common.
    """
    joined, joins = parts[0], []
    for part, (before, window) in zip(parts[1:], pairwise(windows), strict=True):
        shared = before.stop - window.start
        if (found := _align(part, joined, shared)) is None:
            raise ValueError(
                f"views {window.start} to {before.stop - 1}: too few valid pixels to join windows."
                " Set a larger --window-overlap."
            )
        fit, residual = found
        joins.append(
            Join(
                views=(window.start, window.stop),
                shared=shared,
                scale=float(fit.scale),
                residual=residual,
            )
        )
        joined = _append(joined, _transform(part, fit), shared)
    return joined, joins


def _align(part: Scenes, joined: Scenes, shared: int) -> tuple[Similarity, float] | None:
    """Fit the first `shared` views of a window to the last ones so far.

    Returns:
        The transform and the residual of `Join`; None with fewer than three points.
    """
    source, _, own_confidence, own_valid = _points(part, slice(shared))
    target, depth, confidence, valid = _points(joined, slice(-shared, None))
    both = own_valid & valid
    if both.sum() < MIN_POINTS:
        return None
    # A confidence is inversely proportional to the expected error, and errors add.
    weights = 1 / (1 / own_confidence.clamp_min(1e-6) + 1 / confidence.clamp_min(1e-6))
    fit = robust_umeyama(source[both], target[both], weights[both])
    distance = (fit.apply(source[both]) - target[both]).norm(dim=-1)
    return fit, float((distance / depth[both]).median())


def _points(
    scenes: Scenes, views: slice
) -> tuple[Float[Tensor, "n H W 3"], Float[Tensor, "n H W"], Float[Tensor, "n H W"], Tensor]:
    """Return points, depth, confidence and valid pixels of some views of one scene."""
    depth, confidence, K, poses = (
        torch.from_numpy(array[0, views]).double()
        for array in (scenes.depth, scenes.confidence, scenes.intrinsics, scenes.cam_to_world)
    )
    points = point_map(depth, ray_map(K, poses, *scenes.shape[1:]))
    return points, depth, confidence, torch.from_numpy(scenes.valid[0, views])


def _transform(scenes: Scenes, fit: Similarity) -> Scenes:
    """Return one scene after a similarity transform of its world."""
    poses = torch.from_numpy(scenes.cam_to_world[0]).double()
    moved = make_pose(fit.rotation @ poses[:, :3, :3], fit.apply(poses[:, :3, 3]))
    depth = scenes.depth * np.float32(fit.scale)
    return scenes.replace(depth=depth, cam_to_world=moved.numpy()[None])


def _append(joined: Scenes, part: Scenes, shared: int) -> Scenes:
    """Return the views so far with those of a window after its first `shared` ones."""
    names = ("depth", "valid", "confidence", "intrinsics", "cam_to_world")
    return joined.replace(
        **{
            name: np.concatenate([joined.arrays[name], part.arrays[name][:, shared:]], axis=1)
            for name in names
        }
    )
