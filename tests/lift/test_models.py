import json
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from safetensors.torch import save_file

from helpers.authors import make_environment
from helpers.tiny_families import SAVE
from spatialsv.geometry.maps import GeometryPrediction
from spatialsv.geometry.pose_metrics import pose_errors
from spatialsv.geometry.rays import ray_map
from spatialsv.io.manifest import Manifest, write_manifest
from spatialsv.lift.images import lift_images
from spatialsv.lift.models import (
    TEACHER_TRAINED_ON_ROOMS,
    TRAINED_ON_ROOMS,
    as_scenes,
    load_model,
    training_notice,
)
from spatialsv.lift.views import make_view
from spatialsv.model.heads import SpatialHeads, SpatialHeadsConfig
from spatialsv.model.mllm import load_mllm
from spatialsv.model.spatialsv import SpatialSV, load_spatialsv, save_spatialsv
from spatialsv.scenes.scene import find_invalid_value
from spatialsv.scenes.store import load_store
from spatialsv.teachers.config import DA3


def as_views(images):
    """Images that the model takes as they are."""
    return [
        make_view(str(n), Image.fromarray(image), image.shape[1::-1], None, 10**9)
        for n, image in enumerate(images)
    ]


ROOMS_TEACHER = {"teacher": "rooms-teacher", "revision": "", "licence": "Apache-2.0"}
OTHER_TEACHER = {"teacher": "da3", "revision": "", "licence": "Apache-2.0"}


@pytest.mark.parametrize(
    "told, notice",
    [
        ({}, None),
        ({"teachers": [OTHER_TEACHER]}, None),
        ({"teachers": [OTHER_TEACHER], "images": {"sources": ["scannet"]}}, None),
        ({"teachers": [OTHER_TEACHER], "images": {"sources": ["rooms", "scannet"]}}, None),
        ({"teachers": [OTHER_TEACHER], "images": {"sources": ["rooms"]}}, TRAINED_ON_ROOMS),
        (
            {"teachers": [ROOMS_TEACHER], "images": {"sources": ["scannet"]}},
            TEACHER_TRAINED_ON_ROOMS,
        ),
        ({"teachers": [ROOMS_TEACHER]}, TEACHER_TRAINED_ON_ROOMS),
    ],
)
def test_the_notice_comes_from_what_the_model_was_trained_on(told, notice):
    assert training_notice(told) == notice


def test_the_shipped_teacher_says_its_shape_its_limit_and_its_rooms():
    model = load_model(None)
    assert (model.shape, model.notice) == ((64, 64), TRAINED_ON_ROOMS)
    assert (model.views, model.max_views) == (4, 8)


def test_an_mllm_of_unknown_training_takes_any_shapes_at_once(headed):
    model = load_model(headed)
    assert model.shape is None and model.max_views is None and model.notice is None
    rng = np.random.default_rng(0)
    sizes = ((32, 48), (64, 16), (40, 40))
    images = [rng.integers(0, 255, (*size, 3), dtype=np.uint8) for size in sizes]
    scenes = model.lift(as_views(images))
    assert scenes.depth.shape == (1, 3, 16, 16) and not scenes.has_image
    assert scenes.valid.all() and find_invalid_value(scenes) is None
    # A causal model: what comes later changes nothing before.
    twice, alone = model.lift(as_views(images[:1] * 2)), model.lift(as_views(images[:1]))
    np.testing.assert_allclose(twice.depth[0, 0], alone.depth[0, 0], rtol=1e-4)


@pytest.mark.parametrize("kind", SAVE)
def test_every_family_takes_pictures_of_several_shapes(kind, tmp_path):
    mllm, family = load_mllm(SAVE[kind](tmp_path / "base"))
    config = SpatialHeadsConfig(taps=family.default_taps(), output_size=(8, 8))
    heads = SpatialHeads(config, mllm.config.get_text_config().hidden_size)
    save_spatialsv(tmp_path / "model", SpatialSV(mllm, family, heads))
    images = [np.full((h, w, 3), 90, np.uint8) for h, w in ((40, 64), (64, 32), (48, 48))]
    scenes = load_model(tmp_path / "model").lift(as_views(images))
    assert scenes.depth.shape == (1, 3, 8, 8) and find_invalid_value(scenes) is None


def test_more_views_than_the_llm_has_positions_are_refused(headed):
    images = [np.zeros((64, 64, 3), np.uint8)] * 64
    with pytest.raises(ValueError, match=r"64 views are .* tokens, but .* has 1024 positions"):
        load_model(headed).lift(as_views(images))


def test_pictures_of_several_shapes_are_no_video(headed):
    model = load_model(headed)
    model.family.views_as = "video"
    with pytest.raises(ValueError, match="images must have one shape"):
        model.lift(as_views([np.zeros((32, 48, 3), np.uint8), np.zeros((32, 32, 3), np.uint8)]))


def test_a_model_without_heads_is_refused_before_it_is_loaded(tiny_mllm, tmp_path, monkeypatch):
    monkeypatch.setattr("spatialsv.lift.models.load_spatialsv", lambda *_, **__: 1 / 0)
    with pytest.raises(ValueError, match=r"no such folder\. A hub id .* export --keep-heads"):
        load_model(Path("Qwen/Qwen2.5-VL-3B-Instruct"))
    with pytest.raises(ValueError, match=r"no 3D heads .* export it again with --keep-heads"):
        load_model(tiny_mllm)
    (tmp_path / "mllm").mkdir()
    write_manifest(tmp_path / "manifest.json", Manifest(stage="train", payload={"mllm": "0"}))
    with pytest.raises(ValueError, match=r"trained without 3D heads\. Give a model of an arm with"):
        load_model(tmp_path)


def test_heads_for_distillation_only_are_refused(tiny_mllm, tmp_path):
    mllm, family = load_mllm(tiny_mllm)
    config = SpatialHeadsConfig(tasks=(), feature_channels=4)
    heads = SpatialHeads(config, mllm.config.get_text_config().hidden_size)
    save_spatialsv(tmp_path, SpatialSV(mllm, family, heads))
    with pytest.raises(ValueError, match=r"trained without tasks\. Give a model of an arm with"):
        load_model(tmp_path)


@pytest.mark.parametrize("lost", [0, 2])
def test_a_view_without_a_camera_is_nan_and_the_others_keep_theirs(tiny_labels, lost):
    K, poses = (
        torch.from_numpy(np.concatenate([values[:1], values[1:2]], axis=1)).double()
        for values in (tiny_labels.intrinsics, tiny_labels.cam_to_world)
    )
    rays = ray_map(K, poses, 16, 16)  # 1 scene of 4 views
    directions = rays.directions.clone()
    directions[:, lost] = 0
    one = torch.ones(1, 4, 16, 16)
    scenes = as_scenes(
        GeometryPrediction(
            depth=one,
            depth_confidence=one,
            ray_origins=rays.origins,
            ray_directions=directions,
            ray_confidence=one,
        ),
        ids=("a",),
        source="test",
    )
    found = torch.from_numpy(scenes.cam_to_world)
    assert found[0, lost].isnan().any() and np.isnan(scenes.intrinsics[0, lost]).all()
    errors = pose_errors(found, poses)
    assert errors.without_camera == 3
    assert (errors.rotation > 1e-4).sum() == 3
    assert f"view {lost}" in find_invalid_value(scenes)


@pytest.mark.parametrize("broken", ["heads", "mllm"])
def test_broken_weights_stop_and_are_named(headed, photos, tmp_path, broken):
    model = load_spatialsv(headed)
    part = model.heads if broken == "heads" else model.mllm.model.language_model.layers[1]
    name, weight = next((n, p) for n, p in part.named_parameters() if p.ndim > 1)
    weight.data[0] = float("nan")
    save_spatialsv(tmp_path, model)
    told = rf"{'predictions' if broken == 'heads' else 'hidden states'} .* NaN.*weight .*{name}"
    with pytest.raises(ValueError, match=told):
        lift_images(photos[:1], tmp_path / "out", model=tmp_path)


def test_a_third_party_teacher_lifts_photos_of_several_shapes(photos, tmp_path):
    """Depth Anything 3's worker on a stand-in for its package, which sees a wall."""
    weights = tmp_path / "weights"
    weights.mkdir()
    save_file({"model.bias": torch.zeros(1)}, weights / "model.safetensors")
    (weights / "config.json").write_text(json.dumps({"model_name": "any", "img_size": 56}))
    settings = DA3 | {"path": str(weights), "resolution": 84}
    settings["python"] = str(make_environment(tmp_path / "environment"))
    out = tmp_path / "out"
    lift_images(photos[:2], out, teacher=json.dumps(settings))
    scenes = load_store(out / "lifted.zarr")
    assert scenes.source == "depth-anything/DA3-BASE" and scenes.shape == (2, 50, 90)
    assert scenes.valid[0, 0].mean() > 0.9  # but for interpolated edges
    columns = scenes.valid[0, 1].any(axis=0)
    assert 20 < columns.sum() < 40  # the second photo is upright, padded to the first one's shape
    assert "rooms" not in (out / "scene.html").read_text().split("<main>")[0]


def test_the_preset_is_the_one_of_the_settings():
    path = Path(__file__).parents[2] / "workflow/config/default.yaml"
    assert yaml.safe_load(path.read_text())["teachers"]["da3"] == DA3
