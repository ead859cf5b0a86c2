"""Counts and sizes."""

from __future__ import annotations

import numpy as np
import pytest

from spatialsv.rooms.parts import CATEGORIES
from spatialsv.rooms.questions.quantity import counting, object_size, plural, room_size

RNG = np.random.default_rng(0)


def test_counts_are_of_things_that_some_image_shows(surveys):
    answers = set()
    for measured in surveys:
        pixels = (measured.share * 4096).max(axis=0).round()
        for one in counting(measured, RNG):
            kind = [
                p for p, t in zip(pixels, measured.room.objects, strict=True)
                if t.category == one.cues[0]
            ]  # fmt: skip
            assert int(one.answer) == sum(p >= 12 for p in kind) >= 1
            assert not any(2 < p < 12 for p in kind)
            answers.add(one.answer)
    assert answers == {"1", "2", "3", "4"}


def test_sizes_are_the_longest_side_and_the_floor(surveys, by_name):
    for measured in surveys[:20]:
        for one in object_size(measured, RNG):
            size = by_name(one.scene, one.cues[0]).size
            assert abs(float(one.answer) - 100 * max(size)) <= 0.5
        (one,) = room_size(measured, RNG)
        width, depth, _ = measured.room.extent
        assert abs(float(one.answer) - width * depth) <= 0.05


@pytest.mark.parametrize(
    ("one", "many"), [("shelf", "shelves"), ("box", "boxes"), ("chair", "chairs")]
)
def test_plural(one, many):
    assert plural(one) == many


def test_every_category_has_a_plural_of_its_own():
    assert len({plural(c) for c in CATEGORIES} - set(CATEGORIES)) == len(CATEGORIES)
