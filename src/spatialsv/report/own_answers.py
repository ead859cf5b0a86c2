"""Does the lifted geometry answer the question by itself, and does the model say what it sees?

Answers of geometry are from `own_geometry.py`. Replies agree with them beyond chance if the model
uses what its heads can read, or if both are right. So agreement is also told where geometry is
wrong: a model that reads its own geometry makes its mistakes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from spatialsv.io.manifest import Manifest
from spatialsv.report.jobs import BASELINES, Answer, Job, by_arm
from spatialsv.report.own_geometry import SOURCES, Said, answers_of_geometry, known_rooms
from spatialsv.rooms.questions.candidate import LETTERS
from spatialsv.rooms.questions.directions import SECTORS
from spatialsv.rooms.questions.route import TURNS
from spatialsv.rooms.questions.solve import SOLVERS
from spatialsv.scenes.question import TASKS, Question
from spatialsv.scenes.singly import ById
from spatialsv.scenes.store import read_groups
from spatialsv.stats.accuracy import mean_relative_accuracy
from spatialsv.stats.agreement import cohen_kappa
from spatialsv.stats.intervals import cluster_bootstrap
from spatialsv.stats.trend import Trend, dummy_variables, fit_trend

# Options that mean the same wherever they stand, so that saying one often is a habit.
DIRECTIONS = frozenset({"left", "right", *TURNS, *(s for part in SECTORS.values() for s in part)})


@dataclass(frozen=True, kw_only=True)
class Row:
    """A question to a model of one seed."""

    question: Question
    said: Said  # by geometry; every source has an answer
    replies: Mapping[str, Answer]  # of the model itself, and of others, by arm

    @property
    def scene(self) -> str:
        return self.question.scene

    def score(self, said: str | float | None) -> float:
        """What an answer scores, in [0, 1]."""
        if self.question.kind == "choice":
            return float(said == self.question.answer)
        truth = np.array(float(self.question.answer))
        return float(mean_relative_accuracy(np.array(float(said)), truth))

    def meaning(self, letter: str | float | None) -> str | float | None:
        """What a letter stands for, where it stands for the same in other questions."""
        if self.kind[1] == len(self.question.options) or letter is None:
            return letter
        return self.question.options[LETTERS.index(str(letter))]

    @property
    def kind(self) -> tuple[str, tuple[str, ...] | int]:
        """Questions of one kind have answers that can be counted together."""
        options = self.question.options
        fixed = set(options) <= DIRECTIONS
        return self.question.task, tuple(sorted(options)) if fixed else len(options)


def build_own(
    lift: Sequence[Job],
    answered: Mapping[tuple[str, str], Mapping[str, Answer]],
    scenes: Sequence[Manifest],
    other: str,
    resamples: int = 2000,
    seed: int = 0,
) -> dict[str, dict[str, Any]]:
    """The record of each arm that lifted rooms and was asked about them; all seeds together.

    Args:
        answered: replies by arm and seed.
        other: the arm that tells how hard a question is.
    """
    jobs = [job for job in lift if (job.arm, job.seed) in answered and _store(job)]
    known = known_rooms(scenes) if jobs else []
    questions = {question.id: question for one in known for question in one.questions}
    found = {}
    for arm, seeds in by_arm(jobs).items():
        rows, lost = [], 0
        for job in seeds:
            said = answers_of_geometry(known, ById(read_groups(job.manifest.resolve(_store(job)))))
            replies = {
                name: answered.get((name, job.seed), first)
                for name, first in _first_seeds(answered).items()
                if name not in BASELINES
            }
            for name, answers in said.items():
                if name not in replies[arm]:
                    continue
                if None in answers.values():
                    lost += 1
                    continue
                own = {which: given[name] for which, given in replies.items()}
                rows.append(Row(question=questions[name], said=answers, replies=own))
        if rows:
            found[arm] = arm_record(arm, rows, lost, len(seeds), other, resamples, seed)
    return found


def arm_record(
    arm: str, rows: Sequence[Row], lost: int, seeds: int, other: str, resamples: int, seed: int
) -> dict[str, Any]:
    """What one arm's geometry answers, and what replies have in common with it."""
    tasks = [name for name in TASKS if any(row.question.task == name for row in rows)]
    choices = [row for row in rows if row.question.kind == "choice"]
    numbers = [row for row in rows if row.question.kind == "number"]
    pools = {"choice": choices, "number": numbers}
    return {
        "n": len(rows),
        "lost": lost,  # things that the masks show too little of
        "seeds": seeds,
        "other": other if other != arm and other in rows[0].replies else None,
        "tasks": [
            {"name": name} | scores(arm, [r for r in rows if r.question.task == name])
            for name in tasks
        ],
        "unanswered": [name for name in TASKS if TASKS[name].spatial and name not in SOLVERS],
        "pools": {
            name: scores(arm, part, (resamples, seed)) for name, part in pools.items() if part
        },
        "agreement": [agreement(name, choices, resamples, seed) for name in rows[0].replies]
        if choices
        else [],
        "trends": {
            name: trend_record(found)
            for name, found in trends(arm, choices, numbers, other, seed).items()
        },
    }


def scores(
    arm: str, rows: Sequence[Row], interval: tuple[int, int] | None = None
) -> dict[str, Any]:
    """Mean scores of each source, of the replies, and of guessing among choices.

    Args:
        interval: resamples and seed of a bootstrap by scene; None: no interval.
    """
    columns = {name: [row.score(row.said[name]) for row in rows] for name in SOURCES}
    columns["reply"] = [row.replies[arm].scored.score for row in rows]
    if rows[0].question.options:
        columns["chance"] = [1 / len(row.question.options) for row in rows]
    found: dict[str, Any] = {"n": len(rows)}
    for name, values in columns.items():
        low, high = None, None
        if interval:
            clusters = [row.scene for row in rows]
            low, high = cluster_bootstrap(
                np.array(values), clusters, resamples=interval[0], seed=interval[1]
            ) or (None, None)
        found[name] = {"mean": float(np.mean(values)), "low": low, "high": high}
    return found


def agreement(name: str, rows: Sequence[Row], resamples: int, seed: int) -> dict[str, Any]:
    """One arm's replies to choices beside what the geometry says.

    `same_mistake`: of three options or more, where both are wrong, how often they are wrong alike;
    of two, both are always. Its chance is a wrong option drawn blindly.
    """
    said = [row.replies[name].said for row in rows]
    kappa = cohen_kappa(
        [row.meaning(letter) for row, letter in zip(rows, said, strict=True)],
        [row.meaning(row.said["lifted"]) for row in rows],
        [row.kind for row in rows],
        [row.scene for row in rows],
        resamples,
        seed,
    )
    wrong = [
        (float(letter == row.said["lifted"]), 1 / (len(row.question.options) - 1), row.scene)
        for row, letter in zip(rows, said, strict=True)
        if len(row.question.options) > 2
        and row.question.answer not in (letter, row.said["lifted"])
        and letter is not None
    ]
    same = None
    if wrong:
        values, chance, clusters = zip(*wrong, strict=True)
        low, high = cluster_bootstrap(
            np.array(values), clusters, resamples=resamples, seed=seed
        ) or (None, None)
        same = {"mean": float(np.mean(values)), "low": low, "high": high}
        same |= {"chance": float(np.mean(chance)), "n": len(values)}
    told = None
    if kappa:
        told = asdict(kappa)
        told["low"], told["high"] = told.pop("interval") or (None, None)
    return {"arm": name, "kappa": told, "same_mistake": same}


def trends(
    arm: str, choices: Sequence[Row], numbers: Sequence[Row], other: str, seed: int
) -> dict[str, Trend | None]:
    """Does the reply's score rise where geometry is right, and its number with geometry's?

    `right`: choices, task taken out; `right_controlled`: the other model's score as well;
    `right_beyond`: of the difference to it. `number`: the reply's logarithm over that of geometry's
    number, with task and the logarithm of the truth, by task, taken out: 1 if the reply is off as
    geometry is, 0 if it has nothing to do with it.
    """
    found: dict[str, Trend | None] = dict.fromkeys(
        ("right", "right_controlled", "right_beyond", "number")
    )
    if choices:
        ours = np.array([row.replies[arm].scored.score for row in choices])
        right = np.array([row.score(row.said["lifted"]) for row in choices])
        names = [row.scene for row in choices]
        tasks = dummy_variables([row.question.task for row in choices])
        found["right"] = fit_trend(ours, right, names, tasks, seed=seed)
        if other != arm and other in choices[0].replies:
            theirs = np.array([row.replies[other].scored.score for row in choices])
            known = np.column_stack([tasks, theirs])
            found["right_controlled"] = fit_trend(ours, right, names, known, seed=seed)
            found["right_beyond"] = fit_trend(ours - theirs, right, names, tasks, seed=seed)
    logs, names, kinds = [], [], []
    for row in numbers:
        three = (row.replies[arm].said, row.said["lifted"], float(row.question.answer))
        if all(isinstance(value, int | float) and value > 0 for value in three):
            logs.append(np.log(three))
            names.append(row.scene)
            kinds.append(row.question.task)
    if logs:
        reply, own, truth = np.array(logs).T
        tasks = np.column_stack([np.ones(len(kinds)), dummy_variables(kinds)])
        tasks[:, 0] -= tasks[:, 1:].sum(axis=1)
        found["number"] = fit_trend(
            reply, own, names, np.column_stack([tasks, tasks * truth[:, None]]), seed=seed
        )
    return found


def trend_record(found: Trend | None) -> dict[str, Any] | None:
    """A trend, JSON-ready."""
    if found is None:
        return None
    told = asdict(found)
    told["low"], told["high"] = told.pop("interval")
    return told


def _first_seeds(
    answered: Mapping[tuple[str, str], Mapping[str, Answer]],
) -> dict[str, Mapping[str, Answer]]:
    found: dict[str, Mapping[str, Answer]] = {}
    for (arm, _), answers in answered.items():
        found.setdefault(arm, answers)
    return found


def _store(job: Job) -> str | None:
    return "lifted.zarr" if "lifted.zarr" in job.manifest.payload else None
