"""Questions of one's own: what each field may be, and what a wrong one costs."""

import json

import pytest

from helpers.outside import llava_record, mindcube_line, save_picture, write_lines
from spatialsv.benchmarks.rooms import ROOMS, read_shards
from spatialsv.evaluate import EvaluateConfig, run
from spatialsv.io.manifest import read_manifest
from spatialsv.scenes.question import read_questions
from spatialsv.scenes.readers.config import ReadConfig
from spatialsv.scenes.readers.questions import RESERVED
from spatialsv.scenes.readers.record import RecordError
from spatialsv.scenes.readers.record_formats import parse
from spatialsv.scenes.readers.stage import read_shard
from spatialsv.stats.summary import GROUPS


def question(**fields):
    return {"image": "a.jpg", "question": "Which?", "answer": "red"} | fields


def refused(**fields) -> list[str]:
    with pytest.raises(RecordError) as error:
        parse(fields, 0)
    return [str(error.value), *map(str, error.value.others)]


@pytest.mark.parametrize(
    ("options", "answer", "letter"),
    [
        (["chair", "lamp"], "lamp", "B"),
        (["chair", "lamp"], "b", "B"),
        (["A. chair", "B. lamp"], "(A)", "A"),
        ({"b": "lamp", "a": "chair"}, "lamp", "B"),
        ({"A": "chair", "B": "lamp"}, "B. lamp", "B"),
        ('["chair", "lamp"]', "Chair.", "A"),
        ([1, 2, 3], 3, "C"),
    ],
)
def test_options_are_a_list_or_letters_and_the_answer_one_of_them(options, answer, letter):
    record = parse(question(options=options, answer=answer), 0)
    assert (record.task, record.answer) == ("choice", letter)
    first = "1" if options == [1, 2, 3] else "chair"
    assert record.text.splitlines()[:2] == ["Which?", f"A. {first}"]
    assert record.text.endswith("from the given choices directly.")


def test_options_may_be_in_the_question():
    record = parse(question(question="Which? A. chair B. lamp", answer="B"), 0)
    assert (record.task, record.options) == ("choice", ("chair", "lamp"))
    assert record.text.count("lamp") == 1
    given = question(question="Which?\nA. chair\nB. lamp", options=["chair", "lamp"], answer="B")
    assert parse(given, 0).text.count("lamp") == 1


@pytest.mark.parametrize(
    ("answer", "task"), [(3, "number"), ("-1.5", "number"), ("1e400", "answer"), ("red", "answer")]
)
def test_without_options_an_answer_is_a_number_or_words(answer, task):
    record = parse(question(answer=answer), 4)
    assert (record.task, record.answer, record.id) == (task, str(answer), "4")


def test_markers_category_and_id_are_read():
    given = question(question="<image>\nWhich?", category="size", id=12)
    record = parse(given, 0)
    assert (record.text.splitlines()[0], record.category, record.id) == ("Which?", "size", "12")
    assert parse(given | {"category": None, "id": None}, 5).id == "5"


@pytest.mark.parametrize(
    ("fields", "errors"),
    [
        ({"answer": "sofa", "options": ["chair", "lamp"]}, ["invalid answer"]),
        ({"answer": "A", "options": ["B", "A"]}, ["invalid answer"]),
        ({"answer": "x", "options": ["x", "x"]}, ["invalid answer"]),
        ({"options": ["chair"]}, ["invalid options"]),
        ({"options": {"A": "chair", "C": "lamp"}}, ["invalid options"]),
        ({"options": {"A": "chair", "B": ""}}, ["invalid options"]),
        ({"answer": True}, ["invalid answer"]),
        ({"question": " ", "category": ["x"], "id": []}, ["question", "category", "id"]),
        ({"category": "spatial"}, ["'spatial' is the name of another row"]),
        ({"video": "v.mp4"}, ["no image"]),
        ({"image": "../a.jpg"}, ["invalid image"]),
        ({"question": "<image><image>Which?"}, ["markers do not match"]),
    ],
)
def test_every_error_of_a_record_is_named(fields, errors):
    found = refused(**question(**fields))
    assert len(found) == len(errors)
    assert all(part in text for part, text in zip(errors, found, strict=True)), found


@pytest.mark.parametrize(
    ("wrong", "right"),
    [("anwser", "answer"), ("choices", "options"), ("image_path", "image"), ("prompt", "question")],
)
def test_a_misspelt_field_names_the_right_one(wrong, right):
    record = question(options=["red", "blue"])
    record[wrong] = record.pop(right)
    (error,) = refused(**record)
    assert error == f"no {right}: unknown field {wrong!r}. Did you mean {right!r}?"


def test_other_fields_are_not_read():
    record = question(image_id="7", source="mine", label="x")
    assert parse(record, 0) == parse(question(), 0)


def test_no_category_has_the_name_of_a_group_of_tasks():
    assert set(GROUPS) <= RESERVED


@pytest.fixture
def shard(tmp_path):
    """A shard of every kind of record, and an invalid one."""
    for name in "abc":
        save_picture(tmp_path / f"{name}.jpg", (32, 32), ord(name))
    records = [
        question(options=["red", "blue"], answer="red", category="colour", id="c"),
        question(image="b.jpg", answer=4, category="how many", id="n"),
        question(image="c.jpg", answer="The sofa.", id="w"),
        mindcube_line(2, ["a.jpg", "b.jpg"]),
        llava_record({"image": "c.jpg"}, "<image>\nWhat is it?", "A hall.", "Where?", "There."),
        question(answer=None),
    ]
    path, out = write_lines(tmp_path / "mine.jsonl", records), tmp_path / "out/0000.json"
    config = ReadConfig(files={"test": str(path)}, images=str(tmp_path))
    read_shard("questions", "test", 0, config, out)
    return out


def test_a_file_may_hold_every_format(shard):
    manifest = read_manifest(shard)
    assert manifest.counts["questions"] == 5 and manifest.counts["skipped: invalid answer"] == 1
    by_id = {q.id: q for q in read_questions(manifest.find(".questions.jsonl"))}
    assert (by_id["c"].category, by_id["c"].kind, by_id["n"].kind) == ("colour", "choice", "number")
    assert [q.group for q in by_id.values()][2:] == ["answer", "among", "conversation"]


def test_categories_are_scored_as_numbers_choices_and_words(shard, tmp_path):
    items, skipped = read_shards([shard], shard.parent)
    assert skipped == 1 and [item.task for item in items][:2] == ["colour", "how many"]
    protocol = ROOMS.protocols["official"]

    def score(item, response):
        return protocol.score(item, protocol.parse_response(item, response))

    assert [score(items[0], text) for text in ("A", "B", "red")] == [1, 0, 0]
    assert [score(items[1], text) for text in ("4", "5")] == [1, pytest.approx(0.6)]
    assert [score(items[2], text) for text in ("sofa", "a Sofa!", "red sofa", "")] == [1, 1, 0, 0]

    out = tmp_path / "evaluated/manifest.json"
    for name in ("random", "frequency"):
        run(name, [shard], EvaluateConfig(resamples=10), out, train_scenes=[shard])
        metrics = json.loads(out.with_name("metrics.json").read_text())
        assert metrics["colour_n"] == metrics["spatial_text_n"] == metrics["spatial_number_n"] == 1
        assert metrics["answer"] == 1  # the only answer of training
