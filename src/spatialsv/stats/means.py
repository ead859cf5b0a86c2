"""Scores as trees of means, which can be recomputed with clusters resampled or swapped.

A benchmark's score is a mean over answers, a mean over groups of answers that count only if all are
correct, or an unweighted mean of such means. In every case it follows from two numbers per cluster
(scene) and leaf: the sum of scores and their count. Recomputing it over resampled scenes is
therefore one matrix product, and exact. The tree is built once, on all answers; a mean without
scores in a resample is left out of its parent.

Shapes: C clusters, L leaves, R resamples.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float, Shaped

BLOCK = 2**21  # weights that are held in memory at a time


@dataclass(frozen=True, eq=False)
class Mean:
    """The mean of scores, which may be weighted; NaN of none."""

    scores: tuple[float, ...]
    clusters: tuple[Hashable, ...]  # of each score
    weights: tuple[float, ...] | None = None  # of each score; None: all are 1

    def __post_init__(self) -> None:
        if len(self.scores) != len(self.clusters):
            raise ValueError(
                f"Expected one cluster name per value, found {len(self.scores)} values and"
                f" {len(self.clusters)} cluster names."
            )
        if self.weights is not None and len(self.weights) != len(self.scores):
            raise ValueError(
                f"Expected one weight per value, found {len(self.scores)} values and"
                f" {len(self.weights)} weights."
            )

    @property
    def n(self) -> int:
        """Number of scores."""
        return len(self.scores)

    @cached_property
    def score(self) -> float:
        """The mean."""
        if self.weights is None:
            return sum(self.scores) / len(self.scores) if self.scores else float("nan")
        total = sum(self.weights)
        products = (score * weight for score, weight in zip(self.scores, self.weights, strict=True))
        return sum(products) / total if total else float("nan")


@dataclass(frozen=True, eq=False)
class MeanOfMeans:
    """The unweighted mean of means; NaN of none."""

    parts: tuple[Tree, ...]

    @property
    def n(self) -> int:
        """Number of scores in all parts."""
        return sum(part.n for part in self.parts)

    @cached_property
    def score(self) -> float:
        """The mean."""
        values = [part.score for part in self.parts]
        return sum(values) / len(values) if values else float("nan")


Tree = Mean | MeanOfMeans


def leaves_of(tree: Tree) -> list[Mean]:
    """Return the leaves of a tree, in order."""
    if isinstance(tree, Mean):
        return [tree]
    return [leaf for part in tree.parts for leaf in leaves_of(part)]


def clusters_of(tree: Tree) -> tuple[Hashable, ...]:
    """Return the clusters of a tree's scores, in order of appearance."""
    return tuple(dict.fromkeys(name for leaf in leaves_of(tree) for name in leaf.clusters))


class Table:
    """Sums and counts of scores by cluster and leaf, for one tree or several.

    A leaf of several trees is one column.

    Args:
        trees: The trees.

    Attributes:
        column: The column of each leaf.
        order: The clusters, in order of appearance; one row each.
        sums: Sums of scores times weights, (C, L).
        counts: Sums of weights, (C, L); numbers of scores where all weights are 1.
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
            weights = np.ones(leaf.n) if leaf.weights is None else np.array(leaf.weights)
            self.sums[:, column] = np.bincount(rows, weights * leaf.scores, minlength=len(names))
            self.counts[:, column] = np.bincount(rows, weights, minlength=len(names))

    def means(self, weights: Shaped[np.ndarray, "R C"]) -> Float[np.ndarray, "R L"]:
        """Return each leaf's mean with weighted clusters; NaN where the weights are all 0."""
        with np.errstate(invalid="ignore"):
            return np.asarray((weights @ self.sums) / (weights @ self.counts))

    def value(self, tree: Tree, means: Float[np.ndarray, "R L"]) -> Float[np.ndarray, " R"]:
        """Return the tree's score, given its leaves' means; NaN means are left out."""
        if isinstance(tree, Mean):
            return np.asarray(means[:, self.column[tree]])
        parts = [self.value(part, means) for part in tree.parts]
        values = np.reshape(parts, (len(parts), len(means)))
        present = ~np.isnan(values)
        with np.errstate(invalid="ignore"):
            return np.asarray(np.where(present, values, 0).sum(axis=0) / present.sum(axis=0))

    def influence(self, tree: Tree) -> Float[np.ndarray, " C"]:
        """Return each cluster's influence on the tree's score, to first order.

        Args:
            tree: A tree of the table.

        Returns:
            For a leaf, (S_c - n_c * mean) / n, the linearised ratio; otherwise the mean over the
            parts. The influences sum to 0.
        """
        if isinstance(tree, MeanOfMeans):
            return np.asarray(np.mean([self.influence(part) for part in tree.parts], axis=0))
        sums, counts = (table[:, self.column[tree]] for table in (self.sums, self.counts))
        return np.asarray((sums - counts * (sums.sum() / counts.sum())) / counts.sum())


def resample_scores(
    trees: Sequence[Tree], resamples: int = 2000, seed: int = 0
) -> Float[np.ndarray, "R trees"]:
    """Recompute scores in resamples of clusters, with the same draws for all trees.

    Args:
        trees: Scores; their clusters are pooled.
        resamples: Number of resamples.
        seed: Seed of the draws. The same seed and number of clusters give the same draws.

    Returns:
        Scores; NaN where a resample has no score of a tree.
    """
    table = Table(trees)
    if not table.order:
        return np.full((resamples, len(trees)), np.nan)
    scores = [
        np.stack([table.value(tree, means) for tree in trees], axis=-1)
        for means in map(table.means, draw_weights(len(table.order), resamples, seed))
    ]
    return np.concatenate(scores)


def draw_weights(
    clusters: int, resamples: int, seed: int
) -> Iterator[Shaped[np.ndarray, "block C"]]:
    """Yield how often each cluster is drawn, in blocks of resamples."""
    generator = np.random.default_rng(seed)
    probabilities = np.full(clusters, 1 / clusters)
    for size in block_sizes(clusters, resamples):
        yield generator.multinomial(clusters, probabilities, size=size).astype(float)


def block_sizes(clusters: int, resamples: int) -> Iterator[int]:
    """Yield the sizes of blocks of resamples that fit in memory."""
    size = max(1, BLOCK // clusters)
    for start in range(0, resamples, size):
        yield min(size, resamples - start)


def standard_error(influence: Float[np.ndarray, " C"]) -> float | None:
    """Return a score's standard error, with clusters as the independent units.

    Args:
        influence: The clusters' influences, as from `Table.influence`.

    Returns:
        sqrt(C / (C - 1) * sum of squares), or None with fewer than two clusters.
    """
    count = len(influence)
    return float(np.sqrt(count / (count - 1) * (influence**2).sum())) if count > 1 else None
