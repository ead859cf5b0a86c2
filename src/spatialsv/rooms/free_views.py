"""Free cameras: each view has its own pose; overlap between views is controlled.

Poses are accepted or rejected by a sketch of each view, without rendering: the outlines of the
objects' boxes are painted as rectangles, far to near.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from spatialsv.rooms.room import RoomObject, camera_pose, wrap

GRID = 32  # cells of a sketch, per side
MIN_CELLS = 0.006  # minimum share of cells for an object to count as visible
SHRINK = 0.8  # of a box's outline: shapes do not fill their boxes
WALL, OBJECT = 0.35, 0.5  # metres between a camera and a wall, and an object's circle
NEAREST = 1.0  # metres between a camera and the point that it looks at
SETS = 60  # of views, tried per arrangement of objects before giving up
TRIES = 40  # poses, tried per view
CORNERS = np.stack(np.meshgrid(*[[-0.5, 0.5]] * 3, indexing="ij"), axis=-1).reshape(8, 3)


@dataclass(frozen=True, kw_only=True)
class FreeViews:
    """How free cameras are drawn. Pairs are ranges; angles in degrees, lengths in metres."""

    turn: tuple[float, float] = (20.0, 150.0)  # between consecutive views, to either side
    shared: int = 2  # minimum number of objects visible in both of two consecutive views
    exclusive: int = 1  # minimum number of objects per view that lie outside all other views
    height: tuple[float, float] = (1.2, 1.7)  # above the floor, per view
    pitch: tuple[float, float] = (14.0, 26.0)  # downwards, per view
    roll: tuple[float, float] = (-5.0, 5.0)  # per view

    def __post_init__(self) -> None:
        for name in ("turn", "height", "pitch", "roll"):
            low, high = getattr(self, name)
            if low > high:
                raise ValueError(f"rooms.free.{name}: {low} exceeds {high}. Give (low, high).")
        if self.turn[0] < 0 or self.turn[1] > 180:
            raise ValueError(f"rooms.free.turn: {self.turn} exceeds the range 0 to 180 degrees.")
        if self.shared < 0 or self.exclusive < 0:
            raise ValueError("rooms.free.shared and rooms.free.exclusive must not be negative.")

    def describe_failure(self, views: int) -> str:
        """Return the message for settings that no `views` of a room meet."""
        return (
            f"rooms.free: no {views} views found with turns of {self.turn[0]:g} to"
            f" {self.turn[1]:g} degrees, {self.shared} shared and {self.exclusive} exclusive"
            " objects. Widen rooms.free.turn, or lower rooms.free.shared, rooms.free.exclusive or"
            " rooms.size."
        )


def draw_views(
    rng: np.random.Generator,
    objects: Sequence[RoomObject],
    extent: Float[np.ndarray, "3"],
    views: int,
    fov: tuple[float, float],
    settings: FreeViews,
) -> tuple[Float[np.ndarray, "N 4 4"], Float[np.ndarray, " N"]] | None:
    """Draw the views of one room.

    Args:
        rng: decides the poses.
        objects: already placed.
        extent: of the room, metres.
        views: number of views.
        fov: range of the field of view, degrees; drawn per view.
        settings: limits of the poses and of their overlap.

    Returns:
        Camera-to-world poses, and the tangent of half the field of view of each view; None if no
        set of views was found that meets the settings.
    """
    corners = np.stack([CORNERS * t.size @ t.axes().T + t.centre for t in objects])
    circles = np.array([[*t.centre[:2], np.hypot(*t.size[:2]) / 2] for t in objects])
    for _ in range(SETS):
        tangents = np.tan(np.radians(rng.uniform(*fov, size=views)) / 2)
        poses = _draw_set(rng, circles, corners, extent, tangents, settings)
        if poses is not None:
            return poses, tangents
    return None


def _draw_set(rng, circles, corners, extent, tangents, settings: FreeViews):
    """Return (N, 4, 4) poses that meet the settings, or None."""
    poses: list[np.ndarray] = []
    visible: list[np.ndarray] = []
    inside: list[np.ndarray] = []
    heading = None
    for tangent in tangents:
        for _ in range(TRIES):
            eye, yaw = _draw_pose(rng, circles, extent)
            if eye is None or (heading is not None and not _turned(yaw - heading, settings.turn)):
                continue
            pitch, height = rng.uniform(*settings.pitch), rng.uniform(*settings.height)
            pose = _roll(camera_pose(eye, yaw, pitch, height), rng.uniform(*settings.roll))
            shown, partly = sketch_view(corners, pose, tangent)
            if not visible or (visible[-1] & shown).sum() >= settings.shared:
                break
        else:
            return None
        poses.append(pose)
        visible.append(shown)
        inside.append(partly)
        heading = yaw
    others = np.array(inside).sum(axis=0) - np.array(inside)  # number of other views of each object
    exclusive = (np.array(visible) & (others == 0)).sum(axis=1)
    return np.stack(poses) if (exclusive >= settings.exclusive).all() else None


def _draw_pose(rng, circles, extent) -> tuple[np.ndarray | None, float]:
    """Return a position clear of walls and objects (or None), and the yaw of what is looked at."""
    width = extent[:2]
    eye = rng.uniform(WALL, width - WALL)
    towards = width / 2 + rng.uniform(-0.3, 0.3, size=2) * width - eye
    away = np.hypot(*(circles[:, :2] - eye).T) - circles[:, 2]
    clear = away.min() > OBJECT and np.hypot(*towards) > NEAREST
    return (eye if clear else None), float(np.arctan2(towards[1], towards[0]))


def _turned(angle: float, limits: tuple[float, float]) -> bool:
    """Return whether a turn by `angle` (radians), to either side, is within `limits` (degrees)."""
    return bool(limits[0] <= abs(np.degrees(wrap(angle))) <= limits[1])


def _roll(pose: Float[np.ndarray, "4 4"], degrees: float) -> Float[np.ndarray, "4 4"]:
    """Return `pose` rotated about its optical axis."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    pose[:3, :3] = pose[:3, :3] @ np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])
    return pose


def sketch_view(
    corners: Float[np.ndarray, "P 8 3"], pose: Float[np.ndarray, "4 4"], tangent: float
) -> tuple[Bool[np.ndarray, " P"], Bool[np.ndarray, " P"]]:
    """Estimate which objects a view shows.

    Args:
        corners: of the objects' boxes, metres, world frame.
        pose: camera-to-world.
        tangent: of half the field of view.

    Returns:
        Which objects are visible well enough to be recognised, and which may be visible in part.
    """
    local = (corners - pose[:3, 3]) @ pose[:3, :3]
    depth = local[..., 2]
    flat = (local[..., :2] / (depth[..., None].clip(min=0.05) * tangent) + 1) / 2  # in [0, 1]
    low, high = flat.min(axis=1), flat.max(axis=1)
    partly = (depth.max(axis=1) > 0) & (high > 0).all(axis=1) & (low < 1).all(axis=1)
    middle, half = (low + high) / 2, SHRINK * (high - low) / 2
    first = ((middle - half).clip(0, 1) * GRID).round().astype(int)
    last = ((middle + half).clip(0, 1) * GRID).round().astype(int)
    cells = np.zeros((GRID, GRID), dtype=int)
    in_front = partly & (depth.min(axis=1) > 0.05)
    for i in np.argsort(-depth.mean(axis=1)):
        if in_front[i]:
            cells[first[i, 1] : last[i, 1], first[i, 0] : last[i, 0]] = i + 1
    counts = np.bincount(cells.ravel(), minlength=len(corners) + 1)[1:]
    return counts >= MIN_CELLS * GRID**2, partly
