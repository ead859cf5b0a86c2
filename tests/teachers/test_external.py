"""The workers and what is made of their answers, on networks whose geometry is known."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from safetensors.torch import save_file

from helpers.authors import make_environment
from spatialsv.geometry.rays import point_map, ray_map
from spatialsv.scenes.scene import Scenes
from spatialsv.teachers.config import TeacherConfig
from spatialsv.teachers.external import ExternalTeacher
from spatialsv.teachers.worker import RAY_CHANNELS, read_output

PHOTOS = np.random.default_rng(0).integers(0, 256, (2, 3, 40, 60, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def python(tmp_path_factory) -> Path:
    return make_environment(tmp_path_factory.mktemp("environment"))


@pytest.fixture
def scenes() -> Scenes:
    return Scenes(ids=("here", "there"), image=PHOTOS, source="photos")


@pytest.fixture
def teacher(python, tmp_path):
    def make(kind: str, name: str = "any", **settings) -> ExternalTeacher:
        parts = ("da3.bias", "da3_metric.bias") if name == "nested" else ("bias",)
        prefix = "model." if kind == "da3" else ""
        weights = {f"{prefix}{part}": torch.zeros(1) for part in parts}
        save_file(weights, tmp_path / "model.safetensors")
        (tmp_path / "config.json").write_text(json.dumps({"model_name": name, "img_size": 56}))
        given = {"hub": "me/mine", "licence": "MIT", "resolution": 84, "feature_grid": (2, 2)}
        given |= {"path": str(tmp_path), "python": str(python)} | settings
        return ExternalTeacher(TeacherConfig(kind=kind, **given))

    return make


def points_of(labels: Scenes) -> torch.Tensor:
    """(S, N, H, W, 3) in the first view's frame, in the unit that the teacher had."""
    depth, K, poses = (
        torch.from_numpy(a).double() for a in (labels.depth, labels.intrinsics, labels.cam_to_world)
    )
    return point_map(depth, ray_map(K, poses, *depth.shape[-2:]))


@pytest.mark.parametrize("kind", ["vggt", "da3"])
def test_a_wall_comes_out_flat_and_cameras_where_they_stand(teacher, scenes, kind):
    made = teacher(kind)
    labels = made.label(scenes)
    points = points_of(labels)
    inner = points[..., 2:-2, 2:-2, 2]  # resized maps lean on fewer pixels at their borders
    assert_allclose(inner, inner.mean(), rtol=2e-3)
    unit = 4 / float(inner.mean())
    centres = labels.cam_to_world[..., :3, 3] * unit
    assert_allclose(centres, [[[0, 0, 0], [0.5, 0, 0], [1, 0, 0]]] * 2, atol=5e-3)
    assert_allclose(points.norm(dim=-1).mean(dim=(1, 2, 3)), 1, rtol=1e-5)
    assert_allclose(labels.intrinsics[0, 0], [[48, 0, 30], [0, 36, 20], [0, 0, 1]], rtol=1e-6)
    assert labels.valid.all() and not labels.has("scale") and labels.unit == "relative"
    assert (labels.source, labels.licence) == ("me/mine", "MIT")
    assert labels.revision.startswith({"vggt": "vggt 0.0.1", "da3": "depth-anything-3 0.1.1"}[kind])


def test_features_are_those_of_patches_averaged_to_the_grid(teacher, scenes):
    tokens = np.arange(3 * 4 * 6, dtype=float).reshape(3, 4, 6)  # what the networks give
    averaged = tokens.reshape(3, 2, 2, 2, 3).mean(axis=(2, 4))
    vggt = teacher("vggt").label(scenes).features
    assert vggt.dtype == np.float16
    assert_allclose(vggt[0, ..., 0], averaged)
    da3 = teacher("da3").label(scenes).features  # the last layer's own, not those before it
    assert_allclose(da3[1], np.stack([averaged, -averaged], axis=-1))


def test_rays_that_agree_are_told_and_a_view_whose_rays_do_not_is_not_trusted(teacher, scenes):
    agrees = teacher("da3")
    agrees.label(scenes)
    assert agrees.about["ray_degrees"] < 1e-3 and agrees.about["ray_origin_spread"] < 1e-5
    assert agrees.about["views_distrusted"] == 0
    astray = teacher("da3", "astray")
    labels = astray.label(scenes)
    assert labels.valid[:, :2].all() and not labels.valid[:, 2].any()
    assert astray.about["views_distrusted"] == 2


def test_a_metric_network_keeps_its_scale_and_leaves_the_sky_out(teacher, scenes):
    labels = teacher("da3", "nested").label(scenes)
    assert not labels.valid[:, :, :19].any() and labels.valid[:, :, 21:].all()
    metres = points_of(labels)[0, :, 25:-2, 2:-2, 2] * labels.scale[0]
    assert_allclose(metres, 12, rtol=2e-3)


def test_a_scene_that_fails_is_named_and_the_worker_goes_on(teacher, scenes, capfd):
    made = teacher("vggt")
    grey = PHOTOS.copy()
    grey[1] = 128
    with pytest.raises(ValueError, match="Scene 'there': RuntimeError: a grey wall"):
        made.label(scenes.replace(image=grey))
    process = made.worker.process
    assert made.label(scenes).ids == ("here", "there")
    assert made.worker.process is process
    assert "what a package prints" in capfd.readouterr().err


def test_a_worker_that_dies_is_told_with_the_scene(teacher, scenes):
    made = teacher("vggt")
    made.worker.process.kill()
    with pytest.raises(ValueError, match=r"Scene 'here': the worker crashed \(exit code -9"):
        made.label(scenes)


def test_what_cannot_be_loaded_is_told(teacher, scenes, tmp_path, capfd):
    with pytest.raises(ValueError, match="See its log above"):
        teacher("da3", "mono").label(scenes)
    assert "mono predicts no cameras" in capfd.readouterr().err
    with pytest.raises(ValueError, match="See its log above"):
        teacher("da3", "da3-huge").label(scenes)
    assert "unknown model_name 'da3-huge'" in capfd.readouterr().err
    lacks = teacher("vggt")
    save_file({"other": torch.zeros(1)}, tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match="See its log above"):
        lacks.label(scenes)
    assert "1 parameters are missing, such as bias" in capfd.readouterr().err
    nowhere = teacher("vggt", python="/no/such/python")
    with pytest.raises(
        ValueError, match=r"/no/such/python: Python interpreter not found.*workflow/envs/vggt.yaml"
    ):
        nowhere.label(scenes)


def arrays(**changed) -> dict[str, np.ndarray]:
    rays = np.zeros((2, 2, 2, 6), dtype=np.float32)
    rays[..., 2] = 1
    plain = {
        "depth": np.ones((2, 4, 6), np.float32),
        "confidence": np.ones((2, 4, 6), np.float32),
        "world_to_camera": np.tile(np.eye(4, dtype=np.float32), (2, 1, 1)),
        "intrinsics": np.tile(np.float32([[6, 0, 3], [0, 6, 2], [0, 0, 1]]), (2, 1, 1)),
        "features": np.ones((2, 1, 1, 3), np.float16),
        "rays": rays,
    }
    return {name: value for name, value in (plain | changed).items() if value is not None}


def wrong(name: str, place: tuple, value: float) -> dict[str, np.ndarray]:
    changed = arrays()[name].copy()
    changed[place] = value
    return {name: changed}


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"confidence": None}, "missing arrays: confidence"),
        (
            {"depth": np.ones((2, 4, 5), np.float32)},
            r"confidence: expected shape \(2, 4, 5\), found \(2, 4, 6\)",
        ),
        (
            {"depth": np.ones((3, 4, 6), np.float32)},
            r"depth: expected shape \(2, 4, 6\), found \(3, 4, 6\)",
        ),
        ({"depth": np.zeros((2, 4, 6), np.float32)}, "depth has no positive finite value"),
        (wrong("features", (0, 0, 0, 0), np.nan), "features has values that are not finite"),
        (wrong("world_to_camera", (1, 0, 0), 1.2), "not a rigid motion"),
        (wrong("world_to_camera", (1, 0, 0), -1), "not a rigid motion"),  # mirrored
        (wrong("intrinsics", (1, 0, 1), 0.5), "invalid intrinsics of view 1"),
        (wrong("intrinsics", (0, 1, 1), 4e7), "invalid intrinsics of view 0"),
        ({"rays": np.ones((2, 2, 2, 5), np.float32)}, "rays: expected channels"),
        ({"depth": np.array([None])}, "pickle"),
    ],
)
def test_an_answer_that_cannot_be_right_is_refused(tmp_path, changed, told):
    found = arrays(**changed)
    for name, values in found.items():
        np.save(tmp_path / f"{name}.npy", values)
    channels = dict.fromkeys(found) | {"rays": RAY_CHANNELS}
    with pytest.raises(ValueError, match=f"Scene 'here': invalid output of the teacher: .*{told}"):
        read_output(tmp_path, channels, "here", 2)


def test_rays_go_by_their_channels_names_not_their_order(tmp_path):
    found = arrays()
    found["rays"][..., 3:] = [7, 8, 9]
    order = [4, 2, 0, 5, 1, 3]
    found["rays"] = found["rays"][..., order]
    for name, values in found.items():
        np.save(tmp_path / f"{name}.npy", values)
    channels = dict.fromkeys(found) | {"rays": [RAY_CHANNELS[i] for i in order]}
    rays = read_output(tmp_path, channels, "here", 2).rays
    assert rays.directions[0, 0, 0].tolist() == [0, 0, 1]
    assert rays.origins[0, 0, 0].tolist() == [7, 8, 9]
