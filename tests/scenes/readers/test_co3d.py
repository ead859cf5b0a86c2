"""CO3Dv2, worked by hand from PyTorch3D's conventions."""

import gzip
import json
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.spatial.transform import Rotation

from helpers.captured import assert_none_is_wrong, loaded, only, project
from helpers.outside import save_picture
from spatialsv.scenes.readers import co3d
from spatialsv.scenes.readers.formats import detect

NAME = "110_13051_23361"
SCALE = 1.25


def annotation(number, sequence=NAME):
    """What CO3D says of a frame of 48 x 64 pixels (height x width)."""
    at = f"apple/{sequence}"
    return {
        "sequence_name": sequence,
        "frame_number": number,
        "frame_timestamp": number / 5,
        "image": {"path": f"{at}/images/frame{number:06d}.jpg", "size": [48, 64]},
        "depth": {
            "path": f"{at}/depths/frame{number:06d}.jpg.geometric.png",
            "scale_adjustment": SCALE,
            "mask_path": f"{at}/depth_masks/frame{number:06d}.png",
        },
        "mask": {"path": f"{at}/masks/frame{number:06d}.png", "mass": 12.0},
        "viewpoint": {
            "R": Rotation.random(rng=number).as_matrix().tolist(),
            "T": np.random.default_rng(number).normal(size=3).tolist(),
            "focal_length": [2.1, 2.2],
            "principal_point": [0.1, -0.2],
            "intrinsics_format": "ndc_isotropic",
        },
        "meta": {"frame_type": "train_known"},
    }


def depth_of(number):
    """Depth as it is stored, before the scale, and which of it counts."""
    rng = np.random.default_rng(number)
    depth = rng.uniform(0.5, 60, (48, 64)).astype(np.float16)
    depth[0, :3] = [np.inf, np.nan, 0]
    return depth, rng.random((48, 64)) < 0.8


def write(root, frames=4, sequences=(NAME,)):
    """A category; its annotations list sequences mixed, and frames from the last to the first."""
    said = [annotation(n, sequence) for n in range(1, frames + 1) for sequence in sequences][::-1]
    for one in said:
        number = one["frame_number"]
        save_picture(root / one["image"]["path"], (64, 48), number)
        depth, mask = depth_of(number)
        for name, array in (("path", depth.view(np.uint16)), ("mask_path", mask)):
            path = root / one["depth"][name]
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(array).save(path)
    save(root, said)
    return root


def save(root, said):
    with gzip.open(root / "apple/frame_annotations.jgz", "wt") as opened:
        json.dump(said, opened)


def edited(root, change, frame=1):
    said = [annotation(n) for n in range(1, 5)]
    change(said[frame])
    save(root, said)


@pytest.mark.parametrize("kind", ["ndc_isotropic", "ndc_norm_image_bounds", None])
def test_points_fall_where_pytorch3d_puts_them(tmp_path, kind):
    root, said = write(tmp_path), [annotation(n) for n in range(1, 5)]
    for one in said:
        one["viewpoint"]["intrinsics_format"] = kind
        if kind is None:
            del one["viewpoint"]["intrinsics_format"]
    save(root, said)
    capture = only(co3d, root)
    assert (capture.id, capture.unit) == (f"apple/{NAME}", "relative")
    assert [frame.id for frame in capture.frames] == ["1", "2", "3", "4"]
    assert [frame.time for frame in capture.frames] == [0.2, 0.4, 0.6, 0.8]
    points = np.random.default_rng(5).normal(size=(20, 3))
    half = np.array([24, 24]) if kind == "ndc_isotropic" else np.array([32, 24])
    for one, frame in zip(said, capture.frames, strict=True):
        view = one["viewpoint"]
        left, up, z = (points @ np.array(view["R"]) + view["T"]).T
        ndc_x, ndc_y = 2.1 * left / z + 0.1, 2.2 * up / z - 0.2
        expected = [32 - half[0] * ndc_x, 24 - half[1] * ndc_y, z]
        found = project(points, frame.intrinsics, frame.cam_to_world)
        np.testing.assert_allclose(found.T, expected, rtol=1e-9, atol=1e-9)
        assert frame.size == (64, 48)


def test_depth_is_half_floats_times_the_scale_where_the_mask_is(tmp_path):
    capture = only(co3d, write(tmp_path))
    for number, frame in enumerate(capture.frames, start=1):
        depth, mask = depth_of(number)
        known = mask & np.isfinite(depth)
        np.testing.assert_array_equal(frame.depth() > 0, known & (depth > 0))
        np.testing.assert_array_equal(frame.depth()[known], depth[known].astype(float) * SCALE)
    views, reasons, _ = loaded(co3d, tmp_path)
    assert (len(views), reasons) == (4, [])


def test_a_frame_without_mask_or_depth(tmp_path):
    edited(write(tmp_path), lambda said: said["depth"].update(mask_path=None))
    depth, _ = depth_of(2)
    found = only(co3d, tmp_path).frames[1].depth()
    np.testing.assert_array_equal(found > 0, np.isfinite(depth) & (depth > 0))
    for nothing in (None, {"path": None, "scale_adjustment": 1.0, "mask_path": None}):
        edited(tmp_path, lambda said, nothing=nothing: said.update(depth=nothing))
        assert only(co3d, tmp_path).frames[1].depth is None


def test_sequences_are_found_from_every_level(tmp_path):
    other = "9_1_2"
    root = write(tmp_path / "co3d", 2, (NAME, other))
    folders = [root / "apple" / name for name in (other, NAME)]
    assert co3d.scenes(root) == co3d.scenes(root / "apple") == folders
    assert co3d.scenes(folders[0]) == folders[:1]
    for named in (root, root / "apple", folders[0]):
        assert detect(named) == "co3d"
    assert co3d.scenes(tmp_path) == co3d.scenes(folders[0] / "images") == []
    views, reasons, _ = loaded(co3d, root)
    assert (len(views), reasons) == (4, [])


def test_changed_annotations_are_read_again(tmp_path):
    write(tmp_path)
    assert len(only(co3d, tmp_path).frames) == 4
    save(tmp_path, [annotation(1)])
    assert len(only(co3d, tmp_path).frames) == 1


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda said: said.pop("image"), "bad annotation"),
        (lambda said: said["image"].update(path="../other.jpg"), "unsafe name"),
        (lambda said: said["image"].update(path="/etc/passwd"), "unsafe name"),
        (lambda said: said["image"].update(path="apple/gone.jpg"), "missing image"),
        (lambda said: said["image"].update(path=None), "bad annotation"),
        (lambda said: said["image"].update(size=[48]), "bad annotation"),
        (lambda said: said["image"].update(size=[0, 64]), "bad annotation"),
        (lambda said: said["image"].update(size=[64, 48]), "wrong size"),
        (lambda said: said.update(viewpoint=None), "no pose"),
        (lambda said: said.update(frame_number="x"), "bad annotation"),
        (lambda said: said["viewpoint"].pop("R"), "bad annotation"),
        (lambda said: said["viewpoint"].update(R=[[1, 0], [0, 1]]), "bad annotation"),
        (lambda said: said["viewpoint"].update(R=np.diag([1, 1, -1]).tolist()), "pose not rigid"),
        (lambda said: said["viewpoint"].update(R=np.zeros((3, 3)).tolist()), "pose not rigid"),
        (lambda said: said["viewpoint"].update(T=[float("nan")] * 3), "pose not finite"),
        (lambda said: said["viewpoint"].update(T=[float("inf")] * 3), "pose not finite"),
        (lambda said: said["viewpoint"].update(focal_length=[0, 1]), "bad annotation"),
        (lambda said: said["viewpoint"].update(intrinsics_format="pixels"), "bad annotation"),
        (lambda said: said["depth"].update(path="../../depth.png"), "unsafe name"),
        (lambda said: said["depth"].update(path="apple/gone.png"), "missing depth"),
        (lambda said: said["depth"].update(mask_path="apple/gone.png"), "missing depth"),
        (lambda said: said["depth"].update(scale_adjustment=float("inf")), "bad annotation"),
        (lambda said: said["depth"].update(path=said["image"]["path"]), "unreadable depth"),
    ],
)
def test_a_bad_frame_is_skipped_with_its_reason(tmp_path, change, reason):
    whole, _, _ = loaded(co3d, write(tmp_path))
    edited(tmp_path, change)
    found, reasons, refused = loaded(co3d, tmp_path)
    assert (reasons, refused, len(found)) == ([reason], [], 3)
    assert_none_is_wrong(whole, found)


def test_broken_depth_maps_skip_their_frames(tmp_path):
    write(tmp_path)
    whole, _, _ = loaded(co3d, tmp_path)
    depths = sorted((tmp_path / f"apple/{NAME}/depths").iterdir())
    depths[0].write_bytes(depths[0].read_bytes()[:300])
    Image.fromarray(np.ones((24, 32), np.uint16)).save(depths[1])
    Image.fromarray(np.full((48, 64), 2**20, np.int32)).save(depths[2].with_suffix(".tiff"))
    depths[2].with_suffix(".tiff").rename(depths[2])
    found, reasons, _ = loaded(co3d, tmp_path)
    assert (len(found), reasons) == (1, ["unreadable depth"] * 3)
    assert_none_is_wrong(whole, found)


def test_a_sequence_with_absurd_cameras_is_dropped_and_others_are_not(tmp_path):
    root = write(tmp_path, 2, (NAME, "9_1_2"))
    said = [annotation(n, name) for n in (1, 2) for name in (NAME, "9_1_2")]
    said[0]["viewpoint"]["T"] = [0.0, 3e5, 1.0]
    save(root, said)
    views, reasons, refused = loaded(co3d, root)
    assert (len(views), reasons) == (2, [])
    assert f"frame_annotations.jgz: {NAME}: frame 1 has its camera at" in refused[0]


@pytest.mark.parametrize(
    ("said", "match"),
    [
        ({}, "expected a list of frames, found dict"),
        ([1], "frame 0 has no sequence_name"),
        ([{"sequence_name": 5}], "frame 0 has no sequence_name"),
        ([annotation(1, "other")], f"no sequence '{NAME}'"),
    ],
)
def test_annotations_that_are_none_are_refused(tmp_path, said, match):
    save(write(tmp_path), said)
    views, _, (refused,) = loaded(co3d, tmp_path)
    assert not views and "frame_annotations.jgz: " in refused and match in refused


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return write(tmp_path_factory.mktemp("co3d"))


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_truncated_annotations_are_refused(made, data):
    path = made / "apple/frame_annotations.jgz"
    intact = path.read_bytes()
    path.write_bytes(intact[: data.draw(st.integers(0, len(intact) - 1))])
    co3d._annotations.cache_clear()  # two writes may fall into one tick of the clock
    try:
        found, _, refused = loaded(co3d, made)
    finally:
        path.write_bytes(intact)
        co3d._annotations.cache_clear()
    assert not found and re.search(rf"{path}: cannot be read as|{path}:1: not JSON", refused[0])
