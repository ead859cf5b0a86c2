"""The paper's tables of models and benchmarks: real replies, scored, beside the paper's values."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from helpers.closing import closing_line
from helpers.outside import mindcube_line, write_lines
from spatialsv.analysis.paper import other_rows, paper_rows, published, read_scores
from spatialsv.benchmarks.score import score
from spatialsv.cli import main
from spatialsv.io.digests import digest_path
from spatialsv.io.manifest import Manifest, read_manifest, write_manifest
from spatialsv.report.tables import Table
from spatialsv.report.targets import paper_tables

SETTINGS = ("rotation", "among", "around", "aroundnew")


def write_benchmark(root: Path) -> dict[str, Path]:
    """Twelve questions of MindCube, and six choices and two numbers of VSI-Bench."""
    lines = [mindcube_line(n, [f"p{n}/0.jpg"], SETTINGS[n % 4]) for n in range(12)]
    (root / "MindCube").mkdir(parents=True)
    write_lines(root / "MindCube" / "MindCube_tinybench.jsonl", lines)
    rows = []
    for number in range(8):
        told = {"id": number, "dataset": "scannet", "scene_name": f"s{number % 2}", "question": "?"}
        kind = ("route_planning", "object_rel_distance", "object_counting")[min(number // 3, 2)]
        options = None if kind == "object_counting" else ["A. here", "B. there"]
        rows.append(told | {"question_type": kind, "ground_truth": "A", "options": options})
        if options is None:
            rows[-1]["ground_truth"] = "2"
    (root / "VSI").mkdir()
    write_lines(root / "VSI" / "rows.jsonl", rows)
    return {"mindcube_tiny": root / "MindCube", "vsi_bench_mc": root / "VSI"}


def write_run(
    root: Path, data: Path, name: str, replies: dict[str, str], model: tuple, scorer=None
) -> Path:
    """A run's folder as `spatialsv evaluate` leaves it, scored by the real scorer."""
    folder = root.joinpath("evaluate", *map(str, model), name)
    folder.mkdir(parents=True)
    lines = [{"id": id, "response": reply} for id, reply in replies.items()]
    write_lines(folder / "responses.jsonl", lines)
    score(name, data, folder / "responses.jsonl", scorer, out=folder / "scores.json")
    payload = {n: digest_path(folder / n) for n in ("responses.jsonl", "scores.json")}
    write_manifest(folder / "manifest.json", Manifest(stage="evaluate", payload=payload))
    return folder / "manifest.json"


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> list[Path]:
    """Two seeds of a model of the paper, its base on another benchmark, and a model of ours."""
    root = tmp_path_factory.mktemp("runs")
    data = write_benchmark(root)
    lines = (data["mindcube_tiny"] / "MindCube_tinybench.jsonl").read_text().splitlines()
    items = {line["id"]: line["gt_answer"] for line in map(json.loads, lines)}
    ids = list(items)

    def mindcube(right: int) -> dict[str, str]:
        """The first `right` ones right: item n is of setting n % 4, the last two are one."""
        return {id: f"<answer>{items[id]}. x</answer>" if id in ids[:right] else "" for id in ids}

    vsi = {str(n): "A. here" if n in (0, 1, 3) else "B" for n in range(6)}
    qwen, ours = "qwen2_5_vl_3b", "rooms"
    asked = [
        ("mindcube_tiny", mindcube(8), (qwen, "spatialsv", 0)),
        ("mindcube_tiny", mindcube(12), (qwen, "spatialsv", 1)),
        ("vsi_bench_mc", vsi, (qwen, "base", 0)),
        ("mindcube_tiny", mindcube(3), (ours, "text", 0)),
    ]
    paths = [write_run(root, data[name], name, *rest) for name, *rest in asked]
    low = dict.fromkeys(ids, "I think")
    paths.append(
        write_run(
            root,
            data["mindcube_tiny"],
            "mindcube_tiny",
            low,
            (ours, "base", 0),
            "vlmevalkit",
        )
    )
    return paths


def paper_table(rows: list[dict]) -> Table:
    (table,) = paper_tables({"paper_cells": rows})
    return table


def cells_of(rows: list[dict], base: str, arm: str) -> list[dict]:
    return [row for row in rows if (row["base"], row["arm"]) == (base, arm)]


def test_our_values_and_the_papers(runs):
    rows = paper_rows("table8", read_scores(runs))
    cells = cells_of(rows, "qwen2_5_vl_3b", "spatialsv")
    # Seed 0: of each setting's three (around: six) the first two thirds; seed 1: all.
    assert [cell["mean"] for cell in cells[:4]] == pytest.approx([5 / 6] * 4)
    assert [cell["paper"] for cell in cells[:4]] == [36.0, 56.2, 84.5, 62.3]
    assert cells[3]["deviation"] == pytest.approx(np.std([8 / 12, 1], ddof=1))
    assert cells[3]["seeds"] == 2 and cells[10]["mean"] is None
    choices = cells_of(rows, "qwen2_5_vl_3b", "base")
    assert choices[10]["mean"] == pytest.approx(3 / 6)  # every question has the same weight
    assert (choices[9]["mean"], choices[7]["mean"]) == pytest.approx((2 / 3, 1 / 3))


def test_missing_runs_are_marked_and_our_models_come_last(runs):
    table = paper_table(paper_rows("table8", read_scores(runs)))
    named = {row[0]: row[1:] for row in table.rows}
    assert named["Qwen2.5-VL-3B, SpatialSV"][3] == "83.3 ± 23.6 (62.3)"
    assert named["Qwen2.5-VL-3B, SpatialSV"][10] == "not run (32.2)"
    assert set(named["InternVL3-1B, text"]) == {
        f"not run ({value})" for value in (33.5, 52.3, 80.0, 58.4, 29.0, 34.7, 44.7, 27.3, 25.4)
    } | {"not run (30.9)", "not run (30.0)"}
    assert [row[0] for row in table.rows[-2:]] == ["rooms, untuned base", "rooms, text"]
    assert named["rooms, text"][3] == "25.0" and named["rooms, text"][10] == "not run"
    assert named["random"][10] == "50.0 (27.7)"  # of two options each; part of every run


def test_items_and_scorers_are_told(runs):
    table = paper_table(paper_rows("table8", read_scores(runs)))
    assert table.head[3:5] == ("around (n 6, paper 400)", "MindCube-Tiny (n 12, paper 1200)")
    assert table.head[5] == "direction, hard (n 0, paper 373)"
    assert "mindcube_tiny official, vlmevalkit; vsi_bench_mc official" in table.note
    bare = paper_table(paper_rows("table8", {}))
    assert bare.head[3] == "around (n 400)" and "no benchmark was run yet" in bare.note


def test_table_1_is_the_part_of_table_8_that_the_paper_shows(runs):
    scores = read_scores(runs)
    names = {"table", "title"}
    first, full = (
        [{k: v for k, v in row.items() if k not in names} for row in paper_rows(name, scores)]
        for name in ("table1", "table8")
    )
    assert len(first) == 26 * 11 and len(full) == 36 * 11
    assert all(row in full for row in first)


def test_a_mean_over_benchmarks_waits_for_all_of_them():
    names = [column["of"] for column in published()["table2"]["columns"][:-1]]
    scores = {"protocol": "official", "items": 4, "tasks": {}}
    asked = {name: [scores | {"overall": n / 10}] for n, name in enumerate(names)}
    runs = {("internvl3_2b", "distill"): asked, ("rooms", "text"): dict(list(asked.items())[:-1])}
    rows = paper_rows("table2", runs)
    assert cells_of(rows, "internvl3_2b", "distill")[-1]["mean"] == pytest.approx(0.35)
    assert cells_of(rows, "rooms", "text")[-1]["mean"] is None
    assert paper_table(rows).rows[-2][-1] == "35.0"


def test_guessing_is_told_by_what_any_run_knows_of_it():
    tasks = {"rotation": {"n": 4, "score": 0.9, "random": 0.25, "frequency": 0.5}}
    scores = {"protocol": "official", "items": 4, "overall": 0.9, "random": 0.3, "frequency": 0.4}
    runs = {("rooms", "text"): {"mindcube_tiny": [scores | {"tasks": tasks}]}}
    random, frequent = (
        cells_of(paper_rows("table8", runs), "", arm) for arm in ("random", "frequency")
    )
    assert (random[0]["mean"], random[3]["mean"], random[3]["paper"]) == (0.25, 0.3, 24.6)
    assert (frequent[0]["mean"], frequent[3]["mean"]) == (0.5, 0.4) and frequent[1]["mean"] is None


def test_benchmarks_that_the_paper_has_not_have_a_table_of_their_own(runs):
    assert other_rows(read_scores(runs)) == []
    scores = {"protocol": "official", "items": 4, "tasks": {}, "overall": 0.5}
    more = {("rooms", "text"): {"blink": [scores]}, ("rooms", "base"): {"vsi_bench": [scores]}}
    table = paper_table(other_rows(more))
    assert table.head == ("", "blink (n 4)", "vsi_bench (n 4)")
    assert table.rows == (
        ("rooms, untuned base", "not run", "50.0"),
        ("rooms, text", "50.0", "not run"),
    )


def test_the_papers_overalls_are_means_over_items():
    """So that ours, which are, can stand beside them; the exceptions are the paper's."""
    odd = {("", "random"), ("llava_onevision_1_5_8b", "base"), ("internvl3_8b", "text")}
    columns = published()["table8"]["columns"]
    counts = [column["n"] for column in columns]
    for one in published()["table8"]["rows"]:
        values = one["values"]
        for parts, overall in ((slice(0, 3), 3), (slice(4, 10), 10)):
            found = np.dot(values[parts], counts[parts]) / counts[overall]
            close = abs(found - values[overall]) <= 0.07
            assert close or (one["base"], one["arm"]) in odd | {
                ("qwen2_5_vl_3b", "text"),
                ("qwen2_5_vl_7b", "distill"),
                ("llava_onevision_1_5_8b", "distill"),
            }
    for one in published()["table2"]["rows"]:
        assert np.mean(one["values"][:-1]) == pytest.approx(one["values"][-1], abs=0.07)


def test_the_command_line_writes_and_prints_them(runs, tmp_path, capsys):
    out = tmp_path / "paper" / "manifest.json"
    assert main(["paper", "--evaluate", *map(str, runs), "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    assert printed.count("Qwen2.5-VL-3B, SpatialSV") == 3 and "Table 2" in printed
    assert closing_line(printed, "paper").endswith(f"; {out.parent}")
    assert read_manifest(out).counts == {"tables": 3, "runs": 5}
    text = (out.parent / "table.md").read_text()
    assert "| 83.3 ± 23.6 (62.3) |" in text and "± their standard deviation" in text
    with out.with_name("paper_cells.csv").open(newline="") as file:
        assert list(dict.fromkeys(row["table"] for row in csv.DictReader(file))) == [
            *("table1", "table2", "table8")
        ]


def test_a_run_that_is_of_no_benchmark_is_told(tmp_path, capsys):
    path = tmp_path / "rooms" / "text" / "0" / "manifest.json"
    write_manifest(path, Manifest(stage="evaluate", payload={}))
    assert main(["paper", "--evaluate", str(path), "--out", str(tmp_path / "m.json")]) == 2
    assert "not a benchmark run: its payload has no scores.json" in capsys.readouterr().err


def test_a_run_that_does_not_say_whose_it_is_is_told(runs, tmp_path):
    shutil.copytree(runs[0].parent, tmp_path / "mine")
    with pytest.raises(ValueError, match=r"expected BASE/ARM/SEED/mindcube_tiny/manifest\.json"):
        read_scores([tmp_path / "mine" / "manifest.json"])
