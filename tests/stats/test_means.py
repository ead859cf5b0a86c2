"""Trees of means: what a matrix product says of resampled scenes is what averaging anew says."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from spatialsv.stats.intervals import intervals
from spatialsv.stats.means import (
    Mean,
    MeanOfMeans,
    Table,
    Tree,
    draw_weights,
    resample_scores,
    standard_error,
)


def mean(rng: np.random.Generator, scenes: str, n: int) -> Mean:
    return Mean(tuple(rng.random(n).tolist()), tuple(rng.choice(list(scenes), n).tolist()))


def weighted(rng: np.random.Generator, scenes: str, n: int) -> Mean:
    plain = mean(rng, scenes, n)
    return Mean(plain.scores, plain.clusters, tuple(rng.random(n).tolist()))


def example(seed: int = 0) -> tuple[Tree, ...]:
    """Leaves about scenes of their own and shared ones, joined twice."""
    rng = np.random.default_rng(seed)
    leaves = mean(rng, "abcd", 9), weighted(rng, "bcde", 7), mean(rng, "aef", 5)
    levels = MeanOfMeans(leaves[:2])
    return (*leaves, levels, MeanOfMeans((levels, leaves[2])))


def again(tree: Tree, times: dict[str, int]) -> float:
    """The score with each scene's answers repeated; NaN, and left out of joins, where none is."""
    if isinstance(tree, MeanOfMeans):
        parts = [value for part in tree.parts if not np.isnan(value := again(part, times))]
        return float(np.mean(parts)) if parts else float("nan")
    weights = tree.weights or (1.0,) * tree.n
    rows = [
        (score, weight)
        for score, name, weight in zip(tree.scores, tree.clusters, weights, strict=True)
        for _ in range(times[name])
    ]
    scores, repeated = np.reshape(rows, (-1, 2)).T
    return float(np.average(scores, weights=repeated)) if rows else float("nan")


def test_a_score_is_its_mean_and_a_join_weighs_parts_alike():
    one, two = Mean((1.0, 0.0, 0.0, 0.0), tuple("aabb")), Mean((1.0,), ("c",))
    assert (one.score, one.n) == (0.25, 4)
    assert (MeanOfMeans((one, two)).score, MeanOfMeans((one, two)).n) == (0.625, 5)
    assert np.isnan(Mean((), ()).score) and np.isnan(MeanOfMeans(()).score)
    assert Mean((1.0, 0.0), ("a", "b"), (3.0, 1.0)).score == 0.75
    with pytest.raises(ValueError, match="2 values and 1 cluster"):
        Mean((1.0, 0.0), ("a",))
    with pytest.raises(ValueError, match="1 values and 2 weights"):
        Mean((1.0,), ("a",), (1.0, 2.0))


def test_resampling_is_averaging_anew():
    trees = example()
    table, found = Table(trees), resample_scores(trees, 300, seed=3)
    weights = np.concatenate(list(draw_weights(len(table.order), 300, 3)))
    assert (weights.sum(axis=1) == len(table.order)).all()
    for row, values in zip(weights, found, strict=True):
        times = {name: int(count) for name, count in zip(table.order, row, strict=True)}
        assert_allclose(values, [again(tree, times) for tree in trees], rtol=1e-12)
    assert np.isnan(found[:, 2]).any()  # draws without a, e and f were among them


def test_blocks_change_nothing(monkeypatch):
    whole = resample_scores(example(), 50, seed=1)
    monkeypatch.setattr("spatialsv.stats.means.BLOCK", 1)
    assert_allclose(resample_scores(example(), 50, seed=1), whole, equal_nan=True)


def test_influence_is_the_derivative_by_a_scene_s_weight():
    trees = example(1)
    table, step = Table(trees), 1e-6
    ones = np.ones((1, len(table.order)))
    for tree in trees:
        moved = [
            table.value(tree, table.means(ones + step * np.eye(len(table.order))[[c]]))[0]
            for c in range(len(table.order))
        ]
        assert_allclose(table.influence(tree), (np.array(moved) - tree.score) / step, atol=1e-5)


def test_the_error_of_a_join_is_what_resampling_gives():
    rng = np.random.default_rng(2)
    scenes = np.repeat(np.arange(150), 4)
    luck = rng.normal(size=150)[scenes]
    leaves = [Mean(tuple((luck + rng.normal(size=600)).tolist()), tuple(scenes.tolist()))] * 2
    tree = MeanOfMeans(
        (
            leaves[0],
            MeanOfMeans((leaves[1], Mean(leaves[0].scores[:200], tuple(scenes[:200].tolist())))),
        )
    )
    error = standard_error(Table([tree]).influence(tree))
    assert error == pytest.approx(resample_scores([tree], 4000).std(), rel=0.05)


def test_nothing_resamples_to_nothing():
    empty = [Mean((), ()), MeanOfMeans(())]
    assert np.isnan(resample_scores(empty, 10)).all()
    some = resample_scores([*empty, Mean((1.0, 0.0), ("a", "b"))], 10)
    assert np.isnan(some[:, :2]).all() and not np.isnan(some[:, 2]).any()
    assert intervals([*empty, Mean((1.0, 0.5), ("a", "b"))], resamples=10)[:2] == [None, None]
