"""Data from outside through the pipeline, by settings alone."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
import yaml

from helpers.outside import write_llava, write_mindcube
from helpers.workflow_copy import Copy, make_copy
from spatialsv.scenes.store import load_groups

pytestmark = pytest.mark.xdist_group("outside")
STAGES = ("scenes", "labels", "pseudo", "train", "lift", "probe", "evaluate", "analysis", "report")
OVERLAY = {
    "labels": {"teacher": "rooms"},
    "pseudo": {"splits": []},
    "train": {
        **{"steps": 2, "batch_size": 2, "packed": False, "questions_per_sample": 1},
        **{"label_stride": 1, "label_size": [32, 32]},
    },
    "measure": {
        **{"lift": ["spatialsv"], "probe": ["spatialsv"]},
        "evaluate": ["base", "spatialsv", "frequency"],
    },
    "probe": {"fit": {"steps": 4}},
    "evaluate": {"resamples": 100},
}


def configure(copy: Copy, source: str, files: dict[str, Path], splits: dict[str, int]) -> None:
    """An overlay `mine` that reads these files, below external/."""
    root = copy.root / "external"
    read = {"files": {name: str(path) for name, path in files.items()}, "images": str(root)}
    splits = {"train": 0, "unlabelled": 0, "validation": 0, "test": 0} | splits
    scenes = {"source": source, "splits": splits, "shard_size": 4, "read": read}
    more = ("arms", "measure", "ablations", "base", "models", "teachers", "needs")
    sections = {name: {} for name in (*STAGES, *more)}
    overlay = sections | OVERLAY | {"scenes": scenes}
    (copy.root / "workflow/config/mine.yaml").write_text(yaml.safe_dump(overlay))
    copy.edit("workflow/config/run.yaml", "overlay: default", "overlay: mine")


def test_mindcube_is_labelled_taught_and_asked(tmp_path):
    copy = make_copy(tmp_path)
    root = copy.root / "external"
    files = {
        name: write_mindcube(root, name, places) for name, places in (("train", 5), ("test", 2))
    }
    configure(copy, "mindcube", files, {"train": 10, "test": 4})
    found = copy.snakemake()
    assert found.returncode == 0, found.stdout
    shapes = {s.shape for s in load_groups(copy.root / "data/labels/rooms/train/0000.zarr")}
    assert shapes == {(3, 64, 48), (4, 48, 80)}
    metrics = json.loads((copy.root / "data/evaluate/rooms/spatialsv/0/metrics.json").read_text())
    assert metrics["among_n"] == metrics["around_n"] == 2
    for stage in ("lift", "probe"):  # against labels, where nothing is known
        path = copy.root / f"data/{stage}/rooms/spatialsv/0/metrics.json"
        metrics = json.loads(path.read_text())
        assert metrics["scenes"] == 2 and metrics["abs_rel"] > 0
    log = (copy.root / "data/train/rooms/spatialsv/0/log.jsonl").read_text().splitlines()
    assert {"text", "distill", "depth/l2"} <= json.loads(log[0]).keys()
    assert copy.planned() == {}
    files["train"].write_text(files["train"].read_text().replace("behind me", "behind you"))
    assert copy.planned()["scenes_shard"] == 3  # those of the file that changed


OWN = [
    {
        "image": "a.jpg",
        "question": "Which?",
        "options": ["x", "y"],
        "answer": "y",
        "category": "my",
    },
    {"image": "b.jpg", "question": "How many?", "answer": 3},
    {"images": ["a.jpg", "b.jpg"], "question": "What is it?", "answer": "a hall"},
]


def test_questions_of_every_kind_are_trained_on_and_all_but_conversations_scored(tmp_path):
    copy = make_copy(tmp_path)
    root = copy.root / "external"
    files = {name: write_llava(root, name) for name in ("train", "test")}
    for path in files.values():
        path.write_text(json.dumps([*json.loads(path.read_text()), *OWN]))
    configure(copy, "questions", files, {"train": 9, "test": 9})
    found = copy.snakemake()
    assert found.returncode == 0, found.stdout
    folder = copy.root / "data/evaluate/rooms/spatialsv/0"
    metrics = json.loads((folder / "metrics.json").read_text())
    assert [metrics[f"{name}_n"] for name in ("choice", "my", "number", "answer")] == [1, 1, 1, 1]
    assert json.loads((folder / "manifest.json").read_text())["about"]["unscored"] == 5
    with (copy.root / "data/analysis/scores.csv").open() as file:
        assert {"my", "answer", "spatial_text"} <= {row["task"] for row in csv.DictReader(file)}
