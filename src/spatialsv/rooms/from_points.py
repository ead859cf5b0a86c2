"""A room as points show it: each thing's box from the points that its mask covers.

Where things are is then measured by the same code as in the room itself (`questions.survey`).
Legend: N views, H W pixels, n points.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from jaxtyping import Float, Int

from spatialsv.rooms.questions.visibility import Visibility, measure_visibility
from spatialsv.rooms.room import Room

TURNS = np.radians(np.arange(0, 90, 5))  # tried yaws of a box
OUTLIERS = 0.03  # of points at each end of a side: depth goes astray at things' edges
WALL_OUTLIERS = 0.01
MIN_POINTS = 3  # points of a thing


def visibility_from_points(
    room: Room,
    points: Float[np.ndarray, "N H W 3"],
    instance: Int[np.ndarray, "N H W"],
    cam_to_world: Float[np.ndarray, "N 4 4"],
) -> Visibility:
    """`room` as `points` and these cameras have it; its names, and which pixels show what, stay.

    A thing of fewer than FEWEST finite points has no place (NaN), nor has what is measured from it.

    Args:
        points: metres, in the room's world.
    """
    known, objects = np.isfinite(points).all(axis=-1), []
    for number, item in enumerate(room.objects, start=1):
        shown = points[known & (instance == number)]
        centre, size, yaw = np.full(3, np.nan), np.full(3, np.nan), 0.0
        if len(shown) >= MIN_POINTS:
            centre, size, yaw = fit_upright_box(shown)
        objects.append(replace(item, centre=centre, size=size, yaw=yaw))
    extent = fit_upright_box(points[known], WALL_OUTLIERS)[1]
    visible = measure_visibility(
        replace(room, objects=tuple(objects), extent=extent, cam_to_world=cam_to_world), instance
    )
    lost = np.array([np.isnan(item.centre).any() for item in objects])
    return replace(visible, gap=np.where(lost[:, None] | lost, np.nan, visible.gap))


def fit_upright_box(
    points: Float[np.ndarray, "n 3"], outliers: float = OUTLIERS
) -> tuple[Float[np.ndarray, "3"], Float[np.ndarray, "3"], float]:
    """Centre, size and yaw of the box of the least floor area that holds most points.

    Args:
        outliers: the share of points that may stick out at each end of each side.
    """
    ends = [outliers, 1 - outliers]
    axes = np.stack([np.cos(TURNS), np.sin(TURNS)], axis=-1)  # its width's direction on the floor
    along = points[:, :2] @ axes.T
    across = points[:, :2] @ np.stack([-axes[:, 1], axes[:, 0]])
    sides = np.quantile(np.stack([along, across]), ends, axis=1)  # (end, side, turn)
    best = int(np.prod(sides[1] - sides[0], axis=0).argmin())
    low, high = np.quantile(points[:, 2], ends)
    turn, middle = float(TURNS[best]), sides[:, :, best].mean(axis=0)
    c, s = np.cos(turn), np.sin(turn)
    centre = np.array(
        [c * middle[0] - s * middle[1], s * middle[0] + c * middle[1], (low + high) / 2]
    )
    return centre, np.array([*(sides[1] - sides[0])[:, best], high - low]), turn
