"""Directions and routes against coordinates in the asker's own frame."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

EDGE = np.tan(np.radians(15 - 1e-6))  # answers stay 15 degrees off every border


def seen_from(x, y, z) -> tuple[float, float]:
    """(right, ahead) of `z`, in metres, standing at `x` and facing `y`."""
    ahead = (y.centre - x.centre)[:2]
    ahead = ahead / np.linalg.norm(ahead)
    right = np.array([ahead[1], -ahead[0]])
    away = (z.centre - x.centre)[:2]
    return float(away @ right), float(away @ ahead)


def stops(candidate, by_name):
    return [by_name(candidate.scene, name) for name in candidate.cues]


def of_task(chosen_per_task, task):
    found = [c for scene in chosen_per_task for c in scene if c.task == task][:300]
    assert len(found) > 100
    return found


def test_easy_tells_left_from_right(chosen_per_task, by_name):
    for one in of_task(chosen_per_task, "rel_direction_easy"):
        right, ahead = seen_from(*stops(one, by_name))
        assert one.answer == ("right" if right > 0 else "left")
        assert abs(right) > EDGE * abs(ahead)


def test_medium_calls_back_what_needs_a_turn_of_135_degrees(chosen_per_task, by_name):
    for one in of_task(chosen_per_task, "rel_direction_medium"):
        right, ahead = seen_from(*stops(one, by_name))
        back = ahead < -abs(right)
        assert one.answer == ("back" if back else "right" if right > 0 else "left")


def test_hard_names_the_quadrant(chosen_per_task, by_name):
    for one in of_task(chosen_per_task, "rel_direction_hard"):
        right, ahead = seen_from(*stops(one, by_name))
        expected = ("front" if ahead > 0 else "back") + ("-right" if right > 0 else "-left")
        assert one.answer == expected
        assert abs(right) > EDGE * abs(ahead) and abs(ahead) > EDGE * abs(right)


def test_route_turns_lead_to_the_goal(chosen_per_task, by_name):
    for one in of_task(chosen_per_task, "route_planning"):
        x, y, z = stops(one, by_name)
        start = seen_from(y, y_ahead(x, y), z)
        right, ahead = start
        turned = {"turn left": (-right, ahead), "turn right": (right, ahead)}
        if one.answer == "turn back":
            assert ahead < -abs(right) * np.tan(np.radians(60 - 1e-6))
        else:
            toward, off = turned[one.answer]
            assert toward > 0 and abs(off) < toward * np.tan(np.radians(40 + 1e-6))


def y_ahead(x, y):
    """Something that one faces at `y` after walking there from `x`."""
    return replace(y, centre=2 * y.centre - x.centre)


@pytest.mark.parametrize(
    "task", ["rel_direction_easy", "rel_direction_medium", "rel_direction_hard", "route_planning"]
)
def test_every_thing_in_the_text_is_a_cue_and_short(chosen_per_task, task):
    for one in of_task(chosen_per_task, task):
        assert len(set(one.cues)) == 3
        assert all(f"the {name}" in one.stem for name in one.cues)
        assert len(one.stem.split()) < 36
