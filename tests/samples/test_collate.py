"""Batches: padded on the side asked for, with geometry only where it is known."""

from dataclasses import replace

import pytest
import torch

from spatialsv.geometry.rays import point_map, ray_map
from spatialsv.model.families.qwen2_5_vl import load_mllm
from spatialsv.samples.chat import IGNORED
from spatialsv.samples.collate import Collate
from spatialsv.samples.dataset import SceneDataset


@pytest.fixture(scope="module")
def processor(tiny_mllm):
    return load_mllm(tiny_mllm)[1]


@pytest.fixture(scope="module")
def dataset(tiny_scenes, tiny_questions, tiny_labels, processor):
    return SceneDataset(tiny_scenes, tiny_questions, processor, tiny_labels)


@pytest.mark.parametrize("side", ["left", "right"])
def test_padding_is_masked_and_not_scored(dataset, processor, side):
    samples = [dataset.get(0, 0), dataset.images_only(1)]
    batch = Collate.of(processor, side=side)(samples)
    for row, sample in enumerate(samples):
        kept = batch.attention_mask[row].bool()
        assert torch.equal(batch.input_ids[row][kept], sample.tokens.input_ids)
        assert torch.equal(batch.labels[row][kept], sample.tokens.labels)
        assert bool((batch.labels[row][~kept] == IGNORED).all())
    padded = batch.attention_mask[1].bool()
    assert not padded[0 if side == "left" else -1] and padded[-1 if side == "left" else 0]


def test_images_stand_in_the_order_of_the_samples(dataset, processor):
    samples = [dataset.get(0, 5), dataset.get(0, 0)]
    batch = Collate.of(processor)(samples)
    assert batch.num_views == (2, 2)
    assert torch.equal(batch.pixel_values[:32], samples[0].pixel_values.flatten(0, 1))
    assert int(batch.mm_token_type_ids.sum()) == 4 * 4  # 4 views of 2 x 2 visual tokens


def test_rays_and_points_follow_from_the_labels(dataset, processor, tiny_labels):
    geometry = Collate.of(processor)([dataset.images_only(2)]).geometry
    labels = tiny_labels.select(slice(2, 3))
    rays = ray_map(
        torch.from_numpy(labels.intrinsics), torch.from_numpy(labels.cam_to_world), 32, 32
    )
    points = point_map(torch.from_numpy(labels.depth).double(), rays)
    torch.testing.assert_close(geometry.points, points.float())
    assert geometry.depth.dtype == torch.float32
    assert geometry.points.norm(dim=-1).mean() == pytest.approx(1, abs=1e-5)


def test_samples_without_labels_are_marked_absent(dataset, processor):
    known = dataset.images_only(0)
    batch = Collate.of(processor)([replace(known, target=None), known])
    assert batch.geometry.present.tolist() == [False, True]
    assert not bool(batch.geometry.valid[0].any()) and bool(batch.geometry.valid[1].all())
    assert Collate.of(processor)([replace(known, target=None)]).geometry is None


def test_labels_of_two_shapes_in_a_batch_are_refused(dataset, processor, tiny_questions):
    known = dataset.images_only(0)
    single = dataset.prompt(replace(tiny_questions[0], views=(0,)))
    with pytest.raises(ValueError, match="equally many views"):
        Collate.of(processor)([known, single])


def test_padding_does_not_change_what_the_model_says(dataset, processor, tiny_mllm):
    model = load_mllm(tiny_mllm)[0]
    short, long = dataset.images_only(0), dataset.get(0, 4)
    alone = Collate.of(processor)([short])
    length = len(short.tokens)
    for side in ("left", "right"):
        batch = Collate.of(processor, side=side)([short, long])
        kept = batch.attention_mask[0].bool()
        with torch.no_grad():
            expected = model(**alone.model_inputs()).logits[0, :length]
            found = model(**batch.model_inputs()).logits[0][kept]
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)
