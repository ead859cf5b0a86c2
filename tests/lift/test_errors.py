"""Errors of lifted places: none where the truth is lifted, the known ones where it is bent."""

import numpy as np
import pytest
from PIL import Image

from helpers.tiny import synthetic_scenes
from spatialsv.lift.errors import compare_with_source
from spatialsv.lift.image_sets import ImageSet
from spatialsv.lift.images import LiftImagesConfig, lift_image_set
from spatialsv.lift.measure import ground_truth, summarise
from spatialsv.lift.models import load_model
from spatialsv.lift.result import LiftResult
from spatialsv.lift.views import make_view
from spatialsv.rooms.layout import RoomsConfig
from spatialsv.rooms.splits import split_seeds
from spatialsv.rooms.views import render_views
from spatialsv.scenes.scene import Cameras, Geometry, Scenes


@pytest.fixture(scope="module")
def wide() -> Scenes:
    """A scene that is wider than high."""
    scene = synthetic_scenes().select([0])
    cut = {name: getattr(scene, name)[:, :, 6:26] for name in ("depth", "valid", "image")}
    K = scene.intrinsics.copy()
    K[..., 1, 2] -= 6
    return scene.replace(intrinsics=K, instance=None, **cut)


def lifted_as(truth: Scenes, size: tuple[int, int]) -> Scenes:
    """What a model without errors makes of `truth`, whose views are of its shape."""
    known = ground_truth(truth, size)
    return Scenes(
        ids=truth.ids,
        geometry=Geometry(
            cameras=Cameras(
                intrinsics=known.intrinsics.numpy(), cam_to_world=known.cam_to_world.numpy()
            ),
            depth=known.depth.float().numpy(),
            valid=known.valid.numpy(),
        ),
        unit="relative",
    )


def middle_of(scene: Scenes) -> Scenes:
    """The centre_crop 20 of 32 columns, cut by hand."""
    K = scene.intrinsics.copy()
    K[..., 0, 2] -= 6
    cut = {name: getattr(scene, name)[..., 6:26] for name in ("depth", "valid")}
    return scene.replace(image=None, intrinsics=K, **cut)


def compare(lifted: Scenes, source: Scenes, shape: tuple[int, int] | None, crop: bool = False):
    """Compare with the source whose images a model of one shape was shown."""
    images = [Image.fromarray(image) for image in source.image[0]]
    views = [make_view("p", image, image.size, shape, 10**6, crop) for image in images]
    return compare_with_source(LiftResult(scenes=lifted, views=views), source)


def padded(lifted: Scenes, rows: int) -> Scenes:
    """The same with rows of nothing above and below."""
    K = lifted.intrinsics.copy()
    K[..., 1, 2] += rows
    edges = ((0, 0), (0, 0), (rows, rows), (0, 0))
    maps = {name: np.pad(getattr(lifted, name), edges) for name in ("depth", "valid")}
    return lifted.replace(intrinsics=K, **maps)


def test_padded_truth_has_no_errors(wide):
    found = compare(padded(lifted_as(wide, (20, 32)), 6), wide, (32, 32))
    assert found.row["raw_abs_rel"] == pytest.approx(0, abs=1e-6)
    assert found.row["depth_points_error"] == pytest.approx(0, abs=1e-6)
    assert found.row["rotation_error"] == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize("size", [(20, 20), (10, 10)])
def test_truth_lifted_has_no_errors(wide, size):
    found = compare(lifted_as(middle_of(wide), size), wide, (64, 64), crop=True)
    for name, value in found.row.items():
        if name in ("abs_rel", "view_abs_rel", "raw_abs_rel", "rotation_error"):
            assert value == pytest.approx(0, abs=2e-6), name
        if name.endswith("delta1"):
            assert value == 1
    assert found.row["depth_points_error"] == pytest.approx(0, abs=1e-6)
    assert found.row["scene"] == wide.ids[0]


def test_a_scale_shows_in_raw_errors_alone(wide):
    exact = lifted_as(middle_of(wide), (20, 20))
    doubled = exact.replace(depth=2 * exact.depth)
    row = compare(doubled, wide, (64, 64), crop=True).row
    assert row["raw_abs_rel"] == pytest.approx(1)
    assert row["abs_rel"] == pytest.approx(0, abs=1e-6)


def test_whole_pictures_are_measured_whole(wide):
    row = compare(lifted_as(wide, (20, 32)), wide, None).row
    assert row["raw_abs_rel"] == pytest.approx(0, abs=1e-6)


def test_posed_scenes_without_depth_have_errors_of_poses_alone(wide):
    posed = wide.replace(depth=None, valid=None)
    exact = lifted_as(wide, (20, 32))
    found = compare(exact, posed, None)
    assert set(found.row) == {"scene", "rotation_error", "translation_error"}
    assert found.row["rotation_error"] == pytest.approx(0, abs=1e-5)
    turn = np.eye(4)
    turn[:2, :2] = [[np.cos(0.1), -np.sin(0.1)], [np.sin(0.1), np.cos(0.1)]]
    poses = exact.cam_to_world.copy()
    poses[0, 1] = poses[0, 1] @ turn
    row = compare(exact.replace(cam_to_world=poses), posed, None).row
    assert row["rotation_error"] == pytest.approx(np.degrees(0.1))
    assert summarise([row], found.pairs)["pose_auc30"] == 1


def test_padded_wide_photos_have_smaller_errors_than_their_centres():
    """At the field of view of training: a crop has a smaller one, which the teacher never saw."""
    _, rooms = render_views(split_seeds("validation", 0, 6), RoomsConfig(image_size=96, samples=1))
    K = rooms.intrinsics.copy()
    K[..., 1, 2] -= 21
    wide = {name: getattr(rooms, name)[:, :, 21:-21] for name in ("depth", "valid", "image")}
    wide = rooms.replace(intrinsics=K, instance=None, **wide)
    model, errors = load_model(None), {}
    for crop in (False, True):
        config = LiftImagesConfig(crop=crop)
        images = [image_set(scene) for scene in wide]
        lifted = [lift_image_set(one, model, config)[0] for one in images]
        found = [compare_with_source(one, scene) for one, scene in zip(lifted, wide, strict=True)]
        errors[crop] = summarise(
            [one.row for one in found], [p for one in found for p in one.pairs]
        )
    assert errors[False]["abs_rel"] < 0.9 * errors[True]["abs_rel"]
    assert errors[False]["rotation_error"] < 0.7 * errors[True]["rotation_error"]


def image_set(scene: Scenes) -> ImageSet:
    images = tuple(Image.fromarray(image) for image in scene.image[0])
    return ImageSet(
        id=scene.ids[0],
        names=tuple(map(str, range(len(images)))),
        sizes=tuple(image.size for image in images),
        images=images,
    )
