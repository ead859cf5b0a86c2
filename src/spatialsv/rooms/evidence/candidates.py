"""Candidate questions across two views, and their twins within one view.

Tables have one row a question:

- `task`; `room`, an index into the pairs; `view`, 0 or 1, whose camera is meant;
- `a`, `b`, `c`: the objects, -1 where a task has fewer;
- `answer`: True for right (side, facing), for `a` (nearer) and for yes (apart);
- `identity`, `mean_pose`, `mean_depth`: the answers of shortcuts. Both views have the same pose;
  the second one has the mean pose of all rooms that turn to the same side; poses are exact, but
  each object is at the mean distance in its true direction;
- `slot`: which of `a` and `b` is hidden from the view (nearer), else 0.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float

from spatialsv.rooms.evidence.pairs import ViewPairs, move_to_view

METRES_APART = 3.5  # what `apart` compares with
OFF_AXIS = 0.25, np.radians(6.0)  # minimum distance in metres and angle from the optical axis
RATIO = 1.15  # minimum ratio of compared distances
SINE, LEG = 0.35, 0.8  # facing: minimum sine of the angle, and metres between its objects
MARGIN = 0.25  # metres between a distance and METRES_APART
PER_ROOM = 12  # candidates of a task that a room offers


def cross_view_candidates(pairs: ViewPairs, seed: int) -> pd.DataFrame:
    """List questions that need one frame across both views.

    side: an object hidden from the view. nearer: at least one of both is. facing: each view shows
    one of the three that the other view does not. apart: no view shows both.

    Args:
        pairs: the rooms.
        seed: decides the order of rows and names.

    Returns:
        A table, see above.
    """
    return _table("cross", cross_view_masks(pairs), pairs, np.random.default_rng([seed, 31]))


def cross_view_masks(pairs: ViewPairs) -> dict[str, Bool[np.ndarray, "R views *objects"]]:
    """Return for each form which objects a question across views can be about.

    A form whose answer is the same for both views has one view.
    """
    exclusive, anywhere = pairs.exclusive, np.asarray(pairs.visible.any(axis=1))
    other = exclusive[:, ::-1]  # hidden from the view, visible in the other one
    first, second = (_any_of(exclusive[:, view]) for view in (0, 1))
    return {
        "side": other,
        "nearer": other[..., :, None] & anywhere[:, None, None, :] & _distinct(pairs, 2),
        "facing": (_all_of(anywhere) & first & second & _distinct(pairs, 3))[:, None],
        "apart": (exclusive[:, 0, :, None] & exclusive[:, 1, None, :])[:, None],
    }


def single_view_candidates(pairs: ViewPairs, seed: int) -> pd.DataFrame:
    """List the twins: questions of the same forms about objects that one view shows.

    Args:
        pairs: the rooms.
        seed: decides the order of rows and names.

    Returns:
        A table, see above.
    """
    rng = np.random.default_rng([seed, 32])
    visible = pairs.visible
    both = visible[..., :, None] & visible[..., None, :] & _distinct(pairs, 2)
    masks = {
        "side": visible,
        "nearer": both,
        "facing": both[..., None] & visible[..., None, None, :] & _distinct(pairs, 3),
        "apart": both,
    }
    return _table("single", masks, pairs, rng)


def _distinct(pairs: ViewPairs, objects: int) -> Bool[np.ndarray, "*objects"]:
    different = ~np.eye(pairs.visible.shape[-1], dtype=bool)
    if objects == 2:
        return different
    return different[:, :, None] & different[:, None] & different[None]


def _any_of(mask: Bool[np.ndarray, "R P"]) -> Bool[np.ndarray, "R P P P"]:
    return mask[:, :, None, None] | mask[:, None, :, None] | mask[:, None, None, :]


def _all_of(mask: Bool[np.ndarray, "R P"]) -> Bool[np.ndarray, "R P P P"]:
    return mask[:, :, None, None] & mask[:, None, :, None] & mask[:, None, None, :]


def _table(prefix: str, masks, pairs: ViewPairs, rng) -> pd.DataFrame:
    """Return the candidates of all forms: those with a clear answer, up to PER_ROOM a room."""
    count = len(pairs)
    true = move_to_view(pairs, pairs.turn, pairs.shift)
    shortcuts = {
        "identity": move_to_view(pairs, np.zeros(count), np.zeros((count, 2))),
        "mean_pose": move_to_view(pairs, *mean_pose(pairs)),
        "mean_depth": move_to_view(
            replace(pairs, position=_at_mean_range(pairs)), pairs.turn, pairs.shift
        ),
    }
    tables = []
    for form, mask in masks.items():
        found = np.argwhere(mask)
        found = found[rng.permutation(len(found))]
        rows = pd.DataFrame({"task": f"{prefix}_{form}", "room": found[:, 0], "view": found[:, 1]})
        for place, name in enumerate("abc", start=2):
            rows[name] = found[:, place] if place < found.shape[1] else -1
        rows["slot"] = 0
        if form in ("nearer", "apart"):
            rows = _shuffle_pairs(rows, form == "nearer", rng)
        value, clear = measure(form, true, rows)
        rows["answer"] = value > 0
        for name, position in shortcuts.items():
            guess = measure(form, position, rows)[0]
            rows[name] = guess > (np.median(guess) if form == "apart" and len(guess) else 0.0)
        rows = rows[clear]
        tables.append(rows[rows.groupby("room").cumcount() < PER_ROOM])
    return pd.concat(tables, ignore_index=True)


def _shuffle_pairs(rows: pd.DataFrame, has_slot: bool, rng) -> pd.DataFrame:
    """Drop second mentions of a pair and swap a and b at random: their order carries nothing."""
    pair = np.sort(rows[["a", "b"]].to_numpy(), axis=1)
    keys = rows[["room", "view"]].assign(low=pair[:, 0], high=pair[:, 1])
    rows = rows[~keys.duplicated().to_numpy()].reset_index(drop=True)
    swap = rng.random(len(rows)) < 0.5
    a, b = rows["a"], rows["b"]
    slot = swap.astype(int) if has_slot else 0
    return rows.assign(a=np.where(swap, b, a), b=np.where(swap, a, b), slot=slot)


def _at_mean_range(pairs: ViewPairs) -> Float[np.ndarray, "R 2 P 2"]:
    """Return positions in their true direction, at the mean distance of all visible objects."""
    distance = np.hypot(pairs.position[..., 0], pairs.position[..., 1])
    scale = distance[pairs.visible].mean() / distance.clip(min=1e-9)
    return pairs.position * scale[..., None]


def mean_pose(
    pairs: ViewPairs,
) -> tuple[Float[np.ndarray, " R"], Float[np.ndarray, "R 2"]]:
    """Return, for each room, the mean turn and shift of all rooms that turn to the same side."""
    turn, shift = np.zeros(len(pairs)), np.zeros((len(pairs), 2))
    for side in (pairs.turn > 0, pairs.turn <= 0):
        if side.any():
            turn[side], shift[side] = pairs.turn[side].mean(), pairs.shift[side].mean(axis=0)
    return turn, shift


def measure(
    form: str, position: Float[np.ndarray, "R 2 P 2"], rows: pd.DataFrame
) -> tuple[Float[np.ndarray, " Q"], Bool[np.ndarray, " Q"]]:
    """Apply the rule of a form to positions.

    Args:
        form: side, nearer, facing or apart.
        position: right and forward, in each view's frame, metres.
        rows: the questions.

    Returns:
        A value that is positive where the answer is True, and whether that is beyond doubt.
    """
    room, view = rows["room"].to_numpy(), rows["view"].to_numpy()
    a, b, c = (position[room, view, rows[name].to_numpy()].T for name in "abc")
    if form == "side":
        off = np.arctan2(np.abs(a[0]), np.abs(a[1]))
        return a[0], (np.abs(a[0]) > OFF_AXIS[0]) & (off > OFF_AXIS[1])
    if form == "nearer":
        ratio = np.log(np.hypot(*b) / np.hypot(*a).clip(min=1e-9))
        return ratio, np.abs(ratio) > np.log(RATIO)
    if form == "apart":
        beyond = np.hypot(*(b - a)) - METRES_APART
        return beyond, np.abs(beyond) > MARGIN
    ahead, aside = b - a, c - a
    lengths = np.hypot(*ahead), np.hypot(*aside)
    sine = (ahead[1] * aside[0] - ahead[0] * aside[1]) / (lengths[0] * lengths[1]).clip(min=1e-9)
    return sine, (np.abs(sine) > SINE) & (lengths[0] > LEG) & (lengths[1] > LEG)
