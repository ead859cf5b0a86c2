"""`spatialsv check-data`: every problem with its place and remedy, then a summary."""

import subprocess
import sys

import pytest

from helpers.outside import (
    llava_record,
    mindcube_line,
    save_picture,
    save_video,
    write_lines,
    write_llava,
    write_mindcube,
)
from spatialsv.cli import main
from spatialsv.scenes.readers.check import check_data
from spatialsv.scenes.readers.config import ReadConfig
from spatialsv.scenes.readers.stage import read_shard


def question(**fields):
    return {"image": "a.jpg", "question": "Which?", "answer": "red"} | fields


@pytest.fixture
def folder(tmp_path):
    save_picture(tmp_path / "images/a.jpg", (64, 48), 0)
    save_picture(tmp_path / "images/b.jpg", (32, 32), 0)
    (tmp_path / "images/bad.png").write_bytes(b"no image")
    save_video(tmp_path / "images/walk.mp4", 4)
    return tmp_path


GOOD = [
    question(options=["red", "blue"], category="colour", id="x", source="mine"),
    question(options=["red", "blue"], category="colour", image="b.jpg"),
    question(options=["red", "blue"], answer="blue", category="colour"),
    {"video": "walk.mp4", "question": "How many?", "answer": 3, "catgory": "count"},
    mindcube_line(2, ["a.jpg", "b.jpg"]),
    llava_record({"image": "a.jpg"}, "<image>\nWhat is it?", "A hall."),
]
BAD = {  # record -> what its lines say
    "unknown field 'anwser'. Did you mean 'answer'?": question(anwser=1),
    "missing file: {}/gone.jpg. Correct the name, or name the folder": question(image="gone.jpg"),
    "file cannot be read: {}/bad.png: cannot be read as an image": question(image="bad.png"),
    "duplicate id: 'x', as in line 1": question(id="x"),
    "invalid question: expected text, found ''": question(question=""),
    "invalid answer: expected the letter or the text of one": question(options=["a", "b"]),
    "markers do not match images: 0 for 1. Write one <image>": llava_record(
        {"image": "a.jpg"}, "What?", "x"
    ),
    "not a JSON object: found list. Write one JSON object": [1],
    "not JSON: not JSON": "{bad",
}
del BAD["unknown field 'anwser'. Did you mean 'answer'?"]["answer"]


def test_good_records_of_every_format_are_summarised(folder, capsys):
    path = write_lines(folder / "mine.jsonl", GOOD)
    assert main(["check-data", str(path), "--images", str(folder / "images")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == [
        "note: field 'source' of 1 records is not read.",
        "note: field 'catgory' of 1 records is not read. Did you mean 'category'?",
    ]
    assert lines[2] == "formats: questions 4, mindcube 1, llava 1"
    assert lines[3] == "files: 2 images of 32 x 32 to 64 x 48 pixels, 1 videos"
    table = [line.split() for line in lines[5:-1]]
    assert table[0] == ["colour", "3", "choice", "3", "A", "in", "66.7", "%"]
    assert table[1] == ["number", "1", "number", "1", "3", "in", "100.0", "%"]
    assert table[3] == ["conversation", "1", "text", "1", "not", "scored"]
    assert lines[-1] == "check-data: 6 records, 0 would be skipped"


@pytest.mark.parametrize("message", BAD)
def test_a_problem_has_its_line_and_remedy(folder, message):
    path = write_lines(folder / "mine.jsonl", [GOOD[0], BAD[message]])
    found = check_data(path, folder / "images")
    (problem,) = found.problems
    assert problem.startswith(f"{path}:2: ") and message.format(folder / "images") in problem
    assert (found.records, found.skipped) == (2, 1)


def test_the_records_that_it_counts_are_those_that_are_skipped(folder, capsys):
    path = write_lines(folder / "mine.jsonl", [*GOOD, *BAD.values()])
    assert main(["check-data", str(path), "--images", str(folder / "images")]) == 1
    assert f"15 records, {len(BAD)} would be skipped" in capsys.readouterr().out
    config = ReadConfig(files={"train": str(path)}, images=str(folder / "images"))
    manifest = read_shard("questions", "train", 0, config, folder / "out/0000.json")
    assert manifest.counts["skipped"] == len(BAD)


def test_all_errors_of_one_record_are_listed(folder):
    bad = question(question="", options=["a", "b"], image=["gone.jpg", "bad.png"])
    found = check_data(write_lines(folder / "mine.jsonl", [bad]), folder / "images")
    assert (len(found.problems), found.skipped) == (4, 1)


def test_a_list_that_breaks_off_names_its_line(folder):
    path = folder / "mine.json"
    path.write_text('[{"image": "a.jpg", "question": "?", "answer": 1}\n{}]')
    found = check_data(path, folder / "images")
    assert found.records == 1 and f"{path}:2: expected a comma" in found.problems[0]
    with pytest.raises(ValueError, match="no such file"):
        check_data(folder / "none.jsonl")
    with pytest.raises(ValueError, match="no records"):
        check_data(write_lines(folder / "empty.jsonl", [""]))


def test_files_of_the_other_formats_are_good(tmp_path):
    for path in (write_llava(tmp_path, "train"), write_mindcube(tmp_path, "test", 2)):
        assert check_data(path).problems == []


def test_torch_is_not_imported(folder):
    write_lines(folder / "images/mine.jsonl", GOOD)
    code = (
        "import sys; from spatialsv.cli import main; main(sys.argv[1:]);"
        "print({'torch', 'transformers', 'scipy'} & sys.modules.keys())"
    )
    words = [sys.executable, "-c", code, "check-data", str(folder / "images/mine.jsonl")]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "set()", done.stderr
