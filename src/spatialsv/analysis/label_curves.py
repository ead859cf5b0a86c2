"""Accuracy over the number of labelled scenes, for two methods, and the labels that one saves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass

import numpy as np

from spatialsv.analysis.jobs import Runs
from spatialsv.analysis.scores import scores_of, select_runs
from spatialsv.analysis.tables import Row
from spatialsv.stats.label_efficiency import label_efficiency
from spatialsv.stats.seeds import summarise_seeds
from spatialsv.stats.summary import QuestionScore


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
        ValueError: an arm was not evaluated, arms answered different questions, or none is of the
            curve's tasks.
    """
    arms = [*curve.first, *curve.second]
    chosen = select_runs(f"ablations.curves.{name}", runs, arms, curve.tasks)
    spatial = {
        arm: [[q for q in scores_of(run) if q.spatial] for run in chosen[arm]] for arm in arms
    }
    counts = Counter(question.scene for question in spatial[arms[0]][0])
    both = {
        method: {
            labels: np.array([_sums(seed_scores, counts) for seed_scores in spatial[arm]])
            for arm, labels in getattr(curve, method).items()
        }
        for method in ("first", "second")
    }
    questions = np.array(list(counts.values()))
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
    return {"label_curves": rows, "label_efficiency": [{"curve": name} | asdict(found)]}


def _sums(scores: Iterable[QuestionScore], scenes: Iterable[str]) -> list[float]:
    """Return the sum of scores in each of `scenes`."""
    sums = dict.fromkeys(scenes, 0.0)
    for question in scores:
        sums[question.scene] += question.score
    return list(sums.values())
