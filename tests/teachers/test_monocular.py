"""Monocular depth in scenes of known cameras: whose unit, and that of the real classes."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from transformers import (
    DepthAnythingConfig,
    DepthAnythingForDepthEstimation,
    DepthProConfig,
    DepthProForDepthEstimation,
    Dinov2Config,
    DPTImageProcessorPil,
)

from spatialsv.scenes.scene import Scenes
from spatialsv.teachers.depth_networks import DepthAnything, DepthPro
from spatialsv.teachers.exact import ExactTeacher
from spatialsv.teachers.load import load_teacher
from spatialsv.teachers.monocular import MonocularTeacher


class Knows:
    """Gives the depth of `scenes`, in their order, times `factor`; however many views are asked."""

    def __init__(self, scenes: Scenes, factor: float) -> None:
        self.depth, self.at = factor * torch.from_numpy(scenes.depth).flatten(0, 1), 0

    def __call__(self, image, intrinsics):
        self.at += len(image)
        return self.depth[self.at - len(image) : self.at]


def labels_by(scenes: Scenes, given: Scenes, factor: float, batch: int = 1):
    teacher = MonocularTeacher(Knows(scenes, factor), batch, "me/mono", "weights 0", "MIT")
    return teacher, teacher.label(given)


@pytest.mark.parametrize("batch", [1, 2, 3])
def test_sparse_points_of_which_some_are_wrong_give_the_scale(tiny_scenes, batch):
    valid = np.zeros_like(tiny_scenes.valid)
    valid[:, :, ::5, ::5] = True
    depth = np.where(valid, tiny_scenes.depth, 0)
    depth[:, :, ::10, ::10] *= 40
    sparse = tiny_scenes.replace(depth=depth, valid=valid)
    teacher, labels = labels_by(tiny_scenes, sparse, 0.3, batch)
    exact = ExactTeacher().label(tiny_scenes)
    assert_allclose(labels.depth, exact.depth, rtol=1e-5)
    assert_allclose(labels.cam_to_world, exact.cam_to_world, atol=1e-6)
    assert_allclose(labels.scale, exact.scale, rtol=1e-5)
    assert labels.valid.all() and not labels.has("features") and not labels.has_image
    assert (labels.source, labels.revision, labels.licence) == ("me/mono", "weights 0", "MIT")
    assert teacher.about["scaled_by"] == {"known depth": 6}
    assert teacher.about["scale_factor"] == pytest.approx(1 / 0.3, rel=1e-5)


def blind(scenes: Scenes, **changed) -> Scenes:
    """Without depth and, since it is grey, without anything to compare."""
    grey = np.full_like(scenes.image, 128)
    return scenes.replace(depth=None, valid=None, instance=None, image=grey, **changed)


def test_cameras_in_metres_are_taken_at_their_word_where_nothing_else_tells(tiny_scenes):
    teacher, labels = labels_by(tiny_scenes, blind(tiny_scenes), 1.1)
    assert teacher.about == {"scaled_by": {"metres": 6}, "scale_factor": 1.0}
    metres = labels.depth * labels.scale[:, None, None, None]
    assert_allclose(metres, 1.1 * tiny_scenes.depth, rtol=1e-5)


def test_a_unit_that_nothing_tells_is_refused_with_the_scene(tiny_scenes):
    with pytest.raises(ValueError, match="Scene 'plane-0': cannot find the unit of its cameras"):
        labels_by(tiny_scenes, blind(tiny_scenes, unit="relative"), 1.0)


def test_unknown_cameras_are_refused(tiny_scenes):
    bare = blind(tiny_scenes, intrinsics=None, cam_to_world=None)
    with pytest.raises(ValueError, match=r"images with cameras \(intrinsics and poses\)"):
        labels_by(tiny_scenes, bare, 1.0)


def backbone(**changed) -> Dinov2Config:
    return Dinov2Config(
        **{"hidden_size": 16, "num_hidden_layers": 4, "num_attention_heads": 2, "mlp_ratio": 2}
        | {"image_size": 28, "patch_size": 14}
        | changed
    )


@pytest.fixture
def depth_anything(tmp_path):
    def save(kind: str = "metric"):
        torch.manual_seed(0)
        config = DepthAnythingConfig(
            backbone_config=backbone(
                out_features=[f"stage{i}" for i in range(1, 5)], reshape_hidden_states=False
            ),
            reassemble_hidden_size=16,
            neck_hidden_sizes=[8, 8, 8, 8],
            fusion_hidden_size=8,
            head_hidden_size=4,
            depth_estimation_type=kind,
            max_depth=20 if kind == "metric" else None,
        )
        DepthAnythingForDepthEstimation(config).save_pretrained(tmp_path)
        processor = DPTImageProcessorPil(
            size={"height": 42, "width": 42}, ensure_multiple_of=14, keep_aspect_ratio=True
        )
        processor.save_pretrained(tmp_path)
        return tmp_path

    return save


@pytest.fixture
def depth_pro(tmp_path):
    torch.manual_seed(0)
    tower = backbone(image_size=16, patch_size=4).to_dict()
    config = DepthProConfig(
        patch_size=16,
        image_model_config=tower,
        patch_model_config=tower,
        fov_model_config=tower,
        intermediate_hook_ids=[2, 1],
        intermediate_feature_dims=[8, 8],
        scaled_images_ratios=[0.5, 1.0],
        scaled_images_overlap_ratios=[0.0, 0.2],
        scaled_images_feature_dims=[8, 8],
        merge_padding_value=1,
        fusion_hidden_size=8,
        use_fov_model=True,
    )
    model = DepthProForDepthEstimation(config)
    with torch.no_grad():
        model.head.layers[-2].weight.mul_(1e-4)
        model.head.layers[-2].bias.fill_(0.2)  # or its ReLU may well leave nothing
    model.save_pretrained(tmp_path)
    prepared = {
        "image_processor_type": "DepthProImageProcessor",
        "image_mean": [0.5] * 3,
        "image_std": [0.5] * 3,
        "size": {"height": 32, "width": 32},
    }
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(prepared))
    return tmp_path


def cameras(views: int, focal: float) -> torch.Tensor:
    return torch.tensor([[focal, 0, 20], [0, focal, 15], [0, 0, 1]]).double().expand(views, 3, 3)


def test_depth_anything_labels_views_as_its_own_classes_do(depth_anything, tiny_scenes):
    folder = depth_anything()
    image = tiny_scenes.image[0]
    found = DepthAnything(folder)(image, cameras(2, 30.0))
    model = DepthAnythingForDepthEstimation.from_pretrained(folder).eval()
    inputs = DPTImageProcessorPil.from_pretrained(folder)(images=list(image), return_tensors="pt")
    with torch.no_grad():
        expected = model(**inputs).predicted_depth
    assert found.shape == (2, 32, 32) and (found > 0).all() and (found < 20).all()
    assert_allclose(found.mean(), expected.mean(), rtol=1e-3)


def test_depth_anything_that_gives_disparity_is_refused(depth_anything):
    with pytest.raises(ValueError, match="the model predicts relative depth"):
        DepthAnything(depth_anything("relative"))


def test_depth_pro_is_metric_by_the_known_focal_length(depth_pro):
    image = np.random.default_rng(0).integers(0, 256, (2, 30, 40, 3), dtype=np.uint8)
    network = DepthPro(depth_pro)
    near, far = network(image, cameras(2, 20.0)), network(image, cameras(2, 40.0))
    assert near.shape == (2, 30, 40) and (near > 0).all()
    assert_allclose(far, 2 * near, rtol=1e-5)
    pixels = torch.from_numpy(image).float().movedim(-1, 1) / 127.5 - 1
    pixels = torch.nn.functional.interpolate(pixels, (32, 32), mode="bilinear")
    with torch.no_grad():
        inverse = DepthProForDepthEstimation.from_pretrained(depth_pro).eval()(pixels)
    inverse = torch.nn.functional.interpolate(
        inverse.predicted_depth[:, None], (30, 40), mode="bilinear"
    )
    assert_allclose(near, 1 / (inverse[:, 0] * 40 / 20), rtol=1e-4)


def test_a_checkpoint_is_loaded_by_its_settings_and_told_by_its_content(
    depth_anything, tiny_scenes
):
    settings = {"kind": "depth_anything", "hub": "me/mono", "path": str(depth_anything())}
    labels = load_teacher(json.dumps(settings | {"licence": "MIT"}), 2).label(tiny_scenes)
    assert labels.depth.shape == tiny_scenes.depth.shape
    assert labels.source == "me/mono" and labels.revision.startswith("weights ")
    with pytest.raises(ValueError, match=r"No licence on record for me/mono. Set `licence:`"):
        load_teacher(json.dumps(settings), 2)


def test_a_checkpoint_that_is_not_whole_is_refused(depth_anything):
    folder = depth_anything()
    config = json.loads((folder / "config.json").read_text())
    config["backbone_config"]["num_hidden_layers"] = 5
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match=r"the checkpoint lacks .* such as backbone"):
        DepthAnything(folder)
