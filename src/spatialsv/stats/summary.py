"""Scores of questions summarised by task and group of tasks, with intervals."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from spatialsv.stats.intervals import Interval, cluster_bootstrap, wilson_interval

GROUPS = ("spatial_choice", "spatial_number", "spatial_text", "spatial", "recognition")


@dataclass(frozen=True, kw_only=True)
class QuestionScore:
    """The score of one question."""

    id: str
    scene: str
    task: str
    kind: Literal["choice", "number", "text"]
    spatial: bool
    score: float  # in [0, 1]


@dataclass(frozen=True, kw_only=True)
class Summary:
    """The mean score of `n` questions in `scenes` scenes."""

    mean: float
    n: int
    scenes: int
    interval: Interval | None  # 95 %; None with a single scene


def groups_of(kind: str, spatial: bool) -> tuple[str, ...]:
    """Return the GROUPS that a question counts in; a group's score is a mean over questions."""
    return (f"spatial_{kind}", "spatial") if spatial else ("recognition",)


def summarise(
    questions: Sequence[QuestionScore], resamples: int = 2000, seed: int = 0
) -> dict[str, Summary]:
    """Summarise scores by task and group.

    Proportions of correct choices with one question per scene get Wilson's interval; other means
    get the bootstrap clustered by scene.

    Args:
        questions: Scored questions.
        resamples: Number of resamples.
        seed: Seed of the resamples.

    Returns:
        Tasks in order of appearance, then the GROUPS that have questions.
    """
    members: dict[str, list[QuestionScore]] = defaultdict(list)
    groups: dict[str, list[QuestionScore]] = {name: [] for name in GROUPS}
    for question in questions:
        members[question.task].append(question)
        for name in groups_of(question.kind, question.spatial):
            groups[name].append(question)
    members |= {name: group for name, group in groups.items() if group}
    return {name: _summarise_group(group, resamples, seed) for name, group in members.items()}


def _summarise_group(questions: list[QuestionScore], resamples: int, seed: int) -> Summary:
    scores = np.array([question.score for question in questions], dtype=float)
    scenes = [question.scene for question in questions]
    choices = all(question.kind == "choice" for question in questions)
    interval: Interval | None
    if choices and len(set(scenes)) == len(scenes) and np.isin(scores, (0, 1)).all():
        interval = wilson_interval(int(scores.sum()), len(scores))
    else:
        interval = cluster_bootstrap(scores, scenes, resamples=resamples, seed=seed)
    return Summary(
        mean=float(scores.mean()), n=len(scores), scenes=len(set(scenes)), interval=interval
    )
