"""What and which colour."""

from __future__ import annotations

import re

import numpy as np

from spatialsv.rooms.questions.recognition import recognise_colour, recognise_what

RNG = np.random.default_rng(0)


def test_one_thing_of_the_colour_is_glimpsed_and_it_is_the_answer(surveys):
    count = 0
    for measured in surveys:
        objects = measured.room.objects
        for one in recognise_what(measured, RNG):
            view = int(re.search(r"image (\d)", one.stem)[1]) - 1
            glimpsed = measured.share[view] * 4096 > 2
            hits = [
                t.category for t, g in zip(objects, glimpsed, strict=True)
                if g and t.colour == one.cues[0]
            ]  # fmt: skip
            assert hits == [one.answer]
            assert set(one.options) <= {t.category for t in objects}
            count += 1
    assert count > 200


def test_colours_are_asked_of_the_only_one_of_its_kind(surveys):
    for measured in surveys:
        objects = measured.room.objects
        for one in recognise_colour(measured, RNG):
            assert [t.colour for t in objects if t.category == one.cues[0]] == [one.answer]
            assert set(one.options) <= {t.colour for t in objects}
            assert len(set(one.options)) == len(one.options) >= 3
