"""Whatever a user names as a model: its checkpoint, its heads' folder, what its training told."""

import json
from pathlib import Path

import pytest

from helpers.manifests import manifest_over
from spatialsv.model.checkpoint import resolve_model

ABOUT = {"images": {"sources": ["rooms"]}, "settings": {"blank_images": True}}


@pytest.fixture
def job(tmp_path: Path) -> Path:
    """A training job's folder."""
    folder = tmp_path / "job"
    for part in ("mllm", "heads"):
        (folder / part).mkdir(parents=True)
    manifest_over(folder / "manifest.json", "train", ["mllm", "heads"], about=ABOUT)
    return folder


def test_a_training_jobs_folder_stands_for_its_manifest(job):
    for ref in (resolve_model(job), resolve_model(job / "manifest.json")):
        assert (ref.folder, ref.checkpoint) == (job, str(job / "mllm"))
        assert ref.about == ABOUT and ref.uses_blank_images
        assert ref.manifest.stage == "train"


def test_a_folder_with_heads_beside_the_mllm_is_a_model(tmp_path):
    for part in ("mllm", "heads"):
        (tmp_path / part).mkdir()
    ref = resolve_model(tmp_path)
    assert (ref.folder, ref.checkpoint) == (tmp_path, str(tmp_path / "mllm"))
    assert ref.about == {} and not ref.uses_blank_images and ref.manifest is None


def test_an_exported_model_tells_what_it_was_taught(tmp_path):
    (tmp_path / "spatialsv.json").write_text(json.dumps(ABOUT))
    ref = resolve_model(tmp_path)
    assert (ref.folder, ref.checkpoint) == (tmp_path, str(tmp_path))
    assert ref.about == ABOUT


def test_a_hub_id_is_left_as_it_is():
    ref = resolve_model("some/hub-id")
    assert ref.checkpoint == "some/hub-id" and ref.about == {} and not ref.uses_blank_images


@pytest.mark.parametrize("name", ["base", "rooms"])
def test_the_shipped_model_has_two_names(name):
    assert Path(resolve_model(name).checkpoint, "config.json").is_file()


def test_a_manifest_that_is_not_there_is_told(tmp_path):
    with pytest.raises(ValueError, match=r"absent\.json"):
        resolve_model(tmp_path / "absent.json")
