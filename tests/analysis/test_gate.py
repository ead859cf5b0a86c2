"""The gate: shards add up, findings follow from intervals, the figure shows the tables."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from helpers.manifests import edit_manifest, manifest_over
from spatialsv.analysis.gate import gate_tables
from spatialsv.io.atomic import write_json
from spatialsv.io.manifest import read_manifest
from spatialsv.report.figures import gate_figure
from spatialsv.report.findings import findings
from spatialsv.report.result_tables import gate_table

PIXELS = {"kept": 60, "unsure": 20, "unseen": 0, "inconsistent": 20}  # of each scene
SET = {"confidence_percentile": 20.0, "pixels": 1.5, "relative_depth": 0.1}
AT = {"confidence_percentile": [0.0, 20.0], "pixels": [1.5, 3.0], "relative_depth": [0.1]}


def counts(pixels: int, precision: float, scenes: int, seed: int) -> dict[str, list[float]]:
    """About `precision` of each scene's pixels are right; wrong ones err by 0.2, right by 0.01."""
    draw = np.random.default_rng(seed).uniform(-0.1, 0.1, scenes)
    right = np.round(pixels * np.clip(precision + draw, 0, 1))
    error = 0.01 * right + 0.2 * (pixels - right)
    return {"pixels": [pixels] * scenes, "accurate": right.tolist(), "error": error.tolist()}


def write_shard(
    folder: Path, shard: int, precision: dict[str, float], scenes: int = 12, **gate: object
) -> Path:
    """A shard whose pixels are so true by reason, and, as `alone`, of each single threshold."""
    path = folder / f"{shard:04d}.json"
    folder.mkdir(parents=True, exist_ok=True)
    names = [f"scene-{shard}-{i}" for i in range(scenes)]
    reasons = {
        name: counts(pixels, precision[name], scenes, 10 * shard + place)
        for place, (name, pixels) in enumerate(PIXELS.items())
    }
    sweeps = {
        name: [{"at": at, **counts(80, precision["alone"], scenes, 99)} for at in thresholds]
        for name, thresholds in AT.items()
    }
    record = {"tolerance": 0.05, "scenes": names, "reasons": reasons, "sweeps": sweeps} | gate
    write_json(path.with_suffix(".gate.json"), record)
    pixels = {f"pixels_{name}": scenes * count for name, count in PIXELS.items()}
    about = {"kept": dict.fromkeys(names, 0.6), "excluded": {}}
    return manifest_over(
        path,
        "pseudo",
        [f"{shard:04d}.gate.json"],
        counts=pixels | {"pixels_invalid": 0},
        config={"gate": SET},
        about=about,
    )


GOOD = {"kept": 0.8, "unsure": 0.3, "unseen": 0.5, "inconsistent": 0.5, "alone": 0.7}
USELESS = dict.fromkeys(GOOD, 0.5)


@pytest.fixture
def good(tmp_path):
    return [write_shard(tmp_path, shard, GOOD) for shard in range(2)]


def by_pixels(tables):
    return {row["pixels"]: row for row in tables["gate_pixels"]}


def test_shards_add_up(good):
    tables = gate_tables(good, 200, 0)
    (summary,) = tables["gate_summary"]
    assert summary["scenes"] == summary["measured_scenes"] == len(tables["gate_scenes"]) == 24
    rows = by_pixels(tables)
    assert rows["unsure"]["share"] == pytest.approx(0.2)
    one, two = (by_pixels(gate_tables([path], 200, 0)) for path in good)
    for name in ("all", "kept", "dropped", "inconsistent"):
        mean = (one[name]["precision"] + two[name]["precision"]) / 2
        assert rows[name]["precision"] == pytest.approx(mean)
        assert rows[name]["low"] < mean < rows[name]["high"]
        assert rows[name]["abs_rel"] == pytest.approx(0.2 - 0.19 * mean)
    parts = [PIXELS[name] / 100 * rows[name]["precision"] for name in ("kept", "unsure")]
    parts.append(0.2 * rows["inconsistent"]["precision"])
    assert rows["all"]["precision"] == pytest.approx(sum(parts))
    assert rows["unseen"]["precision"] is None


def test_the_gain_of_the_gate_is_reported_with_its_interval(good):
    tables = gate_tables(good, 200, 0)
    (row,) = tables["gate_summary"]
    assert 0.3 < row["difference_low"] < row["difference"] < row["difference_high"] < 0.5
    words = " ".join(findings("gate", tables))
    assert "Kept pixels are more accurate than dropped ones" in words
    assert "alone, set to keep as many" not in words  # no threshold here keeps as few
    assert "not clearly" not in words and "excludes 0 scenes" in words


def test_a_gate_without_effect_is_reported_as_such(tmp_path):
    words = findings("gate", gate_tables([write_shard(tmp_path, 0, USELESS, scenes=24)], 200, 0))
    assert any("Kept pixels are not clearly more accurate than dropped" in line for line in words)
    assert any("contradicted by other views are not clearly less" in line for line in words)
    idle = [line for line in words if "it is not clearly better than random" in line]
    assert len(idle) == len(AT) and "at 1.5, 3 it is" in idle[1]


def test_a_gate_that_keeps_the_worse_pixels_is_reported_as_such(tmp_path):
    worse = GOOD | {"kept": 0.2, "unsure": 0.9}
    words = findings("gate", gate_tables([write_shard(tmp_path, 0, worse)], 200, 0))
    assert any("Kept pixels are less accurate than dropped ones" in line for line in words)


def test_excluded_scenes_are_listed(tmp_path):
    path = write_shard(tmp_path, 0, GOOD)
    about = read_manifest(path).about | {"excluded": {"scene-0-3": "keeps <b>5 %"}}
    edit_manifest(path, about=about)
    tables = gate_tables([path], 200, 0)
    assert "Excluded: scene-0-3, which keeps <b>5 %." in findings("gate", tables)


@pytest.mark.parametrize("scenes", [0, 1])
def test_without_true_depth_there_are_shares_only(tmp_path, scenes):
    path = write_shard(tmp_path, 0, GOOD, scenes=2)
    if scenes:
        path = write_shard(tmp_path, 0, GOOD, scenes=1)
    else:
        edit_manifest(path, payload={})
    tables = gate_tables([path], 200, 0)
    assert tables["gate_summary"][0]["measured_scenes"] == 0 and tables["gate_sweeps"] == []
    assert "True depth is known for too few scenes" in findings("gate", tables)[-1]
    assert gate_table(tables).rows[0] == ("kept", "60.0")


def test_shards_measured_differently_are_an_error(tmp_path):
    paths = [write_shard(tmp_path, 0, GOOD), write_shard(tmp_path, 1, GOOD, tolerance=0.1)]
    with pytest.raises(ValueError, match="measured at different thresholds"):
        gate_tables(paths, 200, 0)


def test_without_pseudo_labels_the_tables_are_empty():
    assert not any(gate_tables([], 200, 0).values())


def test_the_figure_has_a_line_per_threshold_above_chance(good):
    tables = gate_tables(good, 200, 0)
    (ax,) = gate_figure(tables).axes
    lines = [container.lines[0].get_xydata() for container in ax.containers]
    assert [len(line) for line in lines] == [2, 2, 1, 1]  # the last one: all as set
    chance = by_pixels(tables)["all"]["precision"]
    dots = np.concatenate(lines)
    assert (dots[:, 1] > chance).all() and ((dots[:, 0] > 0) & (dots[:, 0] <= 1)).all()
