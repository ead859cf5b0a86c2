"""Words of cross-view questions and their twins, in the project's question format."""

from __future__ import annotations

import numpy as np
import pandas as pd

from spatialsv.rooms.evidence.candidates import METRES_APART
from spatialsv.rooms.evidence.pairs import ViewPairs
from spatialsv.rooms.questions.candidate import candidate
from spatialsv.scenes.question import Question

STEMS = {
    "side": "Is the {a} left or right of the direction in which the camera of image {view} points?",
    "nearer": "Which is nearer to the camera of image {view}?",
    "facing": "Standing at the {a} and facing the {b}, is the {c} to the left or to the right?",
    "apart": "Are the centres of the {a} and the {b} more than {metres:g} metres apart?",
}
OPTIONS = {"side": ("right", "left"), "facing": ("right", "left"), "apart": ("yes", "no")}


def to_questions(rows: pd.DataFrame, pairs: ViewPairs, seed: int) -> list[Question]:
    """Return questions with lettered options; each letter is correct equally often, within one.

    Args:
        rows: of a table of candidates.
        pairs: the rooms that they are about.
        seed: decides the order of options.
    """
    rng = np.random.default_rng([seed, 35])
    letters = {
        str(task): iter(rng.permutation(np.arange(count) % 2).tolist())
        for task, count in rows["task"].value_counts(sort=False).items()
    }
    numbers = rows.groupby(["room", "task"]).cumcount() + 1
    questions = []
    for row, number in zip(rows.to_dict("records"), numbers, strict=True):
        measured, task = pairs.measured[row["room"]], str(row["task"])
        form = task.split("_")[1]
        names = {key: measured.room.objects[row[key]].name for key in "abc"}  # -1 is not worded
        stem = STEMS[form].format(**names, view=row["view"] + 1, metres=METRES_APART)
        options = OPTIONS.get(form) or (names["a"], names["b"])
        first = 0 if row["answer"] else 1
        order = [first, 1 - first] if next(letters[task]) == 0 else [1 - first, first]
        found = candidate(measured, task, stem, options[first], options)
        questions.append(found.question(f"{found.scene}-{task}-{number}", order))
    return questions
