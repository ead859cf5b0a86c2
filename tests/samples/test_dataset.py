"""Samples: reproducible, complete over an epoch, and with the geometry of the views they show."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from spatialsv.geometry.maps import labels_from_cameras
from spatialsv.model.mllm import load_mllm
from spatialsv.samples.chat import IGNORED
from spatialsv.samples.dataset import SamplesConfig, SceneDataset
from spatialsv.scenes.store import open_store, write_store


@pytest.fixture(scope="module")
def processor(tiny_mllm):
    return load_mllm(tiny_mllm)[1]


@pytest.fixture
def make(tiny_scenes, tiny_questions, processor):
    def build(questions=tiny_questions, labels=None, seed=0, **config):
        return SceneDataset(
            tiny_scenes, questions, processor, labels, SamplesConfig(**config), seed
        )

    return build


def pixels(sample):
    return sample.views.inputs["pixel_values"]


def asked(dataset, epoch):
    return [tuple(dataset.get(epoch, i).tokens.input_ids.tolist()) for i in range(len(dataset))]


def test_each_question_is_asked_once_an_epoch(make, tiny_questions):
    dataset = make(questions_per_sample=2)
    assert len(dataset) == 6 * 2  # three questions a scene, in packs of two and one
    answers = [dataset.get(3, i).tokens.labels for i in range(len(dataset))]
    ends = sum(int((a == dataset.chat.tokenizer.eos_token_id).sum()) for a in answers)
    assert ends == len(tiny_questions)


def test_samples_follow_from_seed_epoch_and_number(make):
    one, other = make(questions_per_sample=2, seed=5), make(questions_per_sample=2, seed=5)
    other.get(1, 3)  # what was read before does not matter
    assert asked(one, 2) == asked(other, 2)
    assert asked(one, 2) != asked(one, 3)
    assert asked(one, 2) != asked(make(questions_per_sample=2, seed=6), 2)


def test_pixels_are_the_processors_own(make, tiny_scenes, processor):
    sample = make().get(0, 4)
    expected = processor.image_processor(images=list(tiny_scenes.image[1]), return_tensors="pt")
    for name in ("pixel_values", "image_grid_thw"):
        assert torch.equal(sample.views.inputs[name], expected[name])


def test_pixels_beyond_the_kept_memory_are_the_same(make):
    assert torch.equal(pixels(make(cache_gib=0.0).get(0, 2)), pixels(make().get(0, 2)))


def test_blank_images_tell_nothing(make):
    dataset = make(blank_images=True)
    first, last = dataset.get(0, 0), dataset.get(0, 17)
    assert torch.equal(pixels(first), pixels(last))
    assert pixels(first).shape == pixels(make().get(0, 0)).shape
    assert len(first.tokens) == len(make().get(0, 0).tokens)


def test_targets_are_found_by_id_not_by_row(make, tiny_labels):
    backwards = tiny_labels.select(np.arange(len(tiny_labels))[::-1])
    target = make(labels=backwards).get(0, 0).target
    assert torch.equal(target.depth, torch.from_numpy(tiny_labels.depth[0]))


def test_a_choice_of_views_gets_its_own_frame_and_scale(make, tiny_questions, tiny_labels):
    question = replace(tiny_questions[0], views=(1,))
    target = make(questions=[question], labels=tiny_labels).get(0, 0).target
    assert torch.allclose(target.cam_to_world, torch.eye(4, dtype=torch.float64)[None])
    labels = labels_from_cameras(
        target.depth[None], target.valid[None], target.intrinsics[None], target.cam_to_world[None]
    )
    assert labels.points.norm(dim=-1).mean() == pytest.approx(1, abs=1e-5)
    ratio = target.depth / torch.from_numpy(tiny_labels.depth[0, 1])
    assert float(ratio.std()) < 1e-6


def test_a_scene_without_a_valid_pixel_has_no_target(make, tiny_labels):
    valid = tiny_labels.valid.copy()
    valid[0] = False
    dataset = make(labels=tiny_labels.replace(valid=valid))
    assert dataset.images_only(0).target is None
    assert dataset.images_only(1).target is not None


def test_a_prompt_has_no_answer(make, tiny_questions):
    sample = make().prompt(tiny_questions[0])
    assert bool((sample.tokens.labels == IGNORED).all())


def test_missing_labels_are_named(make, tiny_labels):
    with pytest.raises(ValueError, match=r"1 of 6 scenes have no labels by exact.*'plane-0'"):
        make(labels=tiny_labels.select(slice(1, None)))


def test_labels_of_other_views_are_refused(make, tiny_labels):
    fewer = {
        name: getattr(tiny_labels, name)[:, :1]
        for name in ("depth", "valid", "intrinsics", "cam_to_world", "confidence", "features")
    }
    with pytest.raises(ValueError, match="made from other images"):
        make(labels=tiny_labels.replace(**fewer))


def test_questions_about_other_scenes_or_views_are_refused(make, tiny_questions):
    with pytest.raises(ValueError, match="'elsewhere', which is in none"):
        make(questions=[replace(tiny_questions[0], scene="elsewhere")])
    with pytest.raises(ValueError, match=r"shows views \(0, 2\) of a scene of 2"):
        make(questions=[replace(tiny_questions[0], views=(0, 2))])


def test_scenes_in_stores_give_the_samples_of_scenes_in_memory(
    tmp_path, tiny_scenes, tiny_labels, tiny_questions, processor
):
    stores = []
    for name, scenes in (("scenes", tiny_scenes), ("labels", tiny_labels)):
        write_store(tmp_path / f"{name}.zarr", scenes)
        stores.append(open_store(tmp_path / f"{name}.zarr"))
    stored = SceneDataset(stores[0], tiny_questions, processor, stores[1])
    held = SceneDataset(tiny_scenes, tiny_questions, processor, tiny_labels)
    for index in (0, 4, len(held) - 1):
        one, other = stored.get(2, index), held.get(2, index)
        assert one.ids == other.ids and torch.equal(pixels(one), pixels(other))
        for name in ("depth", "valid", "intrinsics", "cam_to_world", "features"):
            assert torch.equal(getattr(one.target, name), getattr(other.target, name))
