"""Batches: padded on the side asked for, with geometry only where it is known."""

from dataclasses import replace

import pytest
import torch

from helpers.tiny import shown
from spatialsv.geometry.rays import point_map, ray_map
from spatialsv.model.mllm import load_mllm
from spatialsv.samples.chat import IGNORED
from spatialsv.samples.collate import Collate, locate_visual_tokens, resize_grid
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
    batch = Collate(processor=processor, side=side)(samples)
    for row, sample in enumerate(samples):
        kept = batch.attention_mask[row].bool()
        assert torch.equal(batch.input_ids[row][kept], sample.tokens.input_ids)
        assert torch.equal(batch.labels[row][kept], sample.tokens.labels)
        assert bool((batch.labels[row][~kept] == IGNORED).all())
    padded = batch.attention_mask[1].bool()
    assert not padded[0 if side == "left" else -1] and padded[-1 if side == "left" else 0]


def test_images_stand_in_the_order_of_the_samples(dataset, processor):
    samples = [dataset.get(0, 5), dataset.get(0, 0)]
    batch = Collate(processor=processor)(samples)
    first = samples[0].views.inputs["pixel_values"]
    assert torch.equal(batch.inputs["pixel_values"][: len(first)], first)
    assert int(batch.inputs["mm_token_type_ids"].sum()) == 4 * 4  # 4 views of 2 x 2 visual tokens
    assert batch.token_index.shape == (2, 2, 2, 2)


def test_rays_and_points_follow_from_the_labels(dataset, processor, tiny_labels):
    geometry = Collate(processor=processor)([dataset.images_only(2)]).geometry
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
    batch = Collate(processor=processor)([replace(known, target=None), known])
    assert batch.geometry.present.tolist() == [[False, False], [True, True]]
    assert not bool(batch.geometry.valid[0].any()) and bool(batch.geometry.valid[1].all())
    assert Collate(processor=processor)([replace(known, target=None)]).geometry is None


def test_a_sample_of_fewer_views_teaches_those_it_has(dataset, processor, tiny_questions):
    single = dataset.prompt(replace(tiny_questions[0], views=(1,)))
    batch = Collate(processor=processor)([dataset.images_only(0), single])
    assert batch.geometry.present.tolist() == [[True, True], [True, False]]
    assert not bool(batch.geometry.valid[1, 1].any())
    torch.testing.assert_close(batch.geometry.depth[1, 0], single.target.depth[0])
    assert bool((batch.token_index[1, 1] == 0).all())


def test_labels_of_two_sizes_in_a_batch_are_refused(dataset, processor):
    known = dataset.images_only(0)
    small = {name: getattr(known.target, name)[:, ::2] for name in ("depth", "valid")}
    other = replace(known, target=replace(known.target, **small))
    with pytest.raises(ValueError, match=r"Labels of \(height, width\) \[\(16, 32\), \(32, 32\)\]"):
        Collate(processor=processor)([known, other])


def test_views_of_different_grids_share_one_by_the_nearest_cell():
    grid = torch.arange(6).view(2, 3)
    assert resize_grid(grid, 2, 3).equal(grid)
    assert resize_grid(grid, 4, 3).tolist() == [[0, 1, 2], [0, 1, 2], [3, 4, 5], [3, 4, 5]]
    assert resize_grid(grid, 2, 6).tolist() == [[0, 0, 1, 1, 2, 2], [3, 3, 4, 4, 5, 5]]


def test_truncated_visual_tokens_are_noticed(processor):
    views = shown(processor, 4, 4)
    ids = torch.cat(views.placeholders)[None, :6]
    with pytest.raises(ValueError, match=r"expected 8 visual tokens for its views, found 6"):
        locate_visual_tokens(ids, [views], processor.visual_tokens)


def test_padding_does_not_change_what_the_model_says(dataset, processor, tiny_mllm):
    model = load_mllm(tiny_mllm)[0]
    short, long = dataset.images_only(0), dataset.get(0, 4)
    alone = Collate(processor=processor)([short])
    length = len(short.tokens)
    for side in ("left", "right"):
        batch = Collate(processor=processor, side=side)([short, long])
        kept = batch.attention_mask[0].bool()
        with torch.no_grad():
            expected = model(**alone.model_inputs()).logits[0, :length]
            found = model(**batch.model_inputs()).logits[0][kept]
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)
