"""The layers of all arms: their record, table and figure, from what the probe stage writes."""

import json
import xml.etree.ElementTree as ET

import pytest
import torch

from spatialsv.io.atomic import write_json
from spatialsv.io.manifest import Manifest, read_manifest, write_manifest
from spatialsv.probe.curves import TASKS, layer_curves
from spatialsv.probe.layers import Found
from spatialsv.report import ReportConfig, run
from spatialsv.report.gate_figure import standing_alone
from spatialsv.report.jobs import read_jobs
from spatialsv.report.layers import build_layers, layers_section, layers_table
from spatialsv.report.layers_figure import TITLES, layers_figure, panel

SVG = "{http://www.w3.org/2000/svg}"
LAYERS = [-1, 0, 1, 2, 3]


def found(offset: float, left: float = 0.5) -> Found:
    noise = 0.01 * torch.rand(2, 20, generator=torch.Generator().manual_seed(0)).double()
    errors = dict.fromkeys(TASKS.values(), offset + noise)
    return Found(errors, dict.fromkeys(("depth", "directions", "points", "matches"), left))


def write(folder, arm: str, seed: int, offset: float, layers=LAYERS):
    """An arm's job; its best layer is 2."""
    probes = [found(offset + 0.02 * i, float(abs(layer - 2))) for i, layer in enumerate(layers)]
    controls = {"position": [found(0.5)], "random": [found(0.4) for _ in layers]}
    record = layer_curves(layers, probes, controls)
    record |= {
        "taps": [1, 3, 3, 3],
        "dpt": {"": {"raw_rmse": {"mean": 0.1, "low": 0.09, "high": 0.11}}},
    }
    place = folder / "probe" / "rooms" / arm / str(seed)
    write_json(place / "layers.json", record)
    write_json(place / "metrics.json", {"abs_rel": 0.1})
    manifest = Manifest(stage="probe", payload={"layers.json": "0", "metrics.json": "0"})
    write_manifest(place / "manifest.json", manifest)
    return place / "manifest.json"


@pytest.fixture
def paths(tmp_path):
    return [
        write(tmp_path, arm, seed, offset)
        for arm, seed, offset in (("spatialsv", 0, 0.1), ("base", 0, 0.2), ("base", 1, 0.3))
    ]


@pytest.fixture
def results(paths):
    rows = [{"arm": "base"}, {"arm": "no_image"}, {"arm": "spatialsv"}]
    return {"rows": rows, "layers": build_layers(read_jobs(paths))}


def test_numbers_are_means_over_the_seeds_of_training(paths, results):
    record = results["layers"]
    assert record["layers"] == LAYERS and list(record["arms"]) == ["base", "spatialsv"]
    one, other = (
        json.loads(path.with_name("layers.json").read_text())["curves"]["probe"]["ray_error"][2]
        for path in paths[1:]
    )
    mean = record["arms"]["base"]["curves"]["probe"]["ray_error"][2]
    for name in ("mean", "low", "high"):
        assert mean[name] == pytest.approx((one[name] + other[name]) / 2)


def test_the_table_shows_controls_at_the_layer_that_training_chose(results):
    table = layers_table(results["layers"])
    assert table.head == ("", "untuned base", "SpatialSV")
    rows = {name: cells for name, *cells in table.rows[:6]}
    assert list(rows) == [
        TITLES["depth"],
        "... at",
        "... place only",
        "... random weights",
        "... selectivity",
        "... of a DPT head on the taps",
    ]
    assert rows["... at"] == ["layer 2", "layer 2"]
    assert rows[TITLES["depth"]][1].startswith("0.165 [0.16")  # 0.1 + 3 * 0.02 + noise
    assert rows["... selectivity"][1].startswith("+0.24 [")  # of random weights, the better control
    assert rows["... of a DPT head on the taps"] == ["0.1 [0.09, 0.11]"] * 2
    assert len(table.rows) == 5 * len(TASKS) + 1


def test_each_panel_has_a_line_an_arm_its_controls_and_the_taps(results):
    record = results["layers"]
    root = ET.fromstring(panel("depth", record, ["base", "no_image", "spatialsv"]))
    lines = root.findall("polyline")
    assert [len(line.get("points").split()) for line in lines] == [5] * 4  # two controls, two arms
    assert len(root.findall("circle")) == 2 * len(LAYERS)
    assert len(root.findall("polygon")) == 2  # taps 1 and 3
    named = [text.text for text in root.findall("text")]
    assert {"enc", "proj", "1", "3", "place only", "random weights"} <= set(named)
    points = [point.split(",") for point in lines[-1].get("points").split()]
    heights = [float(down) for _, down in points]
    assert heights == sorted(heights, reverse=True)  # the error grows with the layer
    control = float(lines[0].get("points").split()[0].split(",")[1])
    assert control < min(heights)  # a larger error stands higher


def test_what_was_not_measured_is_left_out(results):
    for found in results["layers"]["arms"].values():
        curve = found["curves"]["probe"]["pose_auc30"]
        curve[1] = {"mean": None, "low": None, "high": None}
    order = ["base", "spatialsv"]
    root = ET.fromstring(panel("pose", results["layers"], order))
    assert len(root.findall("circle")) == 2 * (len(LAYERS) - 1)
    for found in results["layers"]["arms"].values():
        for curves in found["curves"].values():
            curves["pose_auc30"] = [{"mean": None, "low": None, "high": None}] * 5
    ET.fromstring(panel("pose", results["layers"], order))
    assert "-" in layers_section(results)


def test_the_file_is_one_drawing(results):
    svg = standing_alone(layers_figure(results))
    root = ET.fromstring(svg)
    assert len(root.findall(f"{SVG}svg")) == len(TASKS)
    assert "var(" not in svg
    assert {"untuned base", "SpatialSV"} <= {text.text for text in root.findall(f"{SVG}text")}


def test_the_report_has_it_where_layers_were_probed(finished_run, paths, tmp_path):
    out = tmp_path / "report" / "manifest.json"
    run(**finished_run | {"probe": paths}, config=ReportConfig(resamples=100), out=out)
    assert "layers.svg" in read_manifest(out).payload
    assert 'id="layers"' in out.with_name("report.html").read_text()
    run(**finished_run, config=ReportConfig(resamples=100), out=out)
    assert not out.with_name("layers.svg").exists()
    assert 'id="layers"' not in out.with_name("report.html").read_text()


def test_arms_of_other_layers_are_told(paths, tmp_path):
    paths.append(write(tmp_path, "text", 0, 0.2, layers=[0, 1, 2]))
    with pytest.raises(ValueError, match="'text' was probed at other layers"):
        build_layers(read_jobs(paths))
