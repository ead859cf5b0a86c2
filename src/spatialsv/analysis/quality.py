"""Geometry quality against accuracy: the paper's Figures 2, 4 and 5 on our runs.

- over arms: depth RMSE of a frozen probe and of lifted depth, against accuracy;
- over scenes: accuracy in bins of scenes by the quality of their lifted depth, and whether
  difficulty explains the trend, since an easy scene may have both better depth and better answers;
- disagreements: questions that only one of two arms answered correctly.

Accuracy is the mean score of spatial questions.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict

import numpy as np
from jaxtyping import Bool, Float

from spatialsv.analysis.jobs import Job, Responses, Runs, by_arm
from spatialsv.analysis.scores import pool_seeds
from spatialsv.analysis.tables import Row
from spatialsv.io.manifest import Manifest
from spatialsv.io.text import iterate_jsonl
from spatialsv.scenes.store import open_store
from spatialsv.stats.agreement import MIN_POINTS, spearman
from spatialsv.stats.comparison import correct_p_values
from spatialsv.stats.intervals import Interval, cluster_bootstrap
from spatialsv.stats.summary import QuestionScore
from spatialsv.stats.trend import Trend, descending_ranks, dummy_variables, equal_bins, fit_trend

ERROR = "rmse"  # of metrics.json and rows.jsonl; one median scale per scene, as in the paper
REFERENCE = "text"  # the arm whose scores measure how hard a question is
BINS = 4
MIN_SCENES = 4 * BINS  # with fewer, a bin has too few scenes

ByJob = Mapping[tuple[str, str], Responses]  # by arm and seed


def responses_by_job(runs: Runs, evaluate: Sequence[Job]) -> dict[tuple[str, str], Responses]:
    """Return the responses of the jobs `evaluate` by arm and seed."""
    jobs = by_arm(evaluate)
    return {
        (arm, job.seed): responses
        for arm, seeds in runs.items()
        for job, responses in zip(jobs[arm], seeds, strict=True)
    }


def spatial_scores(runs: Runs) -> dict[str, list[QuestionScore]]:
    """Return each arm's scores of spatial questions, averaged over its seeds."""
    return {
        arm: [question for question in pool_seeds(arm, seeds) if question.spatial]
        for arm, seeds in runs.items()
    }


def arm_tables(
    stage: str,
    jobs: Sequence[Job],
    responses: ByJob,
    pooled: Mapping[str, Sequence[QuestionScore]],
    resamples: int,
    seed: int,
) -> dict[str, list[Row]]:
    """Compare depth error with accuracy over jobs and arms.

    Seeds of one arm are not independent models: they are averaged first. The interval of an arm's
    accuracy is over scenes, from the responses of all its seeds.

    Args:
        stage: `probe` or `lift`.
        jobs: of that stage, with their errors.
        responses: by arm and seed.
        pooled: of `spatial_scores`.
        resamples: of the bootstrap.
        seed: of bootstrap and permutations.

    Returns:
        `quality_by_job`, `quality_by_arm` and `quality_correlation`; empty where no job has both an
        error and responses.
    """
    points: list[Row] = []
    for job in jobs:
        error, own = job.metrics.get(ERROR), responses.get((job.arm, job.seed), {})
        scores = [response.scored().score for response in own.values() if response.scored().spatial]
        if error is not None and scores:
            point = {"stage": stage, "arm": job.arm, "seed": job.seed, "error": float(error)}
            points.append(point | {"accuracy": float(np.mean(scores))})
    arms = []
    for arm in dict.fromkeys(point["arm"] for point in points):
        pairs = [(point["error"], point["accuracy"]) for point in points if point["arm"] == arm]
        error, accuracy = np.mean(pairs, axis=0).tolist()
        values = np.array([question.score for question in pooled[arm]])
        scenes = [question.scene for question in pooled[arm]]
        interval = cluster_bootstrap(values, scenes, resamples=resamples, seed=seed)
        arms.append({"stage": stage, "arm": arm, "error": error, "accuracy": accuracy})
        arms[-1] |= ends(interval)
    correlation: list[Row] = []
    if arms:
        x, y = (np.array([arm[name] for arm in arms]) for name in ("error", "accuracy"))
        result = spearman(x, y, resamples, seed)
        row = {"stage": stage, "arms": len(arms), "min_arms": MIN_POINTS}
        row |= {n: getattr(result, n, None) for n in ("rho", "p", "least_p")}
        correlation.append(row | ends(result.interval if result else None))
    return {"quality_by_job": points, "quality_by_arm": arms, "quality_correlation": correlation}


def scene_errors(jobs: Sequence[Job]) -> dict[str, float]:
    """Return each scene's lifted depth error, averaged over the seeds that have rows.jsonl."""
    errors: dict[str, list[float]] = {}
    for job in jobs:
        path = job.file("rows.jsonl")
        for _, row in iterate_jsonl(path) if path else ():
            if row.get(ERROR) is not None:
                errors.setdefault(row["scene"], []).append(row[ERROR])
    return {scene: float(np.mean(values)) for scene, values in errors.items()}


def scene_properties(manifests: Sequence[Manifest]) -> dict[str, tuple[float, ...]]:
    """Measure what may make a scene hard.

    Returns:
        By scene with geometry its mean valid depth and, where instances are stored, its number of
        objects.
    """
    properties = {}
    for manifest in manifests:
        for group in open_store(manifest.find(".zarr")):
            if not group.has_geometry:
                continue
            for one in (stored.load("depth", "instance") for stored in group):  # may be large
                values = [float(one.depth[one.valid].mean()) if one.valid.any() else 0.0]
                if one.has("instance"):
                    values.append(float(len(np.unique(one.instance[one.instance > 0]))))
                properties[one.ids[0]] = tuple(values)
    return properties


def scene_tables(
    arm: str,
    error: Mapping[str, float],
    pooled: Mapping[str, Sequence[QuestionScore]],
    properties: Mapping[str, tuple[float, ...]],
    resamples: int,
    seed: int,
) -> dict[str, list[Row]]:
    """Compare an arm's accuracy over scenes with the quality of their lifted depth.

    The trends are over the rank of a scene's quality, 0 the worst, 1 the best:

    - `raw`: nothing controlled;
    - `controlled`: task, the reference arm's score of the question and its mean on the scene's
      other questions, and the scene's properties;
    - `lead`: of the difference to the reference arm's score, with task and properties controlled.

    Returns:
        `quality_bins`, worst to best, and `trends`; empty with fewer than MIN_SCENES scenes. Trends
        that need the reference arm are absent without it.
    """
    questions = [question for question in pooled[arm] if question.scene in error]
    scenes = {question.scene: error[question.scene] for question in questions}
    if len(scenes) < MIN_SCENES:
        return {"quality_bins": [], "trends": []}
    names = [question.scene for question in questions]
    own = np.array([question.score for question in questions])
    ranked = descending_ranks(scenes)
    quality = np.array([ranked[name] for name in names])
    controls = dummy_variables([question.task for question in questions])
    rows = [properties[name] for name in names if name in properties]
    if len(rows) == len(names) and len({len(row) for row in rows}) == 1:
        controls = np.concatenate([controls, _standardise(np.array(rows))], axis=1)
    trends: dict[str, Trend | None] = {"raw": fit_trend(own, quality, names, seed=seed)}
    reference = None
    if arm != REFERENCE and REFERENCE in pooled:
        scores = {question.id: question.score for question in pooled[REFERENCE]}
        reference = np.array([scores[question.id] for question in questions])
        more = np.column_stack([controls, reference, mean_of_others(reference, names)])
        trends["controlled"] = fit_trend(own, quality, names, more, seed=seed)
        trends["lead"] = fit_trend(own - reference, quality, names, controls, seed=seed)
    bins = []
    for number, members in enumerate(equal_bins(scenes, BINS)):
        inside = np.isin(names, members)
        edges = [scenes[name] for name in members]
        row: Row = {
            "arm": arm,
            "reference": None if reference is None else REFERENCE,
            "bin": number,
        }
        row |= {"error_low": min(edges), "error_high": max(edges)}
        row |= {"scenes": len(members), "n": int(inside.sum())}
        row |= _bin_mean("", own, inside, names, resamples, seed)
        row |= _bin_mean("reference_", reference, inside, names, resamples, seed)
        bins.append(row)
    return {"quality_bins": bins, "trends": trend_rows(arm, "quality", trends)}


def mean_of_others(scores: Float[np.ndarray, " Q"], scenes: Sequence[str]) -> np.ndarray:
    """Return the mean score of the scene's other questions; without others, that of all."""
    index = np.unique(scenes, return_inverse=True)[1]
    sums, counts = np.bincount(index, weights=scores), np.bincount(index)
    others = counts[index] - 1
    return np.where(others > 0, (sums[index] - scores) / np.maximum(others, 1), scores.mean())


def disagreement_rows(arm: str, runs: Runs, error: Mapping[str, float]) -> list[Row]:
    """List the spatial questions that only one of `arm` and the reference arm answered correctly.

    Returns:
        Rows by question, of the first seeds, as in the question browser.
    """
    if arm == REFERENCE or REFERENCE not in runs:
        return []
    rank = descending_ranks(error)
    pair = {arm: runs[arm][0], REFERENCE: runs[REFERENCE][0]}
    return [
        {"arm": arm, "reference": REFERENCE, "correct_arm": winner, "question": id}
        | {"scene": (scene := response.scored().scene), "quality": rank.get(scene)}
        | {"is_example": False}
        for winner, loser in ((arm, REFERENCE), (REFERENCE, arm))
        for id, response in pair[winner].items()
        if response.scored().spatial
        and (response.scored().score, pair[loser][id].scored().score) == (1, 0)
    ]


def trend_rows(arm: str, against: str, trends: Mapping[str, Trend | None]) -> list[Row]:
    """List those trends that could be computed, without corrected p-values."""
    return [
        {"arm": arm, "against": against, "trend": name}
        | {key: value for key, value in asdict(trend).items() if key != "interval"}
        | ends(trend.interval)
        for name, trend in trends.items()
        if trend is not None
    ]


def correct_together(trends: Sequence[Row], uncorrected: Iterable[str]) -> list[Row]:
    """Correct the p-values of all trends together (Holm), but for those named `uncorrected`."""
    tests = iter(correct_p_values([row for row in trends if row["trend"] not in uncorrected]))
    empty = {"p_holm": None, "significant": None}
    return [row | empty if row["trend"] in uncorrected else next(tests) for row in trends]


def ends(interval: Interval | None) -> Row:
    """Return the ends of an interval as columns."""
    low, high = interval or (None, None)
    return {"low": low, "high": high}


def _bin_mean(
    prefix: str,
    scores: Float[np.ndarray, " Q"] | None,
    inside: Bool[np.ndarray, " Q"],
    names: Sequence[str],
    resamples: int,
    seed: int,
) -> Row:
    if scores is None:
        return {f"{prefix}{name}": None for name in ("mean", "low", "high")}
    clusters = [name for name, here in zip(names, inside, strict=True) if here]
    interval = cluster_bootstrap(scores[inside], clusters, resamples=resamples, seed=seed)
    row = {"mean": float(scores[inside].mean())} | ends(interval)
    return {f"{prefix}{name}": value for name, value in row.items()}


def _standardise(columns: Float[np.ndarray, "Q K"]) -> Float[np.ndarray, "Q K"]:
    """Columns of mean 0 and, where they vary, standard deviation 1."""
    deviation = columns.std(axis=0)
    return (columns - columns.mean(axis=0)) / np.where(deviation > 0, deviation, 1)
