"""Rooms with two free cameras, rendered and measured."""

from __future__ import annotations

from spatialsv.rooms.evidence import ViewPairs, measure_pairs
from spatialsv.rooms.layout import RoomsConfig, make_room
from spatialsv.rooms.questions.visibility import measure_visibility
from spatialsv.rooms.render import render_room

CONFIG = RoomsConfig(
    views=2, image_size=64, samples=1, objects=(7, 7), size=(0.4, 0.9), motions=("free",)
)


def render_pairs(seeds: range) -> ViewPairs:
    """Render and measure the rooms with these seeds."""
    rooms = [make_room(seed, CONFIG) for seed in seeds]
    masks = [render_room(room, CONFIG.image_size, 1).instance for room in rooms]
    measured = [measure_visibility(room, mask) for room, mask in zip(rooms, masks, strict=True)]
    return measure_pairs(measured, masks)
