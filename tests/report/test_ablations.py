"""The paper's tables on our arms: rows, tests, and the paper's values beside ours."""

from __future__ import annotations

import json

import numpy as np
import pytest

from spatialsv.config import from_mapping
from spatialsv.io.atomic import write_json
from spatialsv.io.manifest import Manifest, read_manifest, write_manifest
from spatialsv.report import ReportConfig
from spatialsv.report import run as report
from spatialsv.report.ablations import AblationsConfig, TableConfig, ablation, paper_tables, run
from spatialsv.report.jobs import read_runs
from spatialsv.report.tables import ablation_table
from spatialsv.stats.paired import holm

TABLE = {"arms": ["text", "distill", "spatialsv"], "against": "text"}


@pytest.fixture
def runs(finished_run):
    return read_runs(finished_run["evaluate"])


def test_a_row_has_scores_and_the_test_against_the_reference(runs):
    table = from_mapping(TableConfig, TABLE, "table")
    rows = ablation("mine", table, runs, {})["rows"]
    assert [row["arm"] for row in rows] == TABLE["arms"]
    assert rows[0]["test"] is None
    for row in rows[1:]:
        assert (row["test"]["first"], row["test"]["second"]) == (row["arm"], "text")
    p = [row["test"]["p"] for row in rows[1:]]
    assert [row["test"]["p_holm"] for row in rows[1:]] == holm(p)
    scored = [answer.scored for answer in runs["spatialsv"][0].values()]
    for name, tasks in (
        ("mindcube", {"rotation", "among", "around"}),
        ("recognition", {"recognise_what", "recognise_colour"}),
    ):
        found = [q.score for q in scored if q.task in tasks]
        expected = np.mean(found) if found else None
        told = rows[2]["scores"][name]
        assert told is None if expected is None else told["mean"] == pytest.approx(expected)


def test_seeds_give_a_mean_and_a_spread(runs):
    seeds = [runs["text"][0], runs["spatialsv"][0]]
    table = TableConfig(arms=("text", "distill"), against="distill")
    first, second = (
        ablation("one", table, runs | {"text": [seed]}, {})["rows"][0]["scores"]["spatial"]["mean"]
        for seed in seeds
    )
    told = ablation("both", table, runs | {"text": seeds, "distill": seeds}, {})["rows"][0]
    assert told["seeds"] == 2
    assert told["scores"]["spatial"]["mean"] == pytest.approx((first + second) / 2)
    assert told["scores"]["spatial"]["deviation"] == pytest.approx(abs(first - second) / 2**0.5)
    assert told["by_seed"]["deviation"] == 0  # the reference has the same two seeds
    other = ablation("turned", table, runs | {"text": seeds, "distill": seeds[::-1]}, {})["rows"][0]
    assert other["by_seed"]["deviation"] == pytest.approx(2**0.5 * abs(first - second))
    uneven = ablation("one", table, runs | {"text": seeds}, {})
    assert uneven["rows"][0]["by_seed"] is None
    assert "(1 to 2 of training)" in ablation_table(uneven).note


def test_the_papers_rows_stand_beside_ours(runs):
    arms = ["text", "distill", "base", "no_image", "spatialsv", "random", "frequency"]
    table = from_mapping(TableConfig, {"arms": arms, "against": "text", "paper": "table3"}, "t")
    result = ablation("signals", table, runs, {})
    assert [row["paper"]["mindcube"] for row in result["rows"]] == [
        *(55.3, 57.4, 59.4, 58.2, 56.3, 61.4, 62.3)
    ]
    rendered = ablation_table(result)
    assert rendered.title == "Table 3: which signals help (signals)"
    assert rendered.head[1] == "the paper's row" and rendered.rows[2][1] == "depth"
    assert "55.3" in rendered.rows[0] and "30.1" in rendered.rows[0]
    assert "not significant" in {cell for row in rendered.rows for cell in row}


def test_what_the_base_knew_is_told_beside_what_is_left_of_it(runs):
    table = from_mapping(TableConfig, TABLE, "table")
    result = ablation("mine", table, runs, {})
    answers = [answer.scored for answer in runs["base"][0].values()]
    known = 100 * np.mean([q.score for q in answers if q.spatial])
    assert f"Before training: all spatial {known:.1f}" in ablation_table(result).note
    del runs["base"]
    assert "Before training" not in ablation_table(ablation("mine", table, runs, {})).note


def test_the_papers_tables_are_complete():
    tables = paper_tables()
    assert {name: len(table["rows"]) for name, table in tables.items()} == {
        **{"table1": 4, "table3": 7, "table4": 4, "table5": 4, "table7": 2}
    }
    for table in tables.values():
        for row in table["rows"]:
            parts = [row[name] for name in ("rotation", "among", "around") if name in row]
            if parts:  # 200, 600 and 400 items; the settings are printed to a tenth
                assert np.dot(parts, [200, 600, 400]) / 1200 == pytest.approx(
                    row["mindcube"], abs=0.11
                )


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ({"against": "base"}, r"against 'base' is none of \['text', 'distill', 'spatialsv'\]"),
        ({"paper": "table2"}, "no table 'table2' of the paper; known: table1, table3"),
        ({"paper": "table3"}, "3 arms beside 7 rows of table3: text alone; features;"),
    ],
)
def test_a_table_that_cannot_be_made_is_told_at_once(table, told):
    with pytest.raises(ValueError, match=told):
        from_mapping(AblationsConfig, {"tables": {"mine": TABLE | table}}, "ablations")


def test_an_arm_without_an_evaluation_is_told(runs):
    del runs["distill"]
    with pytest.raises(ValueError, match=r"tables\.mine: no evaluation of distill"):
        ablation("mine", from_mapping(TableConfig, TABLE, "table"), runs, {})


def test_the_stage_writes_and_prints_its_tables(finished_run, tmp_path, capsys):
    config = from_mapping(AblationsConfig, {"tables": {"mine": TABLE}}, "ablations")
    out = tmp_path / "ablations/manifest.json"
    run(evaluate=finished_run["evaluate"], lift=finished_run["lift"], config=config, out=out)
    assert set(read_manifest(out).payload) == {"results.json", "table.md"}
    printed = capsys.readouterr().out
    assert "mean depth" in printed and "Per cent right, means over seeds" in printed
    assert "\nSpatialSV " in printed and "\ntext + distillation " in printed
    with pytest.raises(ValueError, match="there is no table to make"):
        run(evaluate=finished_run["evaluate"], config=AblationsConfig(), out=out)


def test_lifted_depth_goes_with_accuracy_over_the_arms(finished_run, tmp_path, capsys):
    """The paper's Figure 4, on arms whose depth is the worse the less they answer."""
    errors = {"text": 0.4, "distill": 0.5, "base": 0.6, "spatialsv": 0.1}
    lift = [tmp_path / f"lift/{arm}/0/manifest.json" for arm in errors]
    for place, error in zip(lift, errors.values(), strict=True):
        write_json(place.with_name("metrics.json"), {"rmse": error})
        write_manifest(place, Manifest(stage="lift", payload={"metrics.json": "0"}))
    config = from_mapping(AblationsConfig, {"tables": {"mine": TABLE}}, "ablations")
    path = tmp_path / "ablations/manifest.json"
    manifest = run(evaluate=finished_run["evaluate"], lift=lift, config=config, out=path)
    seen = json.loads(path.with_name("results.json").read_text())["lift"]
    assert {arm["arm"]: arm["error"] for arm in seen["arms"]} == errors
    assert seen["correlation"]["rho"] == pytest.approx(-1)
    assert "over 4 arms: Spearman -1.00" in capsys.readouterr().out
    assert "lift_accuracy.svg" in manifest.payload
    own = {"evaluate": finished_run["evaluate"], "config": ReportConfig(resamples=20)}
    report(**own, ablations=[path], out=tmp_path / "with/manifest.json")
    html = (tmp_path / "with/report.html").read_text()
    assert "Lifted depth, and accuracy" in html and "Spearman -1.00" in html


def test_the_report_shows_its_tables_too(finished_run, tmp_path):
    config = from_mapping(AblationsConfig, {"tables": {"mine": TABLE}}, "ablations")
    path = tmp_path / "ablations/manifest.json"
    run(evaluate=finished_run["evaluate"], config=config, out=path)
    own = {"evaluate": finished_run["evaluate"], "config": ReportConfig(resamples=20)}
    report(**own, out=tmp_path / "without/manifest.json")
    report(**own, ablations=[path], out=tmp_path / "with/manifest.json")
    without, shown = ((tmp_path / name / "report.html").read_text() for name in ("without", "with"))
    assert '<h2 id="ablations">' not in without
    assert '<a href="#ablations">Ablations</a>' in shown
    assert "<caption>mine</caption>" in shown and ">paper</th>" in shown
