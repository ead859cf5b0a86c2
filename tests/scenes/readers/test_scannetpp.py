"""ScanNet++: frames held out or marked bad, rendered depth, videos, poses whose axes are known."""

import json

import numpy as np
import pytest

from helpers.datasets import write_scannetpp_dslr, write_scannetpp_iphone
from helpers.outside import save_video
from spatialsv.scenes.readers import scannetpp_dslr, scannetpp_iphone
from spatialsv.scenes.readers.capture import CaptureError
from spatialsv.scenes.readers.load import load
from spatialsv.scenes.readers.sampling import Sampling


def edit(path, **changes):
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_bad_and_held_out_frames_are_skipped(tmp_path):
    skipped = scannetpp_dslr.capture(write_scannetpp_dslr(tmp_path).scene).skipped
    assert [error.reason for error in skipped] == ["marked bad", "held out for testing"]


def test_the_lens_is_told(tmp_path):
    frame = scannetpp_dslr.capture(write_scannetpp_dslr(tmp_path).scene).frames[0]
    assert frame.lens.kind == "fisheye" and frame.size == (1752, 1168)
    assert frame.lens.coefficients == (-0.029, -0.0063, -0.0014, 0.0003)


def test_without_rendering_there_are_cameras_alone(tmp_path):
    made = write_scannetpp_dslr(tmp_path)
    (made.scene / "dslr/render_depth").rename(tmp_path / "elsewhere")
    (scenes,), _ = load(scannetpp_dslr.capture(made.scene), 4, Sampling(), 10_000)
    assert scenes.has_cameras and not scenes.has_geometry


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"camera_model": "PINHOLE"}, "expected camera_model OPENCV_FISHEYE, found 'PINHOLE'"),
        ({"k3": None}, "k3"),
        ({"w": 0}, "expected fl_x"),
        ({"frames": {}}, "frames: expected a list, found dict"),
    ],
)
def test_a_camera_that_is_not_understood_is_refused(tmp_path, changes, match):
    made = write_scannetpp_dslr(tmp_path)
    edit(made.scene / scannetpp_dslr.TRANSFORMS, **changes)
    with pytest.raises(CaptureError, match=match):
        scannetpp_dslr.capture(made.scene)


def test_a_broken_frame_is_skipped(tmp_path):
    made = write_scannetpp_dslr(tmp_path)
    path = made.scene / scannetpp_dslr.TRANSFORMS
    good = json.loads(path.read_text())["frames"][1]
    broken = [{**good, "file_path": "../x.JPG"}, {**good, "transform_matrix": [[1]]}, 7, good]
    edit(path, frames=broken, test_frames=[])
    capture = scannetpp_dslr.capture(made.scene)
    reasons = [error.reason for error in capture.skipped]
    assert reasons == ["unsafe name", "unreadable pose", "no file_path"]
    assert len(capture.frames) == 1


def test_a_frame_may_have_its_own_camera(tmp_path):
    made = write_scannetpp_dslr(tmp_path)
    path = made.scene / scannetpp_dslr.TRANSFORMS
    good = json.loads(path.read_text())["frames"][1:]
    own = [{**good[0], "fl_x": 700.0, "k1": 0.0}, {**good[1], "camera_model": "EQUIRECTANGULAR"}]
    edit(path, frames=[*own, good[2]], test_frames=[])
    capture = scannetpp_dslr.capture(made.scene)
    assert [error.reason for error in capture.skipped] == ["unknown camera"]
    file, frame = sorted(capture.frames, key=lambda frame: -frame.intrinsics[0, 0])
    assert (file.intrinsics[0, 0], file.lens.coefficients[0]) == (789.1, -0.029)
    assert (frame.intrinsics[0, 0], frame.lens.coefficients[0]) == (700, 0)
    assert frame.intrinsics[1, 1] == 789.3


def test_pictures_may_be_a_video(tmp_path):
    made = write_scannetpp_iphone(tmp_path)
    folder = made.scene / "iphone"
    path = made.scene / scannetpp_iphone.POSES
    told = list(json.loads(path.read_text()).values())
    path.write_text(json.dumps({f"frame_{6 * i:06d}": entry for i, entry in enumerate(told)}))
    (folder / "rgb").rename(tmp_path / "elsewhere")
    (folder / "depth").rename(tmp_path / "too")
    with pytest.raises(CaptureError, match=r"no images in rgb and no rgb\.mkv"):
        scannetpp_iphone.capture(made.scene)
    save_video(folder / "rgb.mp4", 13)
    (scenes,), skipped = load(scannetpp_iphone.capture(made.scene), 4, Sampling(), None)
    assert scenes.frame_ids.tolist() == [["frame_000000", "frame_000006", "frame_000012"]]
    np.testing.assert_allclose(scenes.image[0].mean(axis=(1, 2, 3)), [0, 48, 96], atol=4)
    assert [error.reason for error in skipped] == ["unreadable image"]  # frame 18 of 13
    assert scenes.has_cameras and not scenes.has_geometry


def test_a_pose_of_unknown_axes_is_not_used(tmp_path):
    made = write_scannetpp_iphone(tmp_path)
    path = made.scene / scannetpp_iphone.POSES
    told = json.loads(path.read_text())
    del told[made.ids[0]]["aligned_pose"]
    path.write_text(json.dumps(told))
    capture = scannetpp_iphone.capture(made.scene)
    assert [error.reason for error in capture.skipped] == ["no aligned pose"]
    assert [frame.id for frame in capture.frames] == made.ids[1:]
