"""Questions of test rooms with counterfactual images, and with counterfactual relative poses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int
from torch import Tensor

from spatialsv.rooms.evidence import cross_view_candidates, measure_pairs, to_questions
from spatialsv.rooms.evidence.counterfactual import (
    counterfactual_poses,
    exchange_names,
    flipped_by_rearrangement,
    pose_change,
    rearrange,
)
from spatialsv.rooms.layout import RoomsConfig
from spatialsv.rooms.questions.visibility import measure_visibility
from spatialsv.rooms.views import render_rooms, render_views
from spatialsv.scenes.question import Question
from spatialsv.scenes.scene import Scenes
from spatialsv.teachers.exact import ExactTeacher


@dataclass(frozen=True, kw_only=True, eq=False)
class PoseChange:
    """Rigid motions of what the second view shows, one for each question."""

    rotation: Float[np.ndarray, "Q 3 3"]  # in the first camera's frame
    translation: Float[np.ndarray, "Q 3"]  # metres

    def in_labels(
        self, scale: Float[np.ndarray, " S"], rooms: Int[np.ndarray, " Q"], rows: slice
    ) -> tuple[Float[Tensor, "B 3 3"], Float[Tensor, "B 3"]]:
        """Return the motions of some questions in the unit of the labels.

        Args:
            scale: metres per unit of each room's labels.
            rooms: the room of each question.
            rows: the questions.
        """
        shift = self.translation[rows] / scale[rooms[rows]][:, None]
        return torch.from_numpy(self.rotation[rows]), torch.from_numpy(shift)


@dataclass(frozen=True, kw_only=True, eq=False)
class Counterfactuals:
    """Rooms, and two sets of questions about them."""

    scenes: Scenes
    scale: Float[np.ndarray, " S"]  # metres per unit of the labels
    rearranged: Scenes  # the same ids; objects exchanged their names
    swap: Sequence[Question]  # have the other answer in the rearranged room
    pose: Sequence[Question]
    pose_rooms: Int[np.ndarray, " Q"]  # of `pose`, indices into `scenes`
    pose_flips: PoseChange  # each question of `pose` then has the other answer
    pose_same: PoseChange  # each has the same answer


def make_counterfactuals(
    seeds: Sequence[int], config: RoomsConfig, per_task: int, seed: int
) -> Counterfactuals:
    """Render rooms and their counterfactuals.

    Args:
        seeds: of the rooms.
        config: of the rooms, with two free views.
        per_task: questions of each task in each set, at most.
        seed: of permutations, poses and words.

    Returns:
        Rooms and questions.

    Raises:
        ValueError: no question across views has a counterfactual in these rooms.
    """
    rooms, scenes = render_views(seeds, config)
    instances = scenes.load("instance").instance
    measured = [measure_visibility(r, i) for r, i in zip(rooms, instances, strict=True)]
    pairs = measure_pairs(measured, list(instances))
    rows = cross_view_candidates(pairs, seed)
    changed = rearrange(rooms, config, seed)
    swap = _take(flipped_by_rearrangement(rows, changed), per_task, seed)
    flips = counterfactual_poses(rows, pairs, seed, flips=True)
    same = counterfactual_poses(rows, pairs, seed, flips=False)
    rows = rows.assign(flips=flips, same=same)
    pose = _take(rows[(flips >= 0) & (same >= 0)], per_task, seed)
    if swap.empty or pose.empty:
        raise ValueError("No question across views has a counterfactual. Give more test rooms.")
    exchanged = [
        exchange_names(room, order[order >= 0])
        for room, order in zip(rooms, changed.order, strict=True)
    ]
    return Counterfactuals(
        scenes=scenes,
        scale=ExactTeacher().label(scenes).scale,
        rearranged=render_rooms(exchanged, config),
        swap=to_questions(swap, pairs, seed),
        pose=to_questions(pose, pairs, seed),
        pose_rooms=pose["room"].to_numpy(),
        pose_flips=_changes(pose["room"], pose["flips"], pairs),
        pose_same=_changes(pose["room"], pose["same"], pairs),
    )


def _take(rows: pd.DataFrame, per_task: int, seed: int) -> pd.DataFrame:
    """Return up to `per_task` random rows of each task, as many of each answer as possible."""
    mixed = rows.sample(frac=1, random_state=seed)
    half = mixed.groupby(["task", "answer"]).cumcount() < per_task // 2
    return mixed[half].reset_index(drop=True)


def _changes(rooms: pd.Series, donors: pd.Series, pairs) -> PoseChange:
    motions = [pose_change(pairs, room, donor) for room, donor in zip(rooms, donors, strict=True)]
    rotation, translation = zip(*motions, strict=True)
    return PoseChange(rotation=np.stack(rotation), translation=np.stack(translation))
