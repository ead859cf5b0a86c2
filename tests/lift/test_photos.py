"""Photos in; files out that other programs open and that agree with each other."""

import json

import numpy as np
import pytest
import torch
import trimesh
from numpy.testing import assert_allclose
from PIL import Image
from spatialsv.lift.export import DEPTH_STEPS, GLTF_AXES, file_names
from spatialsv.lift.photo import Photo, read_photo

from spatialsv.geometry.rays import point_map, ray_map
from spatialsv.lift import lift_photos
from spatialsv.model.heads import SpatialHeads, SpatialHeadsConfig
from spatialsv.model.mllm import load_mllm
from spatialsv.model.spatialsv import SpatialSV, save_spatialsv


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    paths = []
    for name, size in (("wide.png", (90, 50)), ("tall.jpg", (40, 70))):
        pixels = rng.integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / name)
        paths.append(folder / name)
    return paths


@pytest.fixture(scope="module")
def lifted(tmp_path_factory, photos, tiny_mllm):
    folder = tmp_path_factory.mktemp("model")
    mllm, family = load_mllm(tiny_mllm)
    torch.manual_seed(0)
    config = SpatialHeadsConfig(taps=(1, 2, 3, 4), output_size=(16, 16))
    heads = SpatialHeads(config, mllm.config.get_text_config().hidden_size)
    save_spatialsv(folder, SpatialSV(mllm, family, heads))
    out = folder / "out"
    return out, lift_photos(photos, out, model=folder, size=32)


def test_points_agree_with_depth_and_cameras(lifted):
    out, scenes = lifted
    depth, K, poses = (
        torch.from_numpy(a[0]).double()
        for a in (scenes.depth, scenes.intrinsics, scenes.cam_to_world)
    )
    expected = point_map(depth, ray_map(K, poses, 16, 16)).reshape(-1, 3).numpy()
    cloud = trimesh.load(out / "scene.ply")
    assert_allclose(cloud.vertices, expected, rtol=1e-5, atol=1e-5)
    glb = trimesh.load(out / "scene.glb")
    points = [g for g in glb.geometry.values() if isinstance(g, trimesh.PointCloud)]
    paths = [g for g in glb.geometry.values() if isinstance(g, trimesh.path.Path3D)]
    back = trimesh.transform_points(points[0].vertices, np.linalg.inv(GLTF_AXES))
    assert_allclose(back, expected, rtol=1e-5, atol=1e-5)
    assert len(paths) == 2
    centre = trimesh.transform_points(poses[:, :3, 3].numpy(), GLTF_AXES)
    for path, eye in zip(paths, centre, strict=True):
        assert np.linalg.norm(path.vertices - eye, axis=1).min() < 1e-5


def test_depth_png_and_cameras_say_what_the_store_says(lifted, photos):
    out, scenes = lifted
    names = file_names([photo.stem for photo in photos])
    assert names == ["00_wide", "01_tall"]
    cameras = json.loads((out / "cameras.json").read_text())
    for view, name in enumerate(names):
        steps = np.asarray(Image.open(out / "depth" / f"{name}.png")).astype(float)
        assert_allclose(steps / DEPTH_STEPS, scenes.depth[0, view], atol=0.51 / DEPTH_STEPS)
        assert Image.open(out / "confidence" / f"{name}.png").size == (16, 16)
        assert Image.open(out / "figures" / f"{name}.png").width > 500
        assert_allclose(cameras["views"][view]["intrinsics"], scenes.intrinsics[0, view])
        assert_allclose(cameras["views"][view]["cam_to_world"], scenes.cam_to_world[0, view])
    assert cameras["views"][0]["photo_size"] == [90, 50]
    assert cameras["views"][0]["square"] == {"left": 20.0, "top": 0.0, "side": 50}


def test_k_for_the_photo_follows_a_pixel_through_crop_and_resize(photos):
    photo = read_photo(photos[0], 32)
    K = np.array([[15.0, 0, 8], [0, 15, 8], [0, 0, 1]])
    # A map of 16 pixels stands for every second pixel of the 32: the map's pixel 0 for pixel 1,
    # whose centre lies at 1.5 / 32 of the square.
    ray = np.linalg.inv(K) @ [0.5, 0.5, 1]
    u, v, _ = photo.intrinsics(K, 16) @ ray
    assert_allclose([u, v], [20 + 50 * 1.5 / 32, 50 * 1.5 / 32])
    same = photo.intrinsics(K, 32) @ ray
    assert_allclose(same[:2], [20 + 50 * 0.5 / 32, 50 * 0.5 / 32])


def test_a_photo_is_turned_upright(tmp_path):
    pixels = np.zeros((40, 20, 3), dtype=np.uint8)
    pixels[:20] = 255
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    Image.fromarray(pixels).save(tmp_path / "p.png", exif=exif)
    photo = read_photo(tmp_path / "p.png", 20)
    assert isinstance(photo, Photo)
    assert photo.image[0].max() < 20
    assert photo.image[-1].min() > 235


@pytest.mark.parametrize("content", [b"", b"not a photo", b"\x89PNG\r\n\x1a\n torn"])
def test_an_unreadable_photo_is_named(tmp_path, content):
    path = tmp_path / "broken.png"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"broken\.png: not a picture"):
        lift_photos([path], tmp_path / "out")
    with pytest.raises(ValueError, match=r"absent\.png: no such photo"):
        lift_photos([tmp_path / "absent.png"], tmp_path / "out")


@pytest.mark.parametrize("count", [0, 9])
def test_too_few_or_many_photos_are_refused(photos, tmp_path, count):
    with pytest.raises(ValueError, match="give 1 to 8"):
        lift_photos(photos[:1] * count, tmp_path / "out")
