"""The table of an audit: what each condition costs a score, and what may be concluded."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from spatialsv.benchmarks.benchmark import Item, Protocol, Scores
from spatialsv.benchmarks.score import OVERALL
from spatialsv.stats.comparison import compare_scores, correct_p_values
from spatialsv.stats.intervals import Interval, intervals, percentile_interval
from spatialsv.stats.means import Tree, clusters_of, resample_scores

ItemScores = Mapping[str, float | None]  # by id; None: the protocol skips the item

WITHOUT = ("none", "grey", "black", "other")  # the images show nothing of the question
TEXT, CHANCE = "text_prior", "chance"
MEANING = {
    "none": "only the text",
    "grey": "grey images",
    "black": "black images",
    "other": "images of another scene",
    "reversed": "images in reverse order",
    "first": "only the first image",
    "mirrored": "mirrored images and words",
    TEXT: "a model of the text of other scenes",
    CHANCE: "random answers",
}


@dataclass(frozen=True, kw_only=True)
class AuditRow:
    """One condition and task. Scores are of the same questions, and in [0, 1] but for CAA."""

    condition: str
    task: str  # or OVERALL
    n: int  # questions to which the condition applies
    scenes: int
    score: float  # of the model as it is
    altered: float  # under the condition
    altered_low: float | None  # 95 % interval by scene; None with a single scene
    altered_high: float | None
    cost: float  # score - altered
    low: float | None  # 95 % interval of the cost, paired by question, resampled by scene
    high: float | None
    p: float  # of the cost, by permutation within scenes
    p_holm: float  # corrected over the conditions of the task
    significant: bool  # at 5 %
    chance: float | None  # of random answers
    over_chance: float | None  # altered - chance, with its 95 % interval
    over_low: float | None
    over_high: float | None


@dataclass(frozen=True, kw_only=True)
class Audit:
    """What a score owes to the images."""

    benchmark: str
    protocol: str
    model: str
    questions: int
    score: float
    rows: tuple[AuditRow, ...]
    omitted: Mapping[str, str]  # condition -> why it was not measured

    @property
    def overall(self) -> list[AuditRow]:
        """The rows of the overall score."""
        return [row for row in self.rows if row.task == OVERALL]


def aggregate(items: Sequence[Item], protocol: Protocol, scores: ItemScores) -> Scores:
    """Average the scores of those of `items` that are scored."""
    return protocol.aggregate([(item, scores[item.id]) for item in items if item.id in scores])


def compare_conditions(
    items: Sequence[Item],
    protocol: Protocol,
    own: ItemScores,
    altered: Mapping[str, ItemScores],
) -> list[AuditRow]:
    """Compare each condition with the model's own responses, overall and by task.

    Args:
        items: of the benchmark.
        protocol: averages the scores.
        own: the model's scores.
        altered: condition -> scores of the items that it applies to; CHANCE is one of them.

    Returns:
        Rows by task, the overall score first, and by condition.
    """
    tests: dict[str, list[dict[str, Any]]] = {}  # by task: p-values are corrected within each
    for condition, scores in altered.items():
        known = {name: own[name] for name in scores}
        chance = {name: value for name, value in altered[CHANCE].items() if name in scores}
        first, second = (_trees(items, protocol, values) for values in (known, scores))
        third = _trees(items, protocol, chance) if len(chance) == len(scores) else {}
        for name, tree in second.items():
            if name in first and tree.n and math.isfinite(tree.score):
                row = _row(first[name], tree, third.get(name) if condition != CHANCE else None)
                tests.setdefault(name, []).append({"condition": condition, "task": name} | row)
    corrected = [row for rows in tests.values() for row in correct_p_values(rows)]
    return [AuditRow(**row) for row in corrected]


def _trees(items: Sequence[Item], protocol: Protocol, scores: ItemScores) -> dict[str, Tree]:
    if not scores:
        return {}
    found = aggregate(items, protocol, scores)
    return {OVERALL: found.tree, **found.tasks}


def _row(first: Tree, second: Tree, chance: Tree | None) -> dict[str, Any]:
    cost = compare_scores([first], [second])
    low, high = cost.interval or (None, None)
    over_low, over_high = (_interval_over(second, chance) if chance else None) or (None, None)
    altered_low, altered_high = intervals([second])[0] or (None, None)
    return {
        "n": second.n,
        "scenes": cost.scenes,
        "score": cost.first,
        "altered": cost.second,
        "altered_low": altered_low,
        "altered_high": altered_high,
        "cost": cost.difference,
        "low": low,
        "high": high,
        "p": cost.p,
        "chance": chance.score if chance else None,
        "over_chance": second.score - chance.score if chance else None,
        "over_low": over_low,
        "over_high": over_high,
    }


def _interval_over(score: Tree, chance: Tree) -> Interval | None:
    """Return the 95 % interval of a score minus chance; None with a single scene."""
    draws = resample_scores([score, chance])
    scenes = len(clusters_of(score))
    return percentile_interval(draws[:, 0] - draws[:, 1], scenes) if scenes > 1 else None


def summarise(result: Audit) -> str:
    """Return what may be concluded, in two or three sentences."""
    opening = f"{result.benchmark} ({result.protocol}), {result.questions:,} questions, score"
    sentences = [f"{opening} {_percent(result.score)}."]
    overall = {row.condition: row for row in result.overall}
    blind = [overall[name] for name in WITHOUT if name in overall]
    if blind:
        least = min(blind, key=lambda row: row.cost)
        cost = f"{100 * least.cost:.1f} points{_interval(least.low, least.high)}"
        if all(row.significant and row.cost > 0 for row in blind):
            sentences.append(f"Without its images it loses at least {cost}: the model looks.")
        else:
            sentences.append(
                f"With {MEANING[least.condition]} it loses {cost}, which is not significant: the"
                " score does not show that the model looks."
            )
        best = max(blind, key=lambda row: row.altered)
        sentences.append(
            f"With {MEANING[best.condition]} it scores {_percent(best.altered)}{_place(best)}."
        )
    if TEXT in overall:
        text = overall[TEXT]
        sentences.append(f"A model of the text scores {_percent(text.altered)}{_place(text)}.")
    return " ".join(sentences)


def _place(row: AuditRow) -> str:
    """Return where an altered score is compared with chance."""
    if row.chance is None or row.over_low is None or row.over_high is None:
        return ""
    place = "above" if row.over_low > 0 else "below" if row.over_high < 0 else "at"
    return f", {place} chance ({_percent(row.chance)})"


def format_audit(result: Audit) -> str:
    """Return the overall score under each condition, one line each, and the conclusion."""
    width = max(map(len, MEANING.values()))
    lines = [
        f"{'':<{width}}  {'n':>6}  {'score':>6}  {'altered':>7}  {'cost [95 %]':<24}  p (Holm)"
    ]
    for row in result.overall:
        cost = f"{100 * row.cost:+.1f}{_interval(row.low, row.high)}"
        p_value = f"{row.p_holm:.3f}" if row.p_holm >= 0.001 else "< 0.001"
        lines.append(
            f"{MEANING[row.condition]:<{width}}  {row.n:>6}  {100 * row.score:6.2f}"
            f"  {100 * row.altered:7.2f}  {cost:<24}  {p_value:>8}"
        )
    lines += [f"{MEANING[name]}: {reason}" for name, reason in result.omitted.items()]
    return "\n".join([*lines, summarise(result)])


def _percent(value: float) -> str:
    return f"{100 * value:.1f} %"


def _interval(low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f" [{100 * low:.1f}, {100 * high:.1f}]"
