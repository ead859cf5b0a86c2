import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from PIL import Image

from spatialsv.lift.image_sets import centre_crop, make_view


def gradient(width: int, height: int) -> Image.Image:
    """Red is the column, green is the row."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[..., 0], pixels[..., 1] = np.arange(width), np.arange(height)[:, None]
    return Image.fromarray(pixels)


@pytest.mark.parametrize(
    "size, shape, box",
    [
        ((90, 50), (64, 64), (20, 0, 50, 50)),
        ((40, 70), (64, 64), (0, 15, 40, 40)),
        ((640, 480), (48, 64), (0, 0, 640, 480)),
        ((100, 100), (30, 60), (0, 25, 100, 50)),
        ((90, 50), None, (0, 0, 90, 50)),
    ],
)
def test_the_middle_is_the_largest_box_of_a_shape(size, shape, box):
    assert centre_crop(size, shape) == box


def test_a_model_of_one_shape_is_shown_the_middle_at_its_size():
    view = make_view("p", gradient(90, 50), (90, 50), (25, 25), 10**6)
    assert view.model_input.shape == (25, 25, 3) and view.image.size == (50, 50)
    assert_array_equal(np.asarray(view.image)[0, :, 0], np.arange(20, 70))
    assert view.cropped_share == pytest.approx(1 - 50 / 90)


def test_any_other_model_is_shown_all_of_it_within_its_pixels():
    view = make_view("p", gradient(90, 50), (90, 50), None, 1125)
    assert (
        view.model_input.shape == (25, 45, 3)
        and view.image.size == (90, 50)
        and view.cropped_share == 0
    )


def test_k_follows_a_pixel_through_crop_and_resize():
    """A map of 16 pixels stands for every second pixel of the 32 that were shown: its pixel 0 for
    pixel 1, whose centre lies at 1.5 / 32 of the square."""
    view = make_view("p", gradient(90, 50), (180, 100), (32, 32), 10**6)
    K = np.array([[15.0, 0, 8], [0, 15, 8], [0, 0, 1]])
    ray = np.linalg.inv(K) @ [0.5, 0.5, 1]
    u, v, _ = view.image_intrinsics(K, (16, 16)) @ ray
    assert_allclose([u, v], [50 * 1.5 / 32, 50 * 1.5 / 32])
    u, v, _ = view.photo_intrinsics(K, (16, 16)) @ ray  # the photo was twice as large
    assert_allclose([u, v], [2 * (20 + 50 * 1.5 / 32), 2 * 50 * 1.5 / 32])
    same = view.image_intrinsics(K, (32, 32)) @ ray
    assert_allclose(same[:2], [50 * 0.5 / 32, 50 * 0.5 / 32])
