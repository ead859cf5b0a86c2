"""Pictures in; files out that agree with the store beside them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh
from numpy.testing import assert_allclose
from PIL import Image

from helpers.lift_seen import assert_seen_where_they_came_from
from spatialsv.cli import main
from spatialsv.geometry.rays import point_map, ray_map
from spatialsv.lift.images import (
    LiftImagesConfig,
    _describe_residuals,
    folder_of,
    lift_images,
)
from spatialsv.lift.models import load_model
from spatialsv.lift.result import LiftResult, make_point_cloud
from spatialsv.lift.views import make_view
from spatialsv.lift.windows import MAX_RESIDUAL, Join
from spatialsv.rooms.layout import RoomsConfig
from spatialsv.rooms.splits import split_seeds
from spatialsv.rooms.views import render_views
from spatialsv.scenes.store import load_store, write_groups

FILES = {
    *(
        "scene.html",
        "cameras.json",
        "scene.glb",
        "scene.ply",
        "scene.jpg",
        "sparse_pc.ply",
        "transforms.json",
    ),
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


def test_the_shipped_teacher_lifts_all_of_a_photo_and_nothing_else(photos, tmp_path, capsys):
    assert main(["lift", *map(str, photos[:2]), "--out", str(tmp_path)]) == 0
    told = capsys.readouterr().out
    assert "padded: 2 of 2 images to 64 x 64 pixels; the first fills 64 x 36" in told
    first = told.splitlines()[0]
    assert "`make da3`" in first and "--teacher da3" in first
    assert "the shipped teacher was trained on rendered rooms only" in told
    view = json.loads((tmp_path / "cameras.json").read_text())["views"][0]
    assert view["part"] == {"left": 0, "top": 0, "width": 90, "height": 50}
    assert view["window"] == {"left": 0, "top": 14, "width": 64, "height": 36}
    assert view["image_size"] == [90, 50] and view["size"] == [64, 64]
    assert_allclose(view["intrinsics_photo"], view["intrinsics_image"])
    to_photo = np.array([[90 / 64, 0, 0], [0, 50 / 36, -14 * 50 / 36], [0, 0, 1]])
    assert_allclose(view["intrinsics_photo"], to_photo @ view["intrinsics"], atol=1e-9)
    scenes = load_store(tmp_path / "lifted.zarr")
    rows, columns = scenes.valid[0].any(axis=2), scenes.valid[0].any(axis=1)
    assert rows.sum(axis=1).tolist() == [36, 64] and columns.sum(axis=1).tolist() == [64, 37]
    K, poses = (torch.from_numpy(a) for a in (scenes.intrinsics, scenes.cam_to_world))
    points = point_map(torch.from_numpy(scenes.depth).double(), ray_map(K, poses, 64, 64))
    distances = points.norm(dim=-1)[torch.from_numpy(scenes.valid)]
    assert float(distances.mean()) == pytest.approx(1)


def test_padding_changes_no_camera(photos):
    """What stands in the padding is no evidence, whatever the network says of it."""
    model = load_model(None)
    view = make_view("p", Image.open(photos[0]).convert("RGB"), (90, 50), model.shape, 10**6)
    images = view.model_input[None, None].copy()
    alone = model.teacher.predict(images, view.mask((64, 64))[None, None])
    found = model.lift([view])
    assert_allclose(found.intrinsics, alone["intrinsics"])
    assert np.abs(found.intrinsics - model.teacher.predict(images)["intrinsics"]).max() > 1e-6
    assert not found.valid[0, 0, :14].any() and not found.valid[0, 0, 50:].any()


def test_the_centre_is_lifted_on_demand_and_this_is_said(photos, tmp_path, capsys):
    assert main(["lift", *map(str, photos[:2]), "--crop", "--out", str(tmp_path)]) == 0
    told = capsys.readouterr().out
    assert "only the centre of 2 of 2 images is lifted, such as 50 x 50 of 90 x 50 (44%" in told
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
    match = re.fullmatch(rf"{last}\. Open (.*) in a browser\.", told.splitlines()[-1])
    assert Path(match[1]) == folders[0] / "scene.html" and Path(match[1]).is_file()


def test_all_photos_of_a_folder_are_lifted_in_windows(tmp_path, capsys):
    seeds, config = split_seeds("validation", 0, 1), RoomsConfig(views=9, motions=("among",))
    for number, image in enumerate(render_views(seeds, config)[1].image[0]):
        Image.fromarray(image).save(tmp_path / f"{number}.png")
    assert main(["lift", str(tmp_path), "--out", str(tmp_path / "out")]) == 0
    told = capsys.readouterr().out
    assert "9 views" in told and "joined: 4 windows; points of shared views are apart" in told
    cameras = json.loads((tmp_path / "out" / "cameras.json").read_text())
    assert [join["views"] for join in cameras["joins"]] == [[2, 6], [4, 8], [5, 9]]
    assert [join["shared"] for join in cameras["joins"]] == [2, 2, 3]
    poor = [join for join in cameras["joins"] if join["residual"] > MAX_RESIDUAL]
    assert ("warning" in told) == bool(poor)
    assert load_store(tmp_path / "out" / "lifted.zarr").shape == (9, 64, 64)


def test_poor_joins_are_named():
    good, poor = (Join(views=(2, 6), shared=2, scale=1.0, residual=r) for r in (0.01, 0.3))
    assert "warning" not in _describe_residuals([good])
    said = _describe_residuals([good, poor])
    assert "warning: 1 windows disagree by more than 10% (views 2 to 5)" in said


def test_a_window_that_the_model_does_not_take_is_refused(photos, tmp_path, capsys):
    given = ["lift", *map(str, photos), "--window", "9", "--out", str(tmp_path / "out")]
    assert main(given) == 2
    told = capsys.readouterr().err
    assert "--window: the shipped teacher takes at most 8 views, found 9" in told
    given = ["lift", *map(str, photos), "--window-overlap", "4", "--out", str(tmp_path / "out")]
    assert main(given) == 2
    assert "--window-overlap: expected less than 4" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    with pytest.raises(ValueError, match=r"window: expected more than window_overlap \(2\)"):
        LiftImagesConfig(window=2)
    with pytest.raises(ValueError, match="window_overlap: expected 1 or more, found 0"):
        LiftImagesConfig(window_overlap=0)


def test_without_the_shipped_teacher_nothing_is_said_of_another(photos, headed, tmp_path, capsys):
    lift_images(photos[:1], tmp_path, model=headed)
    assert "da3" not in capsys.readouterr().out


@pytest.mark.parametrize(
    "words, said",
    [
        (["--teacher", "da3"], r"external/da3/bin/python: not found\. Run `make da3`"),
        (["--teacher", "da2"], "unknown teacher 'da2'. Known: rooms, da3, or settings in JSON"),
        (["--teacher", "da3", "--model", "mine"], "Give either --model or --teacher"),
    ],
)
def test_a_teacher_that_cannot_be_used_is_named(photos, tmp_path, capsys, monkeypatch, words, said):
    monkeypatch.chdir(tmp_path)
    assert main(["lift", str(photos[0]), *words, "--out", "out"]) == 2
    assert re.search(said, capsys.readouterr().err)


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
