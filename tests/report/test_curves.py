import json
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from numpy.testing import assert_allclose

from spatialsv.report.curves import nice_ticks, panel, read_curves, smooth


def test_terms_are_read_and_settings_are_not(tmp_path):
    lines = [
        {"step": 1, "loss": 2.0, "learning_rate": 0.1, "losses": {"depth": 1.5}},
        {"step": 2, "loss": 1.0, "losses": {"depth": float("nan")}},
        {"train_runtime": 3.0},
    ]
    log = tmp_path / "log.jsonl"
    log.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert read_curves(log) == {"loss": ([1.0, 2.0], [2.0, 1.0]), "depth": ([1.0], [1.5])}


def test_a_broken_log_is_named(tmp_path):
    (tmp_path / "log.jsonl").write_text('{"step": 1}\n{"st')
    with pytest.raises(ValueError, match=r"log.jsonl:2: not JSON"):
        read_curves(tmp_path / "log.jsonl")


def test_smoothing_keeps_the_mean():
    curve = (list(map(float, range(1000))), list(np.random.default_rng(0).uniform(size=1000)))
    steps, values = smooth(curve)
    assert len(steps) == len(values) == 120
    assert_allclose(np.mean(values), np.mean(curve[1]), atol=0.01)
    assert smooth(([1.0], [2.0])) == ([1.0], [2.0])


@pytest.mark.parametrize(
    ("low", "high"), [(0.0, 1.0), (0.013, 0.87), (-3.2, 4.7), (2.0, 2.0), (0.0, 0.0), (1e-4, 2e-4)]
)
def test_ticks_are_round_and_enclose(low, high):
    ticks = nice_ticks(low, high)
    assert ticks[0] <= low and ticks[-1] >= high and 2 <= len(ticks) <= 8
    assert_allclose(np.diff(ticks), ticks[1] - ticks[0])


def test_a_panel_is_wellformed_with_names_escaped_and_points_inside():
    svg = panel("<loss> & co", {"a<b": ([0.0, 5.0, 10.0], [3.0, 1.0, 2.0])}, ["a<b"])
    root = ET.fromstring(svg)
    points = [p.split(",") for p in root.find("polyline").get("points").split()]
    x, y = np.array(points, dtype=float).T
    assert_allclose(x, [42, 166, 290])
    assert (y >= 26).all() and (y <= 150).all()
    assert y[0] < y[2] < y[1]  # greater is higher up
