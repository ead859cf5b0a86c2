"""The paper's tables on our arms: rows, tests, and the paper's values beside ours."""

from __future__ import annotations

import csv
from dataclasses import replace

import numpy as np
import pytest

from helpers.closing import closing_line
from helpers.manifests import manifest_over
from spatialsv.analysis.ablations import (
    AblationsConfig,
    TableConfig,
    ablation_tables,
    paper_tables,
    run,
)
from spatialsv.analysis.jobs import read_jobs, read_runs
from spatialsv.config import from_mapping
from spatialsv.io.atomic import write_json
from spatialsv.io.manifest import read_manifest
from spatialsv.report.targets import ablation_tables as tables_of_words
from spatialsv.report.targets import present
from spatialsv.report.texts import task_label
from spatialsv.stats.paired import holm

TABLE = {"arms": ["text", "distill", "spatialsv"], "against": "text"}


@pytest.fixture
def runs(finished_run):
    return read_runs(read_jobs(finished_run["evaluate"]))


def score(tables, arm, pool="spatial"):
    (row,) = [r for r in tables["ablation_scores"] if (r["arm"], r["pool"]) == (arm, pool)]
    return row


def test_a_row_has_scores_and_the_test_against_the_reference(runs):
    table = from_mapping(TableConfig, TABLE, "table")
    tables = ablation_tables("mine", table, runs, {})
    rows = tables["ablation_arms"]
    assert [row["arm"] for row in rows] == TABLE["arms"]
    assert rows[0]["p"] is None and {row["against"] for row in rows} == {"text"}
    assert [row["p_holm"] for row in rows[1:]] == holm([row["p"] for row in rows[1:]])
    scored = [response.scored() for response in runs["spatialsv"][0].values()]
    for pool, tasks in (
        ("mindcube", {"rotation", "among", "around"}),
        ("recognition", {"recognise_what", "recognise_colour"}),
    ):
        scores = [q.score for q in scored if q.task in tasks]
        mean = score(tables, "spatialsv", pool)["mean"]
        assert mean == pytest.approx(np.mean(scores)) if scores else mean is None


def test_seeds_give_a_mean_and_a_deviation(runs):
    seeds = [runs["text"][0], runs["spatialsv"][0]]
    table = TableConfig(arms=("text", "distill"), against="distill")
    first, second = (
        score(ablation_tables("one", table, runs | {"text": [seed]}, {}), "text")["mean"]
        for seed in seeds
    )
    both = ablation_tables("both", table, runs | {"text": seeds, "distill": seeds}, {})
    assert both["ablation_arms"][0]["seeds"] == 2
    assert score(both, "text")["mean"] == pytest.approx((first + second) / 2)
    assert score(both, "text")["deviation"] == pytest.approx(abs(first - second) / 2**0.5)
    # The reference has the same two seeds, then the same in the other order.
    assert both["ablation_arms"][0]["seed_deviation"] == 0
    turned = ablation_tables("turned", table, runs | {"text": seeds, "distill": seeds[::-1]}, {})
    deviation = turned["ablation_arms"][0]["seed_deviation"]
    assert deviation == pytest.approx(2**0.5 * abs(first - second))
    uneven = ablation_tables("one", table, runs | {"text": seeds}, {})
    assert uneven["ablation_arms"][0]["seed_deviation"] is None
    assert "(1 to 2 training seeds)" in tables_of_words(uneven)[0].note


def test_the_papers_rows_stand_next_to_ours(runs):
    arms = ["text", "distill", "base", "no_image", "spatialsv", "random", "frequency"]
    table = from_mapping(TableConfig, {"arms": arms, "against": "text", "paper": "table3"}, "t")
    tables = ablation_tables("signals", table, runs, {})
    assert [score(tables, arm, "mindcube")["paper"] for arm in arms] == [
        *(55.3, 57.4, 59.4, 58.2, 56.3, 61.4, 62.3)
    ]
    (words,) = tables_of_words(tables)
    assert words.title == "Table 3: which signals help (signals)"
    assert words.head[1] == "the paper's row" and words.rows[2][1] == "depth"
    assert "55.3" in words.rows[0] and "30.1" in words.rows[0]
    assert "not significant" in {cell for row in words.rows for cell in row}


def test_the_scores_of_the_base_before_training_are_in_the_note(runs):
    table = from_mapping(TableConfig, TABLE, "table")
    (words,) = tables_of_words(ablation_tables("mine", table, runs, {}))
    scored = [response.scored() for response in runs["base"][0].values()]
    known = 100 * np.mean([q.score for q in scored if q.spatial])
    assert f"Before training: all spatial {known:.1f}" in words.note
    del runs["base"]
    (words,) = tables_of_words(ablation_tables("mine", table, runs, {}))
    assert "Before training" not in words.note


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
        (
            {"against": "base"},
            r"arm against: 'base'. Use one of \['text', 'distill', 'spatialsv'\]",
        ),
        ({"paper": "table2"}, "unknown paper table 'table2'. Known tables: table1, table3"),
        ({"paper": "table3"}, "found 3 arms, expected 7 as in table3: text alone; features;"),
    ],
)
def test_a_table_that_cannot_be_made_is_told_at_once(table, told):
    with pytest.raises(ValueError, match=told):
        from_mapping(AblationsConfig, {"tables": {"mine": TABLE | table}}, "ablations")


def test_an_arm_without_an_evaluation_is_an_error(runs):
    del runs["distill"]
    with pytest.raises(ValueError, match=r"tables\.mine: arms not evaluated: distill"):
        ablation_tables("mine", from_mapping(TableConfig, TABLE, "table"), runs, {})


def test_the_target_writes_tables_and_their_presentation(finished_run, tmp_path, capsys):
    config = from_mapping(AblationsConfig, {"tables": {"mine": TABLE}}, "ablations")
    out = tmp_path / "ablations/manifest.json"
    run(evaluate=finished_run["evaluate"], lift=finished_run["lift"], config=config, out=out)
    present(out)
    assert set(read_manifest(out).payload) == {
        *("ablation_arms.csv", "ablation_scores.csv", "datapackage.json", "table.md"),
        *("quality_by_arm.csv", "quality_by_job.csv", "quality_correlation.csv"),
    }
    printed = capsys.readouterr().out
    assert "mean depth" in printed and "Per cent correct, means over seeds" in printed
    assert closing_line(printed, "ablations").endswith(f"; {out.parent}")
    assert "\nSpatialSV " in printed and "\ntext + distillation " in printed
    with pytest.raises(ValueError, match="Add a table"):
        run(evaluate=finished_run["evaluate"], config=AblationsConfig(), out=out)


def test_lifted_depth_correlates_with_accuracy_over_the_arms(finished_run, tmp_path, capsys):
    """The paper's Figure 4, on arms whose depth is the worse the lower their accuracy."""
    errors = {"text": 0.4, "distill": 0.5, "base": 0.6, "spatialsv": 0.1}
    lift = [tmp_path / f"lift/{arm}/0/manifest.json" for arm in errors]
    for place, error in zip(lift, errors.values(), strict=True):
        write_json(place.with_name("metrics.json"), {"rmse": error})
        manifest_over(place, "lift", ["metrics.json"])
    config = from_mapping(AblationsConfig, {"tables": {"mine": TABLE}}, "ablations")
    path = tmp_path / "ablations/manifest.json"
    run(evaluate=finished_run["evaluate"], lift=lift, config=config, out=path)
    present(path)
    manifest = read_manifest(path)
    with path.with_name("quality_by_arm.csv").open(newline="") as file:
        assert {row["arm"]: float(row["error"]) for row in csv.DictReader(file)} == errors
    with path.with_name("quality_correlation.csv").open(newline="") as file:
        assert [float(row["rho"]) for row in csv.DictReader(file)] == [pytest.approx(-1)]
    assert "over 4 arms: Spearman -1.00" in capsys.readouterr().out
    assert {"lift_accuracy.svg", "lift_accuracy.png"} <= set(manifest.payload)


def test_arms_are_compared_on_the_tasks_of_a_table(runs):
    tasks = sorted({r.task for r in runs["text"][0].values() if r.spatial})[:2]
    table = from_mapping(TableConfig, TABLE | {"tasks": tasks}, "table")
    rows = ablation_tables("mine", table, runs, {})["ablation_arms"]
    own = {
        arm: np.mean([r.score for r in runs[arm][0].values() if r.task in tasks])
        for arm in TABLE["arms"]
    }
    for row in rows[1:]:
        assert row["difference"] == pytest.approx(own[row["arm"]] - own["text"])
    (words,) = tables_of_words(ablation_tables("mine", table, runs, {}))
    assert f"compared with text on {', '.join(map(task_label, tasks))}:" in words.note
    with pytest.raises(ValueError, match=r"tables.mine.tasks: no question is of cross_side"):
        table = from_mapping(TableConfig, TABLE | {"tasks": ["cross_side"]}, "table")
        ablation_tables("mine", table, runs, {})
    with pytest.raises(ValueError, match=r"unknown task 'across'"):
        from_mapping(TableConfig, TABLE | {"tasks": ["across"]}, "table")


def test_only_pools_with_questions_have_a_column(runs):
    table = from_mapping(TableConfig, TABLE, "table")
    (words,) = tables_of_words(ablation_tables("mine", table, runs, {}) | {"quality_by_arm": []})
    assert not any("views" in name or "within one view" in name for name in words.head)
    renamed = {
        arm: [{k: replace(r, task="cross_side") if r.spatial else r for k, r in run.items()}]
        for arm, (run,) in ((arm, runs[arm][:1]) for arm in TABLE["arms"])
    }
    (words,) = tables_of_words(ablation_tables("mine", table, renamed, {}) | {"quality_by_arm": []})
    assert any(name.startswith("across views (n ") for name in words.head)
    assert not any("MindCube" in name for name in words.head)
