"""Each alignment is blind to exactly what it aligns, and to invalid pixels."""

import torch

from spatialsv.geometry.depth_metrics import affine_depth_errors, scene_depth_errors


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
