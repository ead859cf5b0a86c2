"""Whether what a model sees goes with what it answers: the paper's Figures 2, 4, 5 and 6 on ours.

- `probe`, `lift`: depth RMSE of a frozen probe, and of lifted depth, against accuracy over arms;
- `bins`: accuracy over scenes by the quality of their lifted depth, and whether difficulty explains
  its trend: scenes that are easy may be seen and answered better, one not because of the other;
- `disagreements`: what one of two models alone got right;
- `geometry`: what lifted geometry answers by itself (`own_answers.py`), which the paper lacks.

Accuracy is the mean score of spatial questions.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from jaxtyping import Float

from spatialsv.io.manifest import Manifest
from spatialsv.report.comparisons import Runs
from spatialsv.report.jobs import Answer, Job, by_arm
from spatialsv.report.own_answers import build_own, trend_record
from spatialsv.report.results import pool_seeds
from spatialsv.scenes.store import open_groups
from spatialsv.stats.agreement import MIN_POINTS, spearman
from spatialsv.stats.comparison import correct_p_values
from spatialsv.stats.intervals import cluster_bootstrap
from spatialsv.stats.summary import QuestionScore
from spatialsv.stats.trend import Trend, descending_ranks, dummy_variables, equal_bins, fit_trend

ERROR = "rmse"  # of metrics.json and rows.jsonl; one median scale a scene, as in the paper
OTHER = "text"  # the arm that tells how hard a question is
BINS = 4
FEWEST_SCENES = 4 * BINS  # below, bins hold next to nothing

Answered = Mapping[tuple[str, str], Mapping[str, Answer]]  # by arm and seed


def build_interpretability(
    runs: Runs,
    evaluate: Sequence[Job],
    lift: Sequence[Job],
    probe: Sequence[Job],
    scenes: Sequence[Manifest],
    resamples: int = 2000,
    seed: int = 0,
) -> dict[str, Any]:
    """The record; a part that there is nothing for is None or empty.

    Args:
        runs: the replies of the jobs `evaluate`.
        scenes: manifests of the test scenes.
    """
    answered = answers_of_jobs(runs, evaluate)
    pooled = {arm: spatial(pool_seeds(arm, seeds)) for arm, seeds in runs.items()}
    lifted = {arm: found for arm, seeds in by_arm(lift).items() if (found := scene_errors(seeds))}
    known = {arm: error for arm, error in lifted.items() if arm in pooled}
    properties = scene_properties(scenes) if known else {}
    record = {
        "probe": against_error(probe, answered, pooled, resamples, seed),
        "lift": against_error(lift, answered, pooled, resamples, seed),
        "bins": {
            arm: found
            for arm, error in known.items()
            if (found := quality_bins(arm, error, pooled, properties, resamples, seed))
        },
        "disagreements": [disagreement(arm, runs, error) for arm, error in known.items()],
        "geometry": build_own(lift, answered, scenes, OTHER, resamples, seed),
    }
    record["disagreements"] = [found for found in record["disagreements"] if found]
    correct_together(record)
    return record


def answers_of_jobs(runs: Runs, evaluate: Sequence[Job]) -> Answered:
    """The replies of the jobs `evaluate`, by arm and seed."""
    jobs = by_arm(evaluate)
    return {
        (arm, job.seed): answers
        for arm, seeds in runs.items()
        for job, answers in zip(jobs[arm], seeds, strict=True)
    }


def spatial(questions: Sequence[QuestionScore]) -> list[QuestionScore]:
    return [question for question in questions if question.spatial]


def against_error(
    jobs: Sequence[Job],
    answered: Answered,
    pooled: Mapping[str, Sequence[QuestionScore]],
    resamples: int,
    seed: int,
) -> dict[str, Any] | None:
    """Error and accuracy of each job that has both, of each arm, and the arms' correlation.

    Seeds of one arm are no independent models: they are averaged first. An arm's accuracy has the
    interval of all its seeds' replies.
    """
    points = []
    for job in jobs:
        error, answers = job.metrics.get(ERROR), answered.get((job.arm, job.seed), {})
        scores = [a.scored.score for a in answers.values() if a.scored.spatial]
        if error is not None and scores:
            point = {"arm": job.arm, "seed": job.seed, "error": float(error)}
            points.append(point | {"accuracy": float(np.mean(scores))})
    if not points:
        return None
    arms = []
    for arm in dict.fromkeys(point["arm"] for point in points):
        own = [(point["error"], point["accuracy"]) for point in points if point["arm"] == arm]
        error, accuracy = np.mean(own, axis=0).tolist()
        values = np.array([question.score for question in pooled[arm]])
        names = [question.scene for question in pooled[arm]]
        interval = cluster_bootstrap(values, names, resamples=resamples, seed=seed)
        arms.append({"arm": arm, "error": error, "accuracy": accuracy} | _ends(interval))
    pairs = (np.array([arm[name] for arm in arms]) for name in ("error", "accuracy"))
    found = spearman(*pairs, resamples, seed)
    correlation = None
    if found:
        correlation = asdict(found) | _ends(found.interval)
        del correlation["interval"]
    return {"points": points, "arms": arms, "correlation": correlation, "needs": MIN_POINTS}


def scene_errors(jobs: Sequence[Job]) -> dict[str, float]:
    """Each scene's lifted depth error, the mean over an arm's seeds; empty without rows.jsonl."""
    found: dict[str, list[float]] = {}
    for job in jobs:
        path = job.manifest.resolve("rows.jsonl")
        for line in path.read_text().splitlines() if path.is_file() else ():
            row = json.loads(line)
            if row.get(ERROR) is not None:
                found.setdefault(row["scene"], []).append(row[ERROR])
    return {scene: float(np.mean(errors)) for scene, errors in found.items()}


def scene_properties(manifests: Sequence[Manifest]) -> dict[str, tuple[float, ...]]:
    """What makes a scene easy or hard, as far as it is known: mean depth, and number of things."""
    found = {}
    for manifest in manifests:
        for group in open_groups(manifest.find(".zarr"), ["image", "instance"]):
            if not group.has_geometry:
                continue
            maps = [name for name in ("depth", "valid", "instance") if name in group.chunks]
            for one in (stored.read(*maps) for stored in group):  # they may be large
                told = [float(one.depth[one.valid].mean()) if one.valid.any() else 0.0]
                if one.instance is not None:
                    told.append(float(len(np.unique(one.instance[one.instance > 0]))))
                found[one.ids[0]] = tuple(told)
    return found


def quality_bins(
    arm: str,
    error: Mapping[str, float],
    pooled: Mapping[str, Sequence[QuestionScore]],
    properties: Mapping[str, tuple[float, ...]],
    resamples: int,
    seed: int,
) -> dict[str, Any] | None:
    """Accuracy in bins of scenes from the worst lifted to the best, and three trends over scenes.

    `raw`: over the rank of a scene's quality, 0 the worst, 1 the best. `controlled`: with task, the
    other model's score of the question and its mean on the scene's other ones, and the scenes'
    properties taken out. `beyond`: of the difference to the other model's score, with task and
    properties taken out. The latter two are None where no other model was asked.
    """
    questions = [question for question in pooled[arm] if question.scene in error]
    scenes = {question.scene: error[question.scene] for question in questions}
    if len(scenes) < FEWEST_SCENES:
        return None
    names = [question.scene for question in questions]
    ours = np.array([question.score for question in questions])
    quality = np.array([descending_ranks(scenes)[name] for name in scenes])
    quality = dict(zip(scenes, quality.tolist(), strict=True))
    against = np.array([quality[name] for name in names])
    kinds = dummy_variables([question.task for question in questions])
    told = [properties.get(name) for name in names]
    if all(one is not None and len(one) == len(told[0]) for one in told):
        kinds = np.concatenate([kinds, _standard(np.array(told))], axis=1)
    trends: dict[str, Trend | None] = {"raw": fit_trend(ours, against, names, seed=seed)}
    trends |= {"controlled": None, "beyond": None}
    other = None
    if arm != OTHER and OTHER in pooled:
        scores = {question.id: question.score for question in pooled[OTHER]}
        other = np.array([scores[question.id] for question in questions])
        known = np.column_stack([kinds, other, rest_of_scene(other, names)])
        trends["controlled"] = fit_trend(ours, against, names, known, seed=seed)
        trends["beyond"] = fit_trend(ours - other, against, names, kinds, seed=seed)
    bins = []
    for members in equal_bins(scenes, BINS):
        inside = np.isin(names, members)
        edges = [scenes[name] for name in members]
        bins.append(
            {
                "error": [min(edges), max(edges)],
                "scenes": len(members),
                "n": int(inside.sum()),
                "own": _mean(ours, inside, names, resamples, seed),
                "other": other if other is None else _mean(other, inside, names, resamples, seed),
            }
        )
    return {
        "other": None if other is None else OTHER,
        "bins": bins,
        "trends": {name: trend_record(found) for name, found in trends.items()},
    }


def rest_of_scene(scores: Float[np.ndarray, " Q"], names: Sequence[str]) -> Float[np.ndarray, " Q"]:
    """The mean score of a scene's other questions; of a single one the mean of all."""
    index = np.unique(names, return_inverse=True)[1]
    sums, counts = np.bincount(index, weights=scores), np.bincount(index)
    others = counts[index] - 1
    return np.where(others > 0, (sums[index] - scores) / np.maximum(others, 1), scores.mean())


def disagreement(arm: str, runs: Runs, error: Mapping[str, float]) -> dict[str, Any] | None:
    """The spatial questions that `arm` alone got wholly right, of it and the other, and vice versa.

    Of the first seed of each, which is what the question browser shows.
    """
    if arm == OTHER or OTHER not in runs:
        return None
    ours, other = runs[arm][0], runs[OTHER][0]
    rank = descending_ranks(error)
    told: dict[str, Any] = {"first": arm, "second": OTHER}
    for name, right, wrong in (("only_first", ours, other), ("only_second", other, ours)):
        ids = [
            i
            for i, answer in right.items()
            if answer.scored.spatial and answer.scored.score == 1 and wrong[i].scored.score == 0
        ]
        found = [rank[right[i].scored.scene] for i in ids if right[i].scored.scene in rank]
        told[name] = ids
        told[f"{name}_quality"] = float(np.mean(found)) if found else None
    return told


def correct_together(record: dict[str, Any]) -> None:
    """Give the record's trends of scores p-values corrected over all of them (Holm), in place."""
    places = [
        (part["trends"], name)
        for part in (*record["bins"].values(), *record["geometry"].values())
        for name, found in part["trends"].items()
        if found is not None and name != "number"
    ]
    tests = correct_p_values([trends[name] for trends, name in places])
    for (trends, name), test in zip(places, tests, strict=True):
        trends[name] = test


def _mean(
    scores: np.ndarray, inside: np.ndarray, names: Sequence[str], resamples: int, seed: int
) -> dict[str, float | None]:
    clusters = [name for name, here in zip(names, inside, strict=True) if here]
    interval = cluster_bootstrap(scores[inside], clusters, resamples=resamples, seed=seed)
    return {"mean": float(scores[inside].mean())} | _ends(interval)


def _ends(interval: Sequence[float] | None) -> dict[str, float | None]:
    low, high = interval or (None, None)
    return {"low": low, "high": high}


def _standard(columns: Float[np.ndarray, "Q K"]) -> Float[np.ndarray, "Q K"]:
    """Columns of mean 0 and, where they vary, deviation 1."""
    spread = columns.std(axis=0)
    return (columns - columns.mean(axis=0)) / np.where(spread > 0, spread, 1)
