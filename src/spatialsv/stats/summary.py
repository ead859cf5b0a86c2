"""Scores of many questions as scores of tasks and groups of tasks, each with its interval."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from spatialsv.stats.intervals import Interval, cluster_bootstrap, wilson_interval

GROUPS = ("spatial_choice", "spatial_number", "spatial", "recognition")


@dataclass(frozen=True, kw_only=True)
class QuestionScore:
    """One question's score."""

    id: str
    scene: str
    task: str
    kind: Literal["choice", "number"]
    spatial: bool
    score: float  # in [0, 1]


@dataclass(frozen=True, kw_only=True)
class Summary:
    """The mean score of `n` questions in `scenes` scenes."""

    mean: float
    n: int
    scenes: int
    interval: Interval | None  # 95 %; None where a single scene shows no spread


def groups_of(question: QuestionScore) -> tuple[str, ...]:
    """What a question's score is pooled into, besides its task: each a mean over questions."""
    if not question.spatial:
        return ("recognition",)
    return (f"spatial_{question.kind}", "spatial")


def summarise(
    questions: Sequence[QuestionScore], resamples: int = 2000, seed: int = 0
) -> dict[str, Summary]:
    """Tasks in order of appearance, then the GROUPS that have questions.

    The share of right choices, one a scene, gets Wilson's interval; means of fractions, and of
    several questions a scene, get the bootstrap clustered by scene.
    """
    members: dict[str, list[QuestionScore]] = defaultdict(list)
    pooled: dict[str, list[QuestionScore]] = {name: [] for name in GROUPS}
    for question in questions:
        members[question.task].append(question)
        for name in groups_of(question):
            pooled[name].append(question)
    members |= {name: found for name, found in pooled.items() if found}
    return {name: _summary(found, resamples, seed) for name, found in members.items()}


def _summary(questions: list[QuestionScore], resamples: int, seed: int) -> Summary:
    scores = np.array([question.score for question in questions], dtype=float)
    scenes = [question.scene for question in questions]
    choices = all(question.kind == "choice" for question in questions)
    if choices and len(set(scenes)) == len(scenes) and np.isin(scores, (0, 1)).all():
        interval = wilson_interval(int(scores.sum()), len(scores))
    else:
        interval = cluster_bootstrap(scores, scenes, resamples=resamples, seed=seed)
    return Summary(
        mean=float(scores.mean()), n=len(scores), scenes=len(set(scenes)), interval=interval
    )
