"""What a benchmark is, what a scorer is, and what scoring gives.

Stacks (the authors' code, lmms-eval, VLMEvalKit) ask one benchmark in other words, read replies by
other rules and average in other ways. Each is a `Scorer` of its own, so that a score always says
whose rules it is by.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spatialsv.benchmarks.item import Item


@dataclass(frozen=True, kw_only=True)
class Score:
    """A mean in [0, 1] over `n` items, or over groups of them where a rule groups."""

    n: int
    score: float


@dataclass(frozen=True, kw_only=True)
class Scores:
    """By task, in the order in which the benchmark's authors list them, and over all."""

    overall: float
    tasks: Mapping[str, Score]


Scored = Sequence[tuple[Item, float | None]]  # None: this scorer leaves the item out


@dataclass(frozen=True, kw_only=True)
class Scorer:
    """One stack's rules. All four are pure functions."""

    prompt: Callable[[Item], str]  # the text that is sent with the images or the video
    read: Callable[[Item, str], Any]  # what a reply says; None if nothing
    score: Callable[[Item, Any], float | None]  # of what was read, in [0, 1]
    aggregate: Callable[[Scored], Scores]


@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """One benchmark. `load` raises ValueError where files are not laid out as it expects."""

    title: str
    load: Callable[[Path], list[Item]]
    scorers: Mapping[str, Scorer]  # the first is the one that its authors' numbers are by
    # Items a task, as published: several numbers where item sets of one name differ; `overall`
    # alone where the total is known alone; empty where nothing is.
    counts: Mapping[str, int | tuple[int, ...]]
    # Most that a reply may take: a limit that cuts reasons off costs answers. Stacks differ, from
    # lmms-eval's 100 for SPAR-Bench to its 4,096 for MindCube; what is said ends by itself.
    reply_tokens: int = 1024


def by_task(scored: Scored, order: Sequence[str] = ()) -> dict[str, Score]:
    """The mean of each task's items; tasks in `order` first, others as they come."""
    found: dict[str, list[float]] = {name: [] for name in order}
    for item, value in scored:
        if value is not None:
            found.setdefault(item.task, []).append(value)
    return {
        name: Score(n=len(values), score=sum(values) / len(values))
        for name, values in found.items()
        if values
    }


def micro(order: Sequence[str] = ()) -> Callable[[Scored], Scores]:
    """Every item weighs the same."""

    def aggregate(scored: Scored) -> Scores:
        values = [value for _, value in scored if value is not None]
        overall = sum(values) / len(values) if values else float("nan")
        return Scores(overall=overall, tasks=by_task(scored, order))

    return aggregate


def macro(order: Sequence[str] = ()) -> Callable[[Scored], Scores]:
    """Every task weighs the same."""

    def aggregate(scored: Scored) -> Scores:
        tasks = by_task(scored, order)
        return Scores(overall=mean_of(tasks.values()), tasks=tasks)

    return aggregate


def all_right(scored: Scored, group: Callable[[Item], str]) -> Scored:
    """One for each group, under its first item: 1 where every answer in it is right, else 0."""
    found: dict[str, tuple[Item, float]] = {}
    for item, value in scored:
        if value is not None:
            first, before = found.get(group(item), (item, 1.0))
            found[group(item)] = (first, float(before == value == 1))
    return list(found.values())


def right_letter(item: Item, said: str | None) -> float:
    """1 for the right letter."""
    return float(said == item.answer)


def mean_score(scored: Scored) -> Score:
    """Over items that are all scored."""
    return Score(n=len(scored), score=micro()(scored).overall)


def joined(scores: Sequence[Score]) -> Score:
    """Several tasks as one, in which each weighs the same."""
    return Score(n=sum(score.n for score in scores), score=mean_of(scores))


def mean_of(scores: Iterable[Score]) -> float:
    """The mean of `Score`s, each weighing the same; NaN of none."""
    values = [score.score for score in scores]
    return sum(values) / len(values) if values else float("nan")
