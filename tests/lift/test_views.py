import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from PIL import Image

from spatialsv.geometry.camera import resample
from spatialsv.lift.views import centre_crop, centred_content, make_view


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
    ],
)
def test_the_middle_is_the_largest_box_of_a_shape(size, shape, box):
    assert centre_crop(size, shape) == box


@pytest.mark.parametrize(
    "size, shape, box",
    [
        ((90, 50), (64, 64), (0, 14, 64, 36)),
        ((40, 70), (64, 64), (13, 0, 37, 64)),
        ((640, 480), (48, 64), (0, 0, 64, 48)),
        ((3000, 10), (64, 64), (0, 31, 64, 1)),
    ],
)
def test_the_content_is_all_of_the_image(size, shape, box):
    assert centred_content(size, shape) == box


def test_a_model_of_one_shape_is_shown_all_of_it_in_grey():
    view = make_view("p", gradient(90, 50), (180, 100), (45, 45), 10**6)
    assert view.image.size == (90, 50) and view.part == (0, 0, 180, 100)
    assert view.content == (0, 10, 45, 25) and view.is_padded and view.cropped_share == 0
    shown = view.model_input[view.window((45, 45))]
    assert_allclose(shown[..., 0], np.broadcast_to(2 * np.arange(45) + 0.5, (25, 45)), atol=1)
    assert (view.model_input[~view.mask((45, 45))] == 127).all()


@pytest.mark.parametrize("size", [(90, 50), (50, 90), (64, 64), (3000, 10), (33, 32)])
@pytest.mark.parametrize("maps", [(64, 64), (16, 16), (12, 20), (100, 100)])
def test_the_window_is_the_pixels_that_stand_for_content(size, maps):
    view = make_view("p", Image.new("RGB", size), size, (64, 64), 10**6)
    inside = torch.from_numpy(view.mask((64, 64)))
    picked = resample(torch.zeros(64, 64), inside, torch.eye(3), maps)[1].numpy()
    if picked.any():  # else the photo is too narrow for this map, and has its middle pixels
        assert_array_equal(view.mask(maps), picked)
    rows, columns = view.window(maps)
    assert rows.stop > rows.start and columns.stop > columns.start


def test_a_model_of_one_shape_may_get_the_middle_at_its_size():
    view = make_view("p", gradient(90, 50), (90, 50), (25, 25), 10**6, crop=True)
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
    view = make_view("p", gradient(90, 50), (180, 100), (32, 32), 10**6, crop=True)
    K = np.array([[15.0, 0, 8], [0, 15, 8], [0, 0, 1]])
    ray = np.linalg.inv(K) @ [0.5, 0.5, 1]
    u, v, _ = view.image_intrinsics(K, (16, 16)) @ ray
    assert_allclose([u, v], [50 * 1.5 / 32, 50 * 1.5 / 32])
    u, v, _ = view.photo_intrinsics(K, (16, 16)) @ ray  # the photo was twice as large
    assert_allclose([u, v], [2 * (20 + 50 * 1.5 / 32), 2 * 50 * 1.5 / 32])
    same = view.image_intrinsics(K, (32, 32)) @ ray
    assert_allclose(same[:2], [50 * 0.5 / 32, 50 * 0.5 / 32])


def test_k_follows_a_pixel_through_padding():
    """The photo fills rows 10 to 34 of 45: pixel (0, 10) of the input is the photo's first."""
    view = make_view("p", gradient(90, 50), (180, 100), (45, 45), 10**6)
    K = np.array([[40.0, 0, 22.5], [0, 40, 22.5], [0, 0, 1]])
    ray = np.linalg.inv(K) @ [0.5, 10.5, 1]
    assert_allclose((view.image_intrinsics(K, (45, 45)) @ ray)[:2], [1, 1])
    photo = view.photo_intrinsics(K, (45, 45))
    assert_allclose((photo @ ray)[:2], [2, 2])  # the photo was twice as large as the image
    assert_allclose(photo, [[160, 0, 90], [0, 160, 50], [0, 0, 1]])
