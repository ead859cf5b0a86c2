"""Labels: frame, unit, mask and errors."""

import json
import re

import numpy as np
import pytest
from numpy.testing import assert_allclose

from spatialsv.io.manifest import Manifest, read_manifest, write_manifest
from spatialsv.labels import LabelsConfig, run
from spatialsv.labels.errors import label_errors
from spatialsv.labels.stage import drop_unsure
from spatialsv.scenes.scene import Scenes
from spatialsv.scenes.store import load_groups, load_store, write_groups, write_store
from spatialsv.teachers.exact import ExactTeacher


def test_exact_labels_return_to_metres(tmp_path, tiny_scenes):
    shard = tmp_path / "0000.json"
    digest = write_store(tmp_path / "0000.zarr", tiny_scenes)
    write_manifest(shard, Manifest(stage="scenes", payload={"0000.zarr": digest}))
    out = tmp_path / "labels" / "exact" / "0000.json"
    run(shard, "exact", LabelsConfig(), out)
    manifest = read_manifest(out)
    labels = load_store(manifest.find(".zarr"))
    assert labels.unit == "relative"
    assert labels.source == "exact"
    assert_allclose(labels.depth * labels.scale[:, None, None, None], tiny_scenes.depth, rtol=1e-6)
    assert_allclose(labels.cam_to_world[:, 0], np.broadcast_to(np.eye(4), (6, 4, 4)), atol=1e-12)
    assert manifest.counts == {"scenes": 6, "pixels": 6 * 2 * 32 * 32, "valid": 6 * 2 * 32 * 32}
    metrics = json.loads(manifest.find(".metrics.json").read_text())
    assert metrics["abs_rel"] < 1e-6
    assert metrics["pose_auc30"] > 0.99


def test_a_view_without_a_camera_is_no_label(tmp_path, tiny_scenes, monkeypatch):
    """The stage stops at the part with the scene: nothing is written that training would use."""

    class Broken:
        def label(self, scenes):
            labels = ExactTeacher().label(scenes)
            poses = labels.cam_to_world.copy()
            poses[1, 1] = np.nan
            return labels.replace(cam_to_world=poses)

    monkeypatch.setattr("spatialsv.labels.stage.load_teacher", lambda *_: Broken())
    shard, out = tmp_path / "0000.json", tmp_path / "labels" / "0000.json"
    digest = write_store(tmp_path / "0000.zarr", tiny_scenes)
    write_manifest(shard, Manifest(stage="scenes", payload={"0000.zarr": digest}))
    error = f"cam_to_world of scene {tiny_scenes.ids[1]!r}, view 1 is nan"
    with pytest.raises(ValueError, match=re.escape(error)):
        run(shard, "broken", LabelsConfig(), out)
    assert not out.exists()


def test_the_least_confident_pixels_are_dropped_scene_by_scene(tiny_labels):
    rng = np.random.default_rng(0)
    confidence = rng.uniform(1, 5, tiny_labels.depth.shape).astype(np.float32)
    confidence[0] += 100  # a scene of which the teacher is sure loses as many pixels
    labels = drop_unsure(tiny_labels.replace(confidence=confidence), 25.0)
    assert_allclose(labels.valid.mean(axis=(1, 2, 3)), 0.75, atol=1e-3)
    assert (confidence[1][~labels.valid[1]].max()) < confidence[1][labels.valid[1]].min()


def test_equal_confidence_drops_nothing(tiny_labels):
    assert drop_unsure(tiny_labels, 10.0).valid.all()


def test_errors_do_not_depend_on_the_unit_and_need_a_truth(tiny_labels, tiny_scenes):
    doubled = tiny_labels.replace(depth=2 * tiny_labels.depth)
    assert label_errors(doubled, tiny_scenes) == pytest.approx(
        label_errors(tiny_labels, tiny_scenes), abs=1e-6
    )
    unknown = tiny_scenes.replace(valid=np.zeros_like(tiny_scenes.valid))
    assert label_errors(tiny_labels, unknown) == {}


def test_an_unknown_teacher_is_refused(tmp_path, tiny_scenes):
    shard = tmp_path / "0000.json"
    digest = write_store(tmp_path / "0000.zarr", tiny_scenes)
    write_manifest(shard, Manifest(stage="scenes", payload={"0000.zarr": digest}))
    with pytest.raises(ValueError, match=r"Unknown teacher 'sensor'"):
        run(shard, "sensor", LabelsConfig(), tmp_path / "out.json")


def test_geometry_that_may_not_be_used_commercially_warns_or_is_refused(tmp_path, tiny_scenes):
    shard, out = tmp_path / "0000.json", tmp_path / "labels/0000.json"
    research = tiny_scenes.replace(source="scans", revision="v2", licence="CC-BY-NC-4.0")
    digest = write_store(tmp_path / "0000.zarr", research)
    write_manifest(shard, Manifest(stage="scenes", payload={"0000.zarr": digest}))
    with pytest.raises(ValueError, match=r"geometry of scans: licence CC-BY-NC-4.0 is not"):
        run(shard, "exact", LabelsConfig(), out, commercial=True)
    assert not out.exists()
    with pytest.warns(UserWarning, match="The same holds for models trained on these labels"):
        run(shard, "exact", LabelsConfig(), out)
    about = read_manifest(out).about
    told = {"teacher": "exact", "revision": "v2", "licence": "CC-BY-NC-4.0"}
    assert about.items() >= told.items()


class Blind:
    """Knows the first `known` scenes only."""

    def __init__(self, known):
        self.known = known

    def label(self, scenes):
        labels = ExactTeacher().label(scenes)
        is_known = np.arange(len(scenes)) < self.known
        return labels.replace(valid=labels.valid & is_known[:, None, None, None])


@pytest.mark.parametrize("known", [0, 2])
def test_labels_without_a_valid_pixel_are_refused(tmp_path, tiny_scenes, monkeypatch, known):
    shard, out = tmp_path / "0000.json", tmp_path / "labels/0000.json"
    digest = write_store(tmp_path / "0000.zarr", tiny_scenes)
    write_manifest(shard, Manifest(stage="scenes", payload={"0000.zarr": digest}))
    monkeypatch.setattr("spatialsv.labels.stage.load_teacher", lambda *_: Blind(known))
    config = LabelsConfig(batch_size=len(tiny_scenes))
    if known:
        counts = run(shard, "exact", config, out).counts
        assert counts["scenes_without_valid_depth"] == len(tiny_scenes) - known
    else:
        with pytest.raises(ValueError, match=r"0000\.json: exact gave no valid pixel in any of 6"):
            run(shard, "exact", config, out)
        assert not out.exists()


@pytest.mark.parametrize("percent", [-1.0, 100.0])
def test_impossible_settings_are_refused(percent):
    with pytest.raises(ValueError, match="drop_percent"):
        LabelsConfig(drop_percent=percent)


def test_photos_of_several_sizes_are_labelled_and_the_exact_teacher_declines(tmp_path, tiny_scenes):
    photos = [
        Scenes(ids=(name,), image=tiny_scenes.image[:1, :views, :rows], source="photos")
        for name, views, rows in (("wide", 2, 24), ("alone", 1, 32))
    ]
    shard = tmp_path / "0000.json"
    digest = write_groups(tmp_path / "0000.zarr", photos)
    write_manifest(shard, Manifest(stage="scenes", payload={"0000.zarr": digest}))
    out = tmp_path / "labels/0000.json"
    run(shard, "rooms", LabelsConfig(drop_percent=0.0), out)
    manifest = read_manifest(out)
    labels = load_groups(manifest.find(".zarr"))
    assert [(group.ids, group.shape) for group in labels] == [
        (("wide",), (2, 24, 32)),
        (("alone",), (1, 32, 32)),
    ]
    assert manifest.counts["pixels"] == 2 * 24 * 32 + 32 * 32
    assert json.loads(manifest.find(".metrics.json").read_text()) == {}
    with pytest.raises(ValueError, match="no geometry, which the teacher 'exact' needs"):
        run(shard, "exact", LabelsConfig(), out)
