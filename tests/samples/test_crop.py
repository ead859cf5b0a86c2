"""Crops are cameras: images, depth, rays and points against planes and pixels that are known."""

import numpy as np
import pytest
import torch

from spatialsv.geometry.maps import labels_from_cameras
from spatialsv.samples.crop import (
    GREY,
    Crop,
    crop_depth,
    crop_features,
    crop_image,
    crop_nearest,
    crop_transform,
)

SIZE = (24, 32)  # height, width
CROPS = {
    "zoom": Crop((3, 2, 21, 20), (0, 0, 32, 24), SIZE),
    "shrink": Crop((0, 0, 32, 24), (5, 1, 25, 17), SIZE),
    "both": Crop((4, 0, 20, 24), (0, 3, 32, 19), SIZE),  # wider in x, narrower in y
}
K = torch.tensor([[30.0, 0, 15.2], [0, 28.0, 12.9], [0, 0, 1]], dtype=torch.float64)
NORMAL, OFFSET = np.array([0.3, -0.2, 1.0]), 2.5  # the plane n . p = offset in camera axes


def plane(matrix: np.ndarray, height: int, width: int) -> np.ndarray:
    """Depth of the plane at each pixel's centre, by intersecting its ray."""
    depth = np.zeros((height, width))
    for row, column in np.ndindex(height, width):
        ray = np.linalg.solve(matrix, [column + 0.5, row + 0.5, 1.0])
        depth[row, column] = OFFSET / (NORMAL @ ray)
    return depth


def to_old(crop: Crop, u: float, v: float) -> tuple[float, float]:
    """The old pixel at a new one, from the two rectangles."""
    out = []
    for axis, value in enumerate((u, v)):
        start, end = crop.source[axis], crop.source[axis + 2]
        first, last = crop.target[axis], crop.target[axis + 2]
        out.append(start + (value - first) / (last - first) * (end - start))
    return out[0], out[1]


@pytest.mark.parametrize("name", CROPS)
def test_k_sees_through_a_new_pixel_what_the_old_k_saw_through_the_old_one(name):
    crop = CROPS[name]
    new = (crop_transform(crop, *SIZE) @ K).numpy()
    for u, v in [(0.5, 0.5), (17.25, 9.5), (31.5, 23.5)]:
        before = np.linalg.solve(K.numpy(), [*to_old(crop, u, v), 1.0])
        np.testing.assert_allclose(np.linalg.solve(new, [u, v, 1.0]), before, atol=1e-12)


@pytest.mark.parametrize("name", CROPS)
@pytest.mark.parametrize("size", [SIZE, (12, 16)])  # labels may be smaller than images
def test_points_of_a_plane_lie_on_it(name, size):
    scale = torch.tensor([size[1] / 32, size[0] / 24, 1.0], dtype=torch.float64)
    old = scale[:, None] * K
    depth = torch.from_numpy(plane(old.numpy(), *size))
    transform = crop_transform(CROPS[name], *size)
    found, valid = crop_depth(depth, torch.ones_like(depth).bool(), transform)
    new = transform @ old
    expected = torch.from_numpy(plane(new.numpy(), *size))
    assert valid.float().mean() > 0.3
    torch.testing.assert_close(found[valid], expected[valid], rtol=1e-9, atol=0)
    labels = labels_from_cameras(
        found[None, None],
        valid[None, None],
        new[None, None],
        torch.eye(4, dtype=torch.float64)[None, None],
    )
    distance = labels.points[labels.valid] @ torch.from_numpy(NORMAL)
    torch.testing.assert_close(distance, torch.full_like(distance, OFFSET))


@pytest.mark.parametrize("name", CROPS)
def test_pixels_show_what_k_says(name):
    """An image whose colours are its coordinates."""
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]] + 0.5
    image = np.stack([columns * 7, rows * 9, 0 * rows], -1).round().astype(np.uint8)
    crop = CROPS[name]
    found = crop_image(image, crop)
    left, top, right, bottom = crop.target
    for row, column in np.ndindex(*SIZE):
        u, v = to_old(crop, column + 0.5, row + 0.5)
        if not (top <= row < bottom and left <= column < right):
            assert (found[row, column] == GREY).all()
        elif 2 < u < 30 and 2 < v < 22 and _is_inner(crop, u, v):
            np.testing.assert_allclose(found[row, column, :2], [u * 7, v * 9], atol=1.6)


def _is_inner(crop: Crop, u: float, v: float) -> bool:
    """Whether the filter does not reach beyond the crop's edge."""
    left, top, right, bottom = crop.source
    return left + 2 < u < right - 2 and top + 2 < v < bottom - 2


def test_the_full_image_is_left_as_it_is():
    full = Crop((0, 0, 32, 24), (0, 0, 32, 24), SIZE)
    transform = crop_transform(full, *SIZE)
    draw = np.random.default_rng(0)
    depth, valid = torch.rand(SIZE) + 1, torch.rand(SIZE) > 0.3
    found, kept = crop_depth(depth, valid, transform)
    assert torch.equal(kept, valid)
    torch.testing.assert_close(found[valid], depth[valid])
    image = draw.integers(0, 256, (*SIZE, 3), dtype=np.uint8)
    assert np.array_equal(crop_image(image, full), image)
    features = torch.rand(3, 4, 5)
    same, shown = crop_features(features, full)
    torch.testing.assert_close(same, features)
    assert shown.all() and torch.equal(crop_nearest(depth, transform), depth)


def test_no_depth_lies_between_two_surfaces_or_beside_a_hole():
    depth, valid = torch.full(SIZE, 1.0), torch.ones(SIZE).bool()
    depth[:, 16:], valid[10, 6] = 3.0, False
    depth[10, 6] = torch.nan
    found, kept = crop_depth(depth, valid, crop_transform(CROPS["zoom"], *SIZE))
    assert set(found[kept].tolist()) == {1.0, 3.0} and (found[~kept] == 0).all()
    for row, column in np.ndindex(*SIZE):
        u, v = to_old(CROPS["zoom"], column + 0.5, row + 0.5)
        if 15.5 < u < 16.5 or (5.5 < u < 7.5 and 9.5 < v < 11.5):
            assert not kept[row, column]
        elif not (5 < u < 8 and 9 < v < 12):
            assert kept[row, column]


def test_confidence_is_that_of_the_pixel_around_the_centre():
    draw = torch.rand(SIZE)
    for crop in CROPS.values():
        found = crop_nearest(draw, crop_transform(crop, *SIZE))
        for row, column in [(4, 6), (9, 20), (15, 11)]:
            u, v = to_old(crop, column + 0.5, row + 0.5)
            assert found[row, column] == draw[int(v), int(u)]


def test_features_are_those_of_their_places_and_borders_have_none():
    height, width = 6, 8  # patches of 4 x 4 pixels
    rows, columns = np.mgrid[:height, :width] + 0.5
    places = torch.from_numpy(np.stack([columns * 4, rows * 4], -1))  # pixel of each patch
    for crop in CROPS.values():
        found, shown = crop_features(places, crop)
        left, top, right, bottom = crop.target
        for row, column in np.ndindex(height, width):
            inside = column * 4 >= left and (column + 1) * 4 <= right
            inside &= row * 4 >= top and (row + 1) * 4 <= bottom
            assert bool(shown[row, column]) == inside
            u, v = to_old(crop, (column + 0.5) * 4, (row + 0.5) * 4)
            if inside and 2 <= u <= 30 and 2 <= v <= 22:
                np.testing.assert_allclose(found[row, column], [u, v], atol=1e-4)
