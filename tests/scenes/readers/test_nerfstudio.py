"""transforms.json, worked by hand from nerfstudio's conventions; DL3DV, which is made of them."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.spatial.transform import Rotation

from helpers.captured import assert_none_is_wrong, loaded, only, project
from helpers.outside import save_picture
from spatialsv.scenes.readers import dl3dv, nerfstudio
from spatialsv.scenes.readers.capture import CaptureError
from spatialsv.scenes.readers.formats import detect
from spatialsv.scenes.readers.lens import Lens

HASH = "0a1b" * 16
CAMERA = {"fl_x": 50.0, "fl_y": 52.0, "cx": 31.0, "cy": 25.0, "w": 64, "h": 48}


def opengl(number):
    """A camera-to-world pose: columns are right, up, backwards and the centre."""
    turn = Rotation.random(rng=number).as_matrix()
    centre = np.random.default_rng(number).normal(size=3)
    return np.vstack([np.column_stack([turn, centre]), [0, 0, 0, 1]])


def write(folder, frames=4, name="transforms.json", images="images", **said):
    """A scene; frames are listed from the last to the first."""
    listed = []
    for number in range(frames)[::-1]:
        file = f"{images}/frame_{number + 8}.png"
        save_picture(folder / file, (64, 48), number)
        listed.append({"file_path": file, "transform_matrix": opengl(number).tolist()})
    (folder / name).write_text(json.dumps({**CAMERA, **said, "frames": listed}, indent=1))
    return folder


def edited(folder, change, name="transforms.json"):
    """The scene with its file changed by `change(said)`."""
    said = json.loads((folder / name).read_text())
    change(said)
    (folder / name).write_text(json.dumps(said))
    return folder


def test_poses_are_opencvs_and_frames_are_in_order(tmp_path):
    capture = only(nerfstudio, write(tmp_path / "made"))
    assert (capture.id, capture.unit, capture.source) == ("made", "relative", "nerfstudio")
    assert [frame.id for frame in capture.frames] == [f"images/frame_{n}.png" for n in range(8, 12)]
    for number, frame in enumerate(capture.frames):
        right, up, back, centre = opengl(number).T[:, :3]
        there = np.array([[0.3, -0.2, 2.0], [-0.5, 0.4, 3.0]])  # right, up and ahead of the camera
        points = centre + there @ [right, up, -back]
        expected = [
            [31 + 50 * 0.3 / 2, 25 + 52 * 0.2 / 2, 2],
            [31 - 50 * 0.5 / 3, 25 - 52 * 0.4 / 3, 3],
        ]
        found = project(points, frame.intrinsics, frame.cam_to_world)
        np.testing.assert_allclose(found, expected, atol=1e-9)
        assert (frame.size, frame.lens, frame.depth) == ((64, 48), None, None)


def test_a_frames_own_camera_goes_first(tmp_path):
    def change(said):
        said["frames"][0] |= {"fl_x": 60, "cx": 30.5, "w": 32, "h": 24}
        del said["fl_y"]

    *rest, last = only(nerfstudio, edited(write(tmp_path / "made"), change)).frames
    np.testing.assert_array_equal(last.intrinsics, [[60, 0, 30.5], [0, 60, 25], [0, 0, 1]])
    assert last.size == (32, 24)
    np.testing.assert_array_equal(rest[0].intrinsics, [[50, 0, 31], [0, 50, 25], [0, 0, 1]])


def test_blenders_files_lack_endings_and_sizes(tmp_path):
    def change(said):
        for key in CAMERA:
            del said[key]
        said["camera_angle_x"] = 2 * np.arctan(0.5)
        for frame in said["frames"]:
            frame["file_path"] = "./" + frame["file_path"].removesuffix(".png")

    for split in ("train", "test"):
        name = f"transforms_{split}.json"
        edited(write(tmp_path / "lego", name=name, images=split), change, name)
    assert detect(tmp_path) == "nerfstudio"
    scenes = nerfstudio.scenes(tmp_path)
    assert [path.name for path in scenes] == ["transforms_test.json", "transforms_train.json"]
    capture = nerfstudio.capture(scenes[1])
    for frame in capture.frames:
        assert frame.image.suffix == ".png" and frame.image.is_file()
        np.testing.assert_allclose(frame.intrinsics, [[64, 0, 32], [0, 64, 24], [0, 0, 1]])


@pytest.mark.parametrize(
    ("said", "lens"),
    [
        ({}, None),
        ({"camera_model": "PINHOLE"}, None),
        ({"camera_model": "OPENCV", "k1": 0, "k2": 0.0, "p1": 0, "p2": 0}, None),
        ({"camera_model": "SIMPLE_RADIAL", "k1": 0.1}, Lens("radial", (0.1, 0.0, 0.0, 0.0, 0.0))),
        ({"k1": 1, "k2": 2, "p1": 3, "p2": 4, "k3": 5}, Lens("radial", (1.0, 2.0, 3.0, 4.0, 5.0))),
        (
            {"camera_model": "OPENCV_FISHEYE", "k1": 0.1, "k2": 0.2, "k3": 0.3, "k4": 0.4},
            Lens("fisheye", (0.1, 0.2, 0.3, 0.4)),
        ),
        ({"is_fisheye": True, "k1": 0.1}, Lens("fisheye", (0.1, 0.0, 0.0, 0.0))),
    ],
)
def test_lenses(tmp_path, said, lens):
    capture = only(nerfstudio, write(tmp_path / "made", **said))
    assert [frame.lens for frame in capture.frames] == [lens] * 4


@pytest.mark.parametrize("model", ["EQUIRECTANGULAR", "FISHEYE624", "", None, 3, ["PINHOLE"]])
def test_other_camera_models_are_refused_by_name(tmp_path, model):
    found, _, (refused,) = loaded(nerfstudio, write(tmp_path / "made", camera_model=model))
    assert not found
    expected = f"made/transforms.json: frames[0]: {model!r}. Supported: SIMPLE_PINHOLE, PINHOLE,"
    assert "none of 4 frames is valid: camera model not supported" in refused
    assert expected in refused


@pytest.mark.parametrize("key", ["equirectangular", "latlong", "ftheta_p0", "rolling_shutter"])
def test_other_camera_models_of_instant_ngp_are_refused(tmp_path, key):
    value = [0, 0, 0, 0.1] if key == "rolling_shutter" else 0.5 if key == "ftheta_p0" else True
    _, _, (refused,) = loaded(nerfstudio, write(tmp_path / "made", **{key: value}))
    assert (
        f"camera model not supported: {tmp_path}/made/transforms.json: frames[0]: {key!r}"
        in refused
    )
    none = [0, 0, 0, 0] if key == "rolling_shutter" else False
    assert len(only(nerfstudio, write(tmp_path / "plain", **{key: none})).frames) == 4


def test_every_frame_has_its_own_camera_model(tmp_path):
    """Frame by frame: another model is refused, and does not inherit the file's coefficients."""
    fisheye = {"camera_model": "OPENCV_FISHEYE", "k1": 0.3, "k4": 0.1}
    own = [{"camera_model": "EQUIRECTANGULAR"}, fisheye, {"camera_model": "PINHOLE"}, {"k2": 0.5}]
    own += [{"is_fisheye": True}, {"camera_model": "OPENCV", "distortion_params": None}]

    def change(said):
        for frame, fields in zip(said["frames"][::-1], own, strict=True):
            frame.update(fields)

    root = write(tmp_path / "made", 6, camera_model="OPENCV", k1=0.1, k2=0.2)
    capture = only(nerfstudio, edited(root, change))
    (skipped,) = capture.skipped
    assert skipped.reason == "camera model not supported"
    assert "frames[5]: 'EQUIRECTANGULAR'" in str(skipped)
    assert [frame.lens for frame in capture.frames] == [
        Lens("fisheye", (0.3, 0.0, 0.0, 0.1)),
        None,
        Lens("radial", (0.1, 0.5, 0.0, 0.0, 0.0)),
        Lens("fisheye", (0.0, 0.0, 0.0, 0.0)),
        Lens("radial", (0.1, 0.2, 0.0, 0.0, 0.0)),
    ]


def test_frames_of_one_model_override_the_files(tmp_path):
    def change(said):
        said["frames"][-1]["camera_model"] = "OPENCV"

    root = edited(write(tmp_path / "made", camera_model="EQUIRECTANGULAR"), change)
    found, reasons, _ = loaded(nerfstudio, root)
    assert (list(found), reasons) == (
        ["made:images/frame_8.png"],
        ["camera model not supported"] * 3,
    )


def test_distortion_may_be_a_list_in_nerfstudios_order(tmp_path):
    said = {"camera_model": "OPENCV", "distortion_params": [1, 2, 3, 0, 4, 5]}
    (lens, *_) = (frame.lens for frame in only(nerfstudio, write(tmp_path / "a", **said)).frames)
    assert lens == Lens("radial", (1.0, 2.0, 4.0, 5.0, 3.0))


def degrees(focal, pixels):
    return float(np.degrees(2 * np.arctan(pixels / 2 / focal)))


@pytest.mark.parametrize(
    ("file", "frame", "focal"),
    [
        ({"fl_x": 50, "fl_y": 60}, {}, (50, 60)),
        ({"fl_x": 50}, {}, (50, 50)),
        ({"fl_y": 60}, {}, (60, 60)),
        ({"fl_x": 50, "fl_y": 60}, {"fl_x": 70}, (70, 70)),
        ({"fl_x": 50, "fl_y": 60}, {"fl_y": 70}, (70, 70)),
        ({"fl_x": 50, "fl_y": 60}, {"camera_angle_x": 2 * np.arctan(0.4)}, (80, 80)),
        ({"camera_angle_x": 2 * np.arctan(0.4)}, {}, (80, 80)),
        ({"camera_angle_y": 2 * np.arctan(0.4)}, {}, (60, 60)),
        ({f"camera_angle_{a}": 2 * np.arctan(0.4) for a in "xy"}, {}, (80, 60)),
        ({"fl_x": 50, "camera_angle_y": 2 * np.arctan(0.4)}, {}, (50, 60)),
        ({"x_fov": degrees(50, 64), "y_fov": degrees(60, 48)}, {}, (50, 60)),
        ({"y_fov": degrees(60, 48)}, {"x_fov": degrees(50, 64)}, (50, 50)),
    ],
)
def test_focal_lengths_are_those_of_the_frame_then_of_the_file(tmp_path, file, frame, focal):
    """As instant-ngp reads them, in nerf_loader.cu: an axis without its own has the other's."""

    def change(said):
        for key in ("fl_x", "fl_y"):
            del said[key]
        said.update(file)
        said["frames"][-1].update(frame)

    root = edited(write(tmp_path / "made"), change)
    K = only(nerfstudio, root).frames[0].intrinsics
    np.testing.assert_allclose(np.diag(K)[:2], focal)


# Depth


def with_depth(folder, unit=None, ending=".png", **said):
    depths = np.random.default_rng(0).integers(0, 9000, (4, 24, 32)).astype(np.uint16)

    def change(told):
        if unit:
            told["depth_unit_scale_factor"] = unit
        for depth, frame in zip(depths, told["frames"][::-1], strict=True):
            frame["depth_file_path"] = f"depth/{frame['file_path'][7:-4]}{ending}"
            path = folder / frame["depth_file_path"]
            path.parent.mkdir(exist_ok=True)
            if ending == ".npy":
                np.save(path, depth[..., None].astype(np.float32))
            else:
                Image.fromarray(depth).save(path)

    return edited(write(folder, **said), change), depths


@pytest.mark.parametrize("ending", [".png", ".npy"])
@pytest.mark.parametrize("unit", [None, 2e-4])
def test_depth_is_in_thousandths_or_as_the_file_says(tmp_path, unit, ending):
    root, depths = with_depth(tmp_path / "made", unit, ending)
    capture = only(nerfstudio, root)
    assert capture.unit == "metre"
    for frame, depth in zip(capture.frames, depths, strict=True):
        np.testing.assert_allclose(frame.depth(), depth * (unit or 1e-3), rtol=1e-6)
    views, reasons, _ = loaded(nerfstudio, root)
    assert not reasons
    for (*_, found), depth in zip(views.values(), depths, strict=True):
        np.testing.assert_allclose(found[::2, ::2], depth * (unit or 1e-3), rtol=1e-6)


def test_depth_that_was_made_from_colmaps_points_is_not_in_metres(tmp_path):
    root, _ = with_depth(tmp_path / "made", applied_transform=np.eye(4)[:3].tolist())
    assert only(nerfstudio, root).unit == "relative"


def test_depth_of_instant_ngp_is_in_the_unit_of_the_poses(tmp_path):
    root, depths = with_depth(tmp_path / "made")

    def change(said):
        said |= {"enable_depth_loading": True, "integer_depth_scale": 0.25, "aabb_scale": 4}
        for frame in said["frames"]:
            frame["depth_path"] = frame.pop("depth_file_path")

    capture = only(nerfstudio, edited(root, change))
    assert capture.unit == "relative"
    for frame, depth in zip(capture.frames, depths, strict=True):
        np.testing.assert_allclose(frame.depth(), depth * 0.25, rtol=1e-6)


def test_lengths_that_were_scaled_are_not_in_metres(tmp_path):
    root, _ = with_depth(tmp_path / "made", applied_scale=0.5)
    assert only(nerfstudio, root).unit == "relative"


@pytest.mark.parametrize("angle", [0, np.pi, -1, float("nan")])
def test_a_field_of_view_that_cannot_be_is_refused(tmp_path, angle):
    def change(said):
        del said["fl_x"], said["fl_y"]
        said["camera_angle_x"] = angle

    found, _, (refused,) = loaded(nerfstudio, edited(write(tmp_path / "made"), change))
    assert not found and "none of 4 frames is valid: bad frame: " in refused


@pytest.mark.parametrize("ending", [".png", ".npy"])
def test_broken_depth_skips_its_frame(tmp_path, ending):
    root, _ = with_depth(tmp_path / "made", None, ending)
    whole, _, _ = loaded(nerfstudio, root)
    paths = sorted((root / "depth").iterdir())
    paths[0].unlink()
    paths[1].write_bytes(paths[1].read_bytes()[:-100])
    paths[2].write_bytes(b"")
    found, reasons, _ = loaded(nerfstudio, root)
    assert sorted(reasons) == ["missing depth", "unreadable depth", "unreadable depth"]
    assert len(found) == 1
    assert_none_is_wrong(whole, found)


def test_depth_that_is_a_pickle_or_a_photo_is_not_read(tmp_path):
    root, _ = with_depth(tmp_path / "made", None, ".npy")
    paths = sorted((root / "depth").iterdir())
    np.save(paths[0], np.array([{"a": 1}]), allow_pickle=True)
    np.save(paths[1], np.zeros((2, 3, 4)))
    with paths[2].open("wb") as opened:  # one that claims 10^15 numbers
        head = {"descr": "<f4", "fortran_order": False, "shape": (10**8, 10**7)}
        np.lib.format.write_array_header_1_0(opened, head)
    _, reasons, _ = loaded(nerfstudio, root)
    assert reasons == ["unreadable depth"] * 3
    root, _ = with_depth(tmp_path / "other")
    save_picture(next((root / "depth").iterdir()), (64, 48), 0)
    assert loaded(nerfstudio, root)[1] == ["unreadable depth"]


# Broken files


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"file_path": "../other/images/frame_8.png"}, "unsafe name"),
        ({"file_path": "/etc/passwd"}, "unsafe name"),
        ({"file_path": "."}, "unsafe name"),
        ({"file_path": "images/gone.png"}, "missing image"),
        ({"file_path": "x" * 5000}, "bad frame"),
        ({"file_path": 3}, "bad frame"),
        ({"depth_file_path": "../../depth.png"}, "unsafe name"),
        ({"transform_matrix": np.eye(3).tolist()}, "bad frame"),
        ({"transform_matrix": [[1, 2], [3]]}, "bad frame"),
        ({"transform_matrix": None}, "bad frame"),
        ({"transform_matrix": (2 * np.eye(4)).tolist()}, "pose not rigid"),
        ({"transform_matrix": opengl(1).T.tolist()}, "pose not rigid"),
        ({"transform_matrix": np.diag([1.0, 1, -1, 1]).tolist()}, "pose not rigid"),
        ({"transform_matrix": [[float("inf")] * 4] * 4}, "pose not finite"),
        ({"transform_matrix": [[float("nan")] * 4] * 4}, "pose not finite"),
        ({"fl_x": 0}, "bad frame"),
        ({"fl_x": float("inf")}, "bad frame"),
        ({"fl_x": "50"}, "bad frame"),
        ({"fl_x": 10**400}, "bad frame"),
        ({"w": 0}, "bad frame"),
        ({"w": 48, "h": 64}, "wrong size"),
        ({"k4": 0.1}, "bad frame"),
        ({"distortion_params": [0.1] * 6}, "bad frame"),  # k4 is not 0
        ({"distortion_params": [0.1] * 4}, "bad frame"),
        ({"distortion_params": [0.1, 0, 0, 0, 0, 0], "k1": 0.1}, "bad frame"),
        ({"camera_model": "PINHOLE", "k1": 0.1}, "bad frame"),
        ({"camera_model": "EQUIRECTANGULAR"}, "camera model not supported"),
        ({"fl_x": -1}, "bad frame"),
        ({"depth_path": "depth.png"}, "bad frame"),  # in no unit
    ],
)
def test_a_bad_frame_is_skipped_with_its_reason(tmp_path, change, reason):
    root = write(tmp_path / "made")
    whole, _, _ = loaded(nerfstudio, root)
    edited(root, lambda said: said["frames"][1].update(change))
    found, reasons, refused = loaded(nerfstudio, root)
    assert (reasons, refused, len(found)) == ([reason], [], 3)
    assert_none_is_wrong(whole, found)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_files_of_other_tools_are_the_same_scene(tmp_path, encoding):
    root = write(tmp_path / "made")
    whole, _, _ = loaded(nerfstudio, root)
    path = root / "transforms.json"
    path.write_bytes(path.read_text().replace("\n", "\r\n").encode(encoding))
    assert detect(path) == "nerfstudio"
    found, reasons, refused = loaded(nerfstudio, root)
    assert (list(found), reasons, refused) == (list(whole), [], [])
    assert_none_is_wrong(whole, found)


@pytest.mark.parametrize("frame", [None, [], "x", {}, {"file_path": "images/frame_8.png"}])
def test_what_is_no_frame_is_skipped(tmp_path, frame):
    root = edited(write(tmp_path / "made"), lambda said: said["frames"].append(frame))
    found, reasons, _ = loaded(nerfstudio, root)
    assert (len(found), reasons) == (4, ["bad frame"])


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ('{"frames": [\n{"transform_matrix" 1}]}', r"transforms\.json:2: not JSON"),
        ('{"frames": {}}', r"transforms\.json: no list of frames"),
        ("[]", r"transforms\.json: expected a JSON object"),
        ("[" * 100_000, r"transforms\.json:1: not supported JSON"),
        ('{"frames": ' + "9" * 5000 + "}", r"transforms\.json: no list of frames"),
        ("\xff", r"transforms\.json:1: not text"),
        ('{"frames": []}', "no frames"),
        ('{"frames": [1]}', "none of 1 frames is valid: bad frame: .*transforms.json: frames.0.: "),
    ],
)
def test_a_broken_file_is_refused_with_its_place(tmp_path, text, match):
    root = write(tmp_path / "made")
    (root / "transforms.json").write_bytes(text.encode("latin-1"))
    found, _, refused = loaded(nerfstudio, root)
    assert not found
    (message,) = refused
    with pytest.raises(CaptureError, match=match):
        raise CaptureError(message)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return write(tmp_path_factory.mktemp("nerfstudio") / "made")


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_a_truncated_file_is_refused(made, data):
    path = made / "transforms.json"
    intact = path.read_bytes()
    path.write_bytes(intact[: data.draw(st.integers(0, len(intact.rstrip()) - 1))])
    try:
        found, _, refused = loaded(nerfstudio, made)
    finally:
        path.write_bytes(intact)
    assert not found and "transforms.json:" in refused[0]


def test_what_is_detected(tmp_path):
    root = write(tmp_path / "made")
    for named in (tmp_path, root, root / "transforms.json"):
        assert detect(named) == "nerfstudio"
    (root / "transforms.json").rename(root / "poses.json")
    assert detect(root / "poses.json") == "nerfstudio"
    (root / "notes.json").write_text("{}")
    assert nerfstudio.scenes(root / "notes.json") == []
    assert nerfstudio.scenes(root / "gone") == []
    slr = write(tmp_path / "scannetpp/0a7cc12c0e/dslr/nerfstudio")
    assert nerfstudio.scenes(tmp_path / "scannetpp/0a7cc12c0e") == []
    assert nerfstudio.scenes(slr) == [slr / "transforms.json"]


# DL3DV


def shrink(folder, factor):
    """What DL3DV hands out: only smaller images."""
    (folder / f"images_{factor}").mkdir()
    for path in sorted((folder / "images").iterdir()):
        with Image.open(path) as image:
            image.reduce(factor).save(folder / f"images_{factor}" / path.name)
        path.unlink()
    (folder / "images").rmdir()
    return folder


@pytest.mark.parametrize("factor", [4, 8])
@pytest.mark.parametrize("place", ["", "colmap", "nerfstudio"])
def test_k_fits_the_smaller_images_of_dl3dv(tmp_path, factor, place):
    root = tmp_path / "1K" / HASH
    shrink(write(root / place, camera_model="OPENCV"), factor)
    for named in (tmp_path, root.parent, root, root / place, root / place / "transforms.json"):
        assert detect(named) == "dl3dv"
        assert nerfstudio.scenes(named) == []
    capture = only(dl3dv, tmp_path)
    assert (capture.id, capture.source, capture.unit) == (HASH, "dl3dv", "relative")
    assert capture.licence == "CC-BY-NC-4.0"
    views, reasons, _ = loaded(dl3dv, tmp_path)
    assert (len(views), reasons) == (4, [])
    for number, (image, K, pose) in enumerate(views.values()):
        assert image.shape == (48 // factor, 64 // factor, 3)
        expected = np.diag([1 / factor, 1 / factor, 1]) @ [[50, 0, 31], [0, 52, 25], [0, 0, 1]]
        np.testing.assert_allclose(K, expected, atol=1e-9)
        np.testing.assert_allclose(pose, opengl(number) * [1, -1, -1, 1], atol=1e-9)


def test_smaller_images_are_of_no_use_where_the_file_tells_no_size(tmp_path):
    def change(said):
        del said["w"], said["h"]

    shrink(edited(write(tmp_path / HASH), change), 4)
    _, _, refused = loaded(dl3dv, tmp_path)
    assert "none of 4 frames is valid: missing image" in refused[0]
