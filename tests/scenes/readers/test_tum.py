"""TUM RGB-D: times joined, cameras told by name; evo's poses; depth that agrees between views."""

import json

import numpy as np
import pytest
from PIL import Image

from helpers.datasets import save_text, write_tum
from helpers.views import depth_errors, samples
from spatialsv.scenes.readers import tum
from spatialsv.scenes.readers.capture import CaptureError
from spatialsv.scenes.readers.load import load
from spatialsv.scenes.readers.sampling import Sampling


def reasons(scene):
    return [error.reason for error in tum.capture(scene).skipped]


def change(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_nearest_times_are_joined_first_and_each_once():
    found = tum.associate(np.array([0.0, 0.03, 0.06]), np.array([0.047, 0.019, 0.2]), 0.02)
    assert found == {1: 1, 2: 0}  # 0.019 is nearer to 0.03, so nothing is left for 0
    assert tum.associate(np.array([0.0]), np.array([]), 0.02) == {}


def test_times_too_far_apart_are_skipped(tmp_path):
    made = write_tum(tmp_path)
    rows = (made.scene / "groundtruth.txt").read_text().splitlines()
    last = max(rows[1:])
    change(made.scene / "groundtruth.txt", last, f"9{last}")
    change(made.scene / "depth.txt", "1305031102.187304 ", "1305031102.197304 ")
    assert reasons(made.scene) == ["no depth at that time", "no pose at that time"]


@pytest.mark.parametrize(
    ("name", "focal", "bent"),
    [
        ("rgbd_dataset_freiburg1_xyz", 517.3, True),
        ("rgbd_dataset_freiburg2_desk", 520.9, True),
        ("rgbd_dataset_freiburg3_long_office_household", 535.4, False),
        ("fr2_xyz", 520.9, True),
        ("my_recording", 525.0, False),
        ("freiburg12", 525.0, False),
    ],
)
def test_the_camera_is_told_by_the_folder(tmp_path, name, focal, bent):
    scene = write_tum(tmp_path).scene.rename(tmp_path / name)
    frame = tum.capture(scene).frames[0]
    assert frame.intrinsics[0, 0] == focal and bool(frame.lens) == bent
    assert frame.size == (640, 480)


@pytest.mark.parametrize(
    ("file", "row", "match"),
    [
        ("rgb.txt", "soon rgb/a.png", r"rgb\.txt:6: could not convert"),
        ("depth.txt", "nan depth/a.png", r"depth\.txt:6: expected a time in seconds, found nan"),
        (
            "groundtruth.txt",
            "1305031102.1 0 0 0 0 0 0",
            r"groundtruth\.txt:6: expected 8 numbers, found 7",
        ),
    ],
)
def test_a_broken_line_is_named(tmp_path, file, row, match):
    path = write_tum(tmp_path).scene / file
    path.write_text(path.read_text() + row + "\n")
    with pytest.raises(CaptureError, match=match):
        tum.capture(path.parent)


@pytest.mark.parametrize(
    ("name", "reason"), [("../rgb/a.png", "unsafe name"), ("/a.png", "unsafe name"), ("", "unsafe")]
)
def test_names_stay_below_the_folder(tmp_path, name, reason):
    made = write_tum(tmp_path)
    change(made.scene / "rgb.txt", f"rgb/{made.ids[1]}.png", name)
    (told,) = reasons(made.scene)
    assert told.startswith(reason)


def test_a_quaternion_must_be_a_rotation(tmp_path):
    made = write_tum(tmp_path)
    path = made.scene / "groundtruth.txt"
    rows = path.read_text().splitlines()
    for number, quaternion in ((1, "0 0 0 0"), (2, "2 0 0 0"), (3, "nan 0 0 1")):
        rows[number] = " ".join([*rows[number].split()[:4], quaternion])
    path.write_text("\n".join(rows))
    assert reasons(made.scene) == ["pose not rigid"] * 3


def test_poses_are_evos(tmp_path):
    """Real ground truth, 3000 poses: those that evo reads at the same times."""
    file_interface = pytest.importorskip("evo.tools.file_interface")
    truth = samples("tum") / "freiburg1_xyz-groundtruth.txt"
    expected = file_interface.read_tum_trajectory_file(truth)
    chosen = np.arange(0, len(expected.timestamps), 100)
    times = [f"{expected.timestamps[i]:.6f}" for i in chosen]
    scene = tmp_path / "rgbd_dataset_freiburg1_xyz"
    for kind in ("rgb", "depth"):
        save_text(scene / f"{kind}.txt", *(f"{time} {kind}/{time}.png" for time in times))
    (scene / "groundtruth.txt").write_bytes(truth.read_bytes())
    capture = tum.capture(scene)
    assert [frame.id for frame in capture.frames] == times and len(times) > 20
    for frame, index in zip(capture.frames, chosen, strict=True):
        np.testing.assert_allclose(frame.cam_to_world, expected.poses_se3[index], atol=1e-6)


def quaternion(turn):
    """x y z w of a rotation: the eigenvector of Bar-Itzhack's matrix (2000)."""
    (a, b, c), (d, e, f), (g, h, i) = turn
    table = [
        [a - e - i, b + d, c + g, h - f],
        [b + d, e - a - i, f + h, c - g],
        [c + g, f + h, i - a - e, d - b],
        [h - f, c - g, d - b, a + e + i],
    ]
    return np.linalg.eigh(np.array(table))[1][:, -1]


def write_open3d(scene):
    """Open3D's real frames in TUM's layout."""
    folder = samples("open3d_rgbd")
    camera = json.loads((folder / "camera_primesense.json").read_text())["intrinsic_matrix"]
    assert camera == [525, 0, 0, 0, 525, 0, 319.5, 239.5, 1]  # by columns: ROS's default
    numbers = [float(n) for n in (folder / "trajectory.log").read_text().split()]
    poses = np.reshape(numbers, (-1, 19))[:, 3:].reshape(-1, 4, 4)
    lists = {"rgb": [], "depth": [], "groundtruth": []}
    for number, pose in enumerate(poses):
        for kind, source, end in (("rgb", "color", "jpg"), ("depth", "depth", "png")):
            name = scene / f"{kind}/{number}.{end}"
            name.parent.mkdir(parents=True, exist_ok=True)
            lists[kind].append(f"{number} {kind}/{name.name}")
            name.write_bytes((folder / source / f"{number:05d}.{end}").read_bytes())
        millimetres = np.asarray(Image.open(name)).astype(int)
        assert millimetres.max() * 5 < 65535
        Image.fromarray((millimetres * 5).astype(np.uint16)).save(name)
        told = (number, *pose[:3, 3], *quaternion(pose[:3, :3]))
        lists["groundtruth"].append(" ".join(map(repr, map(float, told))))
    for name, lines in lists.items():
        save_text(scene / f"{name}.txt", *lines)
    return poses


def test_real_views_agree_on_depth(tmp_path):
    scene = tmp_path / "open3d"
    poses = write_open3d(scene)
    capture = tum.capture(scene)
    assert len(capture.frames) == len(poses) == 5
    (scenes,), skipped = load(capture, 5, Sampling(), None)
    assert not skipped
    np.testing.assert_allclose(scenes.cam_to_world[0], poses, atol=1e-6)
    errors = depth_errors(scenes.intrinsics[0], scenes.cam_to_world[0], scenes.depth[0])
    assert len(errors) > 100_000 and np.median(errors) < 0.01
    inverse = np.linalg.inv(scenes.cam_to_world[0])
    assert np.median(depth_errors(scenes.intrinsics[0], inverse, scenes.depth[0])) > 0.01
