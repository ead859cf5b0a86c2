import numpy as np
import pytest
import torch

from spatialsv.geometry.depth_metrics import affine_depth_errors, depth_metrics, scene_depth_errors


def test_depth_metrics_match_their_definitions_in_numpy(draw):
    target, valid = draw.uniform(1, 5, (2, 30)), draw.uniform(0, 1, (2, 30)) > 0.3
    prediction = target * draw.uniform(0.4, 1.8, (2, 30))
    found = depth_metrics(prediction, target.where(valid, 0), valid)
    for i in range(2):
        keep = valid[i].numpy()
        p, t = prediction[i].numpy()[keep], target[i].numpy()[keep]
        ratio = np.maximum(p / t, t / p)
        expected = {
            "abs_rel": np.mean(np.abs(p - t) / t),
            "sq_rel": np.mean((p - t) ** 2 / t),
            "rmse": np.sqrt(np.mean((p - t) ** 2)),
            "log_rmse": np.sqrt(np.mean((np.log(p) - np.log(t)) ** 2)),
        } | {f"delta{k}": np.mean(ratio < 1.25**k) for k in (1, 2, 3)}
        assert {k: v[i].item() for k, v in found.items()} == pytest.approx(expected)


def test_delta_is_strict():
    target, all_valid = torch.full((4,), 4.0), torch.ones(4, dtype=torch.bool)
    assert depth_metrics(target * 1.25, target, all_valid)["delta1"] == 0
    assert depth_metrics(target * 1.2499, target, all_valid)["delta1"] == 1


def test_no_valid_pixel_is_nan_in_every_depth_metric():
    nothing = torch.zeros(2, 5)
    found = depth_metrics(nothing + 1, nothing, nothing.bool())
    assert all(values.isnan().all() for values in found.values())


def scenes():
    generator = torch.Generator().manual_seed(0)
    depth = 1 + torch.rand(3, 2, 8, 8, generator=generator, dtype=torch.float64)
    return depth, torch.ones(3, 2, 8, 8, dtype=torch.bool)


def test_each_alignment_is_blind_to_what_it_aligns():
    depth, valid = scenes()
    a_scale = scene_depth_errors(3 * depth, depth, valid)
    assert a_scale["abs_rel"].max() < 1e-9
    assert a_scale["raw_abs_rel"].sub(2).abs().max() < 1e-9
    by_view = depth * torch.tensor([1.0, 2.0])[:, None, None]
    scales = scene_depth_errors(by_view, depth, valid)
    assert scales["view_abs_rel"].max() < 1e-9
    assert scales["abs_rel"].min() > 0.1


def test_invalid_pixels_views_and_scenes_do_not_count():
    depth, valid = scenes()
    valid[0] = False
    valid[1, 1] = False
    valid[2, 0, :3] = False
    errors = scene_depth_errors(torch.where(valid, depth, 1e6), depth, valid)
    for name in ("abs_rel", "view_abs_rel", "raw_abs_rel", "rmse"):
        assert errors[name][0].isnan()
        assert errors[name][1:].max() < 1e-9
    assert errors["delta1"][1:].min() == 1


def test_affine_is_blind_to_scale_and_shift_of_each_view_and_to_nothing_else():
    depth, valid = scenes()
    change = torch.tensor([[1.0, 2.0], [3.0, 1.0], [0.5, 4.0]])[..., None, None]
    valid[0, 0, :3] = False
    errors = affine_depth_errors(torch.where(valid, change * depth + 1 / change, 1e6), depth, valid)
    assert errors["affine_rmse"].max() < 1e-9
    assert errors["affine_delta1"].min() == 1
    assert affine_depth_errors(depth.square(), depth, valid)["affine_rmse"].min() > 1e-3
