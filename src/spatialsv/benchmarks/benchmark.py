"""The types of a benchmark: items, scoring protocols, scores and how they are averaged.

Stacks (the authors' code, lmms-eval, VLMEvalKit) prompt one benchmark in different words, parse
responses by different rules and average in different ways. Each is a `Protocol`, so that a score
always names the protocol that it follows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from spatialsv.stats.accuracy import mean_relative_accuracy
from spatialsv.stats.means import Mean, MeanOfMeans, Tree


@dataclass(frozen=True, kw_only=True)
class Item:
    """One question of a benchmark, its answer and the images or video that it is about.

    `choice` is answered by a letter, `number` by a number, `text` by words.
    """

    id: str
    task: str
    kind: Literal["choice", "number", "text"]
    question: str  # without options where the file stores them separately
    options: tuple[str, ...] = ()  # as the file stores them: "A. chair", or "chair"
    answer: str
    scene: str  # items of one scene are not independent
    images: tuple[str, ...] = ()  # paths below the benchmark's folder, in order; see `images.py`
    video: str | None = None  # such a path, in place of images
    views: tuple[int, ...] = ()  # the images' numbers within a scene of a store; rooms only
    spatial: bool = True  # False: plain recognition
    digest: str = ""  # of the store that the images are in; empty for files
    more: Mapping[str, Any] = field(default_factory=dict)  # what only this benchmark needs

    @property
    def media(self) -> tuple[str, ...]:
        """The images in order, or the video."""
        return (self.video,) if self.video is not None else self.images


@dataclass(frozen=True, kw_only=True)
class Scores:
    """Scores of the tasks, in the order in which the benchmark's authors list them, and overall.

    Each is a mean over items, over groups of items, or over such means. The trees keep the scores
    that they average, so that statistics can average them again over resampled scenes.
    """

    tree: Tree  # of the overall score
    tasks: Mapping[str, Tree]

    @property
    def overall(self) -> float:
        """The overall score, at most 1; NaN without items."""
        return self.tree.score


ScoredItems = Sequence[tuple[Item, float | None]]  # None: the protocol skips the item


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """The scoring protocol of one stack: four pure functions."""

    prompt: Callable[[Item], str]  # the text that is sent with the images or the video
    parse_response: Callable[[Item, str], Any]  # the prediction in a response; None: none found
    score: Callable[[Item, Any], float | None]  # of a prediction, in [0, 1]
    aggregate: Callable[[ScoredItems], Scores]


@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """One benchmark. `load` raises ValueError where files are not laid out as expected."""

    title: str
    load: Callable[[Path], list[Item]]
    protocols: Mapping[str, Protocol]  # the first is that of the authors' published numbers
    # Items of each task, as published: several numbers where item sets of one name differ;
    # only `overall` where only the total is known; empty where no count is published.
    counts: Mapping[str, int | tuple[int, ...]]
    # Longest response, in tokens. Stacks differ, from lmms-eval's 100 for SPAR-Bench to its 4,096
    # for MindCube; a limit that truncates the reasoning costs answers.
    response_tokens: int = 1024
    batch_size: int = 16  # items in one forward pass, by default
    images_are_views: bool = False  # shown as in training: images, or frames of one video
    image_mark: str = ""  # in a prompt, where the next image is shown; none: all come first


def task_means(scored: ScoredItems, order: Sequence[str] = ()) -> dict[str, Tree]:
    """Return the mean of each task's items: tasks in `order` first, then by first appearance."""
    return group_means(scored, lambda item: item.task, order)


def group_means(
    scored: ScoredItems, group: Callable[[Item], str], order: Iterable[str] = ()
) -> dict[str, Tree]:
    """Return the mean of each group's items: groups in `order` first, then by first appearance."""
    members: dict[str, list[tuple[Item, float | None]]] = {name: [] for name in order}
    for item, value in scored:
        if value is not None:
            members.setdefault(group(item), []).append((item, value))
    return {name: mean_score(values) for name, values in members.items() if values}


def micro(order: Sequence[str] = ()) -> Callable[[ScoredItems], Scores]:
    """Return an `aggregate` that weights all items equally."""
    return lambda scored: Scores(tree=mean_score(scored), tasks=task_means(scored, order))


def macro(order: Sequence[str] = ()) -> Callable[[ScoredItems], Scores]:
    """Return an `aggregate` that weights all tasks equally."""

    def aggregate(scored: ScoredItems) -> Scores:
        tasks = task_means(scored, order)
        return Scores(tree=mean_of_means(tasks.values()), tasks=tasks)

    return aggregate


def all_correct(scored: ScoredItems, group: Callable[[Item], str]) -> ScoredItems:
    """Return one score for each group, under its first item: the product of its scores.

    The product is 1 where every answer in the group is correct, else 0. Of expected scores, such
    as those of random answers, it is the expected score.
    """
    products: dict[str, tuple[Item, float]] = {}
    for item, value in scored:
        if value is not None:
            first, product = products.get(group(item), (item, 1.0))
            products[group(item)] = (first, product * value)
    return list(products.values())


def score_letter(item: Item, prediction: str | None) -> float:
    """Return 1 for the letter of the answer, else 0."""
    return float(prediction == item.answer)


def score_number(prediction: float | None, truth: float) -> float:
    """Return MRA to the last bit as VSI-Bench's code gives it; 0 without a prediction."""
    if prediction is None:
        return 0.0
    return float(mean_relative_accuracy(np.array(float(prediction)), np.array(truth), True))


def mean_score(scored: ScoredItems) -> Mean:
    """Return the mean over the items that are scored."""
    pairs = [(value, item.scene) for item, value in scored if value is not None]
    return Mean(tuple(value for value, _ in pairs), tuple(scene for _, scene in pairs))


def mean_of_means(scores: Iterable[Tree]) -> MeanOfMeans:
    """Return the mean of several scores, all of equal weight."""
    return MeanOfMeans(tuple(scores))
