"""Rendered rooms as `Scenes`."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from spatialsv.progress import progress
from spatialsv.rooms.layout import RoomsConfig, make_room
from spatialsv.rooms.render import RenderedViews, render_room
from spatialsv.rooms.room import Room
from spatialsv.scenes.scene import Cameras, Geometry, Scenes


def render_views(seeds: Iterable[int], config: RoomsConfig) -> tuple[list[Room], Scenes]:
    """Sample and render the rooms with these seeds; lengths in metres, world frame as in `Room`."""
    rooms = [make_room(seed, config) for seed in seeds]
    return rooms, render_rooms(rooms, config)


def render_rooms(rooms: list[Room], config: RoomsConfig) -> Scenes:
    """Render rooms; lengths in metres, world frame as in `Room`."""
    rendered = [
        render_room(room, config.image_size, config.samples)
        for room in progress(rooms, "rendering")
    ]
    return _to_scenes(rooms, rendered)


def _to_scenes(rooms: list[Room], rendered: list[RenderedViews]) -> Scenes:
    depth = np.stack([views_of_room.depth for views_of_room in rendered])
    return Scenes(
        ids=tuple(room.id for room in rooms),
        geometry=Geometry(
            cameras=Cameras(
                intrinsics=np.stack([room.intrinsics for room in rooms]),
                cam_to_world=np.stack([room.cam_to_world for room in rooms]),
            ),
            depth=depth,
            valid=np.isfinite(depth),
        ),
        image=np.stack([views_of_room.image for views_of_room in rendered]),
        instance=np.stack([views_of_room.instance for views_of_room in rendered]),
    )
