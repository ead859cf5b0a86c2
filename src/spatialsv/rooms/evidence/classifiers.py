"""Classifiers that see everything about a question but geometry, fitted out of fold.

They see the objects of a question, not the others in the room: boxes of objects that both
views share reveal the relative pose, which is geometry.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
from jaxtyping import Float
from sklearn.base import BaseEstimator
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.model_selection import GroupKFold, cross_val_predict
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from spatialsv.rooms.evidence.pairs import ViewPairs
from spatialsv.rooms.parts import CATEGORIES, COLOURS

FOLDS = 3  # rooms of a fold are never seen in training


def _mlp(seed: int, questions: int) -> BaseEstimator:
    network = MLPClassifier(
        (128, 128),
        alpha=1e-2,
        learning_rate_init=3e-3,
        max_iter=60,
        early_stopping=True,
        random_state=seed,
    )
    return make_pipeline(StandardScaler(), network)


def _tree(seed: int, questions: int) -> BaseEstimator:
    return HistGradientBoostingClassifier(
        learning_rate=0.06, max_iter=200, early_stopping=True, random_state=seed
    )


def _neighbours(seed: int, questions: int) -> BaseEstimator:
    return make_pipeline(StandardScaler(), KNeighborsClassifier(min(31, questions // FOLDS)))


CLASSIFIERS: dict[str, Callable[[int, int], BaseEstimator]] = {  # of seed, number of questions
    "mlp": _mlp,
    "tree": _tree,  # gradient-boosted
    "neighbours": _neighbours,
}


def features(rows: pd.DataFrame, pairs: ViewPairs) -> Float[np.ndarray, "Q F"]:
    """Return visibility, boxes, sizes, colours and categories of the objects of a question.

    Each object has a place, so that their order is known; the last columns say which view is meant.
    """
    room = rows["room"].to_numpy()
    columns = []
    for name in "abc":
        item = rows[name].to_numpy()
        present = (item >= 0)[:, None]
        for view in (0, 1):
            columns += [
                present * pairs.visible[room, view, item][:, None],
                present * pairs.share[room, view, item][:, None],
                present * pairs.box[room, view, item],
            ]
    for name in "abc":
        item = rows[name].to_numpy()
        present = (item >= 0)[:, None]
        columns.append(present * np.eye(len(COLOURS))[pairs.colour[room, item]])
        columns.append(present * np.eye(len(CATEGORIES))[pairs.category[room, item]])
    columns.append(rows["view"].to_numpy()[:, None])
    return np.concatenate(columns, axis=1).astype(np.float32)


def out_of_fold_logits(
    name: str, rows: pd.DataFrame, inputs: Float[np.ndarray, "Q F"], seed: int
) -> Float[np.ndarray, " Q"]:
    """Return the logit of True of each question, by a classifier that never saw its room.

    One classifier is fitted for each task.

    Args:
        name: a key of CLASSIFIERS.
        rows: the questions.
        inputs: what the classifier sees.
        seed: of the folds and of the classifier.
    """
    logits = np.zeros(len(rows))
    for task in rows["task"].unique():
        own = (rows["task"] == task).to_numpy()
        probability = cross_val_predict(
            CLASSIFIERS[name](seed, int(own.sum())),
            inputs[own],
            rows["answer"].to_numpy()[own],
            groups=rows["room"].to_numpy()[own],
            cv=GroupKFold(FOLDS, shuffle=True, random_state=seed),
            method="predict_proba",
        )[:, 1].clip(1e-6, 1 - 1e-6)
        logits[own] = np.log(probability / (1 - probability))
    return logits
