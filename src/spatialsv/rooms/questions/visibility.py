"""Visibility and spatial relations of objects, computed once for all questions.

Shapes: N views, P objects. Angles are radians in the floor plane, counterclockwise from above:
positive turns are turns to the left.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float, Int

from spatialsv.rooms.room import Room, wrap

MIN_VISIBLE_SHARE = 12 / 4096  # minimum share of a view's pixels for an object to be visible
MAX_INVISIBLE_SHARE = 2 / 4096  # maximum share of an invisible one; no questions in between


@dataclass(frozen=True, kw_only=True, eq=False)
class Visibility:
    """Visibility and relations of the objects of one room."""

    room: Room
    share: Float[np.ndarray, "N P"]  # share of each view's pixels that show each object
    column: Float[np.ndarray, "N P"]  # mean column, 0 = left edge, 1 = right; NaN without pixels
    gap: Float[np.ndarray, "P P"]  # metres between the closest points of the boxes
    distance: Float[np.ndarray, "P P"]  # metres between centres on the floor
    bearing: Float[np.ndarray, "P P"]  # direction from object i to object j
    heading: Float[np.ndarray, " N"]  # viewing direction of each camera
    azimuth: Float[np.ndarray, "N P"]  # angle from each camera's heading to each object; left > 0
    range: Float[np.ndarray, "N P"]  # metres on the floor from each camera to each object

    @cached_property
    def visible(self) -> Bool[np.ndarray, "N P"]:
        """Return which objects each view shows well enough to recognise them."""
        return self.share >= MIN_VISIBLE_SHARE

    @cached_property
    def invisible(self) -> Bool[np.ndarray, "N P"]:
        """Return which objects each view does not show, or only a speck of."""
        return self.share <= MAX_INVISIBLE_SHARE

    @cached_property
    def names(self) -> list[str | None]:
        """Return the shortest unique name of each object, or None."""
        objects = self.room.objects
        categories = Counter(item.category for item in objects)
        full = Counter(item.name for item in objects)
        return [
            t.category if categories[t.category] == 1 else t.name if full[t.name] == 1 else None
            for t in objects
        ]

    @cached_property
    def nameable(self) -> list[int]:
        """Return the objects that are visible in some view and have a unique name."""
        shown = np.asarray(self.visible.any(axis=0))
        return [i for i, name in enumerate(self.names) if name is not None and shown[i]]

    @cached_property
    def views(self) -> tuple[int, ...]:
        """Return the indices of all views."""
        return tuple(range(len(self.room.cam_to_world)))


def measure_visibility(room: Room, instance: Int[np.ndarray, "N H W"]) -> Visibility:
    """Compute the visibility and relations of the objects of `room`.

    Args:
        room: the room.
        instance: each pixel's object number, 0 = background.

    Returns:
        Visibility and relations, in the room's world frame.
    """
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


def _measure_pixels(instance: Int[np.ndarray, "N H W"], objects: int):
    """Return each object's share of each view and its mean column, both (N, P)."""
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
    """Return the distance in metres between each pair of boxes; 0 where they touch.

    Boxes are upright, so the squared distance is the sum of the squared distance of their
    footprints and the squared vertical gap.
    """
    prints = np.stack([item.footprint() for item in room.objects])  # (P, 4, 2)
    middle = np.array([item.centre[2] for item in room.objects])
    half = np.array([item.size[2] for item in room.objects]) / 2
    height = np.abs(middle[:, None] - middle[None]) - half[:, None] - half[None]
    return np.hypot(_footprint_gap(prints), height.clip(min=0))


def _footprint_gap(prints: Float[np.ndarray, "P 4 2"]) -> Float[np.ndarray, "P P"]:
    """Return the distance between convex quadrilaterals, from corners to edges."""
    start, edge = prints, np.roll(prints, -1, axis=1) - prints
    corner = prints[:, None, :, None]  # (P, 1, 4, 1, 2)
    offset = corner - start[None, :, None]  # (P, P, corner, edge, 2)
    along = (offset * edge[None, :, None]).sum(-1) / (edge**2).sum(-1)[None, :, None]
    foot = offset - along.clip(0, 1)[..., None] * edge[None, :, None]
    one_way = np.sqrt((foot**2).sum(-1)).min(axis=(2, 3))
    # They may overlap without a corner inside: then no edge line separates them.
    cross = edge[None, :, None, :, 0] * offset[..., 1] - edge[None, :, None, :, 1] * offset[..., 0]
    outside = (cross < 0).all(axis=2).any(axis=-1)  # edges wind counterclockwise
    apart = outside | outside.T
    return np.where(apart, np.minimum(one_way, one_way.T), 0.0)
