"""Two models that answered the same questions: what is between them, and what could have shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from spatialsv.stats.intervals import Interval, cluster_bootstrap
from spatialsv.stats.paired import holm, sign_flip
from spatialsv.stats.power import smallest_difference
from spatialsv.stats.summary import Scored

LEVEL = 0.05  # of Holm-corrected p-values


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """The first model's scores minus the second's, question by question."""

    n: int
    scenes: int
    first: float  # mean scores, in [0, 1]
    second: float
    difference: float
    interval: Interval | None  # 95 %, resampled by scene; None of a single scene
    p: float  # two-sided permutation test, clustered by scene
    smallest_difference: float | None  # that would be found four times out of five


def compare(
    first: Sequence[Scored], second: Sequence[Scored], seed: int = 0, resamples: int = 2000
) -> Comparison:
    """The questions of `first`, of which `second` must have answered each.

    Raises:
        ValueError: no questions, or one that `second` lacks.
    """
    other = {question.id: question.score for question in second}
    if lacking := [question.id for question in first if question.id not in other]:
        raise ValueError(
            f"{len(lacking)} questions were asked of one model only, such as {lacking[0]!r}"
        )
    ours = np.array([question.score for question in first], dtype=float)
    theirs = np.array([other[question.id] for question in first], dtype=float)
    scenes, values = [question.scene for question in first], ours - theirs
    return Comparison(
        n=len(values),
        scenes=len(set(scenes)),
        first=float(ours.mean()),
        second=float(theirs.mean()),
        difference=float(values.mean()),
        interval=cluster_bootstrap(values, scenes, resamples=resamples, seed=seed),
        p=sign_flip(values, scenes, seed=seed),
        smallest_difference=smallest_difference(values, scenes),
    )


def corrected(tests: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Each test, which has a `p`, with `p_holm`, corrected over all, and `significant` at LEVEL."""
    adjusted = holm([test["p"] for test in tests])
    return [
        {**test, "p_holm": p, "significant": p < LEVEL}
        for test, p in zip(tests, adjusted, strict=True)
    ]
