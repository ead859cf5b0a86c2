"""The results as one JSON-ready record: scores, chance, tests, geometry, what they can show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from spatialsv.report.comparisons import Runs, blind_check, paired_tests, statement, text_pairs
from spatialsv.report.jobs import Answer, Job, arm_label, by_arm
from spatialsv.scenes.question import TASKS
from spatialsv.stats.seeds import summarise_metrics, summarise_seeds
from spatialsv.stats.summary import GROUPS, QuestionScore, Summary, summarise

COLUMNS = ("spatial", "spatial_choice", "spatial_number", "recognition")  # of pools
SCHEMA = "spatialsv-results/1"


def build_results(
    runs: Runs,
    lift: Sequence[Job] = (),
    probe: Sequence[Job] = (),
    resamples: int = 2000,
    seed: int = 0,
) -> dict[str, Any]:
    """The results record.

    `tasks` lists the columns; `rows` one arm each with `scores` {name: mean, low, high, n,
    deviation}; `chance` the score of guessing, by column; `blind` whether the blind arm's interval
    contains it; `tests` the paired comparisons; `lift` and `probe` {arm: {metric: mean, deviation,
    n}}; `statement` sentences on what this size of test can show. Scores are in [0, 1].

    Raises:
        ValueError: arms that were asked different questions.
    """
    pooled = {arm: pool_seeds(arm, seeds) for arm, seeds in runs.items()}
    check_same_questions(pooled)
    summaries = {arm: summarise(scored, resamples, seed) for arm, scored in pooled.items()}
    tests = paired_tests(runs, text_pairs(runs), seed)
    return {
        "schema": SCHEMA,
        "tasks": _tasks(summaries),
        "rows": [_row(arm, runs[arm], summaries[arm]) for arm in runs],
        "chance": (chance := _chance(runs, resamples, seed)),
        "blind": blind_check(summaries, chance),
        "tests": tests,
        "lift": _geometry(lift),
        "probe": _geometry(probe),
        "statement": statement(runs, tests),
    }


def pool_seeds(arm: str, seeds: Sequence[Mapping[str, Answer]]) -> list[QuestionScore]:
    """Each question's score, averaged over an arm's seeds."""
    first = seeds[0]
    if any(set(other) != set(first) for other in seeds):
        raise ValueError(f"arm {arm!r}: its seeds were asked different questions; force evaluate")
    return [
        replace(answer.scored, score=float(np.mean([run[name].scored.score for run in seeds])))
        for name, answer in first.items()
    ]


def check_same_questions(pooled: Mapping[str, Sequence[QuestionScore]]) -> None:
    """Raises ValueError where arms were asked different questions, which compare nothing."""
    names = {arm: {question.id for question in scored} for arm, scored in pooled.items()}
    for arm, asked in names.items():
        first = next(iter(names))
        if asked != names[first]:
            raise ValueError(
                f"arms {first!r} and {arm!r} were asked different questions "
                f"({len(names[first] ^ asked)} are not shared); force the evaluate stage"
            )


def _tasks(summaries: Mapping[str, Mapping[str, Summary]]) -> list[dict[str, Any]]:
    """The columns: groups first, then tasks in the order in which they are defined."""
    seen = dict.fromkeys(name for found in summaries.values() for name in found)
    tasks = [name for name in TASKS if name in seen]
    tasks += [name for name in seen if name not in TASKS and name not in GROUPS]
    first = next(iter(summaries.values()), {})
    return [
        {"name": name, "group": name in GROUPS, "n": first[name].n, "label": task_label(name)}
        for name in [*(group for group in COLUMNS if group in seen), *tasks]
    ]


def task_label(name: str) -> str:
    """A task's or group's name in words."""
    words = {
        "spatial": "all spatial",
        "spatial_choice": "spatial choices",
        "spatial_number": "spatial numbers",
        "recognition": "recognition",
    }
    return words.get(name, name.replace("_", " ").replace("rel ", "relative ").replace("abs ", ""))


def _row(
    arm: str, seeds: Sequence[Mapping[str, Answer]], found: Mapping[str, Summary]
) -> dict[str, Any]:
    """An arm's scores; the interval is over questions, the deviation over seeds."""
    alone = [summarise([a.scored for a in run.values()], resamples=1) for run in seeds]
    scores = {}
    for name, summary in found.items():
        low, high = summary.interval or (None, None)
        spread = summarise_seeds([run[name].mean for run in alone])
        scores[name] = {"mean": summary.mean, "low": low, "high": high, "n": summary.n}
        scores[name]["deviation"] = spread.deviation
    return {"arm": arm, "label": arm_label(arm), "seeds": len(seeds), "scores": scores}


def _chance(runs: Runs, resamples: int, seed: int) -> dict[str, float]:
    """The score of guessing: a random option; for numbers training's best constant, where known."""
    if not runs:
        return {}
    constant = {
        name: answer.scored.score for name, answer in runs.get("frequency", [{}])[0].items()
    }
    guesses = []
    for answer in next(iter(runs.values()))[0].values():
        question = answer.scored
        if question.kind == "choice":
            guesses.append(replace(question, score=1 / answer.options))
        elif question.id in constant:
            guesses.append(replace(question, score=constant[question.id]))
    found = {name: summary.mean for name, summary in summarise(guesses, 1, seed).items()}
    if "frequency" not in runs:  # without constants, pools that hold numbers have no chance level
        found.pop("spatial", None)
    return found


def _geometry(jobs: Sequence[Job]) -> dict[str, dict[str, dict[str, Any]]]:
    """Each arm's metrics of a geometry stage over its seeds."""
    return {
        arm: {
            name: {"mean": spread.mean, "deviation": spread.deviation, "n": spread.n}
            for name, spread in summarise_metrics([job.metrics for job in seeds]).items()
        }
        for arm, seeds in by_arm(jobs).items()
    }
