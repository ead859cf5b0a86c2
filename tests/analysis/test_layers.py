"""The layers of all arms: tidy table, table of words and figure, from files of the probe stage."""

import json

import numpy as np
import pytest
import torch

from helpers.manifests import manifest_over
from spatialsv.analysis.jobs import read_jobs
from spatialsv.analysis.layers import layer_table as analyse_layers
from spatialsv.io.atomic import write_json
from spatialsv.probe.curves import TASKS, layer_curves
from spatialsv.probe.layers import ProbeResult
from spatialsv.report.figures import layer_figure
from spatialsv.report.result_tables import layer_table
from spatialsv.report.texts import texts

LAYERS = [-1, 0, 1, 2, 3]


def found(offset: float, left: float = 0.5) -> ProbeResult:
    noise = 0.01 * torch.rand(2, 20, generator=torch.Generator().manual_seed(0)).double()
    errors = dict.fromkeys(TASKS.values(), offset + noise)
    return ProbeResult(errors, dict.fromkeys(("depth", "directions", "points", "matches"), left))


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
    return manifest_over(place / "manifest.json", "probe", ["layers.json", "metrics.json"])


@pytest.fixture
def paths(tmp_path):
    return [
        write(tmp_path, arm, seed, offset)
        for arm, seed, offset in (("spatialsv", 0, 0.1), ("base", 0, 0.2), ("base", 1, 0.3))
    ]


@pytest.fixture
def layers(paths):
    return analyse_layers(read_jobs(paths))


def rows_of(layers, **equal):
    return [row for row in layers if all(row[name] == value for name, value in equal.items())]


def test_numbers_are_means_over_the_seeds_of_training(paths, layers):
    probe = rows_of(layers, arm="base", task="rays", source="probe")
    assert [row["layer"] for row in probe] == LAYERS
    assert list(dict.fromkeys(row["arm"] for row in layers)) == ["base", "spatialsv"]
    one, other = (
        json.loads(path.with_name("layers.json").read_text())["curves"]["probe"]["ray_error"][2]
        for path in paths[1:]
    )
    for name in ("mean", "low", "high"):
        assert probe[2][name] == pytest.approx((one[name] + other[name]) / 2)


def test_the_table_has_controls_at_the_layer_that_training_scenes_select(layers):
    table = layer_table(layers)
    assert table.head == ("", "untuned base", "SpatialSV")
    rows = {name: cells for name, *cells in table.rows[:6]}
    assert list(rows) == [
        texts()["probed"]["depth"],
        "... at",
        "... position only",
        "... random weights",
        "... selectivity",
        "... of a DPT head on the taps",
    ]
    assert rows["... at"] == ["layer 2", "layer 2"]
    assert rows[texts()["probed"]["depth"]][1].startswith("0.165 [0.16")  # 0.1 + 3 * 0.02 + noise
    assert rows["... selectivity"][1].startswith("+0.24 [")  # of random weights, the better control
    assert rows["... of a DPT head on the taps"] == ["0.1 [0.09, 0.11]"] * 2
    assert len(table.rows) == 5 * len(TASKS) + 1


def test_each_panel_has_a_line_per_arm_its_controls_and_the_taps(layers):
    axes = layer_figure(layers, ["base", "no_image", "spatialsv"]).axes
    assert sum(ax.axison for ax in axes) == len(TASKS)
    depth = axes[0]
    arms = [container.lines[0].get_ydata() for container in depth.containers]
    assert [len(line) for line in arms] == [len(LAYERS)] * 2
    controls = {line.get_label(): line.get_ydata() for line in depth.lines}
    assert {"control: position only", "control: random weights"} <= set(controls)
    (taps,) = [line for line in depth.lines if line.get_marker() == "^"]
    assert list(taps.get_xdata()) == [2, 4]  # layers 1 and 3
    names = {text.get_text() for text in depth.get_xticklabels()}
    assert {"enc", "proj", "1", "3"} <= names
    assert list(arms[1]) == sorted(arms[1])  # the error grows with the layer
    assert controls["control: position only"][0] > max(arms[1])


def test_missing_measurements_are_left_out(layers):
    for row in rows_of(layers, task="pose", layer=0):
        row |= {"mean": None, "low": None, "high": None}
    order = ["base", "spatialsv"]
    pose = layer_figure(layers, order).axes[list(TASKS).index("pose")]
    assert all(np.isnan(c.lines[0].get_ydata()).sum() == 1 for c in pose.containers)
    for row in rows_of(layers, task="pose"):
        row |= {"mean": None, "low": None, "high": None}
    layer_figure(layers, order)
    assert "-" in {cell for row in layer_table(layers).rows for cell in row}


def test_arms_of_other_layers_are_an_error(paths, tmp_path):
    paths.append(write(tmp_path, "text", 0, 0.2, layers=[0, 1, 2]))
    with pytest.raises(ValueError, match="'text' was probed at layers other"):
        analyse_layers(read_jobs(paths))
