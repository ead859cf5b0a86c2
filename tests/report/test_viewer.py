"""What the page's script is told of clouds: the same points as the stores hold."""

from __future__ import annotations

import base64
import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from spatialsv.geometry.rays import point_map, ray_map
from spatialsv.io.manifest import Manifest, read_manifest, write_manifest
from spatialsv.report.jobs import read_jobs
from spatialsv.report.viewer import (
    DEEPEST,
    EXACT,
    UNKNOWN,
    WORST,
    cloud_of,
    encoded,
    known_maps,
    stored_maps,
    viewer_data,
)
from spatialsv.scenes.scene import GEOMETRY
from spatialsv.scenes.store import write_store
from spatialsv.teachers.exact import ExactTeacher


@pytest.fixture
def labels(tiny_scenes):
    return ExactTeacher().label(tiny_scenes)


def unpacked(text: str, kind: str, size: list[int]) -> np.ndarray:
    return np.frombuffer(base64.b64decode(text), kind).reshape(size)


def points_of(record: dict) -> np.ndarray:
    """As cloud.js makes them, in OpenCV's axes; NaN where depth is unknown."""
    views, height, width = record["size"]
    codes = unpacked(record["depth"], "<u2", record["size"])
    z = np.where(codes > 0, codes / DEEPEST * record["top"], np.nan)
    fx, skew, cx, fy, cy = np.reshape(record["K"], (views, 5)).T[..., None, None]
    y = (np.arange(height)[:, None] + 0.5 - cy) / fy
    x = (np.arange(width) + 0.5 - cx - skew * y) / fx
    poses = np.reshape(record["poses"], (views, 3, 4))
    camera = np.stack(np.broadcast_arrays(x * z, y * z, z), axis=-1)
    return np.einsum("vij,vhwj->vhwi", poses[..., :3], camera) + poses[:, None, None, :, 3]


def test_points_are_those_of_depth_and_cameras(labels):
    cloud = cloud_of(labels, 1)
    record = encoded(cloud, 10**6, None)
    rays = ray_map(cloud.intrinsics, cloud.cam_to_world, *cloud.depth.shape[1:])
    true = point_map(cloud.depth, rays).numpy()
    valid = cloud.valid.numpy()
    assert valid.any()
    np.testing.assert_allclose(points_of(record)[valid], true[valid], atol=1e-4)
    assert np.isnan(points_of(record)[~valid]).all()


def test_metres_are_brought_to_the_labels_frame_and_unit(tiny_scenes, labels):
    own, told = cloud_of(tiny_scenes, 2), cloud_of(labels, 2)
    torch.testing.assert_close(own.depth, told.depth, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(own.cam_to_world, told.cam_to_world, atol=1e-4, rtol=1e-4)


def test_large_clouds_are_thinned_and_stay_where_they_are(labels):
    cloud = cloud_of(labels, 0)
    record = encoded(cloud, cloud.depth.numel() // 4, None)
    assert record["size"] == [2, 16, 16]
    whole, thin = points_of(encoded(cloud, 10**6, None)), points_of(record)
    np.testing.assert_allclose(thin, whole[:, 1::2, 1::2], atol=1e-4)


def test_errors_are_shares_of_the_true_depth(labels):
    truth = cloud_of(labels, 0)
    valid = truth.valid.clone()
    valid[0, :4] = False
    wrong = replace(truth, depth=truth.depth * 1.1)
    record = encoded(wrong, 10**6, replace(truth, valid=valid))
    codes = unpacked(record["error"], "u1", record["size"])
    assert (codes[0, :4] == UNKNOWN).all()
    known = codes[(valid & truth.valid).numpy()]
    np.testing.assert_allclose(known / (UNKNOWN - 1) * WORST, 0.1, atol=1e-3)
    far = encoded(replace(truth, depth=truth.depth * 3), 10**6, truth)
    clipped = unpacked(far["error"], "u1", far["size"])[truth.valid.numpy()]
    assert (clipped == UNKNOWN - 1).all()


def test_confidence_spreads_over_the_scale(labels):
    rng = np.random.default_rng(0)
    sure = replace(labels, confidence=rng.uniform(1, 9, size=labels.depth.shape))
    record = encoded(cloud_of(sure, 0), 10**6, None)
    codes = unpacked(record["confidence"], "u1", record["size"])[labels.valid[0]]
    assert codes.min() == 0 and codes.max() == UNKNOWN - 1
    assert record["sure"] == pytest.approx([1.16, 8.84], abs=0.2)


def test_a_camera_that_was_not_found_places_no_points(labels):
    poses = labels.cam_to_world.copy()
    poses[0, 1] = np.nan
    record = encoded(cloud_of(replace(labels, cam_to_world=poses), 0), 10**6, None)
    assert np.isfinite(points_of(record)[0]).any() and np.isnan(points_of(record)[1]).all()
    json.dumps(record, allow_nan=False)


def test_sources_stand_in_order_and_unknown_scenes_have_none(tiny_scenes, labels):
    names = tiny_scenes.ids
    known = {"the scene itself": {name: (tiny_scenes, row) for row, name in enumerate(names)}}
    lifted = {"SpatialSV": {names[1]: (labels, 1)}}
    data = viewer_data(known, lifted, [*names[:2], "nowhere"], 500)
    assert [source["label"] for source in data["sources"]] == ["the scene itself", "SpatialSV"]
    assert list(data["scenes"]) == list(names[:2])
    first, second = data["scenes"][names[1]]
    assert (first["source"], second["source"]) == (0, 1)
    assert "error" in second and "error" not in first
    assert [len(clouds) for clouds in data["scenes"].values()] == [1, 2]
    json.dumps(data, allow_nan=False)


def test_who_knows_and_who_lifts_is_found(finished_run, labels, tmp_path):
    digest = write_store(tmp_path / "0000.zarr", replace(labels, source="rooms-teacher"))
    write_manifest(tmp_path / "0000.json", Manifest(stage="labels", payload={"0000.zarr": digest}))
    scenes = [read_manifest(path) for path in finished_run["scenes"]]
    known = known_maps(scenes, [read_manifest(tmp_path / "0000.json")])
    assert list(known) == [EXACT, "teacher rooms"]
    assert all(list(maps) == list(labels.ids) for maps in known.values())
    assert list(stored_maps(read_jobs(finished_run["lift"]))) == ["spatialsv"]
    assert list(stored_maps(read_jobs(finished_run["probe"]))) == ["text"]


def test_photos_know_nothing_of_themselves_and_a_teacher_does(tiny_scenes, labels, tmp_path):
    lacking = dict.fromkeys(GEOMETRY)
    stores = {"scenes": replace(tiny_scenes, **lacking, source="photos"), "labels": labels}
    manifests = {}
    for stage, scenes in stores.items():
        folder = tmp_path / stage
        folder.mkdir()
        digest = write_store(folder / "0000.zarr", scenes)
        write_manifest(folder / "0000.json", Manifest(stage=stage, payload={"0000.zarr": digest}))
        manifests[stage] = [read_manifest(folder / "0000.json")]
    known = known_maps(manifests["scenes"], manifests["labels"])
    assert list(known) == ["teacher exact"]
    assert known_maps(manifests["scenes"], ()) == {}
