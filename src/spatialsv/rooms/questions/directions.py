"""Relative direction as in VSI-Bench (arXiv 2412.14171): at X, facing Y, where is Z?"""

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

APART = 0.8  # metres between the objects of a question, so that directions are well defined

# Degrees to the left of the facing direction, at least 15 off every border. Easy: left or right;
# medium: "back" is a turn of 135 degrees or more; hard: the four quadrants.
SECTORS: dict[str, dict[str, tuple[float, float]]] = {
    "rel_direction_easy": {"left": (20, 160), "right": (-160, -20)},
    "rel_direction_medium": {"left": (30, 120), "right": (-120, -30), "back": (150, 210)},
    "rel_direction_hard": {
        "front-left": (15, 75),
        "front-right": (-75, -15),
        "back-left": (105, 165),
        "back-right": (-165, -105),
    },
}


def rel_direction(measured: Visibility, rng: np.random.Generator) -> Iterator[Candidate]:
    """Yield candidates of all three difficulties, a few for every possible answer."""
    bearing = measured.bearing
    angle = np.degrees(wrap(bearing[:, None, :] - bearing[:, :, None]))  # at x, from y to z
    triples = distinct_triples(measured, APART)
    for task, sectors in SECTORS.items():
        for answer, (low, high) in sectors.items():
            turned = np.where(angle < low, angle + 360, angle)
            for indices in sample_indices(rng, triples & (turned > low) & (turned < high), 3):
                x, y, z = (measured.names[i] for i in indices)
                choices = ", ".join([*sectors][:-1]) + " or " + [*sectors][-1]
                stem = choose_wording(
                    rng,
                    f"If I am standing by the {x} and facing the {y}, is the {z} to my {choices}?",
                    f"Standing by the {x}, facing the {y}: where is the {z}?",
                )
                yield candidate(measured, task, stem, answer, sectors, [x, y, z])
