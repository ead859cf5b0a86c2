"""Whatever a user names as a model: its checkpoint, its heads' folder, what its training told."""

import json
from pathlib import Path

import pytest

from spatialsv.io.manifest import Manifest, write_manifest
from spatialsv.model.place import find_model

ABOUT = {"shown": {"sources": ["rooms"]}, "settings": {"blank_images": True}}


@pytest.fixture
def job(tmp_path: Path) -> Path:
    """A training job's folder."""
    folder = tmp_path / "job"
    for part in ("mllm", "heads"):
        (folder / part).mkdir(parents=True)
    manifest = Manifest(stage="train", payload={"mllm": "0", "heads": "0"}, about=ABOUT)
    write_manifest(folder / "manifest.json", manifest)
    return folder


def test_a_training_jobs_folder_stands_for_its_manifest(job):
    for place in (find_model(job), find_model(job / "manifest.json")):
        assert (place.folder, place.checkpoint) == (job, str(job / "mllm"))
        assert place.about == ABOUT and place.blank
        assert place.manifest.stage == "train"


def test_a_folder_with_heads_beside_the_mllm_is_a_model(tmp_path):
    for part in ("mllm", "heads"):
        (tmp_path / part).mkdir()
    place = find_model(tmp_path)
    assert (place.folder, place.checkpoint) == (tmp_path, str(tmp_path / "mllm"))
    assert place.about == {} and not place.blank and place.manifest is None


def test_an_exported_model_tells_what_it_was_taught(tmp_path):
    (tmp_path / "spatialsv.json").write_text(json.dumps(ABOUT))
    place = find_model(tmp_path)
    assert (place.folder, place.checkpoint) == (tmp_path, str(tmp_path))
    assert place.about == ABOUT


def test_a_hub_id_is_left_as_it_is():
    place = find_model("some/hub-id")
    assert place.checkpoint == "some/hub-id" and place.about == {} and not place.blank


@pytest.mark.parametrize("name", ["base", "rooms"])
def test_the_shipped_model_has_two_names(name):
    assert Path(find_model(name).checkpoint, "config.json").is_file()


def test_a_manifest_that_is_not_there_is_told(tmp_path):
    with pytest.raises(ValueError, match=r"absent\.json"):
        find_model(tmp_path / "absent.json")
