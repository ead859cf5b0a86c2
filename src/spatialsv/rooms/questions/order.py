"""Appearance order as in VSI-Bench: in which order do objects first appear?"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import permutations

import numpy as np

from spatialsv.rooms.questions.candidate import Candidate, candidate, choose_wording
from spatialsv.rooms.questions.visibility import Visibility


def appearance_order(measured: Visibility, rng: np.random.Generator) -> Iterator[Candidate]:
    """Three or four objects that first appear in different images; four orders to choose from.

    An object first appears where it is first visible; objects partly visible before are not used.
    Wrong orders are sampled uniformly from all others, so that the correct one does not stand out.

    Yields:
        Up to six candidates.
    """
    groups = list(_newcomers(measured).values())
    if len(groups) < 3:
        return
    for _ in range(6):
        length = int(rng.integers(3, min(len(groups), 4) + 1))
        picked = sorted(rng.permutation(len(groups))[:length])
        answer = [measured.names[rng.choice(groups[g])] for g in picked]
        wrong = [order for order in permutations(answer) if list(order) != answer]
        drawn = [wrong[i] for i in rng.permutation(len(wrong))[:3]]
        stem = choose_wording(
            rng, "In what order do these first appear?", "Which order do these appear in?"
        )
        options = [", ".join(order) for order in (answer, *drawn)]
        yield candidate(measured, "appearance_order", stem, options[0], options, sorted(answer))


def _newcomers(measured: Visibility) -> dict[int, list[int]]:
    """Return the nameable objects that first appear in each view, in the order of views."""
    groups: dict[int, list[int]] = {}
    for i in measured.nameable:
        first = int(np.argmax(measured.visible[:, i]))
        if measured.invisible[:first, i].all():
            groups.setdefault(first, []).append(i)
    return dict(sorted(groups.items()))
