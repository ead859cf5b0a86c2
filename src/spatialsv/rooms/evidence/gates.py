"""Gates of the evidence world: what answers questions without geometry, and with it."""

from __future__ import annotations

import numpy as np
import pandas as pd

from spatialsv.rooms.evidence.classifiers import CLASSIFIERS, features, out_of_fold_logits
from spatialsv.rooms.evidence.pairs import ViewPairs
from spatialsv.rooms.evidence.wording import to_questions
from spatialsv.rooms.questions.solve import solve

CHANCE = 50.0  # all tasks have two options, equally often correct
WITH_TURN = ("mlp_turn", "tree_turn")
SHORTCUTS = ("identity", "mean_pose", "mean_depth")
MAX_WITHOUT, MAX_WITH_TURN, MIN_TRUE = 55.0, 70.0, 97.0  # accuracy in percent


def gates(rows: pd.DataFrame, pairs: ViewPairs, seed: int) -> pd.DataFrame:
    """Return accuracies in percent, one row a task.

    Classifiers are fitted out of fold, by room, to these questions.

    Args:
        rows: the questions.
        pairs: the rooms that they are about.
        seed: of the folds and the classifiers; give another one than for `counterbalance`.

    Returns:
        Columns `questions`; `mlp`, `tree` and `neighbours`, which see everything but geometry;
        `mlp_turn` and `tree_turn`, which also see to which side the camera turned; `identity`,
        `mean_pose` and `mean_depth`, shortcuts (or their opposites, whichever is more accurate);
        `true_geometry`, the questions' rules.
    """
    inputs = features(rows, pairs)
    turn = np.sign(pairs.turn[rows["room"]])[:, None].astype(np.float32)
    seen = dict.fromkeys(CLASSIFIERS, inputs)
    seen |= {name: np.concatenate([inputs, turn], axis=1) for name in WITH_TURN}
    answer = rows["answer"].to_numpy()
    questions = to_questions(rows, pairs, seed)
    solved = [
        solve(question, pairs.measured[room]) == question.answer
        for question, room in zip(questions, rows["room"], strict=True)
    ]
    correct = pd.DataFrame(
        {
            **{
                name: (out_of_fold_logits(name.split("_")[0], rows, x, seed) > 0) == answer
                for name, x in seen.items()
            },
            **{name: rows[name].to_numpy() == answer for name in SHORTCUTS},
            "true_geometry": solved,
        }
    )
    groups = correct.groupby(rows["task"].to_numpy())
    table = 100 * groups.mean()
    for name in SHORTCUTS:
        table[name] = np.maximum(table[name], 100 - table[name])
    table.insert(0, "questions", groups.size())
    return table.rename_axis("task")


def failed_gates(table: pd.DataFrame) -> list[str]:
    """Return one sentence for each gate that `gates` found failed; none for an evidence world.

    A classifier fails a task where its accuracy exceeds the limit by more than two standard errors:
    a few hundred questions pass by chance what thousands would not.
    """
    failures = []
    for task, row in table.iterrows():
        error = 100 * (0.25 / row["questions"]) ** 0.5
        for name in CLASSIFIERS:
            if row[name] - 2 * error > MAX_WITHOUT:
                failures.append(
                    f"{task}: {name} without geometry answers {row[name]:.1f} %, more than"
                    f" {MAX_WITHOUT:g} %."
                )
        if row["true_geometry"] < MIN_TRUE:
            failures.append(
                f"{task}: true geometry answers {row['true_geometry']:.1f} %, less than"
                f" {MIN_TRUE:g} %."
            )
    for name in (*WITH_TURN, *SHORTCUTS):
        mean = table[name].mean()
        if mean > MAX_WITH_TURN:
            failures.append(
                f"{name} answers {mean:.1f} % on average, more than {MAX_WITH_TURN:g} %."
            )
    return failures
