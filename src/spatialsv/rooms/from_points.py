"""Object boxes and spatial relations estimated from a point map and instance masks.

Relations are then computed by the code that computes them for the true room
(`questions.visibility`). Shapes: N views, H x W pixels, n points.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from jaxtyping import Float, Int

from spatialsv.rooms.questions.visibility import Visibility, measure_visibility
from spatialsv.rooms.room import Room

TURNS = np.radians(np.arange(0, 90, 5))  # candidate yaws of a box
OUTLIERS = (
    0.03  # share of points ignored at each end of a side: depth is unreliable at object edges
)
WALL_OUTLIERS = 0.01
MIN_POINTS = 3  # per object


def visibility_from_points(
    room: Room,
    points: Float[np.ndarray, "N H W 3"],
    instance: Int[np.ndarray, "N H W"],
    cam_to_world: Float[np.ndarray, "N 4 4"],
) -> Visibility:
    """Return visibility and relations of `room` with boxes fitted to `points`.

    Names and instance masks are those of the true room. An object with fewer than MIN_POINTS finite
    points gets a NaN position, and so do all relations that involve it.

    Args:
        room: the true room.
        points: metres, in the room's world frame; NaN where unknown.
        instance: each pixel's object number, 0 = background.
        cam_to_world: the estimated poses.
    """
    known, objects = np.isfinite(points).all(axis=-1), []
    for number, item in enumerate(room.objects, start=1):
        shown = points[known & (instance == number)]
        centre, size, yaw = np.full(3, np.nan), np.full(3, np.nan), 0.0
        if len(shown) >= MIN_POINTS:
            centre, size, yaw = fit_upright_box(shown)
        objects.append(replace(item, centre=centre, size=size, yaw=yaw))
    extent = np.full(3, np.nan)
    if known.any():
        extent = fit_upright_box(points[known], WALL_OUTLIERS)[1]
    visible = measure_visibility(
        replace(room, objects=tuple(objects), extent=extent, cam_to_world=cam_to_world), instance
    )
    lost = np.array([np.isnan(item.centre).any() for item in objects])
    return replace(visible, gap=np.where(lost[:, None] | lost, np.nan, visible.gap))


def fit_upright_box(
    points: Float[np.ndarray, "n 3"], outliers: float = OUTLIERS
) -> tuple[Float[np.ndarray, "3"], Float[np.ndarray, "3"], float]:
    """Fit the upright box of least floor area to `points`.

    Args:
        points: metres.
        outliers: share of points ignored at each end of each side.

    Returns:
        Centre, size (width, depth, height) and yaw in radians.
    """
    ends = [outliers, 1 - outliers]
    axes = np.stack([np.cos(TURNS), np.sin(TURNS)], axis=-1)  # width direction on the floor
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
