"""Plain descriptions of single views, for a base model that learns to name and to place."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int

from spatialsv.rooms.questions.visibility import Visibility, measure_visibility
from spatialsv.rooms.room import Room

NOTHING = "nothing"


def list_view(room: Room, instance: Int[np.ndarray, "N H W"], view: int) -> str:
    """The things in `view` from left to right: "red chair, blue lamp"."""
    return list_objects(measure_visibility(room, instance), view)


def list_views(room: Room, instance: Int[np.ndarray, "N H W"]) -> list[str]:
    """`list_view` of every view, measured once."""
    measured = measure_visibility(room, instance)
    return [list_objects(measured, view) for view in measured.views]


def list_objects(measured: Visibility, view: int, among: np.ndarray | None = None) -> str:
    """Names of the recognisable things in `view`, left to right; `among` (P,) keeps some only."""
    shown = measured.visible[view] if among is None else measured.visible[view] & among
    order = np.argsort(measured.column[view])  # nan, where there are no pixels, comes last
    return ", ".join(measured.room.objects[i].name for i in order if shown[i]) or NOTHING
