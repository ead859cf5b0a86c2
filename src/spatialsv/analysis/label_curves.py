"""Accuracy over the number of labelled scenes, for two methods, and the labels that one saves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from spatialsv.analysis.jobs import Responses, Runs
from spatialsv.analysis.scores import check_same_questions, pool_seeds, scores_of
from spatialsv.analysis.tables import Row
from spatialsv.stats.label_efficiency import label_efficiency
from spatialsv.stats.seeds import summarise_seeds


@dataclass(frozen=True, kw_only=True)
class CurveConfig:
    """Two methods, each trained on several numbers of labelled scenes."""

    first: dict[str, int]  # arm -> number of scenes with answers
    second: dict[str, int]  # the method to compare with
    tasks: tuple[str, ...] = ()  # whose questions count; none given: all spatial

    def __post_init__(self) -> None:
        for name in ("first", "second"):
            labels = getattr(self, name).values()
            if len(set(labels)) < max(2, len(labels)) or min(labels) < 1:
                raise ValueError(
                    f"ablations.curves: {name} has labels {list(labels)}. Give two arms or more,"
                    " each with another number of labelled scenes, at least 1."
                )


def label_curves(
    name: str, curve: CurveConfig, runs: Runs, resamples: int, seed: int
) -> dict[str, list[Row]]:
    """Build the rows of one pair of curves.

    Args:
        name: of the curves.
        curve: the arms.
        runs: responses by arm and seed.
        resamples: of the bootstrap.
        seed: of the bootstrap.

    Returns:
        `label_curves`: accuracy of each arm, in [0, 1]; and `label_efficiency`: one row.

    Raises:
        ValueError: an arm was not evaluated, or arms answered different questions.
    """
    arms = [*curve.first, *curve.second]
    if missing := [arm for arm in arms if arm not in runs]:
        raise ValueError(f"ablations.curves.{name}: arms not evaluated: {', '.join(missing)}.")
    check_same_questions({arm: pool_seeds(arm, runs[arm]) for arm in arms})
    counts = _sums(runs[arms[0]][0], curve.tasks, scored=False)
    if not counts:
        raise ValueError(f"ablations.curves.{name}: no question is of {', '.join(curve.tasks)}.")
    both = {
        method: {
            labels: np.array([_by_scene(run, curve.tasks, counts) for run in runs[arm]])
            for arm, labels in getattr(curve, method).items()
        }
        for method in ("first", "second")
    }
    questions = np.array([int(value) for value in counts.values()])
    rows = []
    for method, scores in both.items():
        for arm, labels in sorted(getattr(curve, method).items(), key=lambda item: item[1]):
            spread = summarise_seeds(list(scores[labels].sum(axis=1) / questions.sum()))
            rows.append(
                {"curve": name, "method": method, "arm": arm, "labels": labels}
                | {"n": int(questions.sum()), "seeds": len(runs[arm])}
                | {"mean": spread.mean, "deviation": spread.deviation}
            )
    found = label_efficiency(both["first"], both["second"], questions, resamples, seed)
    row = {"curve": name, "log2_ratio": found.log2_ratio, "low": found.low, "high": found.high}
    return {"label_curves": rows, "label_efficiency": [row | {"is_bound": found.is_bound}]}


def _by_scene(run: Responses, tasks: Sequence[str], scenes: Mapping[str, float]) -> list[float]:
    """Return the sum of scores in each of `scenes`."""
    sums = _sums(run, tasks)
    return [sums[scene] for scene in scenes]


def _sums(run: Responses, tasks: Sequence[str], scored: bool = True) -> dict[str, float]:
    """Return the sum of scores, or the number of questions, by scene."""
    sums: dict[str, float] = {}
    for question in scores_of(run):
        if question.task in tasks if tasks else question.spatial:
            value = question.score if scored else 1.0
            sums[question.scene] = sums.get(question.scene, 0.0) + value
    return sums
