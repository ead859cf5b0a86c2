"""Geometry solver: answers questions from measured rooms, by the rules that generated them.

The measured room may be an estimate (`rooms.from_points`); the answer is then that of the estimate.
Question texts are parsed by the object names in them, so new wordings only have to name objects in
the order of their task.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

import numpy as np
from jaxtyping import Float

from spatialsv.rooms.questions.candidate import AHEAD, BACK, LEFT, LETTERS, RIGHT
from spatialsv.rooms.questions.directions import SECTORS
from spatialsv.rooms.questions.route import TURNS
from spatialsv.rooms.questions.visibility import Visibility
from spatialsv.rooms.room import wrap
from spatialsv.scenes.question import Question

WHERE = {  # phrases of the MindCube settings, longer ones first
    "to the left of": LEFT,
    "to the right of": RIGHT,
    "to my left": LEFT,
    "to my right": RIGHT,
    "behind me": BACK,
    "behind": AHEAD,  # of an object, as seen from the camera
}

Solver = Callable[[Question, Visibility], str | float | None]


def solve(question: Question, measured: Visibility) -> str | float | None:
    """Answer `question` from `measured`.

    Returns:
        A letter or a number. None if the task is not about positions (not in `SOLVERS`), or if the
        position of an object involved is unknown.
    """
    solver = SOLVERS.get(question.task)
    if solver is None:
        return None
    said = solver(question, measured)
    if said is None or question.kind == "number":
        return said if said is None or np.isfinite(said) else None
    return LETTERS[question.options.index(said)]


def _stem(question: Question) -> str:
    return question.text.split("\nA. ")[0]


def _numbers(measured: Visibility) -> dict[str, int]:
    """Return the number of each object by its shortest unique name and by its full one."""
    short = {name: i for i, name in enumerate(measured.names) if name is not None}
    return short | {item.name: i for i, item in enumerate(measured.room.objects)}


def _named_objects(question: Question, measured: Visibility) -> list[int]:
    """Return the objects named in the stem, in the order of their last mention."""
    number = _numbers(measured)
    names = "|".join(re.escape(name) for name in sorted(number, key=len, reverse=True))
    found = re.findall(rf"\b(?:{names})\b", _stem(question))
    last = dict.fromkeys(reversed(found))
    return [number[name] for name in reversed(last)]


def _options(question: Question, measured: Visibility) -> list[int]:
    number = _numbers(measured)
    return [number[option] for option in question.options]


def _views(question: Question) -> list[int]:
    return [int(number) - 1 for number in re.findall(r"image (\d+)", _stem(question))]


def _least(question: Question, values: Float[np.ndarray, " O"]) -> str | None:
    """Return the option with the smallest value, or None if a value is unknown."""
    return question.options[int(values.argmin())] if np.isfinite(values).all() else None


def _towards(
    question: Question, measured: Visibility, angle: Float[np.ndarray, " P"]
) -> str | None:
    """Return the option in the direction that the stem gives."""
    wanted = next(turn for words, turn in WHERE.items() if words in _stem(question))
    return _least(question, np.abs(wrap(angle[_options(question, measured)] - wanted)))


def _rotation(question: Question, measured: Visibility) -> str | None:
    return _towards(question, measured, measured.azimuth[_views(question)[0]])


def _among(question: Question, measured: Visibility) -> str | None:
    (centre,), view = _named_objects(question, measured), _views(question)[0]
    return _towards(question, measured, measured.bearing[centre] - measured.heading[view])


def _around(question: Question, measured: Visibility) -> str | None:
    views = _views(question)
    if len(views) == 2:
        return _walked(question, measured)
    view = views[0]
    if set(question.options) != {"left", "right"}:
        return _least(question, measured.range[view, _options(question, measured)])
    one, other = measured.azimuth[view, _named_objects(question, measured)]
    if not np.isfinite([one, other]).all():
        return None
    return "left" if one > other else "right"


def _walked(question: Question, measured: Visibility) -> str:
    first, second = _views(question)
    if "Which way" in _stem(question):  # this wording names the goal first
        first, second = second, first
    poses = measured.room.cam_to_world
    walked = poses[second, :3, 3] - poses[first, :3, 3]
    return "right" if walked @ poses[first, :3, 0] > 0 else "left"


def _sector(angle: float, sectors: Mapping[str, tuple[float | int, float | int]]) -> str | None:
    """Return the sector (limits in degrees) that contains `angle` (radians) or is nearest to it."""
    if not np.isfinite(angle):
        return None

    def off(name: str) -> float:
        low, high = np.radians(sectors[name])
        beyond = abs(wrap(np.float64(angle - (low + high) / 2))) - (high - low) / 2
        return max(0.0, float(beyond))

    return min(sectors, key=off)


def _direction(question: Question, measured: Visibility) -> str | None:
    x, y, z = _named_objects(question, measured)
    angle = measured.bearing[x, z] - measured.bearing[x, y]
    return _sector(angle, SECTORS[question.task])


def _route(question: Question, measured: Visibility) -> str | None:
    x, y, z = _named_objects(question, measured)
    return _sector(measured.bearing[y, z] - measured.bearing[x, y], TURNS)


def _nearest(question: Question, measured: Visibility) -> str | None:
    (x,) = _named_objects(question, measured)
    return _least(question, measured.gap[x, _options(question, measured)])


def _depth_order(question: Question, measured: Visibility) -> str | None:
    return _least(question, measured.range[_views(question)[0], _options(question, measured)])


def _side(question: Question, measured: Visibility) -> str | None:
    (x,), view = _named_objects(question, measured), _views(question)[0]
    angle = measured.azimuth[view, x]
    return ("left" if angle > 0 else "right") if np.isfinite(angle) else None


def _facing(question: Question, measured: Visibility) -> str | None:
    x, y, z = _named_objects(question, measured)
    angle = wrap(measured.bearing[x, z] - measured.bearing[x, y])
    return ("left" if angle > 0 else "right") if np.isfinite(angle) else None


def _apart(question: Question, measured: Visibility) -> str | None:
    x, y = _named_objects(question, measured)
    metres = float(re.findall(r"more than ([\d.]+) metres", _stem(question))[0])
    distance = measured.distance[x, y]
    return ("yes" if distance > metres else "no") if np.isfinite(distance) else None


def _distance(question: Question, measured: Visibility) -> float:
    x, y = _named_objects(question, measured)
    return float(measured.gap[x, y])


def _size(question: Question, measured: Visibility) -> float:
    (x,) = _named_objects(question, measured)
    return 100 * float(measured.room.objects[x].size.max())


def _room_size(question: Question, measured: Visibility) -> float:
    return float(np.prod(measured.room.extent[:2]))


# Not included: tasks that instance masks answer (relation within a view, appearance order,
# counting), and recognition.
SOLVERS: dict[str, Solver] = {
    "rotation": _rotation,
    "among": _among,
    "around": _around,
    **dict.fromkeys(SECTORS, _direction),
    "rel_distance": _nearest,
    "route_planning": _route,
    "object_size": _size,
    "abs_distance": _distance,
    "room_size": _room_size,
    "depth_order": _depth_order,
    **{
        f"{scope}_{form}": solver
        for scope in ("cross", "single")
        for form, solver in {
            "side": _side,
            "nearer": _depth_order,
            "facing": _facing,
            "apart": _apart,
        }.items()
    },
}
