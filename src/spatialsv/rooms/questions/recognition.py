"""Plain recognition, which measures what fine-tuning forgets: what is it, which colour is it?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np

from spatialsv.rooms.questions.phrase import Candidate, candidate, say
from spatialsv.rooms.questions.visible import Survey


def recognise_what(measured: Survey, rng: np.random.Generator) -> Iterator[Candidate]:
    """What the one thing of some colour in an image is; wrong options stand in the room too.

    Options from the same room: another question's text then gives nothing away.
    """
    things = measured.room.things
    categories = {t.category for t in things}
    for view in measured.views:
        glimpsed = np.flatnonzero(~measured.unseen[view])
        colours = Counter(things[i].colour for i in glimpsed)
        for i in np.flatnonzero(measured.seen[view]):
            answer, colour = things[i].category, things[i].colour
            others = sorted(categories - {answer})
            if colours[colour] > 1 or len(others) < 2:
                continue
            wrong = rng.permutation(others)[:3].tolist()
            image = f"image {view + 1}"
            stem = say(
                rng,
                f"What is the {colour} thing in {image}?",
                f"Which thing in {image} is {colour}?",
            )
            yield candidate(measured, "recognise_what", stem, answer, [answer, *wrong], [colour])


def recognise_colour(measured: Survey, rng: np.random.Generator) -> Iterator[Candidate]:
    """The colour of a thing that is the only one of its kind; wrong options occur in the room."""
    things = measured.room.things
    kinds = Counter(t.category for t in things)
    colours = {t.colour for t in things}
    for i in measured.named:
        category, answer = things[i].category, things[i].colour
        others = sorted(colours - {answer})
        if kinds[category] > 1 or len(others) < 2:
            continue
        wrong = rng.permutation(others)[:3].tolist()
        stem = say(rng, f"What colour is the {category}?", f"Which colour is the {category}?")
        yield candidate(measured, "recognise_colour", stem, answer, [answer, *wrong], [category])
