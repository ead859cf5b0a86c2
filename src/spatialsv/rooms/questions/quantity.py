"""Numbers as in VSI-Bench: object counts, object sizes and room size."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np

from spatialsv.rooms.questions.candidate import Candidate, candidate, choose_wording
from spatialsv.rooms.questions.visibility import Visibility


def counting(measured: Visibility, rng: np.random.Generator) -> Iterator[Candidate]:
    """The number of visible objects per category, unless one is partly visible in all views."""
    shown = np.asarray(measured.visible.any(axis=0))
    certain = shown | np.asarray(measured.invisible.all(axis=0))
    objects = measured.room.objects
    doubtful = {t.category for t, sure in zip(objects, certain, strict=True) if not sure}
    counts = Counter(t.category for t, here in zip(objects, shown, strict=True) if here)
    for category, count in counts.items():
        if category in doubtful:
            continue
        stem = choose_wording(
            rng,
            f"How many {plural(category)} are in this room?",
            f"Count the {plural(category)}. Answer with a number.",
        )
        yield candidate(measured, "counting", stem, str(count), cues=[category])


def plural(category: str) -> str:
    """Return the English plural of a category."""
    if category.endswith("stairs"):  # already plural
        return f"flights of {category}"
    if category.endswith("f"):
        return category[:-1] + "ves"
    return category + ("es" if category.endswith(("x", "s", "sh", "ch")) else "s")


def object_size(measured: Visibility, rng: np.random.Generator) -> Iterator[Candidate]:
    """The longest side of an object, in centimetres."""
    for i in measured.nameable:
        name, size = measured.names[i], measured.room.objects[i].size
        stem = choose_wording(
            rng,
            f"How long is the longest side of the {name}? Answer with a number in centimetres.",
            f"What is the longest dimension of the {name}, in centimetres?",
        )
        yield candidate(measured, "object_size", stem, f"{100 * size.max():.0f}", cues=[name])


def room_size(measured: Visibility, rng: np.random.Generator) -> Iterator[Candidate]:
    """The floor area, in square metres."""
    area = float(np.prod(measured.room.extent[:2]))
    stem = choose_wording(
        rng,
        "What is the size of this room? Answer with a number in square metres.",
        "How large is the floor of this room, in square metres?",
    )
    yield candidate(measured, "room_size", stem, f"{area:.1f}")
