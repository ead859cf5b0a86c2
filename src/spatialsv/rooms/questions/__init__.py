"""Questions generated from the geometry of rooms.

- `generate_questions(room, instance)` lists the candidate questions of one room;
- `balance_questions(candidates, per_scene, rng)` selects among the candidates of many rooms;
- `text_only_accuracy(train, test)` checks the balance with a classifier that reads texts only.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Int

from spatialsv.rooms.questions.balance import balance_questions
from spatialsv.rooms.questions.candidate import Candidate
from spatialsv.rooms.questions.directions import rel_direction
from spatialsv.rooms.questions.distance import abs_distance, rel_distance
from spatialsv.rooms.questions.mindcube import among, around, rotation
from spatialsv.rooms.questions.order import appearance_order
from spatialsv.rooms.questions.quantity import counting, object_size, room_size
from spatialsv.rooms.questions.recognition import recognise_colour, recognise_what
from spatialsv.rooms.questions.route import route_planning
from spatialsv.rooms.questions.single_view import depth_order, relation
from spatialsv.rooms.questions.text_only import text_only_accuracy
from spatialsv.rooms.questions.visibility import measure_visibility
from spatialsv.rooms.room import Room

__all__ = [
    "Candidate",
    "balance_questions",
    "generate_questions",
    "text_only_accuracy",
]

FAMILIES = (
    rotation,
    among,
    around,
    rel_direction,
    rel_distance,
    appearance_order,
    route_planning,
    counting,
    object_size,
    abs_distance,
    room_size,
    recognise_what,
    recognise_colour,
    relation,
    depth_order,
)


def generate_questions(room: Room, instance: Int[np.ndarray, "N H W"]) -> list[Candidate]:
    """Return all candidate questions about one room, deterministically.

    Only objects that are visible in some view are named.

    Args:
        room: with cameras for N views.
        instance: each pixel's object number, 0 = background.
    """
    measured = measure_visibility(room, instance)
    rng = np.random.default_rng([room.seed, 11])
    return [found for family in FAMILIES for found in family(measured, rng)]
