"""Distances as in VSI-Bench, measured between the closest points of boxes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from spatialsv.rooms.questions.candidate import (
    Candidate,
    candidate,
    choose_wording,
    nameable_mask,
    sample_indices,
)
from spatialsv.rooms.questions.visibility import Visibility

RATIO, MARGIN = 1.15, 0.3  # the second nearest must be farther by this factor and by these metres
SHORTEST = 0.3  # metres; relative errors are not meaningful below


def rel_distance(measured: Visibility, rng: np.random.Generator) -> Iterator[Candidate]:
    """Which of three or four objects is closest to X?"""
    nameable = measured.nameable
    for x in nameable:
        others = rng.permutation([i for i in nameable if i != x])
        for chosen in (others[:4], others[-4:])[
            : 1 + (len(others) > 4)
        ]:  # two draws if there are many
            if len(chosen) < 3:
                continue
            gaps = measured.gap[x, chosen]
            nearest, second = np.sort(gaps)[:2]
            if second < RATIO * nearest or second < nearest + MARGIN:
                continue
            stem = choose_wording(
                rng,
                f"Which of these is closest to the {measured.names[x]}?",
                "Measuring from the closest point of each, "
                f"which of these is nearest to the {measured.names[x]}?",
            )
            options = [measured.names[i] for i in chosen]
            answer = options[int(gaps.argmin())]
            yield candidate(measured, "rel_distance", stem, answer, options, [measured.names[x]])


def abs_distance(measured: Visibility, rng: np.random.Generator) -> Iterator[Candidate]:
    """How many metres apart are X and Y?"""
    nameable = nameable_mask(measured)
    pairs = nameable[:, None] & nameable[None] & (measured.gap > SHORTEST)
    for a, b in sample_indices(rng, pairs & ~np.eye(len(nameable), dtype=bool), 12):
        x, y = measured.names[a], measured.names[b]
        stem = choose_wording(
            rng,
            f"How far apart are the {x} and the {y}? Answer with a number in metres.",
            f"What is the distance between the closest points of the {x} and the {y}, in metres?",
        )
        yield candidate(measured, "abs_distance", stem, f"{measured.gap[a, b]:.1f}", cues=[x, y])
