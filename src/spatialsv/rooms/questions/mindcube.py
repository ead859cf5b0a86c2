"""The three settings of MindCube (arXiv 2506.21458): rotation, among, around."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from spatialsv.rooms.questions.candidate import (
    AHEAD,
    BACK,
    LEFT,
    RIGHT,
    Candidate,
    candidate,
    choose_wording,
    nameable_mask,
    object_towards,
    sample_indices,
)
from spatialsv.rooms.questions.visibility import Visibility
from spatialsv.rooms.room import wrap

MIN_SEPARATION = np.radians(15.0)  # minimum azimuth difference of left and right
NEARER = 1.25  # minimum ratio of compared distances


def rotation(measured: Visibility, rng: np.random.Generator) -> Iterator[Candidate]:
    """Facing as in one image, which object is to the left, to the right, or behind?"""
    if measured.room.motion != "rotation":
        return
    directions = (("to my left", LEFT), ("behind me", BACK), ("to my right", RIGHT))
    for view in measured.views:
        for where, wanted in directions:
            found = object_towards(measured, rng, measured.azimuth[view], wanted)
            if found is None:
                continue
            stem = choose_wording(
                rng,
                f"The camera turns right 90 degrees each time. Facing as in image {view + 1}, "
                f"what is {where}?",
                f"I stand where all images were taken. If I face as in image {view + 1}, "
                f"what is {where}?",
            )
            answer, others = found
            yield candidate(measured, "rotation", stem, answer, [answer, *others], [where])


def among(measured: Visibility, rng: np.random.Generator) -> Iterator[Candidate]:
    """From one view, which object is to the left of, to the right of, or behind the central one?"""
    if measured.room.motion != "among":
        return
    centre = int(np.abs(measured.azimuth).sum(axis=0).argmin())  # the object all cameras look at
    if centre not in measured.nameable:
        return
    name = measured.names[centre]
    directions = (("to the left of", LEFT), ("behind", AHEAD), ("to the right of", RIGHT))
    for view in measured.views:
        angle = wrap(measured.bearing[centre] - measured.heading[view])
        for where, wanted in directions:
            found = object_towards(measured, rng, angle, wanted, exclude=centre)
            if found is None:
                continue
            stem = choose_wording(
                rng,
                f"From the viewpoint of image {view + 1}, what is {where} the {name}?",
                f"If I stand where image {view + 1} was taken and look the same way, "
                f"what is {where} the {name}?",
            )
            answer, others = found
            yield candidate(measured, "among", stem, answer, [answer, *others], [where, name])


def around(measured: Visibility, rng: np.random.Generator) -> Iterator[Candidate]:
    """Orbiting the room: the direction of motion, and relations as seen from one view."""
    if measured.room.motion != "around":
        return
    yield from _walked(measured, rng)
    left_right, nearer = _left_right(measured), _nearer(measured)
    for view, one, other in _prefer_hidden(measured, rng, left_right):
        a, b = measured.names[one], measured.names[other]
        side = "left" if measured.azimuth[view, one] > measured.azimuth[view, other] else "right"
        stem = f"From the viewpoint of image {view + 1}, is the {a} left or right of the {b}?"
        yield candidate(measured, "around", stem, side, ["left", "right"], ["left_right", a, b])
    for view, one, other in _prefer_hidden(measured, rng, nearer):
        a, b = measured.names[one], measured.names[other]
        answer = a if measured.range[view, one] < measured.range[view, other] else b
        stem = f"From the viewpoint of image {view + 1}, which is nearer to the camera?"
        yield candidate(measured, "around", stem, answer, [a, b], ["nearer"])


def _walked(measured: Visibility, rng: np.random.Generator) -> Iterator[Candidate]:
    """Yield directions of motion: left and right are those of the first camera."""
    count = len(measured.views)
    poses = measured.room.cam_to_world
    for first, second in sample_indices(rng, ~np.eye(count, dtype=bool), 6):
        walked = poses[second, :3, 3] - poses[first, :3, 3]
        side = "right" if walked @ poses[first, :3, 0] > 0 else "left"
        stem = choose_wording(
            rng,
            f"From image {first + 1} to image {second + 1}, "
            "did the camera move left or right around the room?",
            f"Which way around the room is image {second + 1} from image {first + 1}?",
        )
        yield candidate(measured, "around", stem, side, ["left", "right"], ["walked"])


def _left_right(measured: Visibility) -> np.ndarray:
    """Return (N, P, P): both in front of the camera and separated horizontally."""
    azimuth = measured.azimuth
    front = np.abs(azimuth) < np.radians(80)
    apart = np.abs(azimuth[:, :, None] - azimuth[:, None]) > MIN_SEPARATION
    return front[:, :, None] & front[:, None] & apart


def _nearer(measured: Visibility) -> np.ndarray:
    """Return (N, P, P): one is clearly nearer to the camera than the other."""
    one, other = measured.range[:, :, None], measured.range[:, None]
    return np.maximum(one, other) > NEARER * np.minimum(one, other)


def _prefer_hidden(
    measured: Visibility, rng: np.random.Generator, valid: np.ndarray
) -> list[tuple]:
    """Return up to 6 (view, object, object), pairs not visible in that view first."""
    nameable = nameable_mask(measured)
    valid = valid & nameable[:, None] & nameable[None]
    shown = measured.visible[:, :, None] & measured.visible[:, None]
    hidden = sample_indices(rng, valid & ~shown, 6)
    return hidden + sample_indices(rng, valid & shown, 6 - len(hidden))
