"""Which differences are real: paired tests, the blind check, and what the test's size can show."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from spatialsv.report.jobs import BASELINES, UNTRAINED, Answer, arm_label
from spatialsv.stats.comparison import compare_jointly, compare_scores, difference_error
from spatialsv.stats.means import Mean
from spatialsv.stats.paired import detectable_difference
from spatialsv.stats.seeds import summarise_seeds
from spatialsv.stats.summary import QuestionScore, Summary

TOLD = ("difference", "n", "scenes", "p", "p_holm", "significant", "minimum_detectable_difference")
Runs = Mapping[str, Sequence[Mapping[str, Answer]]]  # arm -> one {question: answer} a seed


def text_pairs(arms: Iterable[str]) -> list[tuple[str, str]]:
    """Every model against text, and text against no_image."""
    models = [arm for arm in arms if arm not in BASELINES]
    pairs = [(arm, "text") for arm in models if arm not in ("text", "no_image")]
    return [pair for pair in [*pairs, ("text", "no_image")] if set(pair) <= set(models)]


def paired_tests(
    runs: Runs, pairs: Iterable[tuple[str, str]], seed: int = 0
) -> list[dict[str, Any]]:
    """The first of each pair of arms against the second, on all spatial questions.

    See `compare_scores`; p-values are corrected together (Holm).
    """
    asked = [pair for pair in pairs if _spatial(runs[pair[0]][0])]
    found = compare_jointly([compare_scores(*_means(runs[a], runs[b]), seed) for a, b in asked])
    return [
        {name: test[name] for name in TOLD} | {"first": first, "second": second}
        for test, (first, second) in zip(found, asked, strict=True)
    ]


def _means(
    first: Sequence[Mapping[str, Answer]],
    second: Sequence[Mapping[str, Answer]],
    task: str | None = None,
) -> list[list[Mean]]:
    """Two arms' scores, of each a mean a seed, on all spatial questions (of `task`)."""
    names = [q.id for q in _spatial(first[0], task)]

    def mean(run: Mapping[str, Answer]) -> Mean:
        chosen = [run[name].scored for name in names]
        return Mean(tuple(q.score for q in chosen), tuple(q.scene for q in chosen))

    return [[*map(mean, first)], [*map(mean, second)]]


def _spatial(run: Mapping[str, Answer], task: str | None = None) -> list[QuestionScore]:
    """The spatial questions (of `task`) as one seed answered them."""
    return [q for q in scored(run) if q.spatial and task in (None, q.task)]


def difference_by_seed(
    first: Sequence[Mapping[str, Answer]], second: Sequence[Mapping[str, Answer]]
) -> dict[str, Any] | None:
    """How the difference between two arms varies from seed to seed of training.

    Returns: mean, deviation and n of the differences on all spatial questions; None where the arms
    have not the same number of seeds.
    """
    if len(first) != len(second):
        return None
    means = [[np.mean([q.score for q in _spatial(run)]) for run in arm] for arm in (first, second)]
    return asdict(summarise_seeds([float(a - b) for a, b in zip(*means, strict=True)]))


def scored(run: Mapping[str, Answer]) -> list[QuestionScore]:
    """One seed's replies as scores."""
    return [answer.scored for answer in run.values()]


def statement(runs: Runs, tests: Sequence[Mapping[str, Any]]) -> list[str]:
    """What a test of this size can and cannot show, in sentences."""
    found = []
    against_text = {test["first"]: test for test in tests if test["second"] == "text"}
    against_text.pop("base", None)  # far apart in any case
    test = against_text.get("spatialsv") or next(iter(against_text.values()), None)
    if test and test["minimum_detectable_difference"]:
        found.append(
            f"With {test['n']} spatial questions about {test['scenes']} scenes, a true difference "
            f"of {100 * test['minimum_detectable_difference']:.1f} points between "
            f"{arm_label(test['first'])} "
            "and text would be found at least four times out of five; a smaller one may well go "
            "unseen."
        )
        if single := _per_task(runs[test["first"]], runs["text"]):
            found.append(
                f"On a single task the same holds for {100 * single:.0f} points (the median over "
                "tasks), so columns that differ by less show nothing by themselves."
            )
        by_seed = difference_by_seed(runs[test["first"]], runs["text"])
        if by_seed and by_seed["deviation"] is not None:
            found.append(
                f"Over {by_seed['n']} seeds of training that difference has a standard deviation of"
                f" {100 * by_seed['deviation']:.1f} points, which the tests count."
            )
    trained = [len(seeds) for arm, seeds in runs.items() if arm not in UNTRAINED]
    if trained and max(trained) == 1:
        found.append(
            "Each arm was trained with one seed: intervals and tests cover the choice of questions "
            "and scenes, not the luck of training."
        )
    return found


def _per_task(
    first: Sequence[Mapping[str, Answer]], second: Sequence[Mapping[str, Answer]]
) -> float | None:
    """The median over spatial tasks of the smallest difference that each, alone, could show."""
    tasks = dict.fromkeys(question.task for question in _spatial(first[0]))
    sizes = [
        detectable_difference(*difference_error(*_means(first, second, task))) for task in tasks
    ]
    known = [size for size in sizes if size]
    return float(np.median(known)) if known else None


def blind_check(
    summaries: Mapping[str, Mapping[str, Summary]], chance: Mapping[str, float]
) -> dict[str, Any] | None:
    """Whether the arm `no_image`'s interval contains chance, on the pools of spatial questions."""
    if "no_image" not in summaries:
        return None
    return {
        name: {
            "mean": found.mean,
            "low": found.interval.low,
            "high": found.interval.high,
            "chance": chance[name],
            "contains_chance": found.interval.low <= chance[name] <= found.interval.high,
        }
        for name, found in summaries["no_image"].items()
        if name in ("spatial", "spatial_choice") and name in chance and found.interval
    }
