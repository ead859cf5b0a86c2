"""Interventions of all arms: tidy tables and the report's table."""

import pytest

from helpers.manifests import manifest_over
from spatialsv.analysis.causal import causal_tables
from spatialsv.analysis.jobs import read_jobs
from spatialsv.io.atomic import write_json
from spatialsv.report.causal_table import causal_table


def write(folder, arm, seed, effect, conclusion, heads=True):
    """A probe job with interventions on two layers."""
    rows = [
        {
            "kind": kind,
            "layer": layer,
            "task": task,
            "questions": 40,
            "followed": 0.5 + effect,
            "effect": effect / (layer + 1),
            "low": effect - 0.05,
            "high": effect + 0.05,
        }
        for kind in ("swap", "pose", *(["heads"] if heads else []))
        for layer in (0, 2)
        for task in ("all", "cross_side")
    ]
    readers = {str(layer): {"position": 0.1 * layer, "heading": 0.2} for layer in (0, 2)}
    if heads:
        readers["heads"] = {"position": 0.7, "heading": 0.6}
    record = {"layers": [0, 2], "explained": readers, "interventions": rows}
    place = folder / "probe" / "rooms" / arm / str(seed)
    write_json(place / "causal.json", record | {"conclusion": conclusion})
    return manifest_over(place / "manifest.json", "probe", ["causal.json"])


@pytest.fixture
def tables(tmp_path):
    paths = [
        write(tmp_path, "text", 0, 0.0, "absent", heads=False),
        write(tmp_path, "spatialsv", 0, 0.2, "used"),
        write(tmp_path, "spatialsv", 1, 0.4, "unused"),
    ]
    return causal_tables(read_jobs(paths))


def test_rows_are_by_arm_seed_kind_layer_and_task(tables):
    assert len(tables["causal"]) == 2 * 2 * 2 + 2 * 3 * 2 * 2
    keys = {
        tuple(row[n] for n in ("arm", "seed", "kind", "layer", "task")) for row in tables["causal"]
    }
    assert len(keys) == len(tables["causal"])
    readers = [row for row in tables["causal_readers"] if row["arm"] == "text"]
    assert [row["reader"] for row in readers] == ["0", "2"]
    assert {row["conclusion"] for row in readers} == {"absent"}


def test_the_report_has_means_over_seeds_at_the_layer_of_the_largest_effect(tables):
    table = causal_table(tables)
    cells = {row[0]: row[1:] for row in table.rows}
    labels = list(cells)
    assert cells[labels[0]] == ("absent (1)", "used (1), unused (1)")
    assert cells[labels[1]] == ("20.0", "20.0")
    assert cells[labels[2]] == ("-", "70.0")
    assert cells[labels[3]] == ("+0.0", "+30.0")
    assert cells[labels[5]] == ("-", "+30.0")


def test_jobs_without_interventions_are_skipped(tmp_path):
    write_json(tmp_path / "probe" / "rooms" / "base" / "0" / "metrics.json", {})
    path = manifest_over(
        tmp_path / "probe" / "rooms" / "base" / "0" / "manifest.json", "probe", ["metrics.json"]
    )
    assert causal_tables(read_jobs([path])) == {"causal": [], "causal_readers": []}
