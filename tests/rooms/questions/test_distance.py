"""Distances between closest points, as told in questions."""

from __future__ import annotations

import pytest
from numpy.testing import assert_allclose

from helpers.rooms import alternate


def of_task(chosen_per_task, task):
    return [c for scene in chosen_per_task[:25] for c in scene if c.task == task]


def test_nearest_is_nearest_by_a_clear_margin(chosen_per_task, by_name):
    found = of_task(chosen_per_task, "rel_distance")
    assert len(found) > 50
    for one in found[:40]:
        anchor = by_name(one.scene, one.cues[0])
        gaps = {n: alternate(anchor, by_name(one.scene, n)) for n in one.options}
        answer = gaps.pop(one.answer)
        assert min(gaps.values()) > max(1.15 * answer, answer + 0.3) - 1e-2
        assert one.cues[0] not in one.options and len(set(one.options)) in (3, 4)


def test_absolute_distance_is_rounded_to_a_decimetre(chosen_per_task, by_name):
    for one in of_task(chosen_per_task, "abs_distance")[:40]:
        x, y = (by_name(one.scene, name) for name in one.cues)
        assert_allclose(float(one.answer), alternate(x, y), atol=0.06)
        assert float(one.answer) >= 0.3


@pytest.mark.parametrize("task", ["rel_distance", "abs_distance"])
def test_stems_stay_short(chosen_per_task, task):
    assert max(len(one.stem.split()) for one in of_task(chosen_per_task, task)) < 24
