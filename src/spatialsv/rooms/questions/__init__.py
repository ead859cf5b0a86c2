"""Questions from a room's geometry: candidates of every task, then a balanced choice of them.

- `ask(room, instance)` lists what could be asked of one room;
- `balanced(candidates, per_scene, rng)` chooses among many rooms' candidates and gives letters;
- `blind_accuracy(train, test)` is the cheater that reads texts only, to check the balance.
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
    """All candidate questions about one room, the same each time.

    `instance` holds each pixel's thing, counted from 1 (0 = background); only things that some
    view shows well enough are named.
    """
    measured = measure_visibility(room, instance)
    rng = np.random.default_rng([room.seed, 11])
    return [found for family in FAMILIES for found in family(measured, rng)]
