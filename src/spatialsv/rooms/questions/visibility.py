"""What a room's pictures show, and where everything stands: worked out once for all questions.

Legend: N views, P things. Angles are radians in the floor plane, counterclockwise seen from
above, so a positive turn is a turn to the left.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float, Int

from spatialsv.rooms.room import Room

MIN_VISIBLE_SHARE = 12 / 4096  # of a view's pixels: a thing that covers this much can be recognised
MAX_INVISIBLE_SHARE = 2 / 4096  # up to this much goes unnoticed; between the two nothing is asked


@dataclass(frozen=True, kw_only=True, eq=False)
class Visibility:
    """One room as its questions see it."""

    room: Room
    share: Float[np.ndarray, "N P"]  # of each view's pixels that show each thing
    column: Float[np.ndarray, "N P"]  # their mean column, 0 = left edge, 1 = right; nan if none
    gap: Float[np.ndarray, "P P"]  # metres between the closest points of the things' boxes
    distance: Float[np.ndarray, "P P"]  # metres over the floor between centres
    bearing: Float[np.ndarray, "P P"]  # from thing i to thing j
    heading: Float[np.ndarray, " N"]  # where each camera faces
    azimuth: Float[np.ndarray, "N P"]  # turn from a camera's heading to each thing; left > 0
    range: Float[np.ndarray, "N P"]  # metres over the floor from each camera to each thing

    @cached_property
    def visible(self) -> Bool[np.ndarray, "N P"]:
        """Which view shows which thing well enough to recognise it."""
        return self.share >= MIN_VISIBLE_SHARE

    @cached_property
    def invisible(self) -> Bool[np.ndarray, "N P"]:
        """Which view shows nothing, or a speck, of which thing."""
        return self.share <= MAX_INVISIBLE_SHARE

    @cached_property
    def names(self) -> list[str | None]:
        """The shortest name that only one thing in the room bears; None if there is none."""
        objects = self.room.objects
        categories = Counter(item.category for item in objects)
        full = Counter(item.name for item in objects)
        return [
            t.category if categories[t.category] == 1 else t.name if full[t.name] == 1 else None
            for t in objects
        ]

    @cached_property
    def nameable(self) -> list[int]:
        """Things that a question may name: some view shows them, and their name is unique."""
        shown = self.visible.any(axis=0)
        return [i for i, name in enumerate(self.names) if name is not None and shown[i]]

    @cached_property
    def views(self) -> tuple[int, ...]:
        """All views of the room, in order."""
        return tuple(range(len(self.room.cam_to_world)))


def measure_visibility(room: Room, instance: Int[np.ndarray, "N H W"]) -> Visibility:
    """Measure `room`, whose views show thing `instance - 1` at each pixel (0 = background)."""
    share, column = _measure_pixels(instance, len(room.objects))
    centres = np.array([item.centre[:2] for item in room.objects])
    eyes, forward = room.cam_to_world[:, :2, 3], room.cam_to_world[:, :2, 2]
    between = centres[None] - centres[:, None]
    away = centres[None] - eyes[:, None]
    heading = np.arctan2(forward[:, 1], forward[:, 0])
    return Visibility(
        room=room,
        share=share,
        column=column,
        gap=closest_points(room),
        distance=np.hypot(between[..., 0], between[..., 1]),
        bearing=np.arctan2(between[..., 1], between[..., 0]),
        heading=heading,
        azimuth=wrap(np.arctan2(away[..., 1], away[..., 0]) - heading[:, None]),
        range=np.hypot(away[..., 0], away[..., 1]),
    )


Angles = Float[np.ndarray, "*shape"] | Float[np.generic, ""]  # an array of them, or one


def wrap(angle: Angles) -> Angles:
    """`angle`, in radians, brought to [-pi, pi)."""
    return (angle + np.pi) % (2 * np.pi) - np.pi


def _measure_pixels(instance: Int[np.ndarray, "N H W"], objects: int):
    """Each thing's share of each view and its mean column, (N, P) both."""
    views, height, width = instance.shape
    label = instance.astype(np.int64) + (np.arange(views) * (objects + 1))[:, None, None]
    bins = views * (objects + 1)
    columns = np.broadcast_to((np.arange(width) + 0.5) / width, label.shape)
    count = np.bincount(label.ravel(), minlength=bins)
    total = np.bincount(label.ravel(), weights=columns.ravel(), minlength=bins)
    with np.errstate(invalid="ignore"):
        mean = total / count
    shape = (views, objects + 1)
    return count.reshape(shape)[:, 1:] / (height * width), mean.reshape(shape)[:, 1:]


def closest_points(room: Room) -> Float[np.ndarray, "P P"]:
    """Metres between the closest points of each pair of boxes; 0 where they touch.

    Boxes are upright, so their distance is that of their footprints on the floor combined with
    the gap between their heights: sqrt(floor^2 + height^2).
    """
    prints = np.stack([item.footprint() for item in room.objects])  # (P, 4, 2)
    middle = np.array([item.centre[2] for item in room.objects])
    half = np.array([item.size[2] for item in room.objects]) / 2
    height = np.abs(middle[:, None] - middle[None]) - half[:, None] - half[None]
    return np.hypot(_footprint_gap(prints), height.clip(min=0))


def _footprint_gap(prints: Float[np.ndarray, "P 4 2"]) -> Float[np.ndarray, "P P"]:
    """Distance between convex quadrilaterals: a corner of one to an edge of the other."""
    start, edge = prints, np.roll(prints, -1, axis=1) - prints
    corner = prints[:, None, :, None]  # (P, 1, 4, 1, 2)
    offset = corner - start[None, :, None]  # (P, P, corner, edge, 2)
    along = (offset * edge[None, :, None]).sum(-1) / (edge**2).sum(-1)[None, :, None]
    foot = offset - along.clip(0, 1)[..., None] * edge[None, :, None]
    one_way = np.sqrt((foot**2).sum(-1)).min(axis=(2, 3))
    # Beyond every corner's reach they may still overlap: no edge's line has the other outside.
    cross = edge[None, :, None, :, 0] * offset[..., 1] - edge[None, :, None, :, 1] * offset[..., 0]
    outside = (cross < 0).all(axis=2).any(axis=-1)  # edges wind counterclockwise
    apart = outside | outside.T
    return np.where(apart, np.minimum(one_way, one_way.T), 0.0)
