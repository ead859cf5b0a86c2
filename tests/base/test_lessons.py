"""Lessons: the chat format is the tokenizer's own, the ladder climbs, answers alone are scored."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from spatialsv.base.architecture import (
    ArchitectureConfig,
    build_image_processor,
    build_model,
    build_tokenizer,
)
from spatialsv.base.corpus import patchify, rooms_of
from spatialsv.base.encode import LessonEncoder
from spatialsv.base.lessons import (
    IMAGE,
    LessonConfig,
    RoomText,
    drills,
    lesson,
    read_texts,
    room_text,
    write_texts,
)
from spatialsv.base.vision import KINDS, SURFACES, PatchReader, patch_classes, settle, surfaces
from spatialsv.samples.chat import IGNORED
from spatialsv.scenes.rooms.layout import RoomsConfig
from spatialsv.scenes.rooms.parts import COLOURS
from spatialsv.scenes.rooms.photograph import photograph

ROOMS, SCENES = photograph(range(3), RoomsConfig(samples=1))
TEXTS = [room_text(room, seen) for room, seen in zip(ROOMS, SCENES.instance, strict=True)]
CONFIG = ArchitectureConfig(width=32, layers=2, heads=2, mlp=48, vision_width=32, vision_layers=1)


@pytest.fixture(scope="module")
def tokenizer():
    texts = [line for text in TEXTS for line in (*text.captions, *(q for _, q, _ in text.steps))]
    return build_tokenizer(texts * 4, ArchitectureConfig(vocabulary=512))


def _words(turns) -> str:
    return " ".join(part for turn in turns for part in turn)


def test_early_lessons_ask_about_each_view_as_soon_as_it_is_shown() -> None:
    config = LessonConfig(single_turns=3)
    for text in TEXTS:
        turns = lesson(text, 0.0, config, np.random.default_rng(0))
        assert _words(turns).count(IMAGE) == 4
        known = {stem for _, stem, _ in text.steps} | {stem for _, stem, _, _ in text.choices}
        view = 0
        for question, answer in turns:
            view += question.startswith(IMAGE)
            stem = question.removeprefix(IMAGE).splitlines()[0]
            if stem == f"What does image {view} show?":
                assert answer == text.captions[view - 1]
            elif not stem.startswith("Which letter is"):
                assert stem in known and f"image {view}" in stem
        assert view == 4 and 4 < len(turns) <= 16


def test_later_lessons_show_all_views_first() -> None:
    config = LessonConfig(single_later=0.0)
    for seed in range(20):
        for text in TEXTS:
            turns = lesson(text, 0.5, config, np.random.default_rng(seed))
            assert turns[0][0].count(IMAGE) == 4 and IMAGE not in _words(turns[1:])
            assert len(turns) == config.turns


def test_drills_need_no_image_and_tell_the_option_whose_letter_they_ask() -> None:
    turns = drills(TEXTS[0], 50, np.random.default_rng(0))
    assert len(turns) == 50 and IMAGE not in _words(turns)
    for question, letter in turns:
        first, *options = question.splitlines()
        told = first.removeprefix("Which letter is ").removesuffix("?")
        assert f"{letter}. {told}" in options
    assert {letter for _, letter in turns} == set("ABCD")


def test_an_easy_question_comes_open_lettered_and_as_a_drill() -> None:
    text = RoomText(
        captions=("x",), steps=(), choices=(("t", "What?", "lamp", ("lamp", "bed", "box")),)
    )
    config = LessonConfig(single_later=0.0, turns=2)
    forms = set()
    for seed in range(60):
        for question, answer in lesson(text, 1.0, config, np.random.default_rng(seed)):
            lines = question.removeprefix(IMAGE).splitlines()
            if lines[0] in ("What?", "Which letter is lamp?"):
                forms.add((lines[0], len(lines)))
                assert answer == "lamp" if len(lines) == 1 else f"{answer}. lamp" in lines
    assert forms == {("What?", 1), ("What?", 4), ("Which letter is lamp?", 4)}


def test_texts_survive_the_disk(tmp_path) -> None:
    write_texts(tmp_path / "t.jsonl", TEXTS)
    assert read_texts(tmp_path / "t.jsonl") == TEXTS


def test_the_encoder_writes_the_chat_template(tokenizer) -> None:
    turns = [(IMAGE * 2 + "What is it?", "red chair, ball"), ("Where?\nA. 1\nB. 2", "B")]
    messages = []
    for user, assistant in turns:
        images = [{"type": "image"}] * user.count(IMAGE)
        text = {"type": "text", "text": user.replace(IMAGE, "")}
        messages += [
            {"role": "user", "content": [*images, text]},
            {"role": "assistant", "content": assistant},
        ]
    expected = tokenizer.apply_chat_template(messages, tokenize=False)
    ids, labels = LessonEncoder(tokenizer, tokens_per_image=1).encode(turns)
    assert ids == tokenizer(expected, add_special_tokens=False)["input_ids"]
    scored = tokenizer.decode([token for token in labels if token != IGNORED])
    assert scored == "red chair, ball<|im_end|>B<|im_end|>"


def test_batches_are_padded_and_marked(tokenizer) -> None:
    encoder = LessonEncoder(tokenizer, tokens_per_image=16)
    batch = encoder.batch([[(IMAGE, "a")], [(IMAGE * 2 + "Longer question?", "b")]])
    assert batch["mm_token_type_ids"].sum(dim=1).tolist() == [16, 32]
    assert batch["attention_mask"][0].sum() < batch["attention_mask"][1].sum()
    assert (batch["labels"][batch["attention_mask"] == 0] == IGNORED).all()


def test_the_tokenizer_gives_any_text_back(tokenizer) -> None:
    text = "A zebra, naïve: 3.5 m²\n<|im_end|>"
    assert tokenizer.decode(tokenizer(text)["input_ids"]) == text
    assert tokenizer.convert_tokens_to_ids("<|image_pad|>") == 6


def test_patches_are_those_of_the_image_processor() -> None:
    processor = build_image_processor(CONFIG)
    images = SCENES.image[0]
    expected = processor(images=list(images), return_tensors="pt")
    values, grid = patchify(images, processor)
    torch.testing.assert_close(values, expected["pixel_values"], atol=1e-6, rtol=0)
    assert torch.equal(grid, expected["image_grid_thw"])


def test_stale_scenes_are_refused() -> None:
    assert [room.id for room in rooms_of(SCENES, RoomsConfig())] == list(SCENES.ids)
    moved = replace(SCENES, cam_to_world=SCENES.cam_to_world + 0.01)
    with pytest.raises(ValueError, match=r"rooms-00000000: .* delete it"):
        rooms_of(moved, RoomsConfig())


def test_patch_classes_name_what_covers_a_patch() -> None:
    classes = patch_classes(ROOMS, SCENES, patch=8)
    assert classes.shape == (3, 4, 64, 2)
    room, instance = ROOMS[1], SCENES.instance[1, 2]
    order = [
        (2 * block_row + row, 2 * block_column + column)
        for block_row in range(4)
        for block_column in range(4)
        for row in range(2)
        for column in range(2)
    ]
    for place, (row, column) in enumerate(order):
        block = instance[8 * row : 8 * row + 8, 8 * column : 8 * column + 8]
        counts = np.bincount(block.ravel(), minlength=len(room.things) + 1)[1:]
        kind, colour = classes[1, 2, place].tolist()
        if counts.max() < 8:
            assert KINDS[kind] in SURFACES and colour == 0
            continue
        thing = room.things[counts.argmax()]
        assert KINDS[kind] == thing.category and list(COLOURS)[colour - 1] == thing.colour


def test_surfaces_lie_where_a_level_camera_sees_them() -> None:
    kinds = surfaces(ROOMS, SCENES)
    bare = SCENES.instance == 0
    row = np.broadcast_to(np.arange(64)[:, None], kinds.shape)
    wall, floor, ceiling = (row[bare & (kinds == kind)] for kind in range(3))
    assert wall.mean() < floor.mean() and len(wall) > 0.1 * bare.sum() < len(floor)
    assert not len(ceiling) or ceiling.max() < floor.min()


def test_tokens_settle_to_the_size_of_words() -> None:
    model = build_model(CONFIG, seed=0)
    pixels, grid = patchify(SCENES.image[0], build_image_processor(CONFIG))
    tokens = model.model.visual(pixels, grid_thw=grid).pooler_output
    settle(model.model.visual.merger, tokens, 0.7)
    settled = model.model.visual(pixels, grid_thw=grid).pooler_output
    torch.testing.assert_close(settled, tokens * (0.7 / tokens.norm(dim=-1).mean()))


def test_the_reader_learns_classes_from_the_encoder() -> None:
    model = build_model(CONFIG, seed=0)
    pixels, grid = patchify(SCENES.image[0], build_image_processor(CONFIG))
    classes = torch.from_numpy(patch_classes(ROOMS, SCENES, 8)[0]).reshape(-1, 2)
    reader = PatchReader(CONFIG.width)
    optimiser = torch.optim.Adam([*model.model.visual.parameters(), *reader.parameters()], lr=1e-2)
    losses = []
    for _ in range(40):
        loss = reader.loss(model.model.visual(pixels, grid_thw=grid).pooler_output, classes)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.3 * losses[0]
