"""Paired comparisons of arms: differences, tests, and the minimum detectable difference."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from spatialsv.analysis.jobs import (
    BASELINES,
    NO_IMAGE,
    WITHOUT_TRAINING,
    Responses,
    Runs,
)
from spatialsv.analysis.scores import scores_of
from spatialsv.analysis.tables import Row
from spatialsv.stats.comparison import (
    Side,
    compare_jointly,
    compare_scores,
    detectable,
    difference_error,
)
from spatialsv.stats.means import Mean
from spatialsv.stats.seeds import summarise_seeds
from spatialsv.stats.summary import QuestionScore

COLUMNS = (
    *("difference", "n", "scenes", "p", "p_holm", "significant"),
    *("minimum_detectable_difference", "minimum_detectable_difference_note", "seed_variance"),
)


def text_pairs(arms: Iterable[str]) -> list[tuple[str, str]]:
    """List the pairs to compare: every model against `text`, and `text` against no image."""
    models = [arm for arm in arms if arm not in BASELINES]
    pairs = [(arm, "text") for arm in models if arm not in ("text", NO_IMAGE)]
    return [pair for pair in [*pairs, ("text", NO_IMAGE)] if set(pair) <= set(models)]


def comparison_table(runs: Runs, pairs: Iterable[tuple[str, str]], seed: int = 0) -> list[Row]:
    """Test the first arm of each pair against the second on all spatial questions.

    Returns:
        A row per pair that has spatial questions; see `compare_scores`. P-values are corrected
        together (Holm).
    """
    pairs = [pair for pair in pairs if _spatial(runs[pair[0]][0])]
    tests = compare_jointly(
        [
            compare_scores(
                *_means(runs[first], runs[second]), seed, fixed=fixed_sides(first, second)
            )
            for first, second in pairs
        ]
    )
    return [
        {"first": first, "second": second}
        | {name: test[name] for name in COLUMNS}
        | dict(zip(("low", "high"), test["interval"] or (None, None), strict=True))
        | _over_seeds(runs[first], runs[second])
        for test, (first, second) in zip(tests, pairs, strict=True)
    ]


def fixed_sides(first: str, second: str) -> tuple[Side, ...]:
    """Return the sides whose arm has no training seeds."""
    arms: dict[Side, str] = {"first": first, "second": second}
    return tuple(side for side, arm in arms.items() if arm in WITHOUT_TRAINING)


def detectable_per_task(runs: Runs, first: str, second: str) -> float | None:
    """Return the median over spatial tasks of the minimum detectable difference of one task.

    Returns:
        The median of the known ones; None if it is unknown for most tasks.
    """
    tasks = dict.fromkeys(question.task for question in _spatial(runs[first][0]))
    fixed = fixed_sides(first, second)
    errors = [difference_error(*_means(runs[first], runs[second], t), fixed) for t in tasks]
    known = [size for size, _ in map(detectable, errors) if size is not None]
    return float(np.median(known)) if 2 * len(known) > len(tasks) else None


def _over_seeds(first: Sequence[Responses], second: Sequence[Responses]) -> Row:
    """Spread of the difference over paired seeds; None for arms with unequal numbers of seeds."""
    if len(first) != len(second):
        return {"seed_pairs": None, "seed_deviation": None}
    means = [[np.mean([q.score for q in _spatial(run)]) for run in arm] for arm in (first, second)]
    spread = summarise_seeds([float(a - b) for a, b in zip(*means, strict=True)])
    return {"seed_pairs": spread.n, "seed_deviation": spread.deviation}


def _means(
    first: Sequence[Responses], second: Sequence[Responses], task: str | None = None
) -> tuple[list[Mean], list[Mean]]:
    """Two arms' scores on all spatial questions (of `task`), a mean per seed."""
    ids = [question.id for question in _spatial(first[0], task)]

    def mean(run: Responses) -> Mean:
        chosen = [run[id].scored() for id in ids]
        return Mean(tuple(q.score for q in chosen), tuple(q.scene for q in chosen))

    return [*map(mean, first)], [*map(mean, second)]


def _spatial(run: Responses, task: str | None = None) -> list[QuestionScore]:
    return [q for q in scores_of(run) if q.spatial and task in (None, q.task)]
