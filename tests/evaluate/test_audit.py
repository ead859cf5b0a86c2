"""An audit: what a score owes to the images, with nothing computed twice."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from PIL import Image

from helpers.benchmark_rows import ROWS
from helpers.outside import save_picture, save_video
from spatialsv.cli import main
from spatialsv.evaluate import EvaluateConfig, prompter, run
from spatialsv.evaluate.audit import CONDITIONS, audit
from spatialsv.evaluate.audit_result import CHANCE, TEXT, Audit, AuditRow, format_audit, summarise
from spatialsv.io.manifest import read_manifest
from spatialsv.scenes.verify import verify

CONFIG = EvaluateConfig(max_new_tokens=4)
SOME = ("none", "grey", "other", "mirrored")


@pytest.fixture(scope="module")
def rooms(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("rooms")
    tasks = ["recognise_what", "depth_order", "rotation", "rel_direction_easy", "object_size"]
    config = {"splits": {"test": 12}, "shard_size": 12, "rooms": {"samples": 1}}
    config |= {"tasks": {"test": tasks}}
    words = ["scenes", "--split", "test", "--shard", "0", "--config", json.dumps(config)]
    assert main([*words, "--out", str(folder / "0000.json")]) == 0
    return folder


@pytest.fixture(scope="module")
def audited(tmp_path_factory, rooms) -> tuple[Audit, Path]:
    out = tmp_path_factory.mktemp("audit")
    return audit("rooms", "base", CONFIG, out, data=rooms, conditions=SOME), out


def row(found: Audit, condition: str, task: str = "overall") -> AuditRow:
    (one,) = (r for r in found.rows if (r.condition, r.task) == (condition, task))
    return one


def test_the_shipped_model_looks_where_it_can_and_is_at_chance_without_images(audited):
    found, _ = audited
    for condition in ("none", "grey"):
        recognised, overall = row(found, condition, "recognition"), row(found, condition)
        assert recognised.score > 0.8 and recognised.significant and recognised.cost > 0.4
        for one in (recognised, overall):
            assert one.over_low <= 0 <= one.over_high  # at chance
            assert one.n == overall.n or one.task == "recognition"
    assert row(found, "other").cost > 0
    same = row(found, "mirrored")
    assert same.low <= 0 <= same.high and same.n == row(found, "none").n


def test_tables_figure_and_responses_are_listed(audited):
    found, out = audited
    manifest = read_manifest(out / "manifest.json")
    assert set(manifest.payload) == {
        *("audit.csv", "audit.json", "audit.png"),
        *(f"{name}/responses.jsonl" for name in ("all", *SOME)),
    }
    assert not verify(out).errors
    with (out / "audit.csv").open() as file:
        rows = [*csv.DictReader(file)]
    record = json.loads((out / "audit.json").read_text())
    assert len(rows) == len(record["rows"]) == len(found.rows)
    assert [r["condition"] for r in rows if r["task"] == "overall"] == [*SOME, TEXT, CHANCE]
    assert float(rows[0]["cost"]) == found.rows[0].cost == record["rows"][0]["cost"]
    assert record["summary"] == summarise(found)
    with Image.open(out / "audit.png") as figure:
        assert figure.width > 800
    assert format_audit(found).splitlines()[-1] == summarise(found)


def test_nothing_is_computed_twice(audited, rooms, monkeypatch, tmp_path):
    found, out = audited
    monkeypatch.setattr(prompter, "generate", None)
    before = (out / "audit.csv").read_bytes()
    again = audit("rooms", "base", CONFIG, out, data=rooms, conditions=SOME)
    assert again.rows == found.rows
    assert (out / "audit.csv").read_bytes() == before


def test_earlier_runs_of_evaluate_are_used(rooms, monkeypatch, tmp_path, tiny_mllm):
    config = EvaluateConfig(max_new_tokens=2)
    run(tiny_mllm, (), config, tmp_path / "own", data=rooms)
    blank = EvaluateConfig(max_new_tokens=2, blank_images=True)
    run(tiny_mllm, (), blank, tmp_path / "grey", data=rooms)
    monkeypatch.setattr(prompter, "generate", None)
    runs = [tmp_path / "own", tmp_path / "grey"]
    out = tmp_path / "audit"
    found = audit("rooms", tiny_mllm, config, out, data=rooms, conditions=("grey",), runs=runs)
    assert {r.condition for r in found.overall} == {"grey", TEXT, CHANCE}
    kept = (tmp_path / "grey/responses.jsonl").read_text()
    assert (out / "grey/responses.jsonl").read_text() == kept


def test_a_model_without_eyes_loses_nothing(tmp_path, tiny_mllm, rooms, monkeypatch):
    """Every altered response is the model's own: no cost, and the sentence says so."""
    monkeypatch.setattr(
        prompter, "generate", lambda m, f, prompts, *_: enumerate(["A"] * len(prompts))
    )
    found = audit("rooms", tiny_mllm, CONFIG, tmp_path, data=rooms)
    for condition in CONDITIONS:
        assert row(found, condition).cost == 0 and row(found, condition).p == 1
    assert "which is not significant: the score does not show that the model looks" in summarise(
        found
    )


def vsi(folder: Path) -> Path:
    rows = []
    for number in range(4):
        scene = f"scene{number:04d}_00"
        save_video(folder / "scannet" / f"{scene}.mp4", 4)
        known = ROWS["vsi_bench"][1] | {"scene_name": scene, "id": number}
        rows.append(known | {"question": "Which is to the left?" if number else "What is written?"})
    (folder / "test.jsonl").write_text("".join(json.dumps(one) + "\n" for one in rows))
    return folder


def test_a_benchmark_of_videos(tmp_path, tiny_mllm, capsys):
    words = ["audit", "vsi_bench", "--model", str(tiny_mllm), "--data", str(vsi(tmp_path / "data"))]
    config = ["--frames", "3", "--max-new-tokens", "2", "--out", str(tmp_path / "out")]
    assert main([*words, *config]) == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith("audit: vsi_bench (official), 4 q")
    shown = {}
    for name in ("all", *CONDITIONS):
        lines = (tmp_path / "out" / name / "responses.jsonl").read_text().splitlines()
        shown[name] = [json.loads(line) for line in lines]
    assert [len(one["inputs"]["sizes"]) for one in shown["all"]] == [3] * 4
    assert [len(one["inputs"]["sizes"]) for one in shown["first"]] == [1] * 4
    assert [len(one["inputs"]["sizes"]) for one in shown["none"]] == [0] * 4
    assert [one["id"] for one in shown["mirrored"]] == ["1", "2", "3"]  # not what is written
    assert "Which is to the right?" in shown["mirrored"][0]["prompt"]
    pairs = zip(shown["all"], shown["other"], strict=True)
    assert all(own["inputs"]["video"] != other["inputs"]["video"] for own, other in pairs)


def test_prompts_without_images_do_not_depend_on_the_batch(tmp_path, tiny_mllm):
    data, found = vsi(tmp_path / "data"), []
    for size in (1, 4):
        config = EvaluateConfig(shown="none", frames=2, max_new_tokens=4, batch_size=size)
        out = tmp_path / str(size)
        run(tiny_mllm, (), config, out, benchmark="vsi_bench", data=data)
        found.append((out / "responses.jsonl").read_bytes())
        assert read_manifest(out / "manifest.json").about["shown"] == "none"
    assert found[0] == found[1]


def test_a_dialogue_keeps_all_turns_and_counts_those_that_change(tmp_path, tiny_mllm):
    known, rows = ROWS["ost_bench"][1], []
    for scan in "abc":
        for turn, count in enumerate((1, 2, 0)):
            images = [f"{scan}/{turn}_{image}.jpg" for image in range(count)]
            rows.append(known | {"scan_id": scan, "turn_id": turn, "new_observations": images})
            for name in images:
                save_picture(tmp_path / "images" / name, (56, 56), len(rows))
    (tmp_path / "OST_bench.json").write_text(json.dumps(rows))
    config = EvaluateConfig(max_new_tokens=2)
    conditions = ("none", "other", "reversed", "mirrored")
    out = tmp_path / "out"
    found = audit("ost_bench", tiny_mllm, config, out, data=tmp_path, conditions=conditions)
    counts = {one.condition: one.n for one in found.overall}
    assert [counts[name] for name in conditions] == [9, 6, 3, 9]
    for name in conditions:
        lines = (out / name / "responses.jsonl").read_text().splitlines()
        assert len(lines) == 9


def test_conditions_that_change_nothing_are_named(tmp_path, tiny_mllm):
    """One image a question, all of one scene: no order, no first image, no other scene."""
    rows = [ROWS["viewspatial"][1] | {"question": f"Where {n}?"} for n in range(3)]
    (tmp_path / "ViewSpatial-Bench.json").write_text(json.dumps(rows))
    save_picture(tmp_path / rows[0]["image_path"][0], (56, 56), 0)
    config = EvaluateConfig(max_new_tokens=2)
    found = audit("viewspatial", tiny_mllm, config, tmp_path / "out", data=tmp_path)
    assert set(found.omitted) == {"other", "reversed", "first", TEXT}
    assert "only the first image: applies to no question" in format_audit(found)
    assert row(found, "grey").low is None  # a single scene


@pytest.mark.parametrize(
    ("model", "config", "told"),
    [
        ("random", CONFIG, "random: a baseline sees no image"),
        ("base", EvaluateConfig(shown="black"), "Leave out shown and blank_images"),
        ("base", EvaluateConfig(blank_images=True), "Leave out shown and blank_images"),
    ],
)
def test_what_cannot_be_audited_is_refused(model, config, told, tmp_path):
    with pytest.raises(ValueError, match=told):
        audit("rooms", model, config, tmp_path, data=tmp_path)
