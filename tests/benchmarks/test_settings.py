"""What a score depends on, and which differences make two scores incomparable."""

from __future__ import annotations

from dataclasses import replace

import pytest

from spatialsv.benchmarks.benchmark import Item
from spatialsv.benchmarks.responses import Response
from spatialsv.benchmarks.settings import differences, digest_items, settings_of

INPUTS = {"video": "v.mp4", "frames": [0, 4], "sizes": [[8, 8]] * 2, "decoder": "PyAV 15"}
RESPONSES = [
    Response(id=str(n), response="A", answer="A", prompt=f"Which {n}?", inputs=INPUTS)
    for n in range(3)
]
CONFIG = {"frames": 2, "max_pixels": None, "max_new_tokens": 16, "blank_images": False}


def changed(responses=RESPONSES, about=None, **config) -> list[str]:
    found = settings_of(responses, CONFIG | config, about or {})
    return differences(settings_of(RESPONSES, CONFIG, {}), found)


def one(**fields) -> list[Response]:
    return [replace(RESPONSES[0], **fields), *RESPONSES[1:]]


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("frames", changed(frames=8)),
        ("max_pixels", changed(max_pixels=100)),  # against no limit
        ("max_new_tokens", changed(max_new_tokens=32)),
        ("shown", changed(about={"shown": "black"})),
        ("answers", changed(one(answer="B"))),
        ("prompts", changed(one(prompt="Where?"))),
        ("images", changed(one(inputs=INPUTS | {"frames": [0, 3]}))),
        ("images", changed(one(inputs=INPUTS | {"sizes": [[8, 8], [4, 4]]}))),
    ],
)
def test_a_difference_is_named(name, found):
    assert found == [name]


def test_order_text_and_the_no_image_baseline_do_not_matter():
    assert changed([*reversed(RESPONSES)]) == changed(one(response="B")) == []
    assert changed(about={"blank_images": True}) == changed(blank_images=True) == []
    assert changed(about={"versions": {"torch": "9"}, "dtype": "x"}) == []


def test_what_is_not_recorded_is_not_compared():
    plain = [Response(id=str(n), response="A") for n in range(3)]
    assert differences(settings_of(plain, {}, {}), settings_of(RESPONSES, CONFIG, {})) == []
    unknown = settings_of(plain, {}, {})
    assert not any(value is not None for value in unknown.values())


def test_frames_matter_only_to_videos():
    images = [replace(r, inputs={"images": ["a"], "sizes": [[8, 8]]}) for r in RESPONSES]
    found = settings_of(images, CONFIG, {})
    assert found["frames"] is None and found["decoder"] is None and found["max_new_tokens"] == 16


def test_a_revision_is_that_of_questions_options_and_answers():
    item = Item(id="0", task="t", kind="choice", question="?", answer="A", scene="s")
    known = digest_items([item])
    assert known == digest_items([replace(item, scene="other", images=("moved.jpg",))])
    changes = ({"question": "Why?"}, {"answer": "B"}, {"options": ("a",)}, {"id": "1"})
    assert len({known, *(digest_items([replace(item, **one)]) for one in changes)}) == 5
