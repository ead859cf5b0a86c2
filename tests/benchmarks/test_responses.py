"""responses.jsonl: written and read again, older versions refused, and the rooms scored from it."""

from __future__ import annotations

import json

import pytest

from helpers.closing import closing_line
from spatialsv.benchmarks.catalogue import load_items
from spatialsv.benchmarks.images import read_images
from spatialsv.benchmarks.responses import (
    SCHEMA,
    Response,
    read_responses,
    resume_responses,
    write_responses,
)
from spatialsv.benchmarks.rooms import ROOMS
from spatialsv.benchmarks.score import respond, score
from spatialsv.cli import main
from spatialsv.evaluate.compare import compare_runs
from spatialsv.io.digests import digest_path
from spatialsv.io.manifest import Manifest, write_manifest
from spatialsv.scenes.question import write_questions
from spatialsv.scenes.store import write_store

ONE = Response(id="1", scene="s", task="t", kind="choice", response="B\u2028", prediction="B")


def test_responses_are_read_as_they_were_written(tmp_path):
    path = tmp_path / "responses.jsonl"
    responses = [ONE, Response(id="2", response="", inputs={"images": ["a.png"]}, score=0.5)]
    write_responses(path, responses)
    assert read_responses(path) == responses
    assert json.loads(path.read_text().splitlines()[0])["schema"] == SCHEMA
    path.write_text(path.read_text()[:-5])
    assert resume_responses(path) == responses[:1]
    assert resume_responses(tmp_path / "none.jsonl") == []


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ({"id": 1, "reply": "B"}, "1: the field 'reply' was renamed to 'response'. Rename it"),
        ({"schema": "spatialsv-response/2", "id": 1, "response": ""}, "expected schema"),
        ({"response": "B"}, r"1: expected \{\"id\""),
        (["B"], "expected an object, found list"),
    ],
)
def test_other_lines_are_refused(tmp_path, line, message):
    path = tmp_path / "r.jsonl"
    path.write_text(json.dumps(line) + "\n")
    with pytest.raises(ValueError, match=f"r.jsonl:.*{message}"):
        read_responses(path)


def test_a_folder_of_an_older_version_is_refused_with_what_to_do(tmp_path, capsys):
    (tmp_path / "replies.jsonl").write_text('{"id": "1", "reply": "B"}\n')
    payload = {"replies.jsonl": digest_path(tmp_path / "replies.jsonl")}
    write_manifest(tmp_path / "manifest.json", Manifest(stage="evaluate", payload=payload))
    with pytest.raises(ValueError, match=r"lists no 'responses\.jsonl', only replies\.jsonl"):
        compare_runs([tmp_path], [tmp_path])
    line = ["score", "rooms", "--data", str(tmp_path), "--replies", "x"]
    assert main(line) == 2 and "renamed to --responses" in capsys.readouterr().err


@pytest.fixture
def shards(tmp_path, tiny_scenes, tiny_questions):
    """The folder of a split, as the stage `scenes` writes it."""
    folder = tmp_path / "scenes"
    folder.mkdir()
    questions = write_questions(folder / "0000.questions.jsonl", tiny_questions)
    store = write_store(folder / "0000.zarr", tiny_scenes)
    payload = {"0000.zarr": store, "0000.questions.jsonl": questions}
    write_manifest(folder / "0000.json", Manifest(stage="scenes", payload=payload))
    return folder


def test_rooms_are_a_benchmark_like_the_others(
    shards, tmp_path, tiny_scenes, tiny_questions, capsys
):
    items = load_items("rooms", shards)
    assert [item.id for item in items] == [question.id for question in tiny_questions]
    view = tiny_questions[0].views[1]
    (image,) = read_images(shards, items[0].images[1])
    row = tiny_scenes.ids.index(items[0].scene)
    assert (tiny_scenes.image[row, view] == image).all()
    path = tmp_path / "r.jsonl"
    write_responses(path, [Response(id=item.id, response=item.answer) for item in items])
    scoring = score("rooms", shards, path)
    assert scoring.scores.overall == 1 and scoring.unparsed == 0
    assert scoring.references["random"].tasks["among"].score == 0.5
    assert set(scoring.scores.tasks) >= {"spatial", "spatial_choice", "counting"}
    assert main(["score", "rooms", "--data", str(shards), "--responses", str(path)]) == 0
    printed = capsys.readouterr().out
    assert "rooms, scored by the protocol official" in printed
    assert closing_line(printed, "score").endswith("; not saved (--json FILE saves it)")


def test_a_response_records_its_item(shards):
    item = load_items("rooms", shards)[0]
    response = respond(item, ROOMS.protocols["official"], f"{item.answer}.", {"images": []}, "k")
    assert (response.prediction, response.score, response.key) == (item.answer, 1.0, "k")
    assert response.prompt == item.question and response.options == len(item.options)
