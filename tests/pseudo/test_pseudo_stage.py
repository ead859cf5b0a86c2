"""The stage: what it stores, counts and leaves out."""

import json
from dataclasses import replace

import numpy as np
import pytest

from spatialsv.manifest import Manifest, read_manifest, write_manifest
from spatialsv.pseudo import PseudoConfig, run
from spatialsv.pseudo.gate import GateConfig
from spatialsv.scenes.scene import Scenes
from spatialsv.scenes.store import read_store, write_groups, write_store
from spatialsv.teachers.exact import ExactTeacher
from spatialsv.teachers.rooms import RoomsTeacher

CONFIG = PseudoConfig(gate=GateConfig(confidence_percentile=0.0), floor=0.5)


class Wrong:
    """Knows all scenes but the third, whose second view it sees three times too far."""

    def label(self, scenes: Scenes) -> Scenes:
        labels = ExactTeacher().label(scenes)
        depth = labels.depth.copy()
        depth[2, 1] *= 3
        return replace(labels, depth=depth)


@pytest.fixture
def shard(tmp_path, tiny_scenes, monkeypatch):
    path = tmp_path / "scenes" / "0000.json"
    path.parent.mkdir()
    digest = write_store(path.with_suffix(".zarr"), tiny_scenes)
    write_manifest(path, Manifest(stage="scenes", payload={"0000.zarr": digest}))
    return path


def test_scenes_that_disagree_with_themselves_are_left_out(shard, tmp_path, tiny_scenes):
    out = tmp_path / "pseudo" / "0000.json"
    run(shard, CONFIG, out, teacher=Wrong())
    manifest = read_manifest(out)
    labels = read_store(manifest.find(".zarr"))
    assert manifest.about["left_out"] == [tiny_scenes.ids[2]]
    assert labels.ids == tuple(np.delete(tiny_scenes.ids, 2))
    assert manifest.counts["scenes"] == 5
    assert manifest.counts["scenes_left_out"] == 1
    assert labels.unit == "relative"
    pixels = sum(v for k, v in manifest.counts.items() if k.startswith("pixels_"))
    assert pixels == tiny_scenes.depth.size
    metrics = json.loads(manifest.find(".metrics.json").read_text())
    assert metrics["kept"] == pytest.approx(manifest.counts["pixels_kept"] / pixels)


def test_a_shard_without_a_good_scene_says_what_to_do(shard, tmp_path):
    strict = PseudoConfig(gate=GateConfig(min_views=5, keep_unseen=False))
    with pytest.raises(ValueError, match=r"lower pseudo\.floor"):
        run(shard, strict, tmp_path / "0000.json", teacher=Wrong())


class Doubtful:
    """The rooms teacher, but for photos that stand alone, of which it knows nothing."""

    def label(self, scenes: Scenes) -> Scenes:
        labels = RoomsTeacher.load().label(scenes)
        return replace(labels, valid=labels.valid & (scenes.shape[0] > 1))


def test_a_group_of_which_nothing_is_kept_is_left_out(tmp_path, tiny_scenes):
    photos = [
        Scenes(ids=(name,), image=tiny_scenes.image[:1, :views], source="photos")
        for name, views in (("alone", 1), ("pair", 2))
    ]
    path = tmp_path / "scenes.json"
    digest = write_groups(tmp_path / "scenes.zarr", photos)
    write_manifest(path, Manifest(stage="scenes", payload={"scenes.zarr": digest}))
    run(path, PseudoConfig(floor=0.1), tmp_path / "0000.json", teacher=Doubtful())
    manifest = read_manifest(tmp_path / "0000.json")
    assert read_store(manifest.find(".zarr")).ids == ("pair",)
    assert manifest.about["left_out"] == ["alone"]
    assert manifest.counts["pixels_invalid"] == 32 * 32
