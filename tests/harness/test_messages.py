"""What tasks of lmms-eval ask, without lmms-eval: what is shown, where, and how replies end."""

import pytest
import torch
from PIL import Image

from spatialsv.harness.messages import (
    MAX_NEW_TOKENS,
    VisualInput,
    expand_media,
    max_new_tokens,
    truncate,
    visual_input,
)
from spatialsv.samples.views import PreparedViews

RED, BLUE = (Image.new("RGB", (4, 3), colour) for colour in ("red", "blue"))


def text(words):
    return {"type": "text", "text": words}


def image(url):
    return {"type": "image", "url": url}


def video(url="walk.mp4", **more):
    return {"type": "video", "url": url} | more


def user(*items):
    return {"role": "user", "content": list(items)}


def views(kind, items):
    return PreparedViews(kind=kind, inputs={}, placeholders=(torch.tensor([7]),) * items, grids=())


def test_images_are_shown_in_the_order_of_all_messages():
    asked = [user(text("First"), image(RED)), user(image("b.png"), text("which?"))]
    assert visual_input(asked, "task 0") == VisualInput(images=(RED, "b.png"))
    assert visual_input([user(video(), text("Where?"))], "task 0") == VisualInput(video="walk.mp4")


def test_the_key_is_of_what_is_seen():
    assert VisualInput(images=(RED, BLUE)).key == VisualInput(images=(RED.copy(), BLUE)).key
    others = [
        VisualInput(images=(BLUE, RED)),
        VisualInput(images=(RED,)),
        VisualInput(images=("a.mp4",)),
    ]
    others += [
        VisualInput(video="a.mp4"),
        VisualInput(images=(RED, BLUE.resize((3, 4)))),
        VisualInput(images=(RED, BLUE)),
    ]
    assert len({one.key for one in others}) == len(others)


@pytest.mark.parametrize(
    ("items", "told"),
    [
        ([text("Why?")], "found 0 images and 0 videos"),
        ([image(RED), video()], "found 1 images and 1 videos"),
        ([video(), video()], "found 0 images and 2 videos"),
        ([{"type": "audio", "url": "a.wav"}], "unsupported content 'audio'"),
        ([image(b"png")], "an image is a bytes"),
        ([video(start_time=1.0)], "from 1.0 to None"),
        ([video({"video_start": 1})], "expected a file"),
    ],
)
def test_what_cannot_be_shown_is_refused_with_its_question(items, told):
    with pytest.raises(ValueError, match=f"^vsi 7: .*{told}"):
        visual_input([user(*items)], "vsi 7")


def test_images_stay_among_the_words():
    asked = [{"role": "system", "content": [text("Be brief.")]}, user(text("1:"), image(RED))]
    assert expand_media(asked, views("image", 1)) == [
        {"role": "system", "content": [text("Be brief.")]},
        user(text("1:"), {"type": "image"}),
    ]


@pytest.mark.parametrize(("kind", "items"), [("image", 3), ("video", 1)])
def test_a_video_has_an_item_for_each_placeholder(kind, items):
    found = expand_media([user(video(), text("Where?"))], views(kind, items))
    assert found == [user(*[{"type": kind}] * items, text("Where?"))]


@pytest.mark.parametrize(
    ("settings", "most"),
    [
        ({}, MAX_NEW_TOKENS),
        ({"max_new_tokens": 16, "temperature": 0.0, "top_p": 1.0, "num_beams": 1}, 16),
        ({"max_new_tokens": 8, "temperature": 0.7, "do_sample": False}, 8),
        ({"do_sample": True, "temperature": 0, "repetition_penalty": 1.0}, MAX_NEW_TOKENS),
        ({"repetition_penalty": None, "temperature": None}, MAX_NEW_TOKENS),
    ],
)
def test_greedy_settings_give_the_longest_reply(settings, most):
    assert max_new_tokens(settings, "task 0") == most


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"temperature": 0.7}, "temperature=0.7"),
        ({"num_beams": 5}, "num_beams=5"),
        ({"repetition_penalty": 1.2}, "repetition_penalty=1.2"),
    ],
)
def test_other_than_greedy_replies_are_refused(settings, told):
    with pytest.raises(
        ValueError, match=rf"^task 0: unsupported {told}.*--gen_kwargs temperature=0"
    ):
        max_new_tokens(settings, "task 0")


@pytest.mark.parametrize(
    ("until", "said"),
    [
        (None, "A\n\nsince b.\n"),
        (["\n\n"], "A\n\nsince b.\n"),  # lmms-eval's filler
        ("\n", "A"),
        (["since", "", "A\n"], ""),
        ([".", "zebra"], "A\n\nsince b"),
    ],
)
def test_a_reply_ends_where_the_task_says(until, said):
    assert truncate("A\n\nsince b.\n", until) == said
