"""Errors of lifted geometry: zero for the truth, and blind to exactly what they align away."""

import math

import pytest
import torch

from spatialsv.geometry.maps import GeometryPrediction
from spatialsv.geometry.rays import ray_map
from spatialsv.io.manifest import Manifest, write_manifest
from spatialsv.lift.measure import (
    baseline_batch,
    ground_truth,
    mean_depth,
    measure_batch,
    summarise,
    with_views,
)
from spatialsv.scenes.store import write_groups, write_store


@pytest.fixture
def truth(tiny_scenes):
    return ground_truth(tiny_scenes, (16, 16))


def lifted_truth(truth) -> GeometryPrediction:
    rays = ray_map(truth.intrinsics, truth.cam_to_world, 16, 16)
    one = torch.ones_like(truth.depth)
    return GeometryPrediction(
        depth=truth.depth,
        depth_confidence=one,
        ray_origins=rays.origins,
        ray_directions=rays.directions,
        ray_confidence=one,
        points=truth.points,
        points_confidence=one,
    )


def test_truth_is_in_the_labels_frame(truth, tiny_scenes, tiny_labels):
    # every second pixel of the labels, whose frame and unit were reckoned independently
    labels = torch.from_numpy(tiny_labels.depth)[..., 1::2, 1::2].double()
    torch.testing.assert_close(truth.depth, labels, rtol=1e-5, atol=1e-6)


def test_the_truth_has_no_error(truth):
    rows, pairs = measure_batch(lifted_truth(truth), truth, truth.cam_to_world)
    metrics = summarise(rows, pairs)
    for name in ("abs_rel", "view_abs_rel", "raw_abs_rel", "rmse", "points_error"):
        assert metrics[name] == pytest.approx(0, abs=1e-9)
    assert metrics["depth_points_error"] == pytest.approx(0, abs=1e-9)
    assert metrics["points_chamfer"] == pytest.approx(0, abs=1e-9)
    assert metrics["delta1"] == 1
    assert metrics["pose_auc15"] == metrics["pose_auc30"] == 1
    assert metrics["rotation_error"] == pytest.approx(0, abs=1e-6)
    assert metrics["pose_pairs_without_camera"] == 0


def test_views_without_a_camera_are_counted_and_have_the_largest_errors(truth):
    poses = truth.cam_to_world.clone()
    poses[1, 1] = torch.nan
    metrics = summarise(*measure_batch(lifted_truth(truth), truth, poses))
    assert metrics["pose_pairs_without_camera"] == 1
    assert metrics["pose_pairs"] == 6
    assert metrics["rotation_error"] == pytest.approx(180 / 6, abs=1e-6)
    assert metrics["pose_auc30"] == pytest.approx(5 / 6)


def test_what_cannot_be_measured_is_left_out_of_the_means():
    rows = [{"scene": "a", "abs_rel": 0.5}, {"scene": "b", "abs_rel": math.nan}]
    assert summarise(rows, []) == {"abs_rel": 0.5, "scenes": 2}


def test_mean_depth_is_fitted_on_other_scenes(tmp_path, tiny_scenes, truth):
    for name, part in (("0", tiny_scenes.select([0, 1])), ("1", tiny_scenes.select([2]))):
        digest = write_store(tmp_path / f"{name}.zarr", part)
        manifest = Manifest(stage="scenes", payload={f"{name}.zarr": digest})
        write_manifest(tmp_path / f"{name}.json", manifest)
    mean = mean_depth([tmp_path / "0.json", tmp_path / "1.json"], (16, 16))
    torch.testing.assert_close(mean, truth.depth[:3].mean(dim=0))
    rows = baseline_batch(mean, truth)
    assert len(rows) == 6
    assert all(row["mean_depth_abs_rel"] > 0.01 for row in rows[3:])


def test_tasks_that_a_model_lacks_are_left_out(truth):
    only = GeometryPrediction(points=truth.points, points_confidence=torch.ones_like(truth.depth))
    rows, pairs = measure_batch(only, truth, None)
    assert set(rows[0]) == {"points_error", "points_chamfer"}
    assert pairs == []


def test_scenes_of_any_size_are_measured_at_the_heads_size(tiny_scenes):
    found = ground_truth(tiny_scenes, (12, 20))
    assert found.points.shape == (6, 2, 12, 20, 3)
    assert float(found.points[found.valid].norm(dim=-1).mean()) == pytest.approx(1, abs=0.02)


def test_mean_depth_covers_the_most_views_and_the_rest_is_the_mean_of_all(tmp_path, tiny_scenes):
    maps = {n: getattr(tiny_scenes, n)[:2, :1] for n in ("depth", "valid", "image")}
    cameras = {n: getattr(tiny_scenes, n)[:2, :1] for n in ("intrinsics", "cam_to_world")}
    one = tiny_scenes.replace(ids=("a", "b"), **maps, **cameras)
    digest = write_groups(tmp_path / "0.zarr", [one, tiny_scenes.select([2])])
    write_manifest(tmp_path / "0.json", Manifest(stage="scenes", payload={"0.zarr": digest}))
    mean = mean_depth([tmp_path / "0.json"], (16, 16))
    parts = [ground_truth(group, (16, 16)).depth for group in (one, tiny_scenes.select([2]))]
    first = torch.cat([part[:, 0] for part in parts]).mean(dim=0)
    torch.testing.assert_close(mean, torch.stack([first, parts[1][0, 1]]))
    torch.testing.assert_close(with_views(mean, 3, 7.0)[2], torch.full((16, 16), 7.0).double())
    assert with_views(mean, 1).shape == (1, 16, 16)
