"""Pretraining questions of increasing difficulty, from single views to several.

Levels within a view: `places`, `depth`, and for two objects `left_right` and `nearer`. Across
views: the `same` object, camera `motion`, and which view is `facing` a direction. Answers are a few
words of free text. Images are numbered from 1; objects are named by colour and category.
"""

from __future__ import annotations

from collections import Counter

import numpy as np
from jaxtyping import Int

from spatialsv.rooms.questions.candidate import BACK, LEFT, RIGHT, choose_wording
from spatialsv.rooms.questions.captions import list_objects
from spatialsv.rooms.questions.visibility import Visibility, measure_visibility
from spatialsv.rooms.room import Room, wrap

LEVELS = ("places", "left_right", "depth", "nearer", "same", "motion", "facing")
FACING = np.radians(25.0)  # maximum deviation from left, right or back
APART = 0.08  # minimum difference of compared columns, relative to the image width
MIDDLE = 0.15  # maximum distance from the centre column, relative to the image width
NEARER = 1.15  # minimum ratio of compared distances
LevelQuestion = tuple[str, str, str]  # level, question, answer


def curriculum_questions(
    room: Room, instance: Int[np.ndarray, "N H W"], rng: np.random.Generator
) -> list[LevelQuestion]:
    """Return the questions of every level about one room: (level, question, answer)."""
    measured = measure_visibility(room, instance)
    steps: list[LevelQuestion] = []
    for view in measured.views:
        steps += [("places", *pair) for pair in _place_objects(measured, view, rng)]
        steps += [("left_right", *pair) for pair in _left_right(measured, view, rng)]
        steps += [("depth", *pair) for pair in _depth(measured, view, rng)]
        steps += [("nearer", *pair) for pair in _nearer(measured, view, rng)]
    steps += [("same", *pair) for pair in _same(measured, rng)]
    steps += [("motion", *pair) for pair in _motion(measured, rng)]
    steps += [("facing", *pair) for pair in _facing(measured)]
    return steps


def _clear(measured: Visibility, view: int) -> list[int]:
    """Return the visible objects of `view` whose full name is unique in the room."""
    full = Counter(item.name for item in measured.room.objects)
    objects = measured.room.objects
    shown = np.flatnonzero(measured.visible[view]).tolist()
    return [i for i in shown if full[objects[i].name] == 1]


def _place_objects(measured: Visibility, view: int, rng: np.random.Generator):
    column, image = measured.column[view], f"image {view + 1}"
    shown = np.flatnonzero(measured.visible[view])
    if len(shown) and np.abs(column[shown] - 0.5).min() > APART / 2:
        for side, here in (("left", column < 0.5), ("right", column > 0.5)):
            wording = choose_wording(
                rng,
                f"What is on the {side} half of {image}?",
                f"{image.capitalize()}, {side} half?",
            )
            yield wording, list_objects(measured, view, here)
    order = shown[np.argsort(column[shown])]
    names = [measured.room.objects[i].name for i in order]
    if len(order) >= 2:
        ends = [("left", 0, 1), ("right", -1, -2)]
        side, end, inner = ends[rng.integers(2)]
        if abs(column[order[end]] - column[order[inner]]) > APART:
            yield f"What is farthest to the {side} in {image}?", names[end]
    off = np.abs(column[order] - 0.5)
    clear = len(order) < 2 or np.diff(np.sort(off))[0] > APART
    if len(order) and off.min() < MIDDLE and clear:
        yield f"What is in the middle of {image}?", names[off.argmin()]


def _left_right(measured: Visibility, view: int, rng: np.random.Generator):
    column = measured.column[view]
    pair = _pair(rng, _clear(measured, view), lambda a, b: abs(column[a] - column[b]) > APART)
    if pair is None:
        return
    a, b = (measured.room.objects[i].name for i in pair)
    a_left = column[pair[0]] < column[pair[1]]
    if rng.integers(2):
        yield f"Which is farther left in image {view + 1}, the {a} or the {b}?", a if a_left else b
    else:
        answer = "left" if a_left else "right"
        yield f"In image {view + 1}, is the {a} left or right of the {b}?", answer


def _pair(rng: np.random.Generator, objects: list[int], differ) -> tuple[int, int] | None:
    """Return a random ordered pair of `objects` that `differ`, or None."""
    pairs = [(a, b) for a in objects for b in objects if a != b and differ(a, b)]
    return pairs[rng.integers(len(pairs))] if pairs else None


def _depth(measured: Visibility, view: int, rng: np.random.Generator):
    distance, image = measured.range[view], f"image {view + 1}"
    shown = np.flatnonzero(measured.visible[view])
    order = shown[np.argsort(distance[shown])]
    names = [measured.room.objects[i].name for i in order]
    steps = distance[order[1:]] / distance[order[:-1]]
    if len(order) >= 2 and steps[0] > NEARER:
        yield choose_wording(rng, f"Which is nearest in {image}?", f"Nearest in {image}?"), names[0]
    if len(order) >= 2 and steps[-1] > NEARER:
        yield f"Which is farthest in {image}?", names[-1]
    if len(order) >= 2 and steps.min() > 1.05:
        yield (
            choose_wording(
                rng, f"Nearest to farthest in {image}?", f"List {image} from near to far."
            ),
            (", ".join(names)),
        )


def _nearer(measured: Visibility, view: int, rng: np.random.Generator):
    distance = measured.range[view]
    pair = _pair(
        rng,
        _clear(measured, view),
        lambda a, b: max(distance[a], distance[b]) > NEARER * min(distance[a], distance[b]),
    )
    if pair is not None:
        a, b = (measured.room.objects[i].name for i in pair)
        answer = a if distance[pair[0]] < distance[pair[1]] else b
        yield f"Which is nearer in image {view + 1}, the {a} or the {b}?", answer


def _same(measured: Visibility, rng: np.random.Generator):
    full = Counter(item.name for item in measured.room.objects)
    certain = (measured.visible | measured.invisible).all(axis=0) & measured.visible.any(axis=0)
    for i in np.flatnonzero(certain):
        name = measured.room.objects[i].name
        if full[name] > 1:
            continue
        where = np.flatnonzero(measured.visible[:, i])
        answer = ", ".join(str(view + 1) for view in where)
        yield choose_wording(rng, f"Which images show the {name}?", f"Where is the {name}?"), answer
        if len(where) < len(measured.views):  # as many yes as no: only where both occur
            wanted = bool(rng.integers(2))
            view = rng.choice(np.flatnonzero(measured.visible[:, i] == wanted))
            yield f"Is the {name} in image {view + 1}?", "yes" if wanted else "no"


def _motion(measured: Visibility, rng: np.random.Generator):
    for first in measured.views:
        for second in measured.views:
            if first != second:
                wording = choose_wording(
                    rng,
                    f"From image {first + 1} to image {second + 1}, how did the camera move?",
                    f"Camera from image {first + 1} to {second + 1}?",
                )
                yield wording, camera_motion(measured, first, second)


def _facing(measured: Visibility):
    """Yield which image looks to the left, right or back of another one."""
    for view in measured.views:
        for side, wanted in (("left", LEFT), ("back", BACK), ("right", RIGHT)):
            off = np.abs(wrap(measured.heading - measured.heading[view] - wanted))
            if off.min() < FACING:
                question = f"Seen from image {view + 1}, which image looks to the {side}?"
                yield question, f"image {off.argmin() + 1}"


def camera_motion(measured: Visibility, first: int, second: int) -> str:
    """Describe the camera motion from view `first` to view `second`: a rotation or an orbit."""
    poses = measured.room.cam_to_world
    turn = float(np.degrees(wrap(measured.heading[second] - measured.heading[first])))
    walked = poses[second, :3, 3] - poses[first, :3, 3]
    if np.linalg.norm(walked) < 0.5:  # metres: no translation
        return "turned around" if abs(turn) > 135 else _side("turned", turn > 0)
    if abs(turn) > 150:
        return "moved to the other side"
    return _side("moved around", turn < 0)  # walking to the left turns a camera to the right


def _side(what: str, left: bool) -> str:
    verb, _, manner = what.partition(" ")
    return f"{verb} {'left' if left else 'right'} {manner}".strip()
