"""What is shown in place of images: none, plain, others', reversed, the first, mirrored."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from helpers.rooms import sketch
from spatialsv.benchmarks.benchmark import Item
from spatialsv.benchmarks.catalogue import find_benchmark
from spatialsv.benchmarks.rooms import item_from_question
from spatialsv.evaluate import EvaluateConfig
from spatialsv.evaluate.mllm import Mllm
from spatialsv.evaluate.shown import (
    alter_images,
    alter_items,
    is_mirrorable,
    mirror_item,
    swap_sides,
)
from spatialsv.evaluate.task import EvaluationTask
from spatialsv.rooms.layout import RoomsConfig, make_room
from spatialsv.rooms.questions import generate_questions
from spatialsv.rooms.questions.solve import SOLVERS, solve
from spatialsv.rooms.questions.visibility import Visibility, measure_visibility


def item(number: int = 0, scene: str = "s", images: int = 1, **fields) -> Item:
    names = tuple(f"{scene}/{number}_{image}.jpg" for image in range(images))
    known = {"task": "t", "kind": "choice", "question": "?", "answer": "A", "images": names}
    return Item(**{"id": str(number), "scene": scene} | known | fields)


@pytest.mark.parametrize(
    ("text", "mirrored"),
    [
        ("Is it left or right of the bed?", "Is it right or left of the bed?"),
        ("LEFT, Right", "RIGHT, Left"),
        ("Front_Left, back-right", "Front_Right, back-left"),
        ("the leftmost, to the rightwards", "the rightmost, to the leftwards"),
        ("turn clockwise", "turn counterclockwise"),
        ("turn anti-clockwise or Counterclockwise", "turn clockwise or Clockwise"),
        ("bright, cleft, upright", "bright, cleft, upright"),
        ("leftover", "leftover"),
    ],
)
def test_words_of_sides_are_exchanged(text, mirrored):
    assert swap_sides(text) == mirrored


@pytest.mark.parametrize("text", ["left and Right, counterclockwise", "a lamp", "RIGHTMOST"])
def test_mirrored_twice_is_the_same(text):
    assert swap_sides(swap_sides(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        *("at 3 o'clock", "to the north-east", "the pixel (3, 4)", "Read the sign."),
        *("a right angle", "What is written there?", "Which answer is right?"),
        "What was left on the table?",
    ],
)
def test_texts_that_a_mirror_changes_otherwise_are_left_out(text):
    assert not is_mirrorable(item(question=text))
    assert not is_mirrorable(item(options=("a", text)))
    assert not is_mirrorable(item(more={"choices": {"A": text}}))
    assert is_mirrorable(item(question="How many chairs are to the right of the bed?"))


def test_all_texts_of_an_item_are_mirrored():
    more = {"choices": {"A": "left", "B": "right"}, "answers": ("left",), "turn": 3}
    found = mirror_item(item(question="left?", options=("A. left",), answer="left", more=more))
    assert (found.question, found.options, found.answer) == ("right?", ("A. right",), "right")
    assert found.more == {
        "choices": {"A": "right", "B": "left"},
        "answers": ("right",),
        "turn": 3,
    }
    assert mirror_item(item(answer="A")).answer == "A"


def mirrored(measured: Visibility) -> Visibility:
    """Seen in a mirror: every angle and image is the other way round."""
    flip, side = np.diag([1.0, -1.0, 1.0, 1.0]), np.diag([-1.0, 1.0, 1.0, 1.0])
    poses = flip @ measured.room.cam_to_world @ side
    return replace(
        measured,
        room=replace(measured.room, cam_to_world=poses),
        column=1 - measured.column,
        bearing=-measured.bearing,
        heading=-measured.heading,
        azimuth=-measured.azimuth,
    )


def test_in_mirrored_rooms_the_same_letter_is_correct():
    """The solver parses the mirrored text and finds the answer in the mirrored geometry."""
    checked, changed = Counter(), 0
    for seed in range(60, 68):
        room = make_room(seed, RoomsConfig())
        instance = sketch(room)
        measured = measure_visibility(room, instance)
        for candidate in generate_questions(room, instance):
            question = candidate.question("0", [*range(len(candidate.options))])
            if question.task not in SOLVERS:
                continue
            known = item_from_question(question)
            assert is_mirrorable(known), question.text
            other = mirror_item(known)
            seen = replace(question, text=other.question, options=other.options)
            assert solve(seen, mirrored(measured)) == solve(question, measured), question.text
            changed += solve(question, mirrored(measured)) != solve(question, measured)
            checked[question.task] += 1
    assert (
        set(checked) >= {"around", "among", "route_planning", "rel_direction_hard"} and changed > 50
    )


def pictures() -> list[Image.Image]:
    rng = np.random.default_rng(0)
    return [Image.fromarray(rng.integers(0, 256, (4, 6, 3), dtype=np.uint8)) for _ in range(3)]


def test_images_are_altered():
    images = pictures()
    arrays = [np.array(image) for image in images]
    shown = {
        name: alter_images(images, name)
        for name in ("all", "other", "none", "grey", "black", "reversed", "first", "mirrored")
    }
    assert shown["none"] == [] and len(shown["first"]) == 1
    for name in ("all", "other"):
        np.testing.assert_array_equal(shown[name], arrays)
    np.testing.assert_array_equal(shown["reversed"], arrays[::-1])
    np.testing.assert_array_equal(shown["first"][0], arrays[0])
    np.testing.assert_array_equal(shown["mirrored"], np.array(arrays)[:, :, ::-1])
    assert {value for image in shown["grey"] for value in image.ravel().tolist()} == {127}
    assert not np.any(shown["black"])


def test_other_images_are_of_another_scene_and_as_many():
    items = [item(n, scene, 1 + n % 2) for n, scene in enumerate("aabbcc")]
    found = alter_items(items, "other")
    assert [*found] == [one.id for one in items]
    for one in items:
        other = found[one.id]
        assert len(other.images) == len(one.images) and other.scene == one.scene
        assert not other.images[0].startswith(one.scene)
    assert alter_items(items, "other") == found
    alone = item(9, "d", 3)
    assert "9" not in alter_items([*items, alone], "other")


def test_views_of_a_store_go_with_the_other_images():
    one = item(0, "a", views=(0, 1), digest="x")
    other = item(1, "b", views=(2, 3), digest="y")
    found = alter_items([one, other], "other")["0"]
    assert (found.images, found.views, found.digest) == (other.images, (2, 3), "y")
    assert (found.id, found.scene, found.answer) == (one.id, one.scene, one.answer)


def context(shown: str, tiny_mllm, **settings) -> str:
    known = find_benchmark("blink")
    config = EvaluateConfig(shown=shown, **settings)
    task = EvaluationTask(
        name="blink",
        benchmark=known,
        protocol=known.protocols["official"],
        data=tiny_mllm,
        items=[],
        skipped=0,
        config=config,
    )
    return Mllm(tiny_mllm, None, task).context[1]


def test_responses_of_runs_before_there_was_the_setting_are_kept(tiny_mllm):
    before = (
        '{"protocol": null, "frames": 32, "max_pixels": null, "max_new_tokens": null,'
        ' "videos_as": null, "blank_images": false}'
    )
    assert context("all", tiny_mllm) == before
    assert context("grey", tiny_mllm) == before.replace("false", "true")
    assert context("all", tiny_mllm, blank_images=True) == context("grey", tiny_mllm)
    assert '"shown": "black"' in context("black", tiny_mllm)
