"""One lifted place, and the points of it that go into clouds.

Shapes: N views, H W pixels of the maps, p points.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8

from spatialsv.geometry.camera import invert_pose
from spatialsv.geometry.rays import point_map, ray_map
from spatialsv.lift.view import View
from spatialsv.scenes.scene import Scenes


@dataclass(frozen=True, kw_only=True, eq=False)
class Result:
    """The geometry of one place: maps, cameras, and the pictures that they are of."""

    scenes: Scenes  # a stack of one, with images of the maps' size
    views: Sequence[View]

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the maps."""
        return self.scenes.shape[1:]

    def names(self) -> list[str]:
        """Each view's name in all files, without an ending: 0000, 0001, ..., as DA3's are."""
        return [f"{number:04d}" for number in range(len(self.views))]

    def picture_intrinsics(self) -> Float[np.ndarray, "N 3 3"]:
        """K of each view's picture, the part of it that was lifted."""
        own = self.scenes.intrinsics[0].astype(np.float64)
        pairs = zip(self.views, own, strict=True)
        return np.stack([view.picture_intrinsics(K, self.size) for view, K in pairs])

    def world_to_cam(self) -> Float[np.ndarray, "N 4 4"]:
        return invert_pose(torch.from_numpy(self.scenes.cam_to_world[0]).double()).numpy()


@dataclass(frozen=True, kw_only=True, eq=False)
class Cloud:
    """Coloured points in the first view's frame, each from one pixel of one view."""

    points: Float[np.ndarray, "p 3"]  # float64
    colours: UInt8[np.ndarray, "p 3"]
    confidence: Float[np.ndarray, " p"]
    view: Int[np.ndarray, " p"]
    pixels: Float[np.ndarray, "p 2"]  # u, v in the view's map
    least: float  # confidence of a point
    left_out: int  # valid pixels that are no points

    def extent(self) -> float:
        """The diagonal of the box that holds the points but for the outermost 5 % on each side."""
        if not len(self.points):
            return 1.0
        low, high = np.percentile(self.points, [5, 95], axis=0)
        return float(np.linalg.norm(high - low)) or 1.0


def cloud_of(scenes: Scenes, percentile: float | int, most: int) -> Cloud:
    """The valid pixels of all views, but for the least sure.

    Args:
        percentile: of the valid pixels' confidences; less sure ones are left out. 0 keeps all.
        most: points; more are thinned out evenly.
    """
    depth, K, poses = (
        torch.from_numpy(array[0]).double()
        for array in (scenes.depth, scenes.intrinsics, scenes.cam_to_world)
    )
    points = point_map(depth, ray_map(K, poses, *depth.shape[-2:])).numpy()
    valid, confidence = scenes.valid[0], scenes.confidence[0]
    least = float(np.percentile(confidence[valid], percentile)) if valid.any() else 0.0
    view, row, column = np.nonzero(valid & (confidence >= least))
    if len(view) > most:
        taken = np.linspace(0, len(view) - 1, most).astype(int)
        view, row, column = view[taken], row[taken], column[taken]
    return Cloud(
        points=points[view, row, column],
        colours=scenes.image[0][view, row, column],
        confidence=confidence[view, row, column],
        view=view,
        pixels=np.column_stack([column, row]) + 0.5,
        least=least,
        left_out=int(valid.sum()) - len(view),
    )
