"""LLaVA's conversations: images and videos where markers say, turns in their order."""

import json

import numpy as np
import pytest

from helpers.outside import llava_record, save_picture, save_video, write_llava
from spatialsv.io.manifest import read_manifest
from spatialsv.scenes.question import read_questions
from spatialsv.scenes.readers import llava
from spatialsv.scenes.readers.config import ReadConfig
from spatialsv.scenes.readers.record import RecordError
from spatialsv.scenes.readers.stage import read_shard
from spatialsv.scenes.readers.video import evenly_spaced, read_frames
from spatialsv.scenes.scene_list import SceneList
from spatialsv.scenes.store import load_groups


@pytest.fixture
def read(tmp_path):
    def run(path, **config):
        config = ReadConfig(files={"train": str(path)}, images=str(tmp_path), **config)
        out = tmp_path / "out/0000.json"
        read_shard("llava", "train", 0, config, out)
        return read_manifest(out)

    return run


def parse(*said, **shown):
    return llava.parse(llava_record(shown or {"image": "a.jpg"}, *said), 7)


def test_turns_stay_one_conversation_in_their_order():
    record = parse("<image>\nWhat is it?", "A hall.", "How big?", "Small.")
    assert (record.text, record.answer) == ("What is it?", "A hall.")
    assert record.more == (("How big?", "Small."),)
    assert (record.task, record.id) == ("conversation", "0/7")


@pytest.mark.parametrize("first", ["<image>\nWhat?", "What?\n<image>", " <image> What? "])
def test_the_marker_may_stand_at_either_end(first):
    assert parse(first, "A hall.").text == "What?"


def test_a_lettered_answer_to_lettered_options_is_a_choice():
    record = parse("<image>\nWhich?\nA. lamp\nB. sofa", "B.")
    assert (record.task, record.answer, record.options) == ("choice", "B", ("lamp", "sofa"))
    for said in (("<image>\nWhich?\nA. lamp\nB. sofa", "The sofa"), ("<image>\nWhich?", "B")):
        assert parse(*said).task == "conversation"


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (llava_record({"image": "a.jpg"}, "What?", "x"), "markers do not match images"),
        (llava_record({"image": "a.jpg"}, "<image><image>?", "x"), "markers do not match images"),
        (llava_record({"image": ["a.jpg", "b.jpg"]}, "<image>?", "x"), "markers do not match"),
        (
            llava_record({"image": ["a", "b"]}, "<image> or <image>?", "x"),
            "markers within the text",
        ),
        (llava_record({"image": "a.jpg"}, "What?", "x", "<image>", "y"), "markers within the text"),
        (llava_record({"image": "a.jpg"}, "<image>", "x"), "empty turn"),
        (llava_record({"image": "a.jpg"}, "<image>?", "  "), "invalid value: conversations.1"),
        (llava_record({"image": "a.jpg"}, "<image>?"), "turns do not alternate"),
        (llava_record({}, "What?", "x"), "no image"),
        (llava_record({"image": "a.jpg", "video": "v.mp4"}, "<image>?", "x"), "no image"),
        (llava_record({"video": ["v.mp4", "w.mp4"]}, "<video><video>?", "x"), "several videos"),
        (llava_record({"video": "../v.mp4"}, "<video>?", "x"), "invalid video"),
        ({"image": "a.jpg"}, "invalid conversations"),
        (
            {"image": "a.jpg", "conversations": [{"from": "system", "value": "<image>"}]},
            "invalid from: conversations.0.",
        ),
    ],
)
def test_a_bad_record_says_why(record, reason):
    with pytest.raises(RecordError, match=reason):
        llava.parse(record, 0)


@pytest.mark.parametrize("count", [2, 8, 9, 26])
def test_options_may_have_any_letter(count):
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"[:count]
    lines = "\n".join(f"{letter}. thing {letter}" for letter in letters)
    record = parse(f"<image>\nWhich?\n{lines}", letters[-1])
    assert (record.task, record.answer, len(record.options)) == ("choice", letters[-1], count)


def test_a_letter_that_is_no_option_is_refused():
    with pytest.raises(RecordError, match="answer is not an option"):
        parse("<image>\nWhich?\nA. lamp\nB. sofa", "F")


@pytest.mark.parametrize(
    "change",
    [
        {"id": ["x"]},
        {"id": float("nan")},
        {"image": float("nan")},
        {"image": {"a": 1}},
        {"conversations": [None]},
        {"conversations": [{"from": ["human"], "value": "<image>?"}]},
        {"conversations": [{"from": "human", "value": ["<image>?"]}]},
    ],
)
def test_a_value_of_another_type_costs_the_record(change):
    with pytest.raises(RecordError, match=r"invalid (id|image|conversations|from|value)"):
        llava.parse(llava_record({"image": "a.jpg"}, "<image>?", "x") | change, 0)


def test_links_may_not_leave_the_folder_unless_it_is_named(tmp_path):
    secret = save_picture(tmp_path / "outside/secret.jpg", (32, 32), 0)
    inside = save_picture(tmp_path / "data/a.jpg", (32, 32), 0)
    (tmp_path / "data/b.jpg").symlink_to(secret)
    (tmp_path / "data/c.jpg").symlink_to(inside)
    names = ("a.jpg", "b.jpg", "c.jpg")
    records = [llava_record({"image": name}, "<image>?", "x") for name in names]
    (tmp_path / "train.json").write_text(json.dumps(records))

    def skipped(**more):
        places = {"files": {"train": str(tmp_path / "train.json")}, "images": str(inside.parent)}
        read_shard("llava", "train", 0, ReadConfig(**places, **more), tmp_path / "out/0000.json")
        return read_manifest(tmp_path / "out/0000.json").about.get("skipped", [])

    (told,) = skipped()
    assert "a link to" in told and f"linked_folders: [{secret.parent}]" in told
    assert skipped(linked_folders=(str(secret.parent),)) == []


def test_a_file_of_every_kind_becomes_scenes_of_its_shapes(tmp_path, read):
    manifest = read(write_llava(tmp_path, "train"), frames=4)
    groups = load_groups(manifest.find(".zarr"))
    shapes = {group.shape: len(group) for group in groups}
    assert shapes == {(4, 48, 64): 2, (2, 48, 80): 1, (1, 48, 80): 1, (1, 64, 48): 1}
    assert manifest.counts | {"choice": 1, "conversation": 5, "skipped": 0} == manifest.counts
    scenes = {one.ids[0]: one for one in SceneList(groups)}
    by_task = {q.id: q for q in read_questions(manifest.find(".questions.jsonl"))}
    assert by_task["0/0"].scene == by_task["0/1"].scene != by_task["0/2"].scene  # which is padded
    assert by_task["0/0"].turns == (("What is it?", "A hall."), ("How big?", "Small."))
    walk = scenes[by_task["0/3"].scene]
    assert walk.frame_ids.tolist() == [["0", "3", "7", "11"]]
    greys = walk.image[0].reshape(4, -1).mean(axis=1)
    np.testing.assert_allclose(greys, 8 * walk.frame_ids[0].astype(int), atol=4)


def test_a_line_of_a_list_is_named(tmp_path, read):
    path = write_llava(tmp_path, "train")
    records = json.loads(path.read_text())
    records[1]["image"] = "gone.jpg"
    path.write_text("[\n" + ",\n".join(map(json.dumps, records)) + "\n]\n")
    manifest = read(path)
    (told,) = manifest.about["skipped"]
    assert told.startswith(f"{path}:3: missing file") and "gone.jpg" in told


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ('[{"id": 1},\n{"id": ', r"train\.json:2: invalid JSON"),
        ('[{"id": 1}\n{"id": 2}]', r"train\.json:2: expected a comma"),
        ("[" * 100_000, r"train\.json:1: invalid JSON"),
        ("[]", "none of 0"),
        ("", "none of 0"),
        ("\xff", "not text"),
    ],
)
def test_a_broken_list_is_refused_with_its_line(tmp_path, read, text, match):
    (tmp_path / "train.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(ValueError, match=match):
        read(tmp_path / "train.json")


def test_frames_are_spread_evenly_with_both_ends():
    assert evenly_spaced(100, 5) == [0, 24, 49, 74, 99]
    assert evenly_spaced(3, 8) == [0, 1, 2] and evenly_spaced(9, 1) == [0]


def test_a_folder_of_frames_is_in_the_order_of_its_numbers(tmp_path):
    write_llava(tmp_path, "train")
    pictures, frames = read_frames(tmp_path / "clips/frames", 12, None)
    assert frames == list(range(12))
    ten, _ = read_frames(tmp_path / "clips/frames", 2, None)  # 0.jpg and 11.jpg, not 9.jpg
    np.testing.assert_array_equal(np.asarray(ten[1]), np.asarray(pictures[11]))


def test_what_is_no_video_is_refused(tmp_path):
    whole = save_video(tmp_path / "whole.mp4", 20).read_bytes()
    for name, content in (("torn.mp4", whole[: len(whole) // 2]), ("empty.mp4", b"")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ValueError, match=name):
            read_frames(tmp_path / name, 4, None)
    (tmp_path / "none").mkdir()
    with pytest.raises(ValueError, match="no image files"):
        read_frames(tmp_path / "none", 4, None)
