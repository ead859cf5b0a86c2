"""Selecting questions: all splits at once, a file for each shard, and shards that read theirs."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
import pytest

from spatialsv.io.manifest import read_manifest
from spatialsv.rooms.evidence import stage as selecting
from spatialsv.rooms.layout import RoomsConfig
from spatialsv.rooms.stage import ScenesConfig
from spatialsv.rooms.stage import run as make_shard
from spatialsv.scenes.question import CROSS_VIEW, SINGLE_VIEW, read_questions

CONFIG = ScenesConfig(
    splits={"train": 96, "unlabelled": 32, "test": 64},
    shard_size=32,
    questions=4,
    tasks={"train": ("recognise_what", *CROSS_VIEW, *SINGLE_VIEW), "test": CROSS_VIEW},
    rooms=RoomsConfig(
        views=2, image_size=32, samples=1, objects=(7, 7), size=(0.5, 1.0), motions=("free",)
    ),
)


@pytest.fixture(scope="module")
def selection(tmp_path_factory):
    out = tmp_path_factory.mktemp("scenes") / "selection.json"
    selecting.run(CONFIG, out)
    return out


def test_each_split_is_balanced_and_has_its_tasks(selection) -> None:
    manifest = read_manifest(selection)
    files = [name for name in manifest.payload if name.endswith(".jsonl")]
    assert sorted(files) == [
        *(f"selection/test/{shard:04d}.jsonl" for shard in range(2)),
        *(f"selection/train/{shard:04d}.jsonl" for shard in range(3)),
    ]
    questions = [
        (name.split("/")[1], q) for name in files for q in read_questions(manifest.resolve(name))
    ]
    assert manifest.counts == {"selected": len(questions)}
    table = pd.DataFrame(
        {"split": s, "task": q.task, "yes": q.options["AB".index(q.answer)] in ("right", "yes")}
        for s, q in questions
        if "nearer" not in q.task
    )
    assert set(table[table["split"] == "test"]["task"]) <= set(CROSS_VIEW)
    assert set(table[table["split"] == "train"]["task"]) > {"single_side", "single_facing"}
    assert (table.groupby(["split", "task"])["yes"].mean() == 0.5).all()
    gates = pd.read_csv(manifest.resolve("gates.csv"))
    assert set(gates["task"]) <= set(CROSS_VIEW) and (gates["true_geometry"] == 100).all()


def test_a_shard_has_the_questions_of_its_rooms(selection) -> None:
    out = selection.parent / "train" / "0001.json"
    manifest = make_shard("train", 1, CONFIG, out, selection)
    questions = read_questions(manifest.find(".questions.jsonl"))
    first = 20_000_032
    rooms = {f"rooms-{seed:08d}" for seed in range(first, first + 32)}
    assert {q.scene for q in questions} <= rooms
    chosen = read_questions(read_manifest(selection).resolve("selection/train/0001.jsonl"))
    assert [q for q in questions if q.task != "recognise_what"] == chosen
    assert any(q.task == "recognise_what" for q in questions)


def test_errors_name_the_remedy(tmp_path) -> None:
    with pytest.raises(ValueError, match=r"scenes.tasks.train: .*Run `spatialsv select` first"):
        make_shard("train", 0, CONFIG, tmp_path / "0000.json")
    with pytest.raises(ValueError, match=r"no split has questions across views"):
        selecting.run(replace(CONFIG, tasks={}), tmp_path / "selection.json")
    with pytest.raises(ValueError, match=r"scenes.tasks.train: task 'cross_side' needs two views"):
        ScenesConfig(tasks={"train": ("cross_side",)})


def test_questions_that_fail_a_gate_are_not_written(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(selecting, "counterbalance", lambda rows, *_: rows)
    with pytest.raises(ValueError, match=r"fail a gate. cross_.*without geometry answers"):
        selecting.run(CONFIG, tmp_path / "selection.json")
    assert not (tmp_path / "selection.json").exists()
