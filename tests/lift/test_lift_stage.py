"""The stage, with a tiny model of random weights: what it writes, and what it refuses."""

import json

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from helpers.manifests import manifest_over
from spatialsv.geometry.cameras_from_rays import cameras_from_rays
from spatialsv.geometry.rays import RayMap
from spatialsv.io.manifest import Manifest, read_manifest, write_manifest
from spatialsv.lift import LiftConfig, run
from spatialsv.lift.models import ModelWithHeads
from spatialsv.model.heads import SpatialHeads, SpatialHeadsConfig
from spatialsv.model.mllm import load_mllm
from spatialsv.model.spatialsv import SpatialSV, save_spatialsv
from spatialsv.scenes.scene import Scenes
from spatialsv.scenes.store import load_groups, load_store, write_groups, write_store


@pytest.fixture(scope="module")
def shards(tmp_path_factory, tiny_scenes):
    folder = tmp_path_factory.mktemp("scenes")
    paths = []
    for number, rows in enumerate(([0, 1, 2], [3, 4, 5])):
        path = folder / f"{number}.json"
        digest = write_store(path.with_suffix(".zarr"), tiny_scenes.select(rows))
        write_manifest(path, Manifest(stage="scenes", payload={f"{number}.zarr": digest}))
        paths.append(path)
    return paths


@pytest.fixture(scope="module")
def trained(tmp_path_factory, tiny_mllm):
    folder = tmp_path_factory.mktemp("rooms") / "spatialsv" / "0"
    mllm, family = load_mllm(tiny_mllm)
    torch.manual_seed(0)
    config = SpatialHeadsConfig(taps=(1, 2, 3, 4), output_size=(16, 16))
    heads = SpatialHeads(config, mllm.config.get_text_config().hidden_size)
    save_spatialsv(folder, SpatialSV(mllm, family, heads))
    return manifest_over(folder / "manifest.json", "train", ["mllm", "heads"])


def test_what_is_written(trained, shards, tmp_path, tiny_scenes):
    out = tmp_path / "manifest.json"
    run(trained, shards, LiftConfig(batch_size=2), out, train_scenes=shards[:1])
    manifest = read_manifest(out)
    assert set(manifest.payload) == {"metrics.json", "rows.jsonl", "lifted.zarr"}
    rows = [json.loads(line) for line in manifest.find(".jsonl").read_text().splitlines()]
    assert [row["scene"] for row in rows] == list(tiny_scenes.ids)
    metrics = json.loads(manifest.find("metrics.json").read_text())
    assert metrics["abs_rel"] == pytest.approx(np.mean([row["abs_rel"] for row in rows]))
    assert metrics["abs_rel_over_mean_depth"] == pytest.approx(
        metrics["abs_rel"] / metrics["mean_depth_abs_rel"]
    )
    lifted = load_store(manifest.find(".zarr"))
    assert lifted.ids == tiny_scenes.ids
    assert lifted.depth.shape == (6, 2, 16, 16)
    assert lifted.unit == "relative"
    assert_allclose(lifted.cam_to_world[:, 0], np.broadcast_to(np.eye(4), (6, 4, 4)), atol=1e-9)


def test_the_store_holds_what_the_heads_say(trained, shards, tmp_path, tiny_scenes):
    out = tmp_path / "manifest.json"
    run(trained, shards, LiftConfig(), out)
    lifted = load_store(read_manifest(out).find(".zarr"))
    lifter = ModelWithHeads(trained, batch_size=1)
    for rows, said in lifter.lift_scenes(tiny_scenes):
        assert_allclose(lifted.depth[rows], said.depth, rtol=1e-4)
        rays = RayMap(said.ray_origins, said.ray_directions)
        K = cameras_from_rays(rays, said.ray_confidence).intrinsics
        assert_allclose(lifted.intrinsics[rows], K, rtol=1e-2, atol=1e-2)


def test_scenes_without_geometry_are_measured_against_their_labels(
    trained, tmp_path, tiny_scenes, tiny_labels
):
    bare = Scenes(ids=tiny_scenes.ids[:4], image=tiny_scenes.image[:4], source="photos")
    tall = Scenes(ids=tiny_scenes.ids[4:], image=tiny_scenes.image[4:, :1], source="photos")
    alone = {
        name: getattr(tiny_labels, name)[4:, :1]
        for name in ("depth", "valid", "intrinsics", "cam_to_world", "confidence", "features")
    }
    single = tiny_labels.select([4, 5]).replace(**alone)
    paths = {}
    for name, groups in (
        ("scenes", [bare, tall]),
        ("labels", [tiny_labels.select(slice(4)), single]),
    ):
        digest = write_groups(tmp_path / f"{name}.zarr", groups)
        paths[name] = [tmp_path / f"{name}.json"]
        write_manifest(paths[name][0], Manifest(stage=name, payload={f"{name}.zarr": digest}))
    out = tmp_path / "out/manifest.json"
    with pytest.raises(ValueError, match=r"4 scenes of photos lack both geometry and labels"):
        run(trained, paths["scenes"], LiftConfig(), out)
    given = {"train_scenes": paths["labels"], "labels": paths["labels"]}
    run(trained, paths["scenes"], LiftConfig(batch_size=4), out, **given)
    rows = [json.loads(line) for line in (out.parent / "rows.jsonl").read_text().splitlines()]
    assert [row["scene"] for row in rows] == list(tiny_scenes.ids)
    assert all(row["abs_rel"] > 0 and row["mean_depth_abs_rel"] > 0 for row in rows)
    lifted = load_groups(read_manifest(out).find(".zarr"))
    assert [group.shape for group in lifted] == [(2, 16, 16), (1, 16, 16)]


def test_a_model_without_heads_is_refused(tiny_mllm, shards, tmp_path):
    mllm, family = load_mllm(tiny_mllm)
    save_spatialsv(tmp_path, SpatialSV(mllm, family))
    with pytest.raises(ValueError, match="no 3D heads"):
        run(tmp_path, shards, LiftConfig(), tmp_path / "manifest.json")


def test_no_scenes_are_refused(trained, tmp_path):
    with pytest.raises(ValueError, match="no scenes to lift"):
        run(trained, [], LiftConfig(), tmp_path / "manifest.json")
