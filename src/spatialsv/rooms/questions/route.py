"""Route planning as in VSI-Bench: which turn is missing?"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from spatialsv.rooms.questions.candidate import (
    Candidate,
    candidate,
    choose_wording,
    distinct_triples,
    sample_indices,
)
from spatialsv.rooms.questions.visibility import Visibility
from spatialsv.rooms.room import wrap

APART = 0.8  # metres between stops
TURNS = {"turn left": (50, 120), "turn right": (-120, -50), "turn back": (150, 210)}  # degrees


def route_planning(measured: Visibility, rng: np.random.Generator) -> Iterator[Candidate]:
    """The turn at Y on the way from X to Z; positions are object centres on the floor."""
    bearing = measured.bearing
    angle = np.degrees(wrap(bearing[None] - bearing[:, :, None]))  # heading x to y, then y to z
    triples = distinct_triples(measured, APART)
    for answer, (low, high) in TURNS.items():
        turned = np.where(angle < low, angle + 360, angle)
        for indices in sample_indices(rng, triples & (turned > low) & (turned < high), 3):
            x, y, z = (measured.names[i] for i in indices)
            stem = choose_wording(
                rng,
                f"I start at the {x} facing the {y}. 1. Go forward to the {y}. "
                f"2. [fill in]. 3. Go forward to the {z}.",
                f"Route from the {x} to the {z}: go forward to the {y}, [fill in], "
                f"go forward to the {z}.",
            )
            yield candidate(measured, "route_planning", stem, answer, TURNS, [x, y, z])
