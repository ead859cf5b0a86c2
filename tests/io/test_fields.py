"""Fields of records, options within questions, and names of files."""

from __future__ import annotations

import math

import pytest

from spatialsv.io.fields import FieldError, Fields
from spatialsv.io.letters import options_in
from spatialsv.io.paths import path_inside

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


@pytest.mark.parametrize(
    ("question", "options"),
    [
        ("Where? A. left B. right", {"A": "left", "B": "right"}),
        ("Options: A: x, B: y, C: z", {"A": "x", "B": "y", "C": "z"}),
        ("How many?\n(A) 2\n(B) 1", {"A": "2", "B": "1"}),
        ("From view A. Smith: where? A. left B. right", {"A": "left", "B": "right"}),
        ("Point A) here, B) there? A. 1 B. 2 C. 3", {"A": "1", "B": "2", "C": "3"}),
        ("Which?", {}),
        ("Stand at A. Where is the lamp?", {}),
    ],
)
def test_options_are_found_in_a_question(question, options):
    assert options_in(question) == options


def test_there_may_be_26_options_in_a_question():
    options = {letter: f"thing {letter.lower()}" for letter in LETTERS}
    question = "Which? " + " ".join(f"{letter}. {text}" for letter, text in options.items())
    assert options_in(question) == options


@pytest.mark.parametrize("value", [None, math.nan, True, [], {}, "", " ", "x", "nan", 10**400])
def test_a_number_is_finite(value):
    with pytest.raises(FieldError, match=r"f:3: n: "):
        Fields({"n": value}, "f:3").number("n")


def test_the_text_of_a_number_stays():
    assert Fields({"n": "1.50"}).decimal("n") == "1.50" and Fields({"n": 2}).decimal("n") == "2"


def test_a_letter_counts_before_a_text_and_a_text_must_be_one_options():
    options = {"A": "B", "B": "A", "C": "F", "D": "x", "E": "X."}
    letters = {value: Fields({"t": value}).letter("t", options) for value in ("B", "F", "c.")}
    assert letters == {"B": "B", "F": "C", "c.": "C"}
    with pytest.raises(FieldError, match=r"t: expected one of the options A\. B, .*found 'x'"):
        Fields({"t": "x"}).letter("t", options)  # two options


def test_links_within_the_folder_and_to_named_folders_are_followed(tmp_path):
    other, data = tmp_path / "other", tmp_path / "data"
    for folder in (other, data / "frames"):
        folder.mkdir(parents=True)
        (folder / "1.jpg").write_text("x")
    (data / "inside.jpg").symlink_to(data / "frames/1.jpg")
    (data / "outside.jpg").symlink_to(other / "1.jpg")
    (data / "frames/2.jpg").symlink_to(other / "1.jpg")
    (tmp_path / "alias").symlink_to(data)
    assert path_inside(tmp_path / "alias", "inside.jpg").is_file()
    assert not path_inside(data, "missing.jpg").exists()
    for name in ("outside.jpg", "frames"):  # a video may be a folder of frames
        with pytest.raises(ValueError, match=r"a link to .*other/1\.jpg, outside"):
            path_inside(data, name)
        assert path_inside(data, name, [str(other)]).exists()


def test_links_of_the_hugging_face_cache_are_followed(tmp_path):
    (tmp_path / "blobs").mkdir()
    (tmp_path / "blobs/abc").write_text("x")
    snapshot = tmp_path / "snapshots/0123"
    snapshot.mkdir(parents=True)
    (snapshot / "1.jpg").symlink_to("../../blobs/abc")
    assert path_inside(snapshot, "1.jpg").is_file()
