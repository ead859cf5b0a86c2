"""MindCube's lines: its words, its letters, its settings; each image stored once."""

import json

import numpy as np
import pytest
from PIL import Image

from helpers.outside import mindcube_line, save_picture, write_lines, write_mindcube
from spatialsv.io.manifest import read_manifest
from spatialsv.scenes.question import read_questions
from spatialsv.scenes.readers import mindcube
from spatialsv.scenes.readers.config import ReadConfig
from spatialsv.scenes.readers.record import LETTER_ONLY, RecordError
from spatialsv.scenes.readers.stage import read_shard
from spatialsv.scenes.scene_list import SceneList
from spatialsv.scenes.store import load_groups


@pytest.fixture
def read(tmp_path):
    def run(path, split="train", shard=0, size=128, **config):
        places = {"files": {split: str(path)}, "images": str(tmp_path)}
        config = ReadConfig(**places, shard_size=size, **config)
        out = tmp_path / f"out/{split}/{shard:04d}.json"
        read_shard("mindcube", split, shard, config, out)
        return read_manifest(out)

    return run


def test_a_line_keeps_its_words_and_its_letter():
    line = mindcube_line(2, ["x/1.jpg", "x/2.jpg"])
    record = mindcube.parse(line, 0)
    assert record.text == f"{line['question']}\n{LETTER_ONLY}"
    assert record.options == ("Sofa", "Lamp", "Tv", "Dining table") and record.answer == "C"
    assert (record.id, record.task) == (line["id"], "among")
    assert record.shown == ("x/1.jpg", "x/2.jpg")


@pytest.mark.parametrize(
    ("id", "category", "task"),
    [
        ("rotation_group1_q1", ["among"], "rotation"),
        ("aroundnew_group1_q1", [], "around"),
        ("q17", ["around", "P-O"], "around"),
    ],
)
def test_the_setting_is_told_by_the_id_else_by_the_category(id, category, task):
    assert mindcube.setting_of({"id": id, "category": category}) == task


def test_letters_within_a_question_are_no_options():
    question = "From view A. Smith took, what is left? A. a vitamin B. bottle B. the lamp C. none"
    with pytest.raises(RecordError, match="no options"):  # A, B, B, C: which B is meant?
        mindcube.options_of(question)
    plain = "Row A. Smith: what is left? A. chair B. lamp"
    assert mindcube.options_of(plain) == ("chair", "lamp")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"gt_answer": "E"}, "invalid gt_answer"),
        ({"gt_answer": "C. lamp"}, "invalid gt_answer"),
        ({"gt_answer": None}, "invalid gt_answer"),
        ({"gt_answer": float("nan")}, "invalid gt_answer"),
        ({"question": "What is behind me?"}, "no options"),
        ({"id": "other_1", "category": ["other"]}, "unknown setting"),
        ({"images": []}, "invalid images"),
        ({"images": ["../secret.jpg"]}, "invalid images"),
        ({"images": ["/etc/passwd"]}, "invalid images"),
        ({"images": ["C:\\x.jpg"]}, "invalid images"),
        ({"images": [3]}, "invalid images"),
    ],
)
def test_a_bad_line_says_why(change, reason):
    with pytest.raises(RecordError, match=reason) as found:
        mindcube.parse(mindcube_line(0, ["x.jpg"]) | change, 0)
    assert found.value.reason == reason


def test_images_that_questions_share_are_stored_once(tmp_path, read):
    manifest = read(write_mindcube(tmp_path, "train", 4))
    groups = load_groups(manifest.find(".zarr"))
    assert sorted(group.shape for group in groups) == [(3, 64, 48), (4, 48, 80)]
    assert manifest.counts["scenes"] == 4 and manifest.counts["views"] == 14
    scenes = {one.ids[0]: one for one in SceneList(groups)}
    questions = read_questions(manifest.find(".questions.jsonl"))
    assert [q.task for q in questions] == ["among", "around"] * 4
    lines = [json.loads(line) for line in (tmp_path / "train.jsonl").read_text().splitlines()]
    for question, line in zip(questions, lines, strict=True):
        shown = scenes[question.scene].image[0][list(question.views)]
        for found, name in zip(shown, line["images"], strict=True):
            np.testing.assert_array_equal(found, np.asarray(Image.open(tmp_path / name)))


def test_shards_are_slices_of_records(tmp_path, read):
    path = write_mindcube(tmp_path, "train", 2)
    whole = _ids(read(path))
    first, last = (_ids(read(path, shard=number, size=3, stop=4)) for number in (0, 1))
    assert (len(first), len(last)) == (3, 1) and [*first, *last] == whole


def _ids(manifest):
    return [question.id for question in read_questions(manifest.find(".questions.jsonl"))]


def test_bad_lines_are_left_out_counted_and_named(tmp_path, read):
    good = save_picture(tmp_path / "good.jpg", (32, 32), 0)
    (tmp_path / "torn.jpg").write_bytes(good.read_bytes()[:-200])
    lines = [
        mindcube_line(0, ["good.jpg"]),
        '{"id": "among_1", ',
        "",
        mindcube_line(1, ["gone.jpg"]),
        mindcube_line(2, ["good.jpg", "torn.jpg"]),
        mindcube_line(0, ["good.jpg"]),
        "[1, 2]",
        mindcube_line(3, ["good.jpg", "../good.jpg"]),
    ]
    path = write_lines(tmp_path / "train.jsonl", lines)
    manifest = read(path)
    assert manifest.counts["questions"] == 1 and manifest.counts["skipped"] == 6
    reasons = {k: v for k, v in manifest.counts.items() if k.startswith("skipped: ")}
    assert reasons == dict.fromkeys(
        (
            "skipped: not JSON",
            "skipped: missing file",
            "skipped: file cannot be read",
            "skipped: duplicate id",
            "skipped: not a JSON object",
            "skipped: invalid images",
        ),
        1,
    )
    told = manifest.about["skipped"]
    assert told[0].startswith(f"{path}:2: not JSON")
    assert told[1].startswith(f"{path}:4: missing file") and "gone.jpg" in told[1]
    assert told[2].startswith(f"{path}:5: file cannot be read") and "torn.jpg" in told[2]


def test_a_file_without_a_good_line_is_refused(tmp_path, read):
    path = write_lines(tmp_path / "train.jsonl", [mindcube_line(0, ["gone.jpg"])])
    with pytest.raises(ValueError, match=r"none of 1.*train\.jsonl:1: missing file"):
        read(path)
    with pytest.raises(ValueError, match=r"absent\.jsonl: no such file"):
        read(tmp_path / "absent.jsonl")


def test_a_file_with_fewer_lines_than_its_split_counts_is_refused(tmp_path, read):
    path = write_mindcube(tmp_path, "train", 2)
    with pytest.raises(ValueError, match=r"4 records, but scenes\.splits\.train is 6"):
        read(path, stop=6)


def test_splits_without_text_ask_nothing(tmp_path, read):
    manifest = read(write_mindcube(tmp_path, "unlabelled", 1), split="unlabelled")
    assert set(manifest.payload) == {"0000.zarr"}


def test_views_of_other_sizes_are_padded_and_counted(tmp_path, read):
    save_picture(tmp_path / "wide.jpg", (64, 32), 0)
    save_picture(tmp_path / "tall.jpg", (32, 64), 1)
    lines = [mindcube_line(0, ["wide.jpg", "tall.jpg"])]
    manifest = read(write_lines(tmp_path / "train.jsonl", lines))
    (scenes,) = load_groups(manifest.find(".zarr"))
    assert scenes.shape == (2, 32, 64) and manifest.counts["padded"] == 1
    assert (scenes.image[0, 1, :, :24] == 127).all() and (scenes.image[0, 1, :, 40:] == 127).all()


def test_large_images_are_made_smaller(tmp_path, read):
    save_picture(tmp_path / "large.jpg", (200, 100), 0)
    lines = [mindcube_line(0, ["large.jpg"])]
    manifest = read(write_lines(tmp_path / "train.jsonl", lines), max_pixels=5000)
    (scenes,) = load_groups(manifest.find(".zarr"))
    assert scenes.shape == (1, 50, 100)
