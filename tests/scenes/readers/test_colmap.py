"""COLMAP's models against pycolmap: poses, cameras, points, dense maps; and broken ones."""

import codecs
import os
import re
import shutil
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.captured import assert_none_is_wrong, loaded, only
from helpers.outside import save_picture
from spatialsv.scenes.readers import colmap
from spatialsv.scenes.readers.capture import CaptureError
from spatialsv.scenes.readers.colmap_model import read_model
from spatialsv.scenes.readers.formats import detect
from spatialsv.scenes.readers.load import load
from spatialsv.scenes.readers.sampling import Sampling

pycolmap = pytest.importorskip("pycolmap")

SAMPLE = Path(os.environ.get("SPATIALSV_SAMPLES", "external")) / "colmap/maupertuis"
MODELS = {
    "SIMPLE_PINHOLE": [130.0, 81.0, 58.5],
    "PINHOLE": [130.0, 128.0, 81.0, 58.5],
    "SIMPLE_RADIAL": [130.0, 81.0, 58.5, 0.07],
    "RADIAL": [130.0, 81.0, 58.5, 0.07, -0.02],
    "OPENCV": [130.0, 128.0, 81.0, 58.5, 0.07, -0.02, 0.003, -0.002],
    "OPENCV_FISHEYE": [130.0, 128.0, 81.0, 58.5, 0.07, -0.02, 0.01, -0.004],
    "FULL_OPENCV": [130.0, 128.0, 81.0, 58.5, 0.07, -0.02, 3e-3, -2e-3, 0.01, 0.02, 4e-3, 1e-3],
    "SIMPLE_RADIAL_FISHEYE": [130.0, 81.0, 58.5, 0.07],
    "RADIAL_FISHEYE": [130.0, 81.0, 58.5, 0.07, -0.02],
    "SIMPLE_FISHEYE": [130.0, 81.0, 58.5],
    "FISHEYE": [130.0, 128.0, 81.0, 58.5],
}


def synthesized(model="PINHOLE", params=None, rigs=2):
    """A reconstruction of two rigs of two cameras each, with image sizes of 160 x 120."""
    options = pycolmap.SyntheticDatasetOptions()
    options.num_rigs, options.num_cameras_per_rig, options.num_frames_per_rig = rigs, 2, 2
    options.num_points3D = 60
    options.camera_width, options.camera_height = 160, 120
    options.camera_model_id = getattr(pycolmap.CameraModelId, model)
    options.camera_params = params or MODELS[model]
    pycolmap.set_random_seed(0)
    return pycolmap.synthesize_dataset(options)


def save(made, root, form="text", place="sparse/0"):
    """A scene with its images, and a model of COLMAP's own writing."""
    for number, image in enumerate(made.images.values()):
        save_picture(root / "images" / image.name, (160, 120), number)
    (root / place).mkdir(parents=True, exist_ok=True)
    getattr(made, f"write_{form}")(root / place)
    return root


@pytest.fixture(params=["text", "binary"])
def form(request):
    return request.param


@pytest.mark.parametrize("model", MODELS)
def test_poses_cameras_and_points_are_pycolmaps(tmp_path, model, form):
    made = synthesized(model)
    capture = only(colmap, save(made, tmp_path / "made", form))
    assert (capture.id, capture.unit, capture.skipped) == ("0", "relative", [])
    assert len(capture.frames) == 8
    assert [f.id for f in capture.frames] == sorted(image.name for image in made.images.values())
    for frame in capture.frames:
        image = made.find_image_with_name(frame.id)
        camera = made.cameras[image.camera_id]
        expected = np.vstack([image.cam_from_world().inverse().matrix(), [0, 0, 0, 1]])
        np.testing.assert_allclose(frame.cam_to_world, expected, atol=1e-9)
        np.testing.assert_allclose(frame.intrinsics, camera.calibration_matrix(), atol=1e-9)
        assert frame.size == (160, 120)
        seen = {p.point3D_id for p in image.points2D if p.has_point3D()}
        there = image.cam_from_world() * np.array([made.points3D[i].xyz for i in sorted(seen)])
        pinhole = there @ camera.calibration_matrix().T / there[:, 2:]
        shown = ((pinhole[:, :2] >= 0) & (pinhole[:, :2] < (160, 120))).all(axis=1)
        assert shown.sum() > 5
        expected = np.column_stack([pinhole[shown, :2], there[shown, 2]])
        np.testing.assert_allclose(frame.points, expected, atol=1e-6)
        where = frame.points[:, :2]
        if frame.lens:
            where = frame.lens.distort(where, frame.intrinsics)
        np.testing.assert_allclose(where, camera.img_from_cam(there[shown]), atol=1e-6)


def test_text_and_binary_are_one(tmp_path):
    for source in (SAMPLE / "reconstruction", tmp_path / "made"):
        if source.parent == tmp_path:
            source.mkdir()
            synthesized("OPENCV").write_text(source)
        elif not source.exists():
            continue
        binary = tmp_path / source.name / "binary"
        binary.mkdir(parents=True)
        pycolmap.Reconstruction(source).write_binary(binary)
        one, other = read_model(source), read_model(binary)
        images = {image.id: image for image in other.images}
        assert len(images) == len(one.images)
        for image in one.images:
            same = images[image.id]
            assert (image.name, image.camera) == (same.name, same.camera)
            turn, told = same.pose[:4], image.pose[:4] / np.linalg.norm(image.pose[:4])
            np.testing.assert_allclose(turn * np.sign(turn @ told), told, atol=1e-6)
            np.testing.assert_allclose(image.pose[4:], same.pose[4:], atol=1e-6)
            np.testing.assert_array_equal(image.points, same.points)
        for field in ("ids", "xyz", "tracks"):
            np.testing.assert_array_equal(getattr(one.points, field), getattr(other.points, field))
        for key, camera in one.cameras.items():
            assert (camera.size, camera.lens) == (other.cameras[key].size, other.cameras[key].lens)
            np.testing.assert_array_equal(camera.intrinsics, other.cameras[key].intrinsics)


@pytest.mark.skipif(not SAMPLE.exists(), reason="needs the real sample, in SPATIALSV_SAMPLES")
def test_the_real_model_has_pycolmaps_statistics():
    theirs = pycolmap.Reconstruction(SAMPLE / "reconstruction")
    capture, model = only(colmap, SAMPLE), read_model(SAMPLE / "reconstruction")
    assert detect(SAMPLE.parent) == "colmap"
    assert (len(capture.frames), len(model.points.ids)) == (4, 1039)
    assert sum(len(image.points) for image in model.images) == 3355
    errors = {key: [] for key in model.points.ids}
    for frame in capture.frames:
        image = next(image for image in model.images if image.name == frame.id)
        their = theirs.find_image_with_name(frame.id)
        points = model.points.xyz[np.searchsorted(model.points.ids, image.points)]
        there = (points - frame.cam_to_world[:3, 3]) @ frame.cam_to_world[:3, :3]
        pixels = (there @ frame.intrinsics.T / there[:, 2:])[:, :2]
        told = [point.xy for point in their.points2D if point.has_point3D()]
        for key, error in zip(image.points, np.linalg.norm(pixels - told, axis=1), strict=True):
            errors[key].append(error)
    mean = np.mean([np.mean(error) for error in errors.values()])
    assert mean == pytest.approx(0.3426, abs=5e-4)
    assert theirs.compute_mean_reprojection_error() == pytest.approx(0.3426, abs=5e-5)


@pytest.mark.skipif(not SAMPLE.exists(), reason="needs the real sample, in SPATIALSV_SAMPLES")
def test_the_real_model_becomes_a_scene_with_its_points():
    (scene,), skipped = load(only(colmap, SAMPLE), 4, Sampling(), 100_000)
    assert not skipped and scene.shape == (4, 237, 421)
    known = scene.valid.sum(axis=(0, 2, 3))
    assert (known > 400).all() and scene.valid.mean() < 0.02
    assert 1 < np.median(scene.depth[scene.valid]) < 100


def test_unordered_lines_and_images_without_points(tmp_path):
    made = synthesized()
    root = save(made, tmp_path / "made")
    whole, _, _ = loaded(colmap, root)
    path = root / "sparse/0/images.txt"
    head, lines = path.read_text().split("\n")[:4], path.read_text().split("\n")[4:-1]
    pairs = [lines[i : i + 2] for i in range(0, len(lines), 2)]
    path.write_text("\n".join(head + [line for pair in pairs[::-1] for line in pair]) + "\n")
    found, reasons, refused = loaded(colmap, root)
    assert (list(found), reasons, refused) == (list(whole), [], [])
    assert_none_is_wrong(whole, found)
    path.write_text("\n".join(head + [line for pair in pairs for line in (pair[0], "")]) + "\n")
    assert [len(frame.points) for frame in only(colmap, root).frames] == [0] * 8


def test_models_of_before_rigs_and_without_points_are_read(tmp_path, form):
    root = save(synthesized(), tmp_path / "made", form)
    whole = only(colmap, root)
    for path in (root / "sparse/0").glob("*"):
        if path.stem in ("rigs", "frames"):
            path.unlink()
    again = only(colmap, root)
    for one, other in zip(whole.frames, again.frames, strict=True):
        np.testing.assert_array_equal(one.cam_to_world, other.cam_to_world)


@pytest.mark.parametrize("place", ["", "sparse", "sparse/0", "colmap/sparse/0", "reconstruction"])
def test_images_are_found_beside_the_model(tmp_path, place):
    root = save(synthesized(), tmp_path / "garden", place=place)
    for named in (root, root / place, tmp_path):
        assert colmap.scenes(named) == [named / (root / place).relative_to(named)]
    assert all(frame.image.is_file() for frame in only(colmap, root).frames)


def test_models_inside_others_scenes_are_left_to_them(tmp_path):
    root = save(synthesized(), tmp_path / "scene", place="colmap/sparse/0")
    (root / "transforms.json").write_text("{}")
    assert colmap.scenes(root) == []
    assert colmap.scenes(root / "colmap") == [root / "colmap/sparse/0"]
    root = save(synthesized(), tmp_path / "0a7cc12c0e", place="dslr/colmap")
    assert colmap.scenes(root) == []
    assert detect(root / "dslr/colmap") == "colmap"


@pytest.mark.parametrize("model", ["FOV", "THIN_PRISM_FISHEYE", "EUCM"])
def test_other_camera_models_are_refused_by_name(tmp_path, model, form):
    made = synthesized()
    root = save(made, tmp_path / "made", form)
    odd = pycolmap.Camera.create_from_model_name(1, model, 130.0, 160, 120)
    alone = pycolmap.Reconstruction()
    alone.add_camera(odd)
    (tmp_path / "odd").mkdir()
    getattr(alone, f"write_{form}")(tmp_path / "odd")
    ending = {"text": "txt", "binary": "bin"}[form]
    shutil.copy(tmp_path / f"odd/cameras.{ending}", root / "sparse/0")
    place = r"cameras\.txt:4" if form == "text" else r"cameras\.bin: offset 8"
    with pytest.raises(CaptureError, match=f"{place}: camera model {model} is not supported"):
        only(colmap, root)


# Dense depth


def dense(tmp_path, kinds):
    """A dense workspace with depth maps half as wide as the images."""
    made = synthesized()
    root = save(made, tmp_path / "dense", place="sparse")
    rng = np.random.default_rng(1)
    depths = {}
    for image in made.images.values():
        for kind in kinds:
            depth = rng.uniform(1, 9, (60, 80)).astype(np.float32)
            depth[rng.random(depth.shape) < 0.3] = 0
            path = root / f"stereo/depth_maps/{image.name}.{kind}.bin"
            path.parent.mkdir(parents=True, exist_ok=True)
            pycolmap.DepthMap.from_array(depth, 0.1, 10).write(path)
            depths.setdefault(image.name, depth)
    return root, depths


@pytest.mark.parametrize("kinds", [["geometric", "photometric"], ["photometric"]])
def test_dense_depth_is_read_to_the_last_bit(tmp_path, kinds):
    root, depths = dense(tmp_path, kinds)
    for frame in only(colmap, root).frames:
        np.testing.assert_array_equal(frame.depth(), depths[frame.id])
    views, reasons, _ = loaded(colmap, root)
    assert not reasons
    for name, (_, _, _, depth) in views.items():
        np.testing.assert_array_equal(depth[::2, ::2], depths[name.split(":")[1]])


def test_a_broken_depth_map_skips_its_image(tmp_path):
    root, _ = dense(tmp_path, ["geometric"])
    whole, _, _ = loaded(colmap, root)
    paths = sorted((root / "stereo/depth_maps").iterdir())
    data = paths[0].read_bytes()
    paths[0].write_bytes(data[:-4])
    paths[1].write_bytes(b"80&60&3&" + data[8:])
    paths[2].write_bytes(data.replace(b"80&60&", b"60&80&"))  # another shape than the image's
    paths[3].write_bytes(b"")
    found, reasons, _ = loaded(colmap, root)
    assert len(found) == 4
    assert sorted(reasons) == [*["unreadable depth"] * 3, "wrong size"]
    assert_none_is_wrong(whole, found)


# Broken models


@pytest.mark.parametrize(
    "change",
    [
        lambda text: codecs.BOM_UTF8 + text.encode(),
        lambda text: text.encode("utf-16"),
        lambda text: text.replace("\n", "\r\n").encode(),
        lambda text: re.sub(r"(?<=\d) ", "\t", text).encode(),
    ],
)
def test_text_of_other_tools_is_the_same_model(tmp_path, change):
    root = save(synthesized(), tmp_path / "made")
    whole, _, _ = loaded(colmap, root)
    for path in (root / "sparse/0").glob("*.txt"):
        path.write_bytes(change(path.read_text()))
    found, reasons, refused = loaded(colmap, root)
    assert (list(found), reasons, refused) == (list(whole), [], [])
    assert_none_is_wrong(whole, found)


@pytest.mark.parametrize(
    ("file", "old", "new", "match"),
    [
        ("cameras", "PINHOLE 160", "PINHOLE x", r"cameras\.txt:4: invalid literal"),
        ("cameras", "130 128", "130", r"cameras\.txt:4: expected 4 numbers, found 3"),
        ("cameras", "130 128", "-130 128", r"cameras\.txt:4: invalid camera of \(160, 120\)"),
        ("cameras", "160 120", "160 0", r"cameras\.txt:4: invalid camera of \(160, 0\)"),
        ("cameras", "130 128", "nan 128", r"cameras\.txt:4: invalid camera"),
        ("cameras", "2 PINHOLE", "1 PINHOLE", r"cameras\.txt:5: duplicate id 1"),
        ("cameras", "2 PINHOLE", "9 PINHOLE", r"images\.txt:\d+: no camera 2 in .*cameras\.txt"),
        (
            "cameras",
            "cameras: 4",
            "cameras: 5",
            r"cameras\.txt: 4 cameras, but the header declares 5",
        ),
        ("images", "images: 8", "images: 9", r"images\.txt: 8 images, but the header declares 9"),
        ("images", "\n2 ", "\n1 ", r"images\.txt:7: duplicate id 1"),
        ("points3D", "\n2 ", "\n1 ", r"points3D\.txt:5: duplicate id 1"),
        ("points3D", "\n2 ", "\n999 ", r"images\.txt:\d+: refers to point 2, which is not in"),
        ("points3D", r"\n2 \S+", "\n2 inf", r"points3D\.txt:5: point 2 is at \(inf,"),
        ("points3D", "points: 60", "points: 61", r"points3D\.txt: 60 points3D"),
    ],
)
def test_a_broken_text_is_refused_with_its_line(tmp_path, file, old, new, match):
    root = save(synthesized(), tmp_path / "made")
    path = root / f"sparse/0/{file}.txt"
    text = path.read_text()
    text, replaced = re.subn(old, new, text, count=1)
    assert replaced
    path.write_text(text)
    with pytest.raises(CaptureError, match=match):
        only(colmap, root)


def test_points_that_images_see_less_often_than_they_say_are_refused(tmp_path):
    root = save(synthesized(), tmp_path / "made")
    path = root / "sparse/0/points3D.txt"
    lines = path.read_text().split("\n")
    lines[5] = " ".join(lines[5].split()[:-2])
    path.write_text("\n".join(lines))
    with pytest.raises(CaptureError, match=r"points3D\.txt: point 3 has track length"):
        only(colmap, root)


def test_counts_that_lie_are_refused_with_their_offset(tmp_path):
    root = save(synthesized(), tmp_path / "made", "binary")
    for name in ("cameras", "images", "points3D"):
        path = root / f"sparse/0/{name}.bin"
        data = path.read_bytes()
        (count,) = struct.unpack("<Q", data[:8])
        for wrong, told in (
            (count + 1, "truncated"),
            (2**63, "truncated"),
            (count - 1, "unexpected data"),
        ):
            path.write_bytes(struct.pack("<Q", wrong) + data[8:])
            with pytest.raises(CaptureError, match=rf"{name}\.bin: offset \d+: {told}"):
                only(colmap, root)
        path.write_bytes(data)


@pytest.mark.parametrize(
    ("pose", "reason"),
    [
        ("nan 0 0 0 1 2 3", "pose not finite"),
        ("1 0 0 0 inf 2 3", "pose not finite"),
        ("0 0 0 0 1 2 3", "pose not rigid"),
        ("2 0 0 0 1 2 3", "pose not rigid"),
        ("1e200 0 0 0 1 2 3", "pose not rigid"),
    ],
)
def test_a_frame_with_a_bad_pose_is_skipped(tmp_path, pose, reason):
    root = save(synthesized(), tmp_path / "made")
    whole, _, _ = loaded(colmap, root)
    path = root / "sparse/0/images.txt"
    lines = path.read_text().split("\n")
    words = lines[4].split()
    lines[4] = " ".join([words[0], pose, *words[8:]])
    path.write_text("\n".join(lines))
    found, reasons, refused = loaded(colmap, root)
    assert (reasons, refused, len(found)) == ([reason], [], 7)
    assert_none_is_wrong(whole, found)


@pytest.mark.parametrize("name", ["../secret.jpg", "/etc/passwd", ".", "x" * 5000 + ".jpg"])
def test_a_frame_with_an_unsafe_name_is_skipped(tmp_path, name):
    root = save(synthesized(), tmp_path / "made")
    save_picture(root / "secret.jpg", (160, 120), 0)
    path = root / "sparse/0/images.txt"
    lines = path.read_text().split("\n")
    lines[4] = " ".join([*lines[4].split()[:9], name])
    path.write_text("\n".join(lines))
    found, reasons, refused = loaded(colmap, root)
    assert (reasons, refused, len(found)) == (["unsafe name"], [], 7)


def test_missing_and_wrong_images_are_counted(tmp_path):
    root = save(synthesized(), tmp_path / "made")
    images = sorted((root / "images").rglob("*.*"))
    images[0].unlink()
    images[1].write_bytes(images[1].read_bytes()[:500])
    save_picture(images[2], (120, 160), 0)
    save_picture(images[3], (80, 60), 0)  # smaller, as is usual
    found, reasons, _ = loaded(colmap, root)
    assert sorted(reasons) == ["missing image", "unreadable image", "wrong size"]
    assert len(found) == 5
    shutil.rmtree(root / "images")
    with pytest.raises(CaptureError, match="none of the model's images is in"):
        only(colmap, root)


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """A small scene in text and one in binary."""
    made = synthesized(rigs=1)
    forms = ("text", "binary")
    return {form: save(made, tmp_path_factory.mktemp(form) / "made", form) for form in forms}


@settings(max_examples=40, deadline=None)
@given(data=st.data())
@pytest.mark.parametrize("kind", ["text", "binary"])
def test_a_truncated_model_is_refused(models, kind, data):
    root = models[kind]
    path = data.draw(st.sampled_from(sorted((root / "sparse/0").glob("[cip]*"))))
    intact = path.read_bytes()
    path.write_bytes(intact[: data.draw(st.integers(0, len(intact) - 1))])
    try:
        found, reasons, refused = loaded(colmap, root)
    finally:
        path.write_bytes(intact)
    assert (found, reasons) == ({}, [])
    assert len(refused) == 1 and str(path.parent) in refused[0]
