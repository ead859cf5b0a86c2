"""The report on the gate: shards add up, claims follow from intervals, the figure stands alone."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest

from spatialsv.io.atomic import write_json
from spatialsv.io.manifest import Manifest, write_manifest
from spatialsv.report.gate import build_gate, gate_findings, gate_table
from spatialsv.report.gate_figure import gate_figure, standing_alone
from spatialsv.report.page import gate_section

PIXELS = {"kept": 60, "unsure": 20, "unseen": 0, "inconsistent": 20}  # of each scene
SET = {"confidence_percentile": 20.0, "pixels": 1.5, "relative_depth": 0.1}
AT = {"confidence_percentile": [0.0, 20.0], "pixels": [1.5, 3.0], "relative_depth": [0.1]}


def counts(pixels: int, precision: float, scenes: int, seed: int) -> dict[str, list[float]]:
    """About `precision` of each scene's pixels are right; wrong ones err by 0.2, right by 0.01."""
    draw = np.random.default_rng(seed).uniform(-0.1, 0.1, scenes)
    right = np.round(pixels * np.clip(precision + draw, 0, 1))
    error = 0.01 * right + 0.2 * (pixels - right)
    return {"pixels": [pixels] * scenes, "right": right.tolist(), "error": error.tolist()}


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
    record = {"right": 0.05, "scenes": names, "reasons": reasons, "sweeps": sweeps} | gate
    write_json(path.with_suffix(".gate.json"), record)
    pixels = {f"pixels_{name}": scenes * count for name, count in PIXELS.items()}
    about = {"kept": dict.fromkeys(names, 0.6), "left_out": {}}
    manifest = Manifest(
        stage="pseudo",
        payload={f"{shard:04d}.gate.json": "0"},
        counts=pixels | {"pixels_invalid": 0},
        config={"gate": SET},
        about=about,
    )
    write_manifest(path, manifest)
    return path


GOOD = {"kept": 0.8, "unsure": 0.3, "unseen": 0.5, "inconsistent": 0.5, "alone": 0.7}
USELESS = dict.fromkeys(GOOD, 0.5)


@pytest.fixture
def good(tmp_path):
    return [write_shard(tmp_path, shard, GOOD) for shard in range(2)]


def test_shards_add_up(good):
    gate = build_gate(good, 200, 0)
    assert gate["scenes"] == gate["measured"]["scenes"] == 24
    assert gate["pixels"]["unsure"] == pytest.approx(0.2)
    rows = gate["measured"]["rows"]
    one, two = (build_gate([path], 200, 0)["measured"]["rows"] for path in good)
    for name in ("all", "kept", "dropped", "inconsistent"):
        mean = (one[name]["precision"] + two[name]["precision"]) / 2
        assert rows[name]["precision"] == pytest.approx(mean)
        assert rows[name]["low"] < mean < rows[name]["high"]
        assert rows[name]["abs_rel"] == pytest.approx(0.2 - 0.19 * mean)
    parts = [PIXELS[name] / 100 * rows[name]["precision"] for name in ("kept", "unsure")]
    parts.append(0.2 * rows["inconsistent"]["precision"])
    assert rows["all"]["precision"] == pytest.approx(sum(parts))
    assert rows["unseen"]["precision"] is None


def test_what_the_gate_buys_is_said_with_its_interval(good):
    gate = build_gate(good, 200, 0)
    better = gate["measured"]["better"]
    assert 0.3 < better["low"] < better["mean"] < better["high"] < 0.5
    told = " ".join(gate_findings(gate))
    assert "Kept pixels are truer than dropped ones" in told
    assert "alone, set to keep as many" not in told  # no threshold here keeps as few
    assert "not clearly" not in told and "leaves out 0 scenes" in told


def test_a_gate_that_buys_nothing_is_said_to(tmp_path):
    gate = build_gate([write_shard(tmp_path, 0, USELESS, scenes=24)], 200, 0)
    told = gate_findings(gate)
    assert any("Kept pixels are not clearly truer than dropped ones" in line for line in told)
    assert any("contradicted by other views are not clearly worse" in line for line in told)
    idle = [line for line in told if "it is not clearly better than that" in line]
    assert len(idle) == len(AT) and "at 1.5, 3 it is" in idle[1]


def test_a_gate_that_keeps_the_worse_pixels_is_said_to(tmp_path):
    worse = GOOD | {"kept": 0.2, "unsure": 0.9}
    told = gate_findings(build_gate([write_shard(tmp_path, 0, worse)], 200, 0))
    assert any("Kept pixels are less true than dropped ones" in line for line in told)


def test_scenes_left_out_are_listed(tmp_path):
    path = write_shard(tmp_path, 0, GOOD)
    text = path.read_text().replace('"left_out": {}', '"left_out": {"scene-0-3": "keeps <b>5 %"}')
    path.write_text(text)
    gate = build_gate([path], 200, 0)
    assert "scene-0-3 is left out: it keeps <b>5 %." in gate_findings(gate)
    assert "keeps &lt;b&gt;5 %" in gate_section(gate)


@pytest.mark.parametrize("scenes", [0, 1])
def test_without_the_truth_there_is_no_figure(tmp_path, scenes):
    path = write_shard(tmp_path, 0, GOOD, scenes=2)
    if scenes:
        path = write_shard(tmp_path, 0, GOOD, scenes=1)
    else:
        path.write_text(path.read_text().replace('"0000.gate.json": "0"', ""))
    gate = build_gate([path], 200, 0)
    assert gate["measured"] is None
    assert "Too little of their depth is known" in gate_findings(gate)[-1]
    section = gate_section(gate)
    assert "<svg" not in section and "without depth" in section
    assert gate_table(gate).rows[0] == ("kept", "60.0")


def test_shards_measured_differently_are_told(tmp_path):
    paths = [write_shard(tmp_path, 0, GOOD), write_shard(tmp_path, 1, GOOD, right=0.1)]
    with pytest.raises(ValueError, match="different thresholds; force their stage"):
        build_gate(paths, 200, 0)


def test_no_pseudo_labels_are_no_section():
    assert build_gate([], 200, 0) is None and gate_section(None) == ""


def test_the_figure_is_wellformed_and_higher_is_better(good):
    measured = build_gate(good, 200, 0)["measured"]
    svg = standing_alone(gate_figure(measured))
    root = ET.fromstring(svg)
    assert "var(" not in svg and "#0b62a8" in svg
    space = "{http://www.w3.org/2000/svg}"
    lines = root.findall(f"{space}polyline")
    assert [len(line.get("points").split()) for line in lines] == [2, 2, 1]
    chance = next(line for line in root.iter(f"{space}line") if line.get("class") == "chance")
    dots = [float(dot.get("cy")) for dot in root.iter(f"{space}circle")]
    assert len(dots) == 5 and max(dots) < float(chance.get("y1"))
    x, y = (
        np.array(
            [dot.get(axis) for dot in root.iter(f"{space}circle") for axis in ("cx", "cy")],
            dtype=float,
        )
        .reshape(-1, 2)
        .T
    )
    assert (x > 44).all() and (x <= 624).all() and (y > 44).all() and (y < 290).all()
