"""Counterfactuals of questions across views: the same words, another geometry, the other answer.

- `rearranged_rooms`: objects exchange their names, so that both images change;
- `counterfactual_poses`: images stay, and only the second camera's pose relative to the first one
  would be another.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from spatialsv.progress import progress
from spatialsv.rooms.evidence.candidates import cross_view_masks, measure
from spatialsv.rooms.evidence.pairs import ViewPairs, measure_pairs, move_to_view
from spatialsv.rooms.layout import RoomsConfig
from spatialsv.rooms.questions.visibility import measure_visibility
from spatialsv.rooms.render import render_room
from spatialsv.rooms.room import Room

ATTEMPTS = 64  # poses of other rooms tried for a question


@dataclass(frozen=True, kw_only=True, eq=False)
class Rearranged:
    """Rooms whose objects exchanged their names."""

    pairs: ViewPairs
    order: Int[np.ndarray, "R P"]  # object i of the original stands where object order[i] stood


def rearrange(rooms: Sequence[Room], config: RoomsConfig, seed: int) -> Rearranged:
    """Exchange the names of each room's objects, and render instance masks.

    Positions, sizes and cameras stay: an object is where another one was.

    Args:
        rooms: rooms with two views.
        config: of the rooms.
        seed: of the permutations.

    Returns:
        The rooms, in the same order.
    """
    rng = np.random.default_rng([seed, 41])
    measured, masks, orders = [], [], []
    for room in progress(rooms, "rearranging rooms"):
        order = rng.permutation(len(room.objects))
        changed = exchange_names(room, order)
        masks.append(render_room(changed, config.image_size, samples=1).instance)
        measured.append(measure_visibility(changed, masks[-1]))
        orders.append(order)
    pairs = measure_pairs(measured, masks)
    padded = np.full((len(rooms), pairs.visible.shape[-1]), -1)
    for row, order in enumerate(orders):
        padded[row, : len(order)] = order
    return Rearranged(pairs=pairs, order=padded)


def exchange_names(room: Room, order: Int[np.ndarray, " P"]) -> Room:
    """Return `room` with category and colour of object i at the place of object order[i]."""
    objects = list(room.objects)
    for source, target in enumerate(order):
        name = room.objects[source]
        objects[target] = replace(room.objects[target], category=name.category, colour=name.colour)
    return replace(room, objects=tuple(objects))


def flipped_by_rearrangement(rows: pd.DataFrame, changed: Rearranged) -> pd.DataFrame:
    """Return the questions that the rearranged room answers too, with the other answer.

    Args:
        rows: candidates across views of the original rooms.
        changed: the same rooms, rearranged.

    Returns:
        The rows of these questions.
    """
    room = rows["room"].to_numpy()
    moved = rows.copy()
    for name in "abc":
        index = rows[name].to_numpy()
        moved[name] = np.where(index < 0, -1, changed.order[room, index])
    pairs, keep = changed.pairs, np.zeros(len(rows), dtype=bool)
    position = move_to_view(pairs, pairs.turn, pairs.shift)
    masks = cross_view_masks(pairs)
    for form, mask in masks.items():
        own = np.flatnonzero(rows["task"] == f"cross_{form}")
        part = moved.iloc[own]
        value, clear = measure(form, position, part)
        room_view, a, b, c = (
            tuple(part[name].to_numpy() for name in names)
            for names in (("room", "view"), ("a",), ("b",), ("c",))
        )
        if form in ("nearer", "apart"):  # about a and b in either order
            is_candidate = mask[(*room_view, *a, *b)] | mask[(*room_view, *b, *a)]
        else:
            is_candidate = mask[(*room_view, *a, *b, *c)[: mask.ndim]]
        keep[own] = is_candidate & clear & ((value > 0) != part["answer"].to_numpy())
    return rows[keep]


def counterfactual_poses(
    rows: pd.DataFrame, pairs: ViewPairs, seed: int, flips: bool
) -> Int[np.ndarray, " Q"]:
    """Draw for each question another room whose relative pose gives the other answer.

    The question's rule is applied to the room's objects as the second camera would place them.

    Args:
        rows: candidates across views.
        pairs: their rooms.
        seed: of the draws.
        flips: whether the pose must give the other answer; else it must give the same one.

    Returns:
        An index of a room for each question; -1 where no pose was found.
    """
    rng = np.random.default_rng([seed, 42, flips])
    own = rows["room"].to_numpy()
    donor = np.full(len(rows), -1)
    for _ in range(ATTEMPTS):
        left = np.flatnonzero(donor < 0)
        drawn = rng.integers(len(pairs), size=len(left))
        value, clear = _measure_with_pose(rows.iloc[left], pairs, drawn)
        flipped = (value > 0) != rows["answer"].to_numpy()[left]
        found = clear & (flipped == flips) & (drawn != own[left])
        donor[left[found]] = drawn[found]
    return donor


def _measure_with_pose(
    rows: pd.DataFrame, pairs: ViewPairs, donor: Int[np.ndarray, " Q"]
) -> tuple[Float[np.ndarray, " Q"], np.ndarray]:
    """Apply each question's rule with the relative pose of another room."""
    own = pairs.select(rows["room"].to_numpy())
    position = move_to_view(own, pairs.turn[donor], pairs.shift[donor])
    by_row = rows.assign(room=np.arange(len(rows)))
    value, clear = np.zeros(len(rows)), np.zeros(len(rows), dtype=bool)
    for task in rows["task"].unique():
        rows_of_task = np.flatnonzero(rows["task"] == task)
        value[rows_of_task], clear[rows_of_task] = measure(
            task.split("_")[1], position, by_row.iloc[rows_of_task]
        )
    return value, clear


def pose_change(
    pairs: ViewPairs, room: int, donor: int
) -> tuple[Float[np.ndarray, "3 3"], Float[np.ndarray, "3"]]:
    """Return the rigid motion of all that the second view shows, to the pose of another room.

    The second camera turns about the vertical and moves on the floor; height, pitch and roll stay.

    Args:
        pairs: the rooms.
        room: the room whose second view moves.
        donor: the room whose turn and shift it gets.

    Returns:
        Rotation and translation in metres, in the first camera's frame (OpenCV axes).
    """
    poses, heading = pairs.measured[room].room.cam_to_world, pairs.measured[room].heading[0]
    right = np.array([np.sin(heading), -np.cos(heading)])
    forward = np.array([np.cos(heading), np.sin(heading)])
    eye, target = poses[1, :3, 3], poses[0, :3, 3].copy()
    target[:2] += pairs.shift[donor] @ np.stack([right, forward])
    target[2] = eye[2]
    angle = pairs.turn[donor] - pairs.turn[room]
    c, s = np.cos(angle), np.sin(angle)
    turn = np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])
    axes, origin = poses[0, :3, :3], poses[0, :3, 3]
    return axes.T @ turn @ axes, axes.T @ (turn @ (origin - eye) + target - origin)
