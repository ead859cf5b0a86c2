"""Scores as trees of means, which can be taken again with whole clusters resampled or swapped.

A benchmark's score is a mean over answers, or over groups that must be right at once, or a mean of
such means, each weighing the same. Whatever its shape, it follows from two numbers a cluster
(scene) and leaf: the sum of scores, and how many there are. Taking it again over resampled scenes
is therefore one matrix product, and exact; no answer is scored again. What is joined with what is
decided once, on all answers; a mean that a draw of scenes holds nothing of is left out of its join.

C clusters, L leaves, R resamples.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float, Shaped

BLOCK = 2**21  # weights that are held in memory at once


@dataclass(frozen=True, eq=False)
class Mean:
    """The mean of scores; NaN of none."""

    scores: tuple[float, ...]
    clusters: tuple[Hashable, ...]  # of each score

    def __post_init__(self) -> None:
        if len(self.scores) != len(self.clusters):
            raise ValueError(f"{len(self.scores)} values for {len(self.clusters)} cluster names")

    @property
    def n(self) -> int:
        return len(self.scores)

    @cached_property
    def score(self) -> float:
        return sum(self.scores) / len(self.scores) if self.scores else float("nan")


@dataclass(frozen=True, eq=False)
class MeanOfMeans:
    """The mean of means, each weighing the same; NaN of none."""

    parts: tuple[Tree, ...]

    @property
    def n(self) -> int:
        return sum(part.n for part in self.parts)

    @cached_property
    def score(self) -> float:
        values = [part.score for part in self.parts]
        return sum(values) / len(values) if values else float("nan")


Tree = Mean | MeanOfMeans


def leaves_of(tree: Tree) -> list[Mean]:
    """The means that a tree joins, in order."""
    if isinstance(tree, Mean):
        return [tree]
    return [leaf for part in tree.parts for leaf in leaves_of(part)]


def clusters_of(tree: Tree) -> tuple[Hashable, ...]:
    """The clusters that a tree's scores lie in, as they come."""
    return tuple(dict.fromkeys(name for leaf in leaves_of(tree) for name in leaf.clusters))


class Table:
    """Sums and numbers of scores, by cluster and leaf, of one tree or several.

    A leaf that stands in several trees is one column. `order` holds the clusters, as they come.
    """

    def __init__(self, trees: Sequence[Tree]) -> None:
        leaves = dict.fromkeys(leaf for tree in trees for leaf in leaves_of(tree))
        self.column = {leaf: number for number, leaf in enumerate(leaves)}
        names = dict.fromkeys(name for leaf in leaves for name in leaf.clusters)
        self.order = tuple(names)
        row = {name: number for number, name in enumerate(names)}
        self.sums = np.zeros((len(names), len(leaves)))
        self.counts = np.zeros((len(names), len(leaves)))
        for leaf, column in self.column.items():
            rows = np.array([row[name] for name in leaf.clusters], dtype=int)
            self.sums[:, column] = np.bincount(rows, leaf.scores, minlength=len(names))
            self.counts[:, column] = np.bincount(rows, minlength=len(names))

    def means(self, weights: Shaped[np.ndarray, "R C"]) -> Float[np.ndarray, "R L"]:
        """Each leaf's mean, a cluster counting as often as its weight says; NaN of nothing."""
        with np.errstate(invalid="ignore"):
            return (weights @ self.sums) / (weights @ self.counts)

    def value(self, tree: Tree, means: Float[np.ndarray, "R L"]) -> Float[np.ndarray, " R"]:
        """The tree's score, given its leaves'. What is NaN is not there, and is not joined."""
        if isinstance(tree, Mean):
            return means[:, self.column[tree]]
        parts = [self.value(part, means) for part in tree.parts]
        values = np.reshape(parts, (len(parts), len(means)))
        there = ~np.isnan(values)
        with np.errstate(invalid="ignore"):
            return np.where(there, values, 0).sum(axis=0) / there.sum(axis=0)

    def influence(self, tree: Tree) -> Float[np.ndarray, " C"]:
        """How far each cluster pulls the tree's score, to first order; sums to 0.

        Of a leaf: (S_c - n_c * mean) / n, the linearised ratio; of a join the mean of its parts'.
        """
        if isinstance(tree, MeanOfMeans):
            return np.mean([self.influence(part) for part in tree.parts], axis=0)
        sums, counts = (table[:, self.column[tree]] for table in (self.sums, self.counts))
        return (sums - counts * (sums.sum() / counts.sum())) / counts.sum()


def resample_scores(
    trees: Sequence[Tree], resamples: int = 2000, seed: int = 0
) -> Float[np.ndarray, "R trees"]:
    """The trees' scores in resamples of whole clusters, the same clusters drawn for all trees.

    Clusters are those of all trees together. The same seed and number of clusters give the same
    draws. NaN where a draw holds nothing of a tree.
    """
    table = Table(trees)
    if not table.order:
        return np.full((resamples, len(trees)), np.nan)
    found = [
        np.stack([table.value(tree, means) for tree in trees], axis=-1)
        for means in map(table.means, draw_weights(len(table.order), resamples, seed))
    ]
    return np.concatenate(found)


def draw_weights(
    clusters: int, resamples: int, seed: int
) -> Iterator[Shaped[np.ndarray, "block C"]]:
    """How often each of the clusters is drawn, in blocks of resamples."""
    generator = np.random.default_rng(seed)
    share = np.full(clusters, 1 / clusters)
    for size in block_sizes(clusters, resamples):
        yield generator.multinomial(clusters, share, size=size).astype(float)


def block_sizes(clusters: int, resamples: int) -> Iterator[int]:
    """Sizes of blocks of resamples that memory holds."""
    size = max(1, BLOCK // clusters)
    for start in range(0, resamples, size):
        yield min(size, resamples - start)


def standard_error(influence: Float[np.ndarray, " C"]) -> float | None:
    """Of a score, from its clusters' influence; None of fewer than two clusters.

    sqrt(C / (C - 1) * sum of squares), with clusters as the independent units.
    """
    count = len(influence)
    return float(np.sqrt(count / (count - 1) * (influence**2).sum())) if count > 1 else None
