"""ScanNet's export: two cameras' K, lost poses, numbers in order."""

import numpy as np
import pytest
from PIL import Image

from helpers.datasets import save_text, write_scannet
from spatialsv.scenes.readers import scannet
from spatialsv.scenes.readers.capture import CaptureError
from spatialsv.scenes.readers.load import load
from spatialsv.scenes.readers.sampling import Sampling


def test_depth_has_its_own_camera_and_the_image_gets_it_ray_by_ray(tmp_path):
    made = write_scannet(tmp_path)
    capture = scannet.capture(made.scene)
    own = capture.frames[0].depth_intrinsics
    np.testing.assert_allclose(own, [[571.623718, 0, 320], [0, 571.623718, 240], [0, 0, 1]])
    (scenes,), _ = load(capture, 4, Sampling(), None)
    assert scenes.shape == (4, 121, 162)
    for row, column in ((60, 80), (110, 20), (40, 150)):
        ray = np.linalg.solve(scenes.intrinsics[0, 2], [column + 0.5, row + 0.5, 1])
        u, v, _ = np.floor(own @ ray).astype(int)
        assert scenes.depth[0, 2, row, column] == pytest.approx(made.depth[2, v, u], abs=1e-6)


def test_lost_poses_are_skipped(tmp_path):
    made = write_scannet(tmp_path)
    save_text(made.scene / "pose/10.txt", *np.full((4, 4), -np.inf))
    (made.scene / "pose/8.txt").unlink()
    (scenes,), skipped = load(scannet.capture(made.scene), 4, Sampling(), None)
    assert sorted(error.reason for error in skipped) == ["no pose", "pose not finite"]
    assert scenes.frame_ids.tolist() == [["9", "11"]]


def test_a_transposed_pose_is_not_rigid(tmp_path):
    made = write_scannet(tmp_path)
    save_text(made.scene / "pose/10.txt", *made.poses[2].T)
    _, skipped = load(scannet.capture(made.scene), 4, Sampling(), None)
    assert [error.reason for error in skipped] == ["pose not rigid"]


@pytest.mark.parametrize("part", ["color", "depth"])
def test_cameras_of_two_places_are_refused(tmp_path, part):
    scene = write_scannet(tmp_path).scene
    extrinsic = scene / f"intrinsic/extrinsic_{part}.txt"
    moved = np.eye(4)
    moved[0, 3] = 0.038
    save_text(extrinsic, *moved)
    with pytest.raises(
        CaptureError, match=f"extrinsic_{part}.txt: different poses of depth and colour camera"
    ):
        scannet.capture(scene)
    extrinsic.unlink()
    assert len(scannet.capture(scene).frames) == 4


def test_intrinsics_for_another_size_are_refused(tmp_path):
    scene = write_scannet(tmp_path).scene
    halved = np.diag([577.9, 577.9, 1, 1])
    halved[:2, 2] = 319.9, 241.9
    save_text(scene / "intrinsic/intrinsic_color.txt", *halved)
    with pytest.raises(
        CaptureError, match=r"intrinsic_color.txt: K is not for \(162, 121\) pixels"
    ):
        scannet.capture(scene)


def resized(made, part, size):
    """The export with its images of another size, but the sensor's K."""
    for path in (made.scene / part).iterdir():
        with Image.open(path) as opened:
            opened.resize(size, Image.Resampling.NEAREST).save(path)
    return made


def small_camera(made):
    """An export whose colour camera has 640 x 480 pixels, as of scene0704 and scene0705."""
    four = np.eye(4)
    four[:3, :3] = [[577.87, 0, 319.5], [0, 577.87, 239.5], [0, 0, 1]]
    save_text(made.scene / "intrinsic/intrinsic_color.txt", *four)
    return made


@pytest.mark.parametrize("size", [(640, 480), (320, 240), (80, 60)])
def test_a_colour_camera_of_640_pixels_is_read(tmp_path, size):
    made = small_camera(resized(write_scannet(tmp_path), "color", size))
    (scenes,), skipped = load(scannet.capture(made.scene), 4, Sampling(), None)
    assert not skipped and scenes.shape == (4, *size[::-1])
    shrink = size[0] / 640
    expected = [[577.87 * shrink, 0, size[0] / 2], [0, 577.87 * shrink, size[1] / 2], [0, 0, 1]]
    np.testing.assert_allclose(scenes.intrinsics[0, 0], expected)
    ray = np.linalg.solve(expected, [size[0] * 0.3 + 0.5, size[1] * 0.6 + 0.5, 1])
    u, v = np.floor(571.623718 * ray[:2] + [320, 240]).astype(int)
    found = scenes.depth[0, 2, int(size[1] * 0.6), int(size[0] * 0.3)]
    assert found == pytest.approx(made.depth[2, v, u], abs=1e-6)


def test_a_first_image_of_another_size_is_skipped_alone(tmp_path):
    made = write_scannet(tmp_path)
    for part, size in (("color", (300, 100)), ("depth", (640, 240))):
        path = next((made.scene / part).glob("8.*"))
        with Image.open(path) as opened:
            opened.resize(size, Image.Resampling.NEAREST).save(path)
    (scenes,), skipped = load(scannet.capture(made.scene), 4, Sampling(), None)
    assert [error.reason for error in skipped] == ["wrong size"]
    np.testing.assert_array_equal(scenes.frame_ids[0].tolist(), ["9", "10", "11"])


def test_depth_that_was_made_smaller_has_a_smaller_camera(tmp_path):
    made = resized(write_scannet(tmp_path), "depth", (320, 240))
    frame = scannet.capture(made.scene).frames[0]
    expected = [[571.623718 / 2, 0, 160], [0, 571.623718 / 2, 120], [0, 0, 1]]
    np.testing.assert_allclose(frame.depth_intrinsics, expected)
    assert frame.depth().shape == (240, 320)


def test_depth_of_another_size_is_not_stretched(tmp_path):
    made = write_scannet(tmp_path)
    other = write_scannet(tmp_path / "other").scene / "color/8.jpg"
    (made.scene / "depth/9.png").write_bytes(other.read_bytes())
    _, skipped = load(scannet.capture(made.scene), 4, Sampling(), None)
    (error,) = skipped
    assert error.reason == "unreadable depth" and "one channel of" in str(error)
