"""Packed samples: the chat template's tokens, and exactly the answers of questions asked alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from spatialsv.base.architecture import (
    ArchitectureConfig,
    build_image_processor,
    build_model,
    build_tokenizer,
)
from spatialsv.base.corpus import patchify
from spatialsv.base.encode import TaskEncoder
from spatialsv.base.tasks import PretrainingQuestion
from spatialsv.model.packed import enable_packed_attention
from spatialsv.samples.chat import IGNORED

CONFIG = ArchitectureConfig(width=48, layers=2, heads=2, mlp=48, vision_width=32, vision_layers=1)
SAMPLES = [
    [
        PretrainingQuestion(question="What is it?", answer="red chair, ball"),
        PretrainingQuestion(question="Where is the lamp?\nA. left\nB. right", answer="B"),
        PretrainingQuestion(question="And this?", answer="box"),
    ],
    [PretrainingQuestion(question="Which of all images shows the ball?", answer="2")],
]


@pytest.fixture(scope="module")
def tokenizer():
    texts = [part for lesson in SAMPLES for asked in lesson for part in (asked.question, "chair")]
    return build_tokenizer(texts * 4, ArchitectureConfig(vocabulary=320))


@pytest.fixture(scope="module")
def model():
    return build_model(CONFIG, seed=0).eval()


@pytest.fixture(scope="module")
def pixels():
    images = np.random.default_rng(0).integers(0, 256, (4, 64, 64, 3), dtype=np.uint8)
    return patchify(images, build_image_processor(CONFIG))


def _packed_logits(model, batch, **images):
    enable_packed_attention(model)
    inputs = {k: v for k, v in batch.items() if k not in ("labels", "weights")}
    logits = model(**inputs, **images, use_cache=False).logits
    model.set_attn_implementation({"text_config": "sdpa"})
    return logits


def test_each_question_follows_the_prompt_as_the_chat_template_writes_it(tokenizer) -> None:
    encoder = TaskEncoder(tokenizer, views=2, side=1)
    asked = SAMPLES[0][0]
    images = [{"type": "image"}, {"type": "image"}]
    messages = [
        {"role": "user", "content": [*images, {"type": "text", "text": asked.question}]},
        {"role": "assistant", "content": asked.answer},
    ]
    expected = tokenizer.apply_chat_template(messages, tokenize=False)
    ids, labels = encoder.encode(asked)
    whole = tokenizer(expected, add_special_tokens=False)["input_ids"]
    assert [*encoder.prompt, *ids] == whole[: len(encoder.prompt) + len(ids)]
    assert tokenizer.decode(whole[len(encoder.prompt) + len(ids) :]) == "\n"
    assert tokenizer.decode([i for i in labels if i != IGNORED]) == "red chair, ball<|im_end|>"
    assert encoder.encode_prompt(asked.question).tolist() == [
        *encoder.prompt,
        *ids[: labels.count(IGNORED)],
    ]


@pytest.mark.parametrize("views", [0, 2])
def test_packed_questions_get_the_logits_of_questions_asked_alone(
    model, tokenizer, pixels, views: int
) -> None:
    encoder = TaskEncoder(tokenizer, views, side=4)
    batch = encoder.batch(SAMPLES)
    values, grid = pixels
    images, one = {}, {}
    if views:
        images = {"pixel_values": values, "image_grid_thw": grid}
    with torch.no_grad():
        logits = _packed_logits(model, batch, **images)
        for row, lesson in enumerate(SAMPLES):
            at = len(encoder.prompt)
            for asked in lesson:
                ids = encoder.encode(asked)[0]
                tokens = torch.tensor([[*encoder.prompt, *ids]])
                if views:
                    shown = slice(128 * row, 128 * row + 128)  # patches of this lesson's two images
                    one = {"pixel_values": values[shown], "image_grid_thw": grid[:2]}
                    one["mm_token_type_ids"] = (tokens == encoder.image_id).int()
                alone = model(input_ids=tokens, **one, use_cache=False).logits[0]
                here = logits[row, at : at + len(ids)]
                torch.testing.assert_close(here, alone[-len(ids) :], atol=1e-4, rtol=1e-4)
                at += len(ids)


def test_view_masks_hide_the_other_views(model, tokenizer, pixels) -> None:
    encoder = TaskEncoder(tokenizer, views=2, side=4)
    values, grid = pixels[0][:128], pixels[1][:2]
    changed = values.clone()
    changed[64:] += 1.0  # the second view
    asked = [
        [
            PretrainingQuestion(question="What is it?", answer="box", view=view)
            for view in (0, 1, None)
        ]
    ]
    batch = encoder.batch(asked)
    start, length = len(encoder.prompt), len(encoder.encode(asked[0][0])[0])
    with torch.no_grad():
        before, after = (
            _packed_logits(model, batch, pixel_values=v, image_grid_thw=grid)[0, start:]
            for v in (values, changed)
        )
    moved = (before - after).abs().amax(dim=-1)
    assert moved[:length].max() == 0 and moved[length:].min() > 0


def test_answers_are_labelled_and_weigh_the_root_of_their_length(tokenizer) -> None:
    batch = TaskEncoder(tokenizer, views=1, side=2).batch(SAMPLES)
    scored = batch["labels"] != IGNORED
    assert torch.equal(batch["labels"][scored], batch["input_ids"][scored])
    assert torch.equal(batch["weights"] > 0, scored)
    lengths = [[len(tokenizer(a.answer)["input_ids"]) + 1 for a in lesson] for lesson in SAMPLES]
    expected = torch.tensor([sum(n**0.5 for n in row) for row in lengths])
    torch.testing.assert_close(batch["weights"].sum(dim=1), expected)


def test_what_a_letter_stands_for_is_asked_for_at_the_end_of_the_first_line(tokenizer) -> None:
    encoder = TaskEncoder(tokenizer, views=1, side=2)
    plain, asked = (
        PretrainingQuestion(question="Where is it?\nA. chair\nB. box", answer="B", option=option)
        for option in (None, "box")
    )
    ids, labels = encoder.encode(asked)
    assert (ids, labels[-2:]) == (encoder.encode(plain)[0], ids[-2:])
    (place,) = (i for i, label in enumerate(labels[:-2]) if label != IGNORED)
    assert tokenizer.decode(ids[:place]) == "Where is it?\n"
    assert labels[place] == tokenizer("box")["input_ids"][0]


def test_gradients_pass_through_packed_attention(model, tokenizer) -> None:
    encoder = TaskEncoder(tokenizer, views=0, side=4)
    model.zero_grad()
    _packed_logits(model, encoder.batch(SAMPLES)).square().mean().backward()
    packed_gradient = model.lm_head.weight.grad.clone()
    assert packed_gradient.isfinite().all()
    query = model.model.language_model.layers[0].self_attn.q_proj.weight.grad
    assert query.isfinite().all() and query.abs().max() > 0


def test_the_tokenizer_gives_any_text_back(tokenizer) -> None:
    text = "A zebra, naïve: 3.5 m²\n<|im_end|>"
    assert tokenizer.decode(tokenizer(text)["input_ids"]) == text
    assert tokenizer.convert_tokens_to_ids("<|image_pad|>") == 6
