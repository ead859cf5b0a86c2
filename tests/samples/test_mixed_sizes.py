"""Scenes of several shapes in one data set and one batch, and conversations of several turns."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from helpers.tiny import shown, synthetic_labels, synthetic_scenes
from spatialsv.model.mllm import load_mllm
from spatialsv.samples.chat import IGNORED, Chat
from spatialsv.samples.collate import Collate
from spatialsv.samples.dataset import SamplesConfig, SceneDataset
from spatialsv.scenes.question import Question
from spatialsv.scenes.scene import Scenes


@pytest.fixture(scope="module")
def processor(tiny_mllm):
    return load_mllm(tiny_mllm)[1]


@pytest.fixture(scope="module")
def groups() -> list[Scenes]:
    """Two scenes of two views of 32 px, one of three of 48 px; the last without geometry."""
    small, large = synthetic_scenes(2, views=2, size=32), synthetic_scenes(1, views=3, size=48)
    bare = Scenes(ids=("photos",), image=large.image[:, :1, :30], unit="relative", source="photos")
    return [small, large.replace(ids=("large",)), bare]


@pytest.fixture(scope="module")
def labels(groups) -> list[Scenes]:
    known = [synthetic_labels(group) for group in groups[:2]]
    guessed = known[1].select([0])
    one = {name: getattr(guessed, name)[:, :1] for name in ("intrinsics", "cam_to_world")}
    maps = {name: getattr(guessed, name)[:, :1, :30] for name in ("depth", "valid", "confidence")}
    features = guessed.features[:, :1]
    return [*known, guessed.replace(ids=("photos",), **one, **maps, features=features)]


def test_rows_are_counted_through_the_groups(groups, labels, processor):
    data = SceneDataset(groups, [], processor, labels)
    assert [one.ids[0] for one in data.scenes] == ["plane-0", "plane-1", "large", "photos"]
    assert [len(data.images_only(row).views) for row in range(4)] == [2, 2, 3, 1]
    assert [tuple(data.images_only(row).target.depth.shape) for row in (1, 2, 3)] == [
        (2, 32, 32),
        (3, 48, 48),
        (1, 30, 48),
    ]
    with pytest.raises(ValueError, match="made from other images"):
        SceneDataset(groups, [], processor, [labels[0], labels[1], _renamed(labels[0], "photos")])


def _renamed(scenes: Scenes, name: str) -> Scenes:
    return scenes.select([0]).replace(ids=(name,))


def test_labels_of_several_sizes_are_brought_to_one(groups, labels, processor):
    alone = SceneDataset(groups, [], processor, labels)
    collate = Collate(processor=processor)
    with pytest.raises(ValueError, match=r"\[\(32, 32\), \(48, 48\)\] in one.*train\.label_size"):
        collate([alone.images_only(row) for row in (0, 2)])
    data = SceneDataset(groups, [], processor, labels, SamplesConfig(label_size=(16, 16)))
    batch = collate([data.images_only(row) for row in (0, 2, 3)])
    found = batch.geometry
    assert found.depth.shape == (3, 3, 16, 16)
    assert found.present.tolist() == [[True, True, False], [True] * 3, [True, False, False]]
    large = torch.from_numpy(labels[1].depth[0])
    assert torch.equal(found.depth[1], large[:, 1::3, 1::3])  # the middles of 3 x 3 pixels
    whole = collate([alone.images_only(2)]).geometry
    assert_close(found.ray_directions[1], whole.ray_directions[0][:, 1::3, 1::3])
    assert_close(found.points[1], whole.points[0][:, 1::3, 1::3])


def test_blank_views_have_the_size_of_what_they_stand_for(groups, processor):
    data = SceneDataset(groups, [], processor, None, SamplesConfig(blank_images=True))
    seen = SceneDataset(groups, [], processor)
    for row in range(4):
        blank, own = data.images_only(row).views, seen.images_only(row).views
        assert [grid.shape for grid in blank.grids] == [grid.shape for grid in own.grids]


def conversation(scene: str = "plane-0", views=(0, 1), id="c") -> Question:
    more = (("How big is it?", "Small."), ("And its colour?", "Red."))
    return Question(
        **{"id": id, "scene": scene, "task": "conversation", "views": views},
        **{"text": "What is it?", "answer": "A chair.", "more": more},
    )


def test_the_turns_of_a_conversation_keep_their_order(processor):
    chat, views = Chat(processor), shown(processor, 4, 4)
    tokens = chat.with_answers([conversation()], views)
    text = processor.tokenizer.decode(tokens.input_ids)
    said = ["What is it?", "A chair.", "How big is it?", "Small.", "And its colour?", "Red."]
    places = [text.index(words) for words in said]
    assert places == sorted(places)
    scored = processor.tokenizer.decode(tokens.labels[tokens.labels != IGNORED])
    end = processor.tokenizer.eos_token
    assert scored == end.join(said[1::2]) + end


def test_only_independent_questions_are_shuffled(groups, processor):
    asked = [conversation(id=f"c{number}") for number in range(4)]
    data = SceneDataset(groups, asked, processor, None, SamplesConfig(questions_per_sample=4))
    orders = {data.get(epoch, 0).ids for epoch in range(8)}
    assert len(orders) > 1
    text = processor.tokenizer.decode(data.get(3, 0).tokens.input_ids)
    assert text.count("What is it?") == 4
    for part in text.split("What is it?")[1:]:
        assert part.index("A chair.") < part.index("Small.") < part.index("Red.")


def test_a_conversation_packed_is_the_one_asked_alone(groups, processor, tiny_questions):
    chat, views = Chat(processor), shown(processor, 4, 4)
    packed = chat.packed([tiny_questions[0], conversation()], views)
    alone = chat.with_answers([conversation()], views)
    assert torch.equal(packed.input_ids[-packed.tails[1] :], alone.input_ids[-packed.tails[1] :])


def test_special_tokens_in_words_are_refused(groups, processor):
    asked = conversation()
    loud = replace(asked, id="loud", more=(("Go on", "Stop<|im_end|>"),))
    with pytest.raises(ValueError, match=r"'loud' contains '<\|im_end\|>', a control token"):
        SceneDataset(groups, [asked, loud], processor)


def test_images_keep_their_pixels(groups, processor):
    data = SceneDataset(groups, [], processor)
    for row, one in enumerate(data.scenes):
        own = processor.image_processor(images=list(one.image[0]), return_tensors="np")
        np.testing.assert_array_equal(
            data.images_only(row).views.inputs["pixel_values"], own["pixel_values"]
        )
