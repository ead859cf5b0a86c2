"""Means, intervals and selectivity say what the scenes say."""

import numpy as np
import pytest
import torch

from spatialsv.probe.curves import TASKS, best_metrics, intervals, layer_curves
from spatialsv.probe.layers import ProbeResult
from spatialsv.stats.intervals import cluster_bootstrap


def found(offset: float, left: float, seeds: int = 2) -> ProbeResult:
    generator = torch.Generator().manual_seed(0)
    errors = {
        metric: offset + torch.rand(seeds, 30, generator=generator).double()
        for metric in TASKS.values()
    }
    return ProbeResult(errors, dict.fromkeys(("depth", "directions", "points", "matches"), left))


@pytest.fixture
def record():
    probes, random = [found(0.0, 0.5), found(0.2, 0.3)], [found(1.0, 0.9), found(2.0, 0.9)]
    return layer_curves([-1, 3], probes, {"position": [found(3.0, 1.0)], "random": random})


def test_numbers_are_means_over_seeds_and_scenes(record):
    errors = found(0.2, 0.3).errors["ray_error"]
    number = record["curves"]["probe"]["ray_error"][1]
    assert number["mean"] == pytest.approx(float(errors.mean()))
    assert number["deviation"] == pytest.approx(float(errors.mean(dim=1).std()))
    expected = cluster_bootstrap(errors.mean(dim=0).numpy(), list(range(30)))
    assert (number["low"], number["high"]) == pytest.approx(tuple(expected))


def test_selectivity_is_positive_where_the_probe_is_better(record):
    error, score = (record["selectivity"]["random"][m] for m in ("raw_rmse", "pck10"))
    assert [n["mean"] for n in error] == pytest.approx([1.0, 1.8])
    assert [n["mean"] for n in score] == pytest.approx([-1.0, -1.8])
    assert [n["mean"] for n in record["selectivity"]["position"]["raw_rmse"]] == pytest.approx(
        [3.0, 2.8]
    )
    assert error[0]["high"] - error[0]["low"] < 1e-6  # paired: scene by scene it is the same


def test_the_best_layer_is_the_one_that_training_scenes_choose(record):
    assert set(record["best"].values()) == {3}  # though on the test scenes it does worse
    metrics = best_metrics(record)
    assert metrics["linear_depth_layer"] == 3
    assert metrics["linear_raw_rmse"] == record["curves"]["probe"]["raw_rmse"][1]["mean"]
    assert metrics["position_linear_raw_rmse"] == pytest.approx(metrics["linear_raw_rmse"] + 2.8)


def test_layers_of_the_llm_come_before_what_enters_it():
    probes = [found(0.0, 0.1), found(0.0, 0.5), found(0.0, 0.4)]
    assert set(layer_curves([0, 1, 2], probes, {})["best"].values()) == {2}
    assert set(layer_curves([-1, 0], probes[:2], {})["best"].values()) == {-1}


def test_what_was_not_measured_does_not_count():
    columns = np.full((4, 3), np.nan)
    columns[:2, 0], columns[0, 1] = (1.0, 3.0), 5.0
    some, one, none = intervals(columns)
    assert some["mean"] == 2 and some["low"] == 1 and some["high"] == 3
    assert one == {"mean": 5.0, "low": None, "high": None}
    assert none == {"mean": None, "low": None, "high": None}
