"""Packed chats: the tokens of chats of their own behind shared images, each slot in its place."""

from dataclasses import replace

import pytest
import torch

from helpers.tiny import shown
from spatialsv.model.mllm import load_mllm
from spatialsv.samples.batch import pack
from spatialsv.samples.chat import Chat
from spatialsv.samples.collate import Collate
from spatialsv.samples.dataset import SamplesConfig, SceneDataset


@pytest.fixture(scope="module")
def processor(tiny_mllm):
    return load_mllm(tiny_mllm)[1]


@pytest.fixture(scope="module")
def dataset(tiny_scenes, tiny_questions, tiny_labels, processor):
    config = SamplesConfig(questions_per_sample=3, packed=True)
    return SceneDataset(tiny_scenes, tiny_questions, processor, tiny_labels, config)


def test_every_token_stands_in_the_slot_that_names_it():
    packing = pack(4, [[2, 3], [1]])
    assert packing.slots.shape == (2, 2, 3) and packing.visible.shape == (2, 2, 4)
    tokens = torch.tensor([[10, 11, 20, 21, 22], [30, 0, 0, 0, 0]])
    for row, questions in enumerate([[[10, 11], [20, 21, 22]], [[30]]]):
        for number, question in enumerate(questions):
            assert tokens[row, packing.slots[row, number]][: len(question)].tolist() == question
    flat = torch.stack([tokens[row, packing.slots[row].flatten()] for row in range(2)])
    assert torch.equal(flat.gather(1, packing.slot_index)[0], tokens[0])
    assert packing.steps[0].tolist() == [0, 1, 0, 1, 2]


def test_packed_chats_are_those_asked_alone(processor, tiny_questions):
    chat = Chat(processor)
    asked, views = tiny_questions[:3], shown(processor, 4, 4)
    packed = chat.packed(asked, views)
    head = len(packed) - sum(packed.tails)
    at = head
    for question, length in zip(asked, packed.tails, strict=True):
        alone = chat.with_answers([question], views)
        here = slice(at, at + length)
        assert torch.equal(alone.input_ids[:head], packed.input_ids[:head])
        assert torch.equal(alone.input_ids[head:], packed.input_ids[here])
        assert torch.equal(alone.labels[head:], packed.labels[here])
        at += length
    assert at == len(packed) and int(packed.input_ids[head - 1]) in processor.visual_tokens


def test_images_without_text_stand_among_packed_chats(dataset, processor):
    samples = [dataset.get(0, 0), dataset.images_only(1)]
    packing = Collate(processor=processor, packed=True)(samples).packing
    assert packing.head == len(samples[1].tokens) - samples[1].tokens.tails[0]
    assert packing.slots.shape[1] == 3
    assert Collate(processor=processor)(samples).packing is None


def test_samples_with_other_images_cannot_be_packed_together(dataset, processor, tiny_questions):
    single = dataset.prompt(replace(tiny_questions[0], views=(0,)))
    short = replace(single, target=None, tokens=replace(single.tokens, tails=(3,)))
    with pytest.raises(ValueError, match=r"Set train\.packed to false"):
        Collate(processor=processor, packed=True)([dataset.get(0, 0), short])
