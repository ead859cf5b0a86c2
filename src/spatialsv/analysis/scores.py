"""Scores of each arm by task and pool of tasks, with intervals and the score of guessing."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import replace

import numpy as np

from spatialsv.analysis.jobs import NO_IMAGE, WITHOUT_TRAINING, Job, Responses, Runs, by_arm
from spatialsv.analysis.tables import Row
from spatialsv.io.manifest import Manifest
from spatialsv.scenes.question import TASKS
from spatialsv.stats.seeds import summarise_metrics, summarise_seeds
from spatialsv.stats.summary import GROUPS, QuestionScore, Summary, summarise

# first columns
POOLS = ("spatial", "spatial_choice", "spatial_number", "spatial_text", "recognition")
FEW = "few_items"  # all tasks with fewer questions than a separate row needs


def score_table(runs: Runs, resamples: int = 2000, seed: int = 0, min_items: int = 1) -> list[Row]:
    """List the score, in [0, 1], of each arm on each task and pool of tasks.

    Args:
        runs: responses by arm and seed.
        resamples: of the bootstrap.
        seed: of the bootstrap.
        min_items: tasks with fewer questions also form one row, `few_items`.

    Returns:
        Rows in the order of arms, then pools, then tasks as they are defined. The interval is over
        scenes, the deviation over seeds.

    Raises:
        ValueError: the arms answered different questions.
    """
    pooled = {arm: pool_seeds(arm, seeds) for arm, seeds in runs.items()}
    check_same_questions(pooled)
    few = few_tasks(next(iter(pooled.values()), []), min_items)
    summaries = {
        arm: summarise(scored, resamples, seed) | _summarise_few(scored, few, resamples, seed)
        for arm, scored in pooled.items()
    }
    chance = guessing_scores(runs, few, seed)
    order = _task_order(dict.fromkeys(name for found in summaries.values() for name in found))
    rows = []
    for arm, seeds in runs.items():
        scored = [scores_of(run) for run in seeds]
        by_seed = [summarise(one, resamples=1) | _summarise_few(one, few, 1) for one in scored]
        for task in (task for task in order if task in summaries[arm]):
            summary = summaries[arm][task]
            low, high = summary.interval or (None, None)
            rows.append(
                {
                    "arm": arm,
                    "is_trained": arm not in WITHOUT_TRAINING,
                    "seeds": len(seeds),
                    "task": task,
                    "is_pool": task in GROUPS,
                    "n": summary.n,
                    "min_items": min_items,
                    "mean": summary.mean,
                    "low": low,
                    "high": high,
                    "deviation": summarise_seeds([one[task].mean for one in by_seed]).deviation,
                    "chance": chance.get(task),
                }
            )
    return rows


def few_tasks(questions: Iterable[QuestionScore], min_items: int) -> set[str]:
    """Return the tasks with fewer than `min_items` questions."""
    counts = Counter(question.task for question in questions)
    return {task for task, count in counts.items() if count < min_items}


def _summarise_few(
    scored: Sequence[QuestionScore], few: Set[str], resamples: int, seed: int = 0
) -> dict[str, Summary]:
    """Summarise the questions of all tasks in `few` as one task; empty without any."""
    own = [replace(question, task=FEW) for question in scored if question.task in few]
    return {FEW: summarise(own, resamples, seed)[FEW]} if own else {}


def scores_of(run: Responses) -> list[QuestionScore]:
    """Return one seed's scores."""
    return [response.scored() for response in run.values()]


def pool_seeds(arm: str, seeds: Sequence[Responses]) -> list[QuestionScore]:
    """Average each question's score over an arm's seeds, which must have the same questions."""
    first = seeds[0]
    if any(set(other) != set(first) for other in seeds):
        raise ValueError(
            f"Arm {arm!r}: its seeds answered different questions. Force the stage `evaluate`."
        )
    return [
        replace(response.scored(), score=float(np.mean([run[id].scored().score for run in seeds])))
        for id, response in first.items()
    ]


def check_same_questions(pooled: Mapping[str, Sequence[QuestionScore]]) -> None:
    """Raise a ValueError if two arms answered different questions: they are incomparable."""
    ids = {arm: {question.id for question in scored} for arm, scored in pooled.items()}
    for arm, own in ids.items():
        first = next(iter(ids))
        if own != ids[first]:
            raise ValueError(
                f"Arms {first!r} and {arm!r} answered different questions"
                f" ({len(ids[first] ^ own)} are not shared). Force the stage `evaluate`."
            )


def select_runs(where: str, runs: Runs, arms: Sequence[str], tasks: Sequence[str]) -> Runs:
    """Return the responses of some arms to the questions of some tasks.

    Args:
        where: the path of the settings, for messages.
        runs: responses by arm and seed.
        arms: those to compare.
        tasks: theirs; none given: all questions.

    Returns:
        Responses by arm and seed.

    Raises:
        ValueError: an arm was not evaluated, arms answered different questions, or none is of
            these tasks.
    """
    if missing := [arm for arm in arms if arm not in runs]:
        raise ValueError(f"{where}: arms not evaluated: {', '.join(missing)}.")
    check_same_questions({arm: pool_seeds(arm, runs[arm]) for arm in arms})
    if not tasks:
        return {arm: runs[arm] for arm in arms}
    chosen = {
        arm: [{key: r for key, r in run.items() if r.task in tasks} for run in runs[arm]]
        for arm in arms
    }
    if not all(run for seeds in chosen.values() for run in seeds):
        raise ValueError(
            f"{where}.tasks: no question is of {', '.join(tasks)}. Add them to scenes.tasks, or"
            " drop this setting."
        )
    return chosen


def guessing_scores(runs: Runs, few: Set[str] = frozenset(), seed: int = 0) -> dict[str, float]:
    """Return the score of guessing by task and pool, as far as it is known.

    Args:
        runs: responses by arm and seed.
        few: tasks that also form one row.
        seed: of the resamples.

    Returns:
        The mean score of a random option, and for numbers of the training set's best constant.
    """
    if not runs:
        return {}
    frequency = runs.get("frequency", [{}])[0]
    constant = {id: response.scored().score for id, response in frequency.items()}
    guesses = []
    for response in next(iter(runs.values()))[0].values():
        question = response.scored()
        if question.kind == "choice":
            guesses.append(replace(question, score=1 / response.options))
        elif question.id in constant:
            guesses.append(replace(question, score=constant[question.id]))
    found = summarise(guesses, 1, seed) | _summarise_few(guesses, few, 1)
    means = {name: summary.mean for name, summary in found.items()}
    if "frequency" not in runs:  # without constants, a pool with numbers has no chance level
        means.pop("spatial", None)
        means.pop(FEW, None)
    return means


def no_image_table(scores: Sequence[Row]) -> list[Row]:
    """List whether the interval of the no-image arm contains chance, by pool of spatial tasks."""
    columns = ("mean", "low", "high", "chance")
    return [
        {"pool": row["task"]}
        | {name: row[name] for name in columns}
        | {"contains_chance": row["low"] <= row["chance"] <= row["high"]}
        for row in scores
        if row["arm"] == NO_IMAGE
        and row["task"] in ("spatial", "spatial_choice")
        and None not in (row["chance"], row["low"])
    ]


def geometry_table(stage: str, jobs: Sequence[Job]) -> list[Row]:
    """List each metric of a geometry stage by arm, over its seeds."""
    return [
        {"stage": stage, "arm": arm, "metric": name}
        | {"mean": spread.mean, "deviation": spread.deviation, "seeds": spread.n}
        for arm, seeds in by_arm(jobs).items()
        for name, spread in summarise_metrics([job.metrics for job in seeds]).items()
    ]


def _task_order(names: Mapping[str, None]) -> list[str]:
    """Pools first, then tasks in the order of their definition, then others."""
    tasks = [name for name in TASKS if name in names]
    others = [name for name in names if name not in TASKS and name not in GROUPS]
    return [*(pool for pool in POOLS if pool in names), *tasks, *others]


def shortcut_table(selection: Manifest) -> list[Row]:
    """List how often each shortcut answers the questions across views, from its gates.

    Args:
        selection: by `spatialsv select`.

    Returns:
        A row per task and shortcut; accuracies in [0, 1].
    """
    with selection.resolve("gates.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    return [
        {
            "task": line["task"],
            "shortcut": name,
            "n": int(line["questions"]),
            "accuracy": float(value) / 100,
        }
        for line in lines
        for name, value in line.items()
        if name not in ("task", "questions")
    ]
