"""Relations within one view as in CV-Bench (arXiv 2406.16860): left or right, and nearest."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from spatialsv.rooms.questions.candidate import Candidate, candidate, choose_wording
from spatialsv.rooms.questions.curriculum import APART, NEARER
from spatialsv.rooms.questions.visibility import Visibility


def relation(measured: Visibility, rng: np.random.Generator) -> Iterator[Candidate]:
    """Whether one visible object is left or right of another."""
    for view in measured.views:
        shown, column = _shown(measured, view), measured.column[view]
        pairs = [(a, b) for a in shown for b in shown if abs(column[a] - column[b]) > APART]
        for a, b in rng.permutation(pairs)[:2].tolist():
            one, other = measured.names[a], measured.names[b]
            stem = choose_wording(
                rng,
                f"In image {view + 1}, is the {one} left or right of the {other}?",
                f"Where is the {one} in image {view + 1}, seen beside the {other}?",
            )
            side = "left" if column[a] < column[b] else "right"
            yield candidate(measured, "relation", stem, side, ["left", "right"], [one, other])


def depth_order(measured: Visibility, rng: np.random.Generator) -> Iterator[Candidate]:
    """Which of three or four visible objects is nearest to the camera."""
    for view in measured.views:
        shown = rng.permutation(_shown(measured, view))[:4].tolist()
        distance = measured.range[view]
        order = sorted(shown, key=lambda item: distance[item])
        if len(order) < 3 or distance[order[1]] < NEARER * distance[order[0]]:
            continue
        stem = choose_wording(
            rng,
            f"In image {view + 1}, which is nearest to the camera?",
            f"Which of these is nearest to the camera of image {view + 1}?",
        )
        options = [measured.names[item] for item in order]
        yield candidate(measured, "depth_order", stem, options[0], options)


def _shown(measured: Visibility, view: int) -> list[int]:
    """Return the visible objects of `view` whose name is unique in the room."""
    return [i for i in measured.nameable if measured.visible[view, i]]
