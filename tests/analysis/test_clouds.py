"""The encoded clouds: the same points as the stores hold."""

from __future__ import annotations

import base64
import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from spatialsv.analysis.clouds import (
    EXACT,
    cloud_payload,
    load_cloud,
    model_maps,
    reference_maps,
)
from spatialsv.analysis.jobs import read_jobs
from spatialsv.geometry.rays import point_map, ray_map
from spatialsv.io.manifest import Manifest, read_manifest, write_manifest
from spatialsv.report.examples import decode_cloud
from spatialsv.scenes.scene import GEOMETRY
from spatialsv.scenes.store import write_store
from spatialsv.teachers.exact import ExactTeacher
from spatialsv.viewer.clouds import MAX_ERROR, UNKNOWN, encode_cloud


@pytest.fixture
def labels(tiny_scenes):
    return ExactTeacher().label(tiny_scenes)


def unpacked(text: str, kind: str, size: list[int]) -> np.ndarray:
    return np.frombuffer(base64.b64decode(text), kind).reshape(size)


def points_of(record: dict) -> np.ndarray:
    """As the report's figures compute them; NaN where depth is unknown."""
    return decode_cloud(record)[1].reshape(*record["size"], 3)


def test_points_are_those_of_depth_and_cameras(labels):
    cloud = load_cloud(labels, 1)
    record = encode_cloud(cloud, 10**6, None)
    rays = ray_map(cloud.intrinsics, cloud.cam_to_world, *cloud.depth.shape[1:])
    true = point_map(cloud.depth, rays).numpy()
    valid = cloud.valid.numpy()
    assert valid.any()
    np.testing.assert_allclose(points_of(record)[valid], true[valid], atol=1e-4)
    assert np.isnan(points_of(record)[~valid]).all()


def test_metres_are_brought_to_the_labels_frame_and_unit(tiny_scenes, labels):
    own, told = load_cloud(tiny_scenes, 2), load_cloud(labels, 2)
    torch.testing.assert_close(own.depth, told.depth, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(own.cam_to_world, told.cam_to_world, atol=1e-4, rtol=1e-4)


def test_large_clouds_are_thinned_and_stay_where_they_are(labels):
    cloud = load_cloud(labels, 0)
    record = encode_cloud(cloud, cloud.depth.numel() // 4, None)
    assert record["size"] == [2, 16, 16]
    whole, thin = points_of(encode_cloud(cloud, 10**6, None)), points_of(record)
    np.testing.assert_allclose(thin, whole[:, 1::2, 1::2], atol=1e-4)


def test_errors_are_shares_of_the_true_depth(labels):
    truth = load_cloud(labels, 0)
    valid = truth.valid.clone()
    valid[0, :4] = False
    wrong = replace(truth, depth=truth.depth * 1.1)
    record = encode_cloud(wrong, 10**6, replace(truth, valid=valid))
    codes = unpacked(record["error"], "u1", record["size"])
    assert (codes[0, :4] == UNKNOWN).all()
    known = codes[(valid & truth.valid).numpy()]
    np.testing.assert_allclose(known / (UNKNOWN - 1) * MAX_ERROR, 0.1, atol=1e-3)
    far = encode_cloud(replace(truth, depth=truth.depth * 3), 10**6, truth)
    clipped = unpacked(far["error"], "u1", far["size"])[truth.valid.numpy()]
    assert (clipped == UNKNOWN - 1).all()


def test_confidence_spreads_over_the_scale(labels):
    rng = np.random.default_rng(0)
    sure = labels.replace(confidence=rng.uniform(1, 9, size=labels.depth.shape))
    record = encode_cloud(load_cloud(sure, 0), 10**6, None)
    codes = unpacked(record["confidence"], "u1", record["size"])[labels.valid[0]]
    assert codes.min() == 0 and codes.max() == UNKNOWN - 1
    assert record["confidence_range"] == pytest.approx([1.16, 8.84], abs=0.2)


def test_a_camera_that_was_not_found_places_no_points(labels):
    poses = labels.cam_to_world.copy()
    poses[0, 1] = np.nan
    record = encode_cloud(load_cloud(labels.replace(cam_to_world=poses), 0), 10**6, None)
    assert np.isfinite(points_of(record)[0]).any() and np.isnan(points_of(record)[1]).all()
    json.dumps(record, allow_nan=False)


def test_sources_stand_in_order_and_unknown_scenes_have_none(tiny_scenes, labels):
    names = tiny_scenes.ids
    known = {"exact": {name: (tiny_scenes, row) for row, name in enumerate(names)}}
    lifted = {"lifted:spatialsv": {names[1]: (labels, 1)}}
    data = cloud_payload(known, lifted, [*names[:2], "nowhere"], 500)
    assert data["sources"] == [
        {"kind": "reference", "name": "exact"},
        {"kind": "model", "name": "lifted:spatialsv"},
    ]
    assert list(data["scenes"]) == list(names[:2])
    first, second = data["scenes"][names[1]]
    assert (first["source"], second["source"]) == (0, 1)
    assert "error" in second and "error" not in first
    assert [len(clouds) for clouds in data["scenes"].values()] == [1, 2]
    json.dumps(data, allow_nan=False)


def test_who_knows_and_who_lifts_is_found(finished_run, labels, tmp_path):
    digest = write_store(tmp_path / "0000.zarr", labels.replace(source="rooms-teacher"))
    write_manifest(tmp_path / "0000.json", Manifest(stage="labels", payload={"0000.zarr": digest}))
    scenes = [read_manifest(path) for path in finished_run["scenes"]]
    known = reference_maps(scenes, [read_manifest(tmp_path / "0000.json")])
    assert list(known) == [EXACT, "teacher:rooms"]
    assert all(list(maps) == list(labels.ids) for maps in known.values())
    assert list(model_maps(read_jobs(finished_run["lift"]))) == ["spatialsv"]
    assert list(model_maps(read_jobs(finished_run["probe"]))) == ["text"]


def test_photos_know_nothing_of_themselves_and_a_teacher_does(tiny_scenes, labels, tmp_path):
    lacking = dict.fromkeys(GEOMETRY)
    stores = {"scenes": tiny_scenes.replace(**lacking, source="photos"), "labels": labels}
    manifests = {}
    for stage, scenes in stores.items():
        folder = tmp_path / stage
        folder.mkdir()
        digest = write_store(folder / "0000.zarr", scenes)
        write_manifest(folder / "0000.json", Manifest(stage=stage, payload={"0000.zarr": digest}))
        manifests[stage] = [read_manifest(folder / "0000.json")]
    known = reference_maps(manifests["scenes"], manifests["labels"])
    assert list(known) == ["teacher:exact"]
    assert reference_maps(manifests["scenes"], ()) == {}
