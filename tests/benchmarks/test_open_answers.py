"""SQA3D and ScanQA: cleaned answers, EM by several rules, files, real rows where there are some."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from spatialsv.benchmarks.parsing import clean_answer
from spatialsv.benchmarks.scanqa import SCANQA
from spatialsv.benchmarks.scanqa import load as load_scanqa
from spatialsv.benchmarks.sqa3d import COUNTS, SQA3D, first_word
from spatialsv.benchmarks.sqa3d import load as load_sqa3d

ROWS = Path(os.environ.get("SPATIALSV_SAMPLES", "none")) / "benchmark_rows"


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("The chair.", "chair"),
        ("a the chair", "chair"),
        ("  To my  rigth ", "to my right"),
        ("let", "left"),
        ("TV", "TV"),
        ("3", "three"),
        ("21", "21"),
        ("23", "twenty-three"),
        ("none", "zero"),
        ("mat2", "mat"),
        ("2 oclock", "two o'clock"),
        ("o'  clock", "o'clock"),
        ("backwards", "backward"),
        ("", ""),
        ("!?", ""),
    ],
)
def test_answers_are_cleaned_by_leo_s_rules(text, cleaned):
    assert clean_answer(text) == cleaned


def questions(*prediction: tuple[int, str, str]) -> tuple[dict, dict]:
    """Of SQA3D, with answers in another order."""
    asked = [
        {"question_id": n, "scene_id": "scene0050_00", "situation": "I sit.", "question": text}
        for n, text, _ in prediction
    ]
    notes = [{"question_id": n, "answers": [{"answer": answer}]} for n, _, answer in prediction]
    return {"questions": asked}, {"annotations": notes[::-1]}


def sqa3d(folder: Path, files: tuple[dict, dict]) -> Path:
    place = folder / "balanced"
    place.mkdir(parents=True)
    for name, value in zip(("questions", "sqa_annotations"), files, strict=True):
        (place / f"v1_balanced_{name}_test_scannetv2.json").write_text(json.dumps(value))
    return folder


def scanqa(folder: Path, rows: list[dict]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "ScanQA_v1.0_val.json").write_text(json.dumps(rows))
    return folder


@pytest.mark.parametrize(
    ("response", "em", "em_refined", "official"),
    [
        ("black chair", 1, 1, 1),
        ("A black chair.", 1, 1, 1),
        ("chair", 0, 1, 1),
        ("the black chair by the door", 0, 1, 1),  # it holds the answer, or shares a word
        ("white chair", 0, 0, 1),  # it shares a word
        ("blackchair", 0, 1, 1),
        ("table", 0, 0, 0),
        ("", 0, 1, 1),  # nothing lies in any answer
    ],
)
def test_sqa3d_by_each_rule(tmp_path, response, em, em_refined, official):
    (item,) = load_sqa3d(sqa3d(tmp_path, questions((1, "What is it?", "black chair"))))
    found = {
        name: r.score(item, r.parse_response(item, response)) for name, r in SQA3D.protocols.items()
    }
    assert found == {"em": em, "em_refined": em_refined, "official": official}


@pytest.mark.parametrize(
    ("response", "official", "em", "em_refined", "em_leo"),
    [
        ("black chair", 1, 1, 1, 1),
        ("Black chair", 0, 1, 1, 1),
        ("chair", 1, 1, 1, 0),  # the first answer holds it, and decides
        ("big chair", 0, 0, 1, 0),
        ("table", 0, 0, 0, 0),
        ("", 0, 0, 1, 0),
    ],
)
def test_scanqa_by_each_rule(tmp_path, response, official, em, em_refined, em_leo):
    row = {"question_id": "val-1", "scene_id": "scene0011_00", "question": "What is it?"}
    (item,) = load_scanqa(scanqa(tmp_path, [row | {"answers": ["black chair", "chair"]}]))
    found = {
        name: r.score(item, r.parse_response(item, response))
        for name, r in SCANQA.protocols.items()
    }
    assert found == {"official": official, "em": em, "em_refined": em_refined, "em_leo": em_leo}


def test_prompts_and_types(tmp_path):
    asked = questions((1, "What's it?", "bed"), (2, "Where is it?", "here"))
    items = load_sqa3d(sqa3d(tmp_path, asked))
    assert [(item.id, item.task, item.answer) for item in items] == [
        ("1", "what", "bed"),
        ("2", "others", "here"),
    ]
    told = "I sit. What's it?\nAnswer the question using a single word or phrase."
    assert SQA3D.protocols["em"].prompt(items[0]) == told
    assert [first_word(text) for text in ("Which, then?", "Island?", "")] == [
        "which",
        "others",
        "others",
    ]
    texts = ("Where is it?", "What is the color of it?", "What is it?", "Is it so?")
    rows = [
        {"question_id": n, "scene_id": "s", "question": text, "answers": ["x"]}
        for n, text in enumerate(texts)
    ]
    found = load_scanqa(scanqa(tmp_path / "b", rows))
    assert [item.task for item in found] == ["Place", "Color", "Object", "Other"]


def test_files_that_are_not_theirs_are_refused(tmp_path):
    asked, notes = questions((1, "What?", "bed"))
    with pytest.raises(ValueError, match="0 answers to 1, expected one"):
        load_sqa3d(sqa3d(tmp_path / "a", (asked, {"annotations": []})))
    with pytest.raises(ValueError, match="questions: no such field; found items"):
        load_sqa3d(sqa3d(tmp_path / "b", ({"items": []}, notes)))
    with pytest.raises(ValueError, match="answers: no such field; found question_id"):
        row = {"question_id": "test-1", "scene_id": "s", "question": "What?"}
        load_scanqa(scanqa(tmp_path / "c", [row]))
    with pytest.raises(ValueError, match=r"expected ScanQA_v1\.0_val\.json; found nothing"):
        load_scanqa(tmp_path / "d")


@pytest.mark.skipif(not ROWS.is_dir(), reason="no real rows; SPATIALSV_SAMPLES names their folder")
def test_real_rows_of_sqa3d(tmp_path):
    names = ("questions", "annotations")
    files = tuple(
        json.loads((ROWS / f"sqa3d_v1_balanced_{name}_test_first200.json").read_text())
        for name in names
    )
    items = load_sqa3d(sqa3d(tmp_path, files))
    assert len(items) == 200 and {item.task for item in items} == set(COUNTS)
    assert (items[0].question, items[0].answer) == (
        "What instrument in front of me is ebony and ivory?",
        "piano",
    )
    rules = SQA3D.protocols["em"]
    right = [
        rules.score(item, rules.parse_response(item, item.answer.upper() + ".")) for item in items
    ]
    assert sum(right) == 200
