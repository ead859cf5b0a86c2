"""Matches are right where features say where a point is, and are judged only where it is seen."""

import pytest
import torch
from torch.testing import assert_close

from spatialsv.geometry.camera import make_pose
from spatialsv.geometry.correspondence import _interpolation, _nearest, match_errors
from spatialsv.geometry.rays import point_map, ray_map

SIZE = 16


@pytest.fixture
def wall():
    """A wall 2 in front of three cameras; the second slides along it, the third looks away."""
    K = torch.tensor([[SIZE, 0, SIZE / 2], [0, SIZE, SIZE / 2], [0, 0, 1.0]]).double()
    turned = torch.diag(torch.tensor([-1.0, 1.0, -1.0])).double()
    rotation = torch.stack([torch.eye(3).double(), torch.eye(3).double(), turned])
    centre = torch.tensor([[0.0, 0, 0], [0.5, 0, 0], [0, 0, 0]]).double()
    poses = make_pose(rotation, centre)
    depth = torch.full((3, SIZE, SIZE), 2.0).double()
    return depth, torch.ones_like(depth, dtype=torch.bool), K.expand(3, 3, 3), poses


def test_features_that_say_where_a_point_is_match_within_a_pixel(wall):
    depth, valid, K, poses = wall
    points = point_map(depth, ray_map(K, poses, SIZE, SIZE))
    features = torch.cat([points, 1 - points.square().sum(-1, keepdim=True) / 8], dim=-1)
    errors, angles = match_errors(*(x[None] for x in (features, depth, valid, K, poses)))
    assert_close(angles, torch.tensor([[0.0, 180, 180]]).double())
    seen = ~errors.isnan()
    # Pixels of the first that are in the second: all but a quarter, shifted by 0.5 / 2 * 16 = 4.
    assert int(seen[0, 0].sum()) == SIZE * (SIZE - 4)
    assert not seen[0, 1:].any()
    assert errors[0, 0][seen[0, 0]].max() < 1 / SIZE


def test_an_error_is_the_way_from_the_match_to_the_truth(wall):
    depth, valid, K, poses = wall
    features = torch.zeros(1, 3, SIZE, SIZE, 2)
    features[..., 0] = 1
    features[0, 1, 3, 5] = torch.tensor([50.0, 0.1])  # as alike as any, at first sight
    features[0, :1, :, :, 1] = 0.002
    errors, _ = match_errors(features, *(x[None] for x in (depth, valid, K, poses)))
    error = errors[0, 0].view(SIZE, SIZE)
    assert error[3, 9] == 0  # it truly is at (3, 5)
    assert error[3, 5].isnan() or error[3, 5] > 0
    assert error[7, 9] == pytest.approx(4 / SIZE)
    assert error[3, 15] == pytest.approx(6 / SIZE)


def test_unknown_and_hidden_points_are_not_judged(wall):
    depth, valid, K, poses = wall
    depth, valid = depth.clone(), valid.clone()
    valid[0, 2] = False
    depth[1, :, 8:] = 1  # something stands before the wall
    features = torch.randn(1, 3, 4, 4, 5, generator=torch.Generator().manual_seed(0))
    errors, _ = match_errors(features, *(x[None] for x in (depth, valid, K, poses)))
    seen = ~errors[0, 0].isnan().view(SIZE, SIZE)
    assert not seen[2].any() and not seen[:, 12:].any()
    assert seen[3, 4:12].all()


def test_products_of_interpolated_features_are_those_of_features_that_were_interpolated():
    generator = torch.Generator().manual_seed(0)
    first, second = torch.randn(2, 3, 12, 5, generator=generator).double()
    spread = _interpolation(3, 4, (6, 8)).double()
    valid = torch.rand(3, 48, generator=generator) > 0.3
    a, b = (x.mT @ spread for x in (first, second))
    cosine = torch.nn.functional.cosine_similarity(a[..., :, None], b[..., None, :], dim=1)
    expected = cosine.masked_fill(~valid[:, None], -2).argmax(dim=-1)
    for asked in (torch.arange(48), torch.tensor([3, 40, 7])):
        assert torch.equal(_nearest(first, second, spread, asked, valid), expected[:, asked])


def test_some_pixels_have_the_errors_that_they_have_among_all(wall):
    features = torch.randn(1, 3, 4, 4, 5, generator=torch.Generator().manual_seed(0))
    geometry = [x[None] for x in wall]
    errors = match_errors(features, *geometry)[0].view(1, 3, SIZE, SIZE)
    some = match_errors(features, *geometry, every=2)[0]
    assert_close(some, errors[..., 1::2, 1::2].flatten(2), equal_nan=True)


def test_a_single_view_has_no_matches(wall):
    depth, valid, K, poses = (x[None, :1] for x in wall)
    errors, angles = match_errors(torch.ones(1, 1, 4, 4, 2), depth, valid, K, poses)
    assert errors.shape == (1, 0, SIZE * SIZE) and angles.shape == (1, 0)
