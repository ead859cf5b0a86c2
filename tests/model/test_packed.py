"""Packed questions: the same logits, gradients and geometry as questions asked one by one."""

import pytest
import torch
from torch.testing import assert_close

from spatialsv.losses.text import text_loss
from spatialsv.model.heads import SpatialHeads, SpatialHeadsConfig
from spatialsv.model.mllm import load_mllm
from spatialsv.model.packed import enable_packed_attention
from spatialsv.model.spatialsv import SpatialSV
from spatialsv.samples.collate import Collate
from spatialsv.samples.dataset import SamplesConfig, SceneDataset


@pytest.fixture
def models(tiny_mllm):
    """(packed, plain, processor): one model twice."""
    packed, processor = load_mllm(tiny_mllm)
    enable_packed_attention(packed)
    return packed, load_mllm(tiny_mllm)[0], processor


@pytest.fixture
def samples(tiny_scenes, tiny_questions, tiny_labels, models):
    """Two packed samples of two and three questions, and these five alone, in that order."""
    config = SamplesConfig(questions_per_sample=3, packed=True)
    dataset = SceneDataset(tiny_scenes, tiny_questions, models[2], tiny_labels, config)
    whole = [dataset.get(0, index) for index in range(2)]
    alone = []
    for sample in whole:
        head = len(sample.tokens) - sum(sample.tokens.tails)
        at = head
        for length in sample.tokens.tails:
            ids, labels = (
                torch.cat([tokens[:head], tokens[at : at + length]])
                for tokens in (sample.tokens.input_ids, sample.tokens.labels)
            )
            tokens = type(sample.tokens)(input_ids=ids, labels=labels, tails=(length,))
            alone.append(type(sample)(**vars(sample) | {"tokens": tokens}))
            at += length
    return whole, alone


def _loss_and_gradient(mllm, processor, samples, **settings):
    output = SpatialSV(mllm, processor)(Collate(processor=processor, **settings)(samples))
    loss = text_loss(output.logits, output.targets)
    mllm.zero_grad()
    loss.backward()
    return loss, mllm.model.language_model.layers[0].self_attn.k_proj.weight.grad


def test_loss_and_gradients_are_those_of_questions_asked_alone(models, samples):
    packed, plain, processor = models
    found = _loss_and_gradient(packed, processor, samples[0], packed=True)
    expected = _loss_and_gradient(plain, processor, samples[1])
    assert expected[1].abs().max() > 0
    assert_close(found, expected, rtol=1e-4, atol=1e-6)


def test_bf16_is_as_near_as_it_can_be(models, samples):
    packed, plain, processor = models
    expected = _loss_and_gradient(plain, processor, samples[1])
    with torch.autocast("cpu", torch.bfloat16):
        found = _loss_and_gradient(packed, processor, samples[0], packed=True)
        alone = _loss_and_gradient(plain, processor, samples[1])
    for got, unpacked, exact in zip(found, alone, expected, strict=True):
        off, scale = (got - exact).norm() / exact.norm(), (unpacked - exact).norm() / exact.norm()
        assert off < max(2 * scale, 0.02)


def test_geometry_is_the_same(models, samples):
    packed, plain, processor = models
    torch.manual_seed(0)
    heads = SpatialHeads(SpatialHeadsConfig(taps=(1, 2, 3, 4)), hidden_size=32)
    with torch.no_grad():
        found = SpatialSV(packed, processor, heads)(
            Collate(processor=processor, packed=True)(samples[0])
        ).lifted
        first = [samples[1][0], samples[1][len(samples[0][0].tokens.tails)]]
        expected = SpatialSV(plain, processor, heads)(Collate(processor=processor)(first)).lifted
    assert_close(found.depth, expected.depth, rtol=1e-4, atol=1e-5)
    assert_close(found.points, expected.points, rtol=1e-4, atol=1e-5)


def test_no_question_sees_another(models, samples):
    packed, _, processor = models
    batch = Collate(processor=processor, packed=True)(samples[0])
    first = batch.packing.head + samples[0][0].tokens.tails[0]
    changed = batch.input_ids.clone()
    changed[0, batch.packing.head : first] = 5  # another first question
    model = SpatialSV(packed, processor)
    plain = [
        model(type(batch)(**vars(batch) | {"input_ids": ids, "labels": None})).logits[0]
        for ids in (batch.input_ids, changed)
    ]
    moved = (plain[0] - plain[1]).abs().amax(dim=-1)
    assert moved[: batch.packing.head].max() == 0 and moved[first:].max() == 0
    assert moved[batch.packing.head : first].max() > 0
