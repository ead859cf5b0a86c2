"""Errors of lifted geometry: zero for the truth, and blind to exactly what they align away."""

import math

import pytest
import torch

from spatialsv.geometry.lifted import Lifted
from spatialsv.geometry.rays import ray_map
from spatialsv.lift.measure import baseline_batch, depth_errors, measure_batch, summarise
from spatialsv.lift.truth import mean_depth, truth_of
from spatialsv.manifest import Manifest, write_manifest
from spatialsv.scenes.store import write_store


@pytest.fixture
def truth(tiny_scenes):
    return truth_of(tiny_scenes, (16, 16))


def lifted_truth(truth) -> Lifted:
    rays = ray_map(truth.intrinsics, truth.cam_to_world, 16, 16)
    one = torch.ones_like(truth.depth)
    return Lifted(
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


def test_each_way_is_blind_to_what_it_aligns(truth):
    a_scale = depth_errors(3 * truth.depth, truth.depth, truth.valid)
    assert a_scale["abs_rel"].max() < 1e-9
    assert a_scale["raw_abs_rel"].sub(2).abs().max() < 1e-9
    by_view = truth.depth * torch.tensor([1.0, 2.0])[:, None, None]
    scales = depth_errors(by_view, truth.depth, truth.valid)
    assert scales["view_abs_rel"].max() < 1e-9
    assert scales["abs_rel"].min() > 0.1


def test_invalid_pixels_and_empty_scenes_do_not_count(truth):
    valid = truth.valid.clone()
    valid[0] = False
    valid[1, 1] = False
    depth = torch.where(valid, truth.depth, 1e6)
    errors = depth_errors(depth, truth.depth, valid)
    assert math.isnan(errors["abs_rel"][0])
    assert errors["abs_rel"][1:].max() < 1e-9
    assert errors["view_abs_rel"][1:].max() < 1e-9
    rows = [{"scene": str(i), "abs_rel": float(e)} for i, e in enumerate(errors["abs_rel"])]
    assert summarise(rows, [])["abs_rel"] < 1e-9


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
    only = Lifted(points=truth.points, points_confidence=torch.ones_like(truth.depth))
    rows, pairs = measure_batch(only, truth, None)
    assert set(rows[0]) == {"points_error", "points_chamfer"}
    assert pairs == []


def test_heads_of_an_odd_size_are_refused(tiny_scenes):
    with pytest.raises(ValueError, match=r"train\.heads\.output_size"):
        truth_of(tiny_scenes, (12, 16))
