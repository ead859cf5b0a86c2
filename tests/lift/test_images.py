"""Pictures in; files out that agree with the store beside them."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
import trimesh
from numpy.testing import assert_allclose
from PIL import Image

from helpers.lift_seen import assert_seen_where_they_came_from
from spatialsv.cli import main
from spatialsv.lift.images import LiftImagesConfig, folder_of, lift_images
from spatialsv.lift.result import LiftResult, make_point_cloud
from spatialsv.scenes.store import load_store, write_groups

FILES = {
    *("cameras.json", "scene.glb", "scene.ply", "scene.jpg", "sparse_pc.ply", "transforms.json"),
    *("lifted.zarr", "depth", "confidence", "depth_vis", "images", "sparse", "exports"),
}


@pytest.fixture(scope="module")
def lifted(tmp_path_factory, photos, headed):
    out = tmp_path_factory.mktemp("lifted")
    [folder] = lift_images(photos, out, LiftImagesConfig(confidence_percentile=20.0), headed)
    return folder


def test_photos_of_several_shapes_become_one_place(lifted, photos):
    assert {path.name for path in lifted.iterdir()} == FILES
    scenes = load_store(lifted / "lifted.zarr")
    assert scenes.ids == ("photos",) and scenes.shape == (3, 16, 16)
    assert list(scenes.frame_ids[0]) == [str(path) for path in photos]
    assert_allclose(scenes.cam_to_world[0, 0], np.eye(4), atol=1e-12)
    cameras = json.loads((lifted / "cameras.json").read_text())
    for number, view in enumerate(cameras["views"]):
        with Image.open(lifted / view["image"]) as image, Image.open(photos[number]) as photo:
            assert image.size == photo.size == tuple(view["photo_size"])  # nothing was cut
        assert_allclose(view["intrinsics"], scenes.intrinsics[0, number])
        assert_allclose(view["cam_to_world"], scenes.cam_to_world[0, number])
        assert_allclose(view["intrinsics_image"], view["intrinsics_photo"], rtol=1e-12)
    assert cameras["cloud"]["confidence_percentile"] == 20


def test_the_cloud_on_disk_agrees_with_the_store(lifted):
    scenes = load_store(lifted / "lifted.zarr")
    cloud = make_point_cloud(LiftResult(scenes=scenes, views=[]), 20, 10**6)
    assert 0.79 < len(cloud.points) / scenes.depth.size < 0.81
    points = trimesh.load(lifted / "sparse_pc.ply").vertices
    assert_seen_where_they_came_from(LiftResult(scenes=scenes, views=[]), cloud, points)


def test_an_earlier_lift_of_more_views_leaves_nothing(photos, headed, tmp_path):
    lift_images(photos, tmp_path, model=headed)
    (tmp_path / "errors.json").write_text("{}")
    lift_images(photos[:1], tmp_path, model=headed)
    for folder in ("depth", "confidence", "depth_vis"):
        assert [path.name for path in (tmp_path / folder).iterdir()] == ["0000.png"]
    assert not (tmp_path / "errors.json").exists()


def test_the_shipped_teacher_lifts_the_middle_and_says_so(photos, tmp_path, capsys):
    assert main(["lift", *map(str, photos[:2]), "--out", str(tmp_path)]) == 0
    told = capsys.readouterr().out
    assert "only the centre of 2 of 2 images is lifted, such as 50 x 50 of 90 x 50 (44%" in told
    assert "the shipped teacher was trained on rendered rooms only" in told
    view = json.loads((tmp_path / "cameras.json").read_text())["views"][0]
    assert view["part"] == {"left": 20, "top": 0, "width": 50, "height": 50}
    assert view["image_size"] == [50, 50] and view["size"] == [64, 64]
    assert_allclose(
        np.array(view["intrinsics_photo"]) - view["intrinsics_image"],
        [[0, 0, 20], [0, 0, 0], [0, 0, 0]],
        atol=1e-9,
    )


def test_a_model_that_says_nothing_of_its_training_has_no_notice(photos, headed, tmp_path, capsys):
    lift_images(photos[:1], tmp_path, model=headed)
    assert "rooms" not in capsys.readouterr().out.replace(str(headed), "")


def test_scenes_of_a_store_have_a_folder_each_and_errors(tmp_path, tiny_scenes, headed, capsys):
    write_groups(tmp_path / "s.zarr", [tiny_scenes])
    ids = tiny_scenes.ids[:2]
    folders = lift_images([tmp_path / "s.zarr"], tmp_path / "out", None, headed, scenes=ids)
    assert folders == [tmp_path / "out" / name for name in ids]
    errors = json.loads((tmp_path / "out" / "errors.json").read_text())
    assert [row["scene"] for row in errors["scenes"]] == list(ids)
    mean = np.mean([row["abs_rel"] for row in errors["scenes"]])
    assert errors["mean"]["abs_rel"] == pytest.approx(mean) and mean > 0.01
    told = capsys.readouterr().out
    assert f"AbsRel {mean:.3f} with one median scale per scene" in told
    last = r"lift: 2 image sets, 4 views, [\d,]+ points, 0 images skipped; in .*/out"
    assert re.fullmatch(last, told.splitlines()[-1])


def test_more_views_than_the_teacher_takes_are_refused(photos, tmp_path, capsys):
    assert main(["lift", *[str(photos[0])] * 9, "--out", str(tmp_path / "out")]) == 2
    told = capsys.readouterr().err
    assert "photos: 9 views, but the shipped teacher takes at most 8" in told
    assert not (tmp_path / "out").exists()


def test_two_places_of_one_name_are_not_written_into_one_folder(tmp_path, tiny_scenes, headed):
    write_groups(tmp_path / "s.zarr", [tiny_scenes.select([0])])
    with pytest.raises(ValueError, match="Two image sets are named"):
        lift_images([tmp_path / "s.zarr"] * 2, tmp_path / "out", None, headed)


def test_inputs_and_the_stages_own_scenes_do_not_go_together(photos, tmp_path, capsys):
    given = ["lift", str(photos[0]), "--scenes", str(photos[0]), "--out", str(tmp_path)]
    assert main(given) == 2
    assert "unexpected argument" in capsys.readouterr().err


def test_a_fault_of_the_input_is_told_before_a_model_is_loaded(tmp_path):
    with pytest.raises(ValueError, match=r"absent\.png"):
        lift_images([tmp_path / "absent.png"], tmp_path, model=tmp_path / "no model")


def test_ids_become_folders_that_stay_within():
    assert folder_of("a/0001").parts == ("a", "0001")
    assert folder_of("../b c/..").parts == ("_", "b_c", "_")


@pytest.mark.parametrize("percentile", [-1.0, 100.0])
def test_a_percentile_that_is_none_is_refused(percentile):
    with pytest.raises(ValueError, match="confidence_percentile: expected 0 to below 100"):
        LiftImagesConfig(confidence_percentile=percentile)
