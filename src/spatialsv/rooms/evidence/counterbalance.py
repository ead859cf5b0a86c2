"""Select questions that shortcuts do not answer.

First within cells: among the questions of one task and view that the shortcuts answer alike, both
answers are equally frequent. Then adversarially: questions are binned by the out-of-fold logits of
two classifiers that see everything but geometry, and each joint bin keeps as many of each answer.

Exact cameras with the mean distance of objects nearly suffice for `side`, which therefore measures
pose. The other forms are balanced for this shortcut, too.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from spatialsv.rooms.evidence.classifiers import features, out_of_fold_logits
from spatialsv.rooms.evidence.pairs import ViewPairs

ADVERSARIES = ("mlp", "tree")
BINS = 5  # of a logit's absolute value, per task
CELLS = ["task", "view", "slot", "identity", "mean_pose"]


def counterbalance(
    candidates: pd.DataFrame, pairs: ViewPairs, seed: int, per_room: int = 4
) -> pd.DataFrame:
    """Select questions, deterministically by seed.

    Args:
        candidates: by `cross_view_candidates`. Where they have a column `split`, each split is
            balanced for itself, but the classifiers are fitted to all.
        pairs: the rooms that they are about.
        seed: decides which of equal candidates are kept, and the classifiers' folds.
        per_room: maximum number of questions of a task per room.

    Returns:
        The selected rows, in random order.
    """
    rng = np.random.default_rng([seed, 34])
    within = ["split"] if "split" in candidates else []
    cells = [*within, *CELLS, "depth_cell"]
    depth_cell = candidates["mean_depth"] & (candidates["task"] != "cross_side")
    rows = equalise(candidates.assign(depth_cell=depth_cell), cells, rng)
    rows = equalise(limit_rooms(rows, per_room), cells, rng).drop(columns="depth_cell")
    inputs, task = features(rows, pairs), rows["task"].to_numpy()
    bins = {
        f"bin_{name}": bin_logits(task, out_of_fold_logits(name, rows, inputs, seed))
        for name in ADVERSARIES
    }
    return equalise(rows.assign(**bins), [*within, "task", *bins], rng).drop(columns=list(bins))


def balance_twins(candidates: pd.DataFrame, seed: int, per_room: int = 4) -> pd.DataFrame:
    """Select twins: as many of each answer for every task and view.

    Args:
        candidates: by `single_view_candidates`; each split is balanced for itself.
        seed: decides which of equal candidates are kept.
        per_room: maximum number of questions of a task per room.

    Returns:
        The selected rows, in random order.
    """
    rng = np.random.default_rng([seed, 36])
    cells = [*(["split"] if "split" in candidates else []), "task", "view"]
    rows = limit_rooms(equalise(candidates, cells, rng), per_room)
    return equalise(rows, cells, rng)


def bin_logits(task: np.ndarray, logit: np.ndarray) -> np.ndarray:
    """Return the bin of each logit: its sign, and its absolute value among those of its task."""
    bins = np.zeros(len(logit), dtype=int)
    for name in np.unique(task):
        size = np.abs(logit[task == name])
        edges = np.quantile(size, np.arange(1, BINS) / BINS)
        bins[task == name] = 2 * np.searchsorted(edges, size) + (logit[task == name] > 0)
    return bins


def equalise(rows: pd.DataFrame, by: list[str], rng: np.random.Generator) -> pd.DataFrame:
    """Keep as many rows of each answer in every group; which ones and their order are random."""
    rows = rows.iloc[rng.permutation(len(rows))]
    place = rows.groupby([*by, "answer"]).cumcount()
    yes = rows["answer"].groupby([rows[name] for name in by]).transform("sum")
    no = (~rows["answer"]).groupby([rows[name] for name in by]).transform("sum")
    return rows[place < np.minimum(yes, no)].reset_index(drop=True)


def limit_rooms(rows: pd.DataFrame, per_room: int) -> pd.DataFrame:
    """Keep the first `per_room` rows of each task and room."""
    return rows[rows.groupby(["task", "room"]).cumcount() < per_room]
