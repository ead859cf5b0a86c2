"""The scenes that a model was trained on are found by the digest in its train manifest."""

from __future__ import annotations

from pathlib import Path

import pytest

from spatialsv.evaluate.training_scenes import training_scenes
from spatialsv.io.manifest import Manifest, digest_payloads, read_manifest, write_manifest


@pytest.fixture
def shards(tmp_path: Path) -> list[Path]:
    paths = []
    for number in range(4):
        path = tmp_path / f"data/scenes/train/000{number}.json"
        payload = {f"000{number}.zarr": f"{number}", f"000{number}.questions.jsonl": "q"}
        write_manifest(path, Manifest(stage="scenes", payload=payload))
        for name in payload:
            (path.parent / name).touch()
        paths.append(path)
    return paths


def trained(root: Path, scenes: list[Path]) -> Path:
    path = root / "data/train/rooms/text/0/manifest.json"
    about = {"data": {"scenes": digest_payloads([read_manifest(scene) for scene in scenes])}}
    write_manifest(path, Manifest(stage="train", payload={}, about=about))
    return path


@pytest.mark.parametrize("count", [1, 2, 4])
def test_the_first_shards_are_found(tmp_path, shards, count):
    assert training_scenes(trained(tmp_path, shards[:count])) == shards[:count]


def test_a_training_jobs_folder_stands_for_its_manifest(tmp_path, shards):
    folder = trained(tmp_path, shards).parent
    (folder / "mllm").mkdir()
    assert training_scenes(folder) == shards


def test_other_scenes_are_not_guessed(tmp_path, shards):
    assert training_scenes(trained(tmp_path, shards[1:])) == []
    path = trained(tmp_path, shards)
    write_manifest(shards[0], Manifest(stage="scenes", payload={"0000.questions.jsonl": "new"}))
    assert training_scenes(path) == []


@pytest.mark.parametrize("model", ["base", "some/hub-id"])
def test_what_is_no_train_manifest_of_a_run_has_none(model):
    assert training_scenes(model) == []
