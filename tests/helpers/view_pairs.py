"""Rooms with two free cameras, rendered and measured."""

from __future__ import annotations

from spatialsv.rooms.evidence import ViewPairs
from spatialsv.rooms.evidence import render_pairs as render
from spatialsv.rooms.layout import RoomsConfig

CONFIG = RoomsConfig(
    views=2,
    image_size=64,
    objects=(7, 7),
    size=(0.5, 1.0),
    motions=("free",),
    distinct_colours=True,
)


def render_pairs(seeds: range) -> ViewPairs:
    """Render and measure the rooms with these seeds."""
    return render(seeds, CONFIG)
