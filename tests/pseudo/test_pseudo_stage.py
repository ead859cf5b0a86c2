"""The stage: what it stores, counts and leaves out."""

import json
from dataclasses import replace

import numpy as np
import pytest

from spatialsv.io.manifest import Manifest, read_manifest, write_manifest
from spatialsv.pseudo import PseudoConfig, run
from spatialsv.pseudo.gate import GateConfig
from spatialsv.scenes.scene import Cameras, GateReason, Geometry, Scenes
from spatialsv.scenes.scene_list import by_id
from spatialsv.scenes.store import load_groups, load_store, write_groups, write_store
from spatialsv.teachers.exact import ExactTeacher
from spatialsv.teachers.rooms import RoomsTeacher

CONFIG = PseudoConfig(gate=GateConfig(confidence_percentile=0.0), floor=0.5)


class Wrong:
    """Knows all scenes but the third, whose second view it sees three times too far."""

    def label(self, scenes: Scenes) -> Scenes:
        labels = ExactTeacher().label(scenes)
        depth = labels.depth.copy()
        depth[2, 1] *= 3
        return labels.replace(depth=depth)


@pytest.fixture
def shard(tmp_path, tiny_scenes, monkeypatch):
    path = tmp_path / "scenes" / "0000.json"
    path.parent.mkdir()
    digest = write_store(path.with_suffix(".zarr"), tiny_scenes)
    write_manifest(path, Manifest(stage="scenes", payload={"0000.zarr": digest}))
    return path


def test_scenes_that_disagree_with_themselves_are_left_out(shard, tmp_path, tiny_scenes, capsys):
    out = tmp_path / "pseudo" / "0000.json"
    run(shard, CONFIG, out, teacher=Wrong())
    manifest = read_manifest(out)
    labels = load_store(manifest.find(".zarr"))
    (told,) = manifest.about["excluded"].items()
    assert told[0] == tiny_scenes.ids[2] and "less than the floor of 50%" in told[1]
    assert f"Excluded: {tiny_scenes.ids[2]} keeps " in capsys.readouterr().err
    assert labels.ids == tiny_scenes.ids
    trusted = labels.reason == GateReason.KEPT
    assert (labels.valid[[0, 1, 3, 4, 5]] == trusted[[0, 1, 3, 4, 5]]).all()
    assert not labels.valid[2].any() and set(np.unique(labels.reason[2])) > {
        GateReason.INCONSISTENT
    }
    assert manifest.counts["scenes"] == 5
    assert manifest.counts["scenes_excluded"] == 1
    assert labels.unit == "relative"
    pixels = sum(v for k, v in manifest.counts.items() if k.startswith("pixels_"))
    assert pixels == tiny_scenes.depth.size
    metrics = json.loads(manifest.find(".metrics.json").read_text())
    assert metrics["kept"] == pytest.approx(manifest.counts["pixels_kept"] / pixels)


def test_a_shard_without_a_good_scene_says_what_to_do_and_costs_no_second_labelling(
    shard, tmp_path
):
    strict, out = PseudoConfig(gate=GateConfig(min_views=5, keep_unseen=False)), tmp_path / "0.json"
    with pytest.raises(ValueError, match=r"0000\.json: every scene is excluded.*pseudo\.floor"):
        run(shard, strict, out, teacher=Wrong())

    class Asked(Wrong):
        def label(self, scenes):
            raise AssertionError("the answers are there")

    Asked.__name__ = Wrong.__name__
    run(shard, CONFIG, out, teacher=Asked())
    run(shard, CONFIG, tmp_path / "fresh.json", teacher=Wrong())
    kept, fresh = (read_manifest(path).payload for path in (out, tmp_path / "fresh.json"))
    assert kept["0.zarr"] == fresh["fresh.zarr"]


class Doubtful:
    """The rooms teacher, but for photos that stand alone, of which it knows nothing."""

    def label(self, scenes: Scenes) -> Scenes:
        labels = RoomsTeacher.load().label(scenes)
        return labels.replace(valid=labels.valid & (scenes.shape[0] > 1))


def known_in_part(scenes: Scenes, name: str, **known) -> Scenes:
    """One scene of `scenes` under another name, with what is `known` of it."""
    return Scenes(ids=(name,), image=scenes.image[:1], source=name, **known)


def test_labels_are_sized_by_what_is_known(tmp_path, tiny_scenes):
    """Depth everywhere, at three points, cameras alone, nothing: in feet, far from the origin."""
    first = tiny_scenes.select([0])
    feet, poses = 3.28, first.cam_to_world.copy()
    poses[..., :3, 3] = feet * poses[..., :3, 3] + 70
    cameras = Cameras(intrinsics=first.intrinsics, cam_to_world=poses)
    sparse = np.zeros_like(first.valid)
    sparse[0, 1, [4, 20, 27], [9, 3, 30]] = True
    depth = feet * first.depth
    wrong = np.where(np.arange(32)[:, None] < 12, 9 * depth, depth)  # a reference errs, too
    groups = [
        known_in_part(
            first, "dense", geometry=Geometry(cameras=cameras, depth=wrong, valid=first.valid)
        ),
        known_in_part(
            first, "points", geometry=Geometry(cameras=cameras, depth=depth * sparse, valid=sparse)
        ),
        known_in_part(first, "posed", cameras=cameras),
        known_in_part(first, "photos"),
    ]
    path = tmp_path / "scenes.json"
    digest = write_groups(tmp_path / "scenes.zarr", groups)
    write_manifest(path, Manifest(stage="scenes", payload={"scenes.zarr": digest}))
    run(path, CONFIG, tmp_path / "0000.json", teacher=Told(first))
    manifest = read_manifest(tmp_path / "0000.json")
    known = feet * ExactTeacher().label(first).scale[0]
    assert manifest.about["scale"] == pytest.approx(
        dict.fromkeys(("dense", "points", "posed"), known), rel=1e-4
    )
    assert max(manifest.about["camera_error"].values()) < 1e-3
    stored = by_id(load_groups(manifest.find(".zarr")))
    assert stored["posed"].scale == pytest.approx([known])
    assert not stored["photos"].has("scale")
    assert stored["posed"].cam_to_world == pytest.approx(stored["photos"].cam_to_world)


class Told:
    """Knows the geometry of one scene, and says it of all, without a size."""

    def __init__(self, truth: Scenes) -> None:
        self.known = ExactTeacher().label(truth).replace(scale=None)

    def label(self, scenes: Scenes) -> Scenes:
        return self.known.replace(ids=scenes.ids)


class Squinting:
    """Turns the second camera of the third scene by 20 degrees."""

    def label(self, scenes: Scenes) -> Scenes:
        labels = ExactTeacher().label(scenes)
        poses = labels.cam_to_world.copy()
        c, s = np.cos(np.pi / 9), np.sin(np.pi / 9)
        poses[2, 1, :3, :3] = [[c, 0, s], [0, 1, 0], [-s, 0, c]]
        return labels.replace(cam_to_world=poses)


def test_scenes_with_wrong_cameras_are_left_out_only_if_asked(shard, tmp_path, tiny_scenes):
    loose = PseudoConfig(
        gate=GateConfig(confidence_percentile=0.0, pixels=99.0, relative_depth=9.0)
    )
    run(shard, loose, tmp_path / "loose.json", teacher=Squinting())
    about = read_manifest(tmp_path / "loose.json").about
    assert about["excluded"] == {}
    assert about["camera_error"][tiny_scenes.ids[2]] == pytest.approx(20, abs=1e-3)
    strict = replace(loose, max_camera_error=10.0)
    run(shard, strict, tmp_path / "strict.json", teacher=Squinting())
    told = read_manifest(tmp_path / "strict.json").about["excluded"]
    assert told == {tiny_scenes.ids[2]: "camera error of 20.0 degrees exceeds 10"}


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
    alone, pair = load_groups(manifest.find(".zarr"))
    assert not alone.valid.any() and pair.valid.any()
    assert list(manifest.about["excluded"]) == ["alone"]
    assert manifest.about["scale"] == {} and not alone.has("scale")
    assert not [name for name in manifest.payload if "gate" in name]  # nothing to measure it by
    assert manifest.counts["pixels_invalid"] == 32 * 32
