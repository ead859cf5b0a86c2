"""From what a dataset says to `Scenes`: sizes, K, depth, lenses agree; what is bad is counted."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from helpers.outside import save_picture
from spatialsv.scenes.readers.capture import Capture, CaptureError, Frame, FrameError
from spatialsv.scenes.readers.lens import Lens, undistort
from spatialsv.scenes.readers.load import load, resample_depth, rigid_pose, splat_points
from spatialsv.scenes.readers.sampling import Sampling
from spatialsv.scenes.scene import find_invalid_value

K = np.array([[50.0, 0, 32], [0, 50.0, 24], [0, 0, 1]])


def pose(x: float = 0.0, degrees: float = 0.0) -> np.ndarray:
    """`x` to the right, turned about the vertical."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[c, 0, s, x], [0, 1, 0, 0], [-s, 0, c, 0], [0, 0, 0, 1.0]])


def plane(height: int = 48, width: int = 64) -> np.ndarray:
    """A wall that recedes to the right: another depth in every column."""
    return np.tile(np.linspace(1, 4, width, dtype=np.float32), (height, 1))


def frame(folder: Path, number: int, **given) -> Frame:
    path = save_picture(folder / f"{number}.png", (64, 48), number)
    told = {"intrinsics": K, "size": (64, 48), "cam_to_world": pose(number), "depth": plane}
    return Frame(id=path.name, image=path, **(told | given))


def loaded(*frames: Frame, pixels: int | None = None):
    capture = Capture(id="place", frames=frames, source="mine", licence="CC0", revision="v2")
    return load(capture, 8, Sampling(), pixels)


def test_what_is_said_is_what_is_delivered(tmp_path):
    ([scene], skipped) = loaded(frame(tmp_path, 0), frame(tmp_path, 1))
    assert not skipped and find_invalid_value(scene) is None
    assert (scene.ids, scene.shape, scene.unit) == (("place",), (2, 48, 64), "metre")
    assert (scene.source, scene.licence, scene.revision) == ("mine", "CC0", "v2")
    assert scene.frame_ids.tolist() == [["0.png", "1.png"]]
    np.testing.assert_array_equal(scene.depth[0, 0], plane())
    np.testing.assert_array_equal(scene.image[0, 1], np.asarray(Image.open(tmp_path / "1.png")))
    np.testing.assert_allclose(scene.cam_to_world[0, 1], pose(1), atol=1e-12)


def test_a_smaller_image_has_a_smaller_k_and_the_depth_of_its_pixels(tmp_path):
    ([scene], _) = loaded(frame(tmp_path, 0), pixels=32 * 24)
    assert scene.shape == (1, 24, 32)
    np.testing.assert_allclose(scene.intrinsics[0, 0], np.diag([0.5, 0.5, 1]) @ K)
    # a new pixel's centre is a corner of four old ones; the nearest is one of these
    columns = plane()[0].reshape(32, 2)
    assert ((scene.depth[0, 0] == columns[:, 0]) | (scene.depth[0, 0] == columns[:, 1])).all()


def test_k_is_for_the_size_that_the_source_says_not_for_the_file_s(tmp_path):
    ([scene], _) = loaded(frame(tmp_path, 0, size=(640, 480), intrinsics=np.diag([10, 10, 1]) @ K))
    np.testing.assert_allclose(scene.intrinsics[0, 0], K)


def test_depth_of_a_sensor_of_its_own_lies_where_its_k_puts_it(tmp_path):
    own = np.array([[25.0, 0, 14], [0, 25.0, 13], [0, 0, 1]])
    depth = np.arange(1, 30 * 26 + 1, dtype=np.float32).reshape(26, 30)
    ([scene], _) = loaded(frame(tmp_path, 0, depth=lambda: depth, depth_intrinsics=own))
    for row, column in ((0, 0), (10, 20), (47, 63), (24, 32)):
        x, y = (column + 0.5 - 32) / 50, (row + 0.5 - 24) / 50
        u, v = 25 * x + 14, 25 * y + 13
        inside = 0 <= u < 30 and 0 <= v < 26
        assert scene.depth[0, 0, row, column] == (depth[int(v), int(u)] if inside else 0)
    assert (scene.depth == 0).any()
    np.testing.assert_array_equal(scene.valid, scene.depth > 0)


def test_an_image_of_another_shape_is_padded_and_its_k_moves_along(tmp_path):
    tall = save_picture(tmp_path / "tall.png", (48, 64), 3)
    K_tall = np.array([[50.0, 0, 24], [0, 50.0, 32], [0, 0, 1]])
    told = {"image": tall, "intrinsics": K_tall, "size": (48, 64)}
    second = replace(frame(tmp_path, 1), **told, depth=lambda: plane(64, 48))
    ([scene], _) = loaded(frame(tmp_path, 0), second)
    assert scene.shape == (2, 48, 64)
    np.testing.assert_allclose(scene.intrinsics[0, 1], [[37.5, 0, 32], [0, 37.5, 24], [0, 0, 1]])
    assert not scene.valid[0, 1, :, :14].any() and not scene.valid[0, 1, :, 50:].any()
    assert scene.valid[0, 1, :, 15:49].all()
    assert (scene.image[0, 1, :, :13] == 127).all()


def test_points_are_depth_at_their_pixels_and_the_nearer_one_hides_the_other():
    points = np.array([[10.4, 5.2, 3.0], [10.6, 5.9, 2.0], [70.0, 5, 1.0], [1.0, 1.0, -2.0]])
    depth = splat_points(points, K, K, (64, 48))
    assert depth[5, 10] == 2.0 and (depth > 0).sum() == 1
    half = splat_points(points, K, np.diag([0.5, 0.5, 1]) @ K, (32, 24))
    assert half[2, 5] == 2.0 and (half > 0).sum() == 1


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ({"cam_to_world": np.full((4, 4), -np.inf)}, "pose not finite"),
        ({"cam_to_world": np.diag([1.0, 1, 1.5, 1])}, "pose not rigid"),
        ({"cam_to_world": np.diag([1.0, 1, -1, 1])}, "pose not rigid"),
        ({"cam_to_world": None}, "no pose"),
        ({"image": Path("nowhere.png")}, "missing image"),
        ({"size": (64, 64)}, "wrong size"),
        ({"depth": lambda: np.load("nowhere.npy")}, "missing depth"),
    ],
)
def test_a_bad_frame_is_skipped_and_counted(tmp_path, bad, reason):
    worse = replace(frame(tmp_path, 1), **bad)
    ([scene], skipped) = loaded(frame(tmp_path, 0), worse, frame(tmp_path, 2))
    assert scene.frame_ids.tolist() == [["0.png", "2.png"]]
    assert [error.reason for error in skipped] == [reason]


def test_a_capture_without_a_good_frame_is_refused(tmp_path):
    lost = frame(tmp_path, 1, cam_to_world=np.full((4, 4), np.nan))
    with pytest.raises(
        CaptureError, match=r"none of 1 frames is valid: pose not finite: frame 1\."
    ):
        loaded(lost)
    with pytest.raises(CaptureError, match="place: no frames"):
        loaded()


def test_a_torn_image_is_skipped(tmp_path):
    torn = frame(tmp_path, 1)
    torn.image.write_bytes(torn.image.read_bytes()[:200])
    ([scene], skipped) = loaded(frame(tmp_path, 0), torn)
    assert scene.shape[0] == 1 and skipped[0].reason == "unreadable image"
    assert "1.png" in str(skipped[0])


def test_poses_want_intrinsics(tmp_path):
    with pytest.raises(CaptureError, match=r"frame 0\.png has a pose, but no intrinsics"):
        loaded(frame(tmp_path, 0, intrinsics=None))


def test_a_rotation_that_is_nearly_one_is_made_one(tmp_path):
    rough = pose(1, 30)
    rough[:3, :3] += 4e-4 * np.array([[1, -1, 1], [0, 1, 0], [1, 0, -1]])
    exact = rigid_pose(frame(tmp_path, 0, cam_to_world=rough))
    np.testing.assert_allclose(exact[:3, :3] @ exact[:3, :3].T, np.eye(3), atol=1e-12)
    np.testing.assert_allclose(exact, rough, atol=1e-3)


@settings(max_examples=50, deadline=None)
@given(arrays(np.float64, (4, 4), elements=st.floats(allow_nan=True, allow_infinity=True)))
def test_any_pose_is_made_rigid_or_skipped(matrix):
    given = Frame(id="x", image=Path("x.png"), intrinsics=K, cam_to_world=matrix)
    try:
        exact = rigid_pose(given)
    except FrameError:
        return
    np.testing.assert_allclose(exact[:3, :3] @ exact[:3, :3].T, np.eye(3), atol=1e-9)
    assert np.linalg.det(exact[:3, :3]) > 0 and np.isfinite(exact).all()


@settings(max_examples=50, deadline=None)
@given(
    arrays(
        np.float32,
        st.sampled_from(((3, 4), (6, 8), (9, 12))),
        elements=st.floats(width=32, allow_nan=True, allow_infinity=True),
    )
)
def test_depth_is_positive_and_finite_or_unknown(depth):
    given = Frame(id="x", image=Path("x.png"), intrinsics=K, size=(64, 48))
    found = resample_depth(depth, given, K, (64, 48), (64, 48))
    assert np.isfinite(found).all() and (found >= 0).all()
    assert set(found[found > 0]) <= set(depth.ravel())


def test_depth_of_another_shape_is_not_stretched(tmp_path):
    odd = frame(tmp_path, 0, depth=lambda: plane(48, 48))
    _, skipped = loaded(odd, frame(tmp_path, 1))
    assert [error.reason for error in skipped] == ["wrong size"]


@pytest.mark.parametrize(("row", "value"), [(0, np.nan), (1, np.inf), (0, -50.0), (2, 1.0)])
@pytest.mark.parametrize("which", ["intrinsics", "depth_intrinsics"])
def test_intrinsics_that_are_none_are_skipped(tmp_path, which, row, value):
    wrong = K.copy()
    wrong[row, min(row, 1)] = value
    _, skipped = loaded(frame(tmp_path, 0, **{which: wrong}), frame(tmp_path, 1))
    assert [error.reason for error in skipped] == ["invalid intrinsics"]


def test_an_image_may_be_made_when_it_is_wanted(tmp_path):
    grey = Image.new("RGB", (64, 48), (7, 8, 9))

    def lost():
        raise FileNotFoundError(2, "gone", "grey.hdf5")

    made, gone = frame(tmp_path, 0), frame(tmp_path, 1)
    ([scene], skipped) = loaded(replace(made, image=lambda: grey), replace(gone, image=lost))
    assert (scene.image == [7, 8, 9]).all() and scene.shape == (1, 48, 64)
    assert [str(error) for error in skipped] == ["missing image: grey.hdf5"]


def test_lenses_bend_as_opencv_says():
    x, y = 0.4, 0.2
    r2, theta = x * x + y * y, np.arctan(np.hypot(x, y))
    k1, k2, p1, p2 = 0.1, 0.01, 0.001, 0.002
    radial = 1 + k1 * r2 + k2 * r2**2
    tangential = 2 * p1 * x * y + p2 * (r2 + 2 * x * x), p1 * (r2 + 2 * y * y) + 2 * p2 * x * y
    fisheye = theta * (1 + k1 * theta**2 + k2 * theta**4) / np.hypot(x, y)
    pixel = np.array([[50 * x + 32, 50 * y + 24]])
    found = Lens("radial", (k1, k2, p1, p2)).distort(pixel, K)
    expected = x * radial + tangential[0], y * radial + tangential[1]
    np.testing.assert_allclose((found[0] - [32, 24]) / 50, expected, atol=1e-9)
    found = Lens("fisheye", (k1, k2, 0.0, 0.0)).distort(pixel, K)
    np.testing.assert_allclose((found[0] - [32, 24]) / 50, (fisheye * x, fisheye * y), atol=1e-9)


def test_undistorting_puts_a_mark_where_a_pinhole_camera_sees_it(tmp_path):
    lens, K_large = Lens("radial", (-0.2, 0.02, 0.0, 0.0)), np.diag([4.0, 4, 1]) @ K
    seen = np.array([[200.5, 60.5]])
    bent = lens.distort(seen, K_large)[0]
    v, u = np.mgrid[:192, :256] + 0.5
    mark = 255 * np.exp(-((u - bent[0]) ** 2 + (v - bent[1]) ** 2) / 18)
    picture = Image.fromarray(np.repeat(mark[..., None], 3, axis=2).astype(np.uint8))
    grey = np.asarray(undistort(picture, K_large, lens), float)[..., 0]
    centre = (grey * u).sum() / grey.sum(), (grey * v).sum() / grey.sum()
    np.testing.assert_allclose(centre, seen[0], atol=0.2)
    assert abs(bent - seen[0]).max() > 2  # or it would show nothing


def test_an_image_without_distortion_stays_as_it_is(tmp_path):
    picture = Image.open(save_picture(tmp_path / "a.png", (64, 48), 0))
    same = undistort(picture, K, Lens("radial", (0.0, 0.0, 0.0, 0.0)))
    np.testing.assert_array_equal(np.asarray(same), np.asarray(picture))


def test_a_lens_wants_as_many_coefficients_as_its_kind_has():
    with pytest.raises(ValueError, match="fisheye lens: 5 coefficients"):
        Lens("fisheye", (0.0,) * 5)
