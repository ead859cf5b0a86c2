"""Object lists of single views, for pretraining."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int

from spatialsv.rooms.questions.visibility import Visibility, measure_visibility
from spatialsv.rooms.room import Room

NOTHING = "nothing"


def list_view(room: Room, instance: Int[np.ndarray, "N H W"], view: int) -> str:
    """Return the visible objects of `view` from left to right: "red chair, blue lamp"."""
    return list_objects(measure_visibility(room, instance), view)


def list_views(room: Room, instance: Int[np.ndarray, "N H W"]) -> list[str]:
    """Return `list_view` of every view."""
    measured = measure_visibility(room, instance)
    return [list_objects(measured, view) for view in measured.views]


def list_objects(measured: Visibility, view: int, among: np.ndarray | None = None) -> str:
    """Return the names of the visible objects in `view`, left to right.

    Args:
        measured: the room.
        view: index of the view.
        among: boolean mask (P,) of the objects to consider; None: all.
    """
    shown = measured.visible[view] if among is None else measured.visible[view] & among
    order = np.argsort(measured.column[view])  # NaN (no pixels) comes last
    return ", ".join(measured.room.objects[i].name for i in order if shown[i]) or NOTHING
