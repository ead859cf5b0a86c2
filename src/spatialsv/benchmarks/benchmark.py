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
from spatialsv.stats.means import Mean, MeanOfMeans, Tree


@dataclass(frozen=True, kw_only=True)
class Scores:
    """By task, in the order in which the benchmark's authors list them, and over all.

    Each is a mean over items, or over groups of them where a rule groups, or a mean of such means,
    and keeps what it is the mean of: statistics take it again over other draws of scenes.
    """

    whole: Tree
    tasks: Mapping[str, Tree]

    @property
    def overall(self) -> float:
        """In [0, 1]; NaN of nothing."""
        return self.whole.score


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


def by_task(scored: Scored, order: Sequence[str] = ()) -> dict[str, Mean]:
    """The mean of each task's items; tasks in `order` first, others as they come."""
    found: dict[str, list[tuple[Item, float | None]]] = {name: [] for name in order}
    for item, value in scored:
        if value is not None:
            found.setdefault(item.task, []).append((item, value))
    return {name: mean_score(values) for name, values in found.items() if values}


def micro(order: Sequence[str] = ()) -> Callable[[Scored], Scores]:
    """Every item weighs the same."""

    def aggregate(scored: Scored) -> Scores:
        return Scores(whole=mean_score(scored), tasks=by_task(scored, order))

    return aggregate


def macro(order: Sequence[str] = ()) -> Callable[[Scored], Scores]:
    """Every task weighs the same."""

    def aggregate(scored: Scored) -> Scores:
        tasks = by_task(scored, order)
        return Scores(whole=joined(tasks.values()), tasks=tasks)

    return aggregate


def all_right(scored: Scored, group: Callable[[Item], str]) -> Scored:
    """One for each group, under its first item: the product of its scores.

    That is 1 where every answer in it is right, else 0. Of expected scores, such as those of
    answers at random, it is the expected one.
    """
    found: dict[str, tuple[Item, float]] = {}
    for item, value in scored:
        if value is not None:
            first, before = found.get(group(item), (item, 1.0))
            found[group(item)] = (first, before * value)
    return list(found.values())


def right_letter(item: Item, said: str | None) -> float:
    """1 for the right letter."""
    return float(said == item.answer)


def mean_score(scored: Scored) -> Mean:
    """Over the items that are scored."""
    there = [(value, item.scene) for item, value in scored if value is not None]
    return Mean(*(tuple(column) for column in zip(*there, strict=True))) if there else Mean((), ())


def joined(scores: Iterable[Tree]) -> MeanOfMeans:
    """Several tasks as one, in which each weighs the same."""
    return MeanOfMeans(tuple(scores))
