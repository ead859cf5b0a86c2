"""Recognition of category and colour, which measures forgetting."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np

from spatialsv.rooms.questions.candidate import Candidate, candidate, choose_wording
from spatialsv.rooms.questions.visibility import Visibility


def recognise_what(measured: Visibility, rng: np.random.Generator) -> Iterator[Candidate]:
    """The category of the only object of a colour in an image; wrong options occur in the room."""
    # Options from the same room: the texts of its other questions then reveal nothing.
    objects = measured.room.objects
    categories = {t.category for t in objects}
    for view in measured.views:
        glimpsed = np.flatnonzero(~measured.invisible[view])
        colours = Counter(objects[i].colour for i in glimpsed)
        for i in np.flatnonzero(measured.visible[view]):
            answer, colour = objects[i].category, objects[i].colour
            others = sorted(categories - {answer})
            if colours[colour] > 1 or len(others) < 2:
                continue
            wrong = rng.permutation(others)[:3].tolist()
            image = f"image {view + 1}"
            stem = choose_wording(
                rng,
                f"What is the {colour} thing in {image}?",
                f"Which thing in {image} is {colour}?",
            )
            yield candidate(measured, "recognise_what", stem, answer, [answer, *wrong], [colour])


def recognise_colour(measured: Visibility, rng: np.random.Generator) -> Iterator[Candidate]:
    """The colour of the only object of its category; wrong options occur in the room."""
    objects = measured.room.objects
    kinds = Counter(t.category for t in objects)
    colours = {t.colour for t in objects}
    for i in measured.nameable:
        category, answer = objects[i].category, objects[i].colour
        others = sorted(colours - {answer})
        if kinds[category] > 1 or len(others) < 2:
            continue
        wrong = rng.permutation(others)[:3].tolist()
        stem = choose_wording(
            rng, f"What colour is the {category}?", f"Which colour is the {category}?"
        )
        yield candidate(measured, "recognise_colour", stem, answer, [answer, *wrong], [category])
