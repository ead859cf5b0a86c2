"""A benchmark of one's own: from a file of questions to a table of its categories."""

from __future__ import annotations

import json

import pytest

from helpers.outside import llava_record, mindcube_line, save_picture, write_lines
from spatialsv.benchmarks.catalogue import find_benchmark, load_items
from spatialsv.benchmarks.score import score
from spatialsv.cli import main
from spatialsv.io.manifest import read_manifest

PROTOCOLS = find_benchmark("questions").protocols
OPTIONS = ["the lamp", "the sofa", "the bed"]


def question(**fields):
    return {"image": "a.jpg", "question": "Which?", "options": OPTIONS, "answer": "B"} | fields


RECORDS = [
    question(category="near", image="a.jpg"),
    question(category="near", image="b.jpg", answer="A"),
    {"image": "c.jpg", "question": "How many?", "answer": 4, "category": "count"},
    {"images": ["a.jpg", "d.jpg"], "question": "What colour?", "answer": "Dark red"},
    mindcube_line(3, ["b.jpg"]),
    llava_record({"image": "c.jpg"}, "<image>\nWhat is it?", "A hall."),
]


@pytest.fixture
def file(tmp_path):
    for name in "abcd":
        save_picture(tmp_path / f"images/{name}.jpg", (32, 32), ord(name))
    return write_lines(tmp_path / "mine.jsonl", RECORDS)


def test_items_that_share_an_image_are_of_one_scene(file):
    items = load_items("questions", file)
    assert [(item.task, item.kind) for item in items[1:]] == [
        ("near", "choice"),
        ("count", "number"),
        ("answer", "text"),
        ("among", "choice"),
        ("conversation", "text"),
    ]
    assert items[0].scene == items[3].scene != items[1].scene == items[4].scene
    chain = [{"images": pair, "question": "?", "answer": 1} for pair in (["x", "y"], ["z", "y"])]
    write_lines(file, [*chain, {"image": "z", "question": "?", "answer": 1}])
    assert len({item.scene for item in load_items("questions", file)}) == 1
    write_lines(file, [chain[0] | {"scene": 1}, chain[1] | {"scene": 2}])
    assert [item.scene for item in load_items("questions", file)] == ["1", "2"]


@pytest.mark.parametrize(
    ("response", "letter"),
    [
        ("B", "B"),
        ("The sofa.", "B"),
        ("It is left of it. <answer>B</answer>", "B"),
        ("<think>A or C</think>\nThe answer is B.", "B"),
        ("I see the sofa there", "B"),
        ("Q", None),
        ("", None),
    ],
)
def test_an_option_is_found_in_free_text(file, response, letter):
    item = load_items("questions", file)[0]
    assert PROTOCOLS["search"].parse_response(item, response) == letter
    strict = PROTOCOLS["first_word"].parse_response(item, response)
    assert strict == (letter if response == "B" else None)


def test_options_beyond_f_are_found(file):
    write_lines(file, [question(options=[f"room {n}" for n in range(10)], answer="J")])
    (item,) = load_items("questions", file)
    assert [PROTOCOLS["search"].parse_response(item, text) for text in ("J", "(G)", "K")] == [
        "J",
        "G",
        None,
    ]


def test_words_follow_the_reasoning(file):
    item = load_items("questions", file)[3]
    texts = ("Dark red!", "<think>?</think> <answer>x</answer>")
    assert [PROTOCOLS["search"].parse_response(item, text) for text in texts] == ["dark red", "x"]
    assert PROTOCOLS["search"].score(item, "dark red") == 1


def test_an_invalid_record_names_the_command_that_lists_all(file):
    write_lines(file, [RECORDS[0], question(answer="the door")])
    with pytest.raises(ValueError, match=r"jsonl:2: invalid answer.*`spatialsv check-data .*mine"):
        load_items("questions", file)
    turns = ("<image>\nWhat is it?", "A hall.", "How big?", "Small.")
    write_lines(file, [llava_record({"image": "a.jpg"}, *turns)])
    with pytest.raises(ValueError, match=r"jsonl:1: conversation: 2 turns, which cannot be scored"):
        load_items("questions", file)
    with pytest.raises(ValueError, match=r"Give a file of your own questions as --data\."):
        find_benchmark("mine.jsonl")


def test_responses_are_scored_with_a_row_for_each_category(file, capsys):
    responses = ["B", "C", "5", "a dark red", "D", "a hall"]
    ids = [item.id for item in load_items("questions", file)]
    lines = [{"id": i, "response": text} for i, text in zip(ids, responses, strict=True)]
    path = write_lines(file.with_name("responses.jsonl"), lines)
    assert main(["score", "--data", str(file), "--responses", str(path)]) == 0
    table = {line.split()[0]: line.split()[1:] for line in capsys.readouterr().out.splitlines()}
    assert table["near"][:2] == ["2", "50.00"] and table["near"][2].startswith("[")
    assert table["count"][:2] == ["1", "60.00"] and table["answer"][:2] == ["1", "100.00"]
    assert score(None, file, path).scores.overall == pytest.approx((1 + 0 + 0.6 + 1 + 1 + 1) / 6)


def test_a_model_is_evaluated_on_a_file(file, tmp_path, tiny_mllm, capsys):
    out = tmp_path / "run"
    words = ["evaluate", "--data", str(file), "--images", str(tmp_path / "images")]
    words += ["--model", str(tiny_mllm), "--out", str(out), "--max-new-tokens", "2"]
    assert main(words) == 0
    assert "questions, scored by the protocol search" in capsys.readouterr().out
    manifest = read_manifest(out / "manifest.json")
    assert manifest.about["benchmark"] == "questions" and manifest.counts["scenes"] == 3
    first = json.loads((out / "responses.jsonl").read_text().splitlines()[0])
    assert first["inputs"]["images"] == ["a.jpg"] and first["task"] == "near"
    words = ["compare", str(out), str(out / "responses.jsonl"), "--data", str(file)]
    assert main(words) == 0


def test_missing_images_are_an_error_before_the_model_is_loaded(file, tmp_path, capsys):
    words = ["evaluate", "--data", str(file), "--model", "base", "--out", str(tmp_path / "run")]
    assert main(words) == 2
    assert "images or videos are missing, such as a.jpg" in capsys.readouterr().err
