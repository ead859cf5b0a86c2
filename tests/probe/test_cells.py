"""Targets are the geometry that is measured against: given back, they have no error."""

import pytest
import torch
from torch.testing import assert_close

from spatialsv.probe.cells import Cells, measure, measure_matches, output_slices, position_features


@pytest.fixture
def cells(tiny_labels):
    return Cells.from_labels(tiny_labels, (4, 8), 4)


def test_targets_given_back_have_no_error(cells):
    outputs, taught = cells.targets()
    assert outputs.shape == (6, 2, 4, 8, 16 + 6 + 48) and taught.all()
    errors = measure(outputs, cells)
    for name, of in errors.items():
        if "delta" in name or "auc" in name:
            assert of.min() == 1, name
        else:
            assert of.max() < 1e-4, name


def test_views_without_a_camera_are_counted_and_have_the_largest_errors(cells):
    outputs, _ = cells.targets()
    outputs[0, 1, ..., output_slices(4)["directions"]] = 0
    errors = measure(outputs, cells)
    assert errors["without_camera"].tolist() == [0.5] + 5 * [0]
    assert errors["rotation_error"][0] == 180 and errors["pose_auc30"][0] == 0
    assert errors["translation_error"][0] == 90
    assert errors["rotation_error"][1:].max() < 1e-4


@pytest.mark.parametrize(
    ("task", "metrics"),
    [
        ("depth", {"raw_rmse", "affine_rmse", "abs_rel"}),
        ("origins", {"origin_error", "translation_error"}),
        ("directions", {"ray_error", "rotation_error"}),
        ("points", {"points_error"}),
    ],
)
def test_each_task_has_its_outputs(cells, task, metrics):
    outputs, _ = cells.targets()
    noise = torch.randn(outputs.shape, generator=torch.Generator().manual_seed(0))
    where = output_slices(4)[task]
    outputs[..., where] += 0.3 * noise[..., where]
    errors = measure(outputs, cells)
    wrong = {name for name, of in errors.items() if of.max() > 1e-3}
    assert metrics <= wrong
    others = {"raw_rmse", "ray_error", "points_error"} - metrics
    assert all(errors[name].max() < 1e-4 for name in others)


def test_unknown_pixels_take_the_mean_of_their_cell_and_unknown_cells_teach_nothing(tiny_labels):
    valid = tiny_labels.valid.copy()
    valid[0, 0, :8, :8] = False  # whole cells of 8 x 4 pixels, of which 4 x 4 are looked at
    valid[1, 0, 0, 0] = False
    known = tiny_labels.replace(valid=valid)
    before, after = (Cells.from_labels(labels, (4, 8), 8) for labels in (tiny_labels, known))
    (full, _), (outputs, taught) = before.targets(), after.targets()
    assert not taught[0, 0, 0, :2].any() and taught.sum() == taught.numel() - 2
    depth = output_slices(8)["depth"]
    one, cell = outputs[1, 0, 0, 0, depth], full[1, 0, 0, 0, depth]
    hidden = ~after.geometry.valid[1, 0, :8, :8].flatten()
    assert hidden.any()
    assert_close(one[hidden], cell[~hidden].mean().expand(int(hidden.sum())))
    assert_close(one[~hidden], cell[~hidden])
    assert measure(full, after)["raw_rmse"].max() < 1e-4


def test_matches_by_points_are_right(cells):
    height, width = cells.geometry.depth.shape[2:]
    points = cells.geometry.points[:, :, ::4, ::4]
    assert points.shape[2:4] == (height // 4, width // 4)
    lifted = torch.cat([points, 1 - points.square().sum(-1, keepdim=True)], dim=-1)
    found = measure_matches(lifted, cells)
    assert found["pck20"].mean() > 0.9
    assert (found["pck20"] >= found["pck10"]).all() and (found["pck10"] >= found["pck5"]).all()
    assert_close(found["pck10_at_0_15"], found["pck10"])  # the cameras are not turned
    assert found["pck10_at_60_180"].isnan().all()


@pytest.mark.parametrize(("grid", "waves"), [((4, 4), (4, 4)), ((3, 6), (3, 6))])
def test_positions_tell_all_cells_apart(grid, waves):
    places = position_features(3, grid, waves).flatten(0, 2)
    assert torch.linalg.matrix_rank(places) == len(places)


def test_some_rows_are_those_scenes(cells):
    some = cells.select(slice(2, 4))
    outputs, _ = cells.targets()
    assert len(some) == 2
    assert_close(some.targets()[0], outputs[2:4])
