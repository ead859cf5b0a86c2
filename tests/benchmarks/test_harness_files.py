"""Response files of lmms-eval, VLMEvalKit and EASI, in the layouts that these tools write."""

from __future__ import annotations

import csv
import importlib.util
import json
from pathlib import Path

import pytest

from helpers.outside import save_picture, write_lines
from spatialsv.benchmarks.score import score
from spatialsv.cli import main

CHOICES = ["a lamp", "a bed", "a sofa"]
ANSWERS = "BACB"
SAID = ["B", "The answer is A.", "C", "A"]  # three are correct by lmms-eval's parser or ours


@pytest.fixture
def mine(tmp_path) -> Path:
    """Four questions of one's own, with ids that no other tool knows."""
    save_picture(tmp_path / "a.jpg", (32, 32), 0)
    return write_lines(
        tmp_path / "mine.jsonl",
        [
            {"id": f"q{n}", "image": "a.jpg", "question": f"Which is {n}?"}
            | {"options": CHOICES, "answer": answer}
            for n, answer in enumerate(ANSWERS)
        ],
    )


@pytest.fixture
def vsi(tmp_path) -> Path:
    """VSI-Bench: two choices and two numbers, not in the order of their ids."""
    folder = tmp_path / "vsi"
    folder.mkdir()
    write_lines(folder / "test.jsonl", [vsi_row(id) for id in (7, 3, 5, 4)])
    return folder


def vsi_row(id: int) -> dict:
    is_choice = id in (7, 3)
    return {
        "id": id,
        "dataset": "scannet",
        "scene_name": f"scene{id:04d}_00",
        "question_type": "object_rel_distance" if is_choice else "object_counting",
        "question": "Which is near?" if is_choice else "How many chairs?",
        "ground_truth": "B" if is_choice else str(id),
        "options": [f"{letter}. {text}" for letter, text in zip("ABC", CHOICES, strict=True)]
        if is_choice
        else None,
    }


def sample(doc_id: int, target: str, response: str, question: str, **metrics) -> dict:
    """A line of lmms-eval 0.7.3, as its evaluation tracker writes it."""
    return {
        "doc_id": doc_id,
        "target": target,
        "filtered_resps": response,
        "token_counts": [None],
        "doc_hash": "0" * 64,
        **metrics,
        "input": f"These are frames of a video.\n{question}\nOptions: ...",
    }


def vsi_samples(folder: Path, said: dict[int, str]) -> Path:
    lines = []
    for doc_id, id in enumerate((7, 3, 5, 4)):
        doc = vsi_row(id) | {"prediction": said[id], "accuracy": 1.0}
        metrics = {"vsibench_overall": doc, "object_counting_mra": doc}
        lines.append(sample(doc_id, doc["ground_truth"], said[id], doc["question"], **metrics))
    return write_lines(folder / "20260209_222541_samples_vsibench.jsonl", lines)


VSI_SAID = {7: "B", 3: "A", 5: "5", 4: "about 4 chairs"}


def test_lmms_eval_names_documents_in_its_metrics(vsi, tmp_path):
    path = vsi_samples(tmp_path, VSI_SAID)
    lines = path.read_text().splitlines()
    path.write_text("\n".join(reversed(lines)))  # ids count, not the order
    scores = score("vsi_bench", vsi, path, "lmms_eval").scores.tasks
    assert (scores["object_rel_distance"].score, scores["object_counting"].score) == (0.5, 1.0)


@pytest.mark.parametrize("target", [None, "grounded_output"])  # the latter of its mindcube tasks
def test_lmms_eval_numbers_documents_without_an_id(mine, target):
    lines = [
        sample(n, target or ANSWERS[n], SAID[n], f"Which is {n}?", accuracy={"score": 1.0})
        for n in (2, 0, 3, 1)
    ]
    if target:
        for line, n in zip(lines, (2, 0, 3, 1), strict=True):
            options = "\n".join(f"{k}. {v}" for k, v in zip("ABC", CHOICES, strict=True))
            line["input"] = (
                f"Which is {n}?\n{options}\nAnswer with the option's letter from the given"
                " choices directly."
            )
    path = write_lines(mine.with_name("x_samples_mine.jsonl"), lines)
    assert score("questions", mine, path).scores.overall == 0.75


def test_an_older_lmms_eval_keeps_the_document_and_lists(mine):
    lines = [
        {"doc_id": 9 - n, "doc": {"id": f"q{n}", "question": "?"}, "target": answer}
        | {"resps": [[SAID[n]]], "filtered_resps": [SAID[n]]}
        for n, answer in enumerate(ANSWERS)
    ]
    path = write_lines(mine.with_name("x_samples_mine.jsonl"), lines)
    assert score("questions", mine, path).scores.overall == 0.75


def rows(first: int = 0) -> list[dict]:
    """VLMEvalKit's table, not in order: the data set's columns, and predictions."""
    return [
        {"index": n + first, "category": "x", "question": f"Which is {n}?"}
        | dict(zip("ABC", CHOICES, strict=True))
        | {"answer": ANSWERS[n], "prediction": SAID[n]}
        for n in (3, 1, 0, 2)
    ]


def write_tsv(path: Path, records: list[dict]) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(records[0]), delimiter="\t", quoting=csv.QUOTE_ALL)
        writer.writeheader()
        writer.writerows(records)
    return path


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("kind", ["tsv", "json", "columns", "xlsx"])
def test_vlmevalkit_writes_tables(mine, kind, first):
    path, records = mine.with_name(f"model_Mine.{kind.replace('columns', 'json')}"), rows(first)
    if kind == "tsv":
        write_tsv(path, records)
    elif kind == "json":
        path.write_text(json.dumps(records, indent=4))
    elif kind == "columns":
        table = {"columns": list(records[0]), "data": [list(r.values()) for r in records]}
        path.write_text(json.dumps(table))
    else:
        pytest.importorskip("openpyxl")
        import pandas as pd

        with pd.ExcelWriter(path, engine="openpyxl") as writer:  # as EASI does
            pd.DataFrame(records).to_excel(writer, sheet_name="ALL", index=False)
    assert score("questions", mine, path).scores.overall == 0.75


def test_excel_without_openpyxl_says_what_to_install(mine, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    path = mine.with_name("model_Mine.xlsx")
    path.write_bytes(b"PK")
    with pytest.raises(ValueError, match=r"Mine\.xlsx: .*`pip install openpyxl`"):
        score("questions", mine, path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"answer": "A"}, r"is 'q3', whose answer is 'B', but the file says 'A'"),
        ({"answer": "", "question": ""}, r"no question or answer could be compared"),
        ({"index": "x"}, r"none of id, .* names a question"),
    ],
)
def test_records_that_do_not_match_are_refused(mine, change, message):
    path = write_tsv(mine.with_name("t.tsv"), [row | change for row in rows()])
    with pytest.raises(ValueError, match=message):
        score("questions", mine, path)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.tsv", "index\tanswer\n0\tB\n", "no column 'prediction'; found index, answer"),
        ("a.json", '{"a": 1}', "expected a list of objects with index and prediction"),
        ("a.jsonl", '{"doc_id": 0, "filtered_resps": [{"a": 1}]}', "filtered_resps: expected text"),
        ("a.jsonl", '{"doc_id": "x", "resps": ""}', "expected a sample of lmms-eval with doc_id"),
        ("a.pkl", "x", r"expected JSON lines in a file \*\.jsonl, or VLMEvalKit's"),
    ],
)
def test_other_files_are_refused(mine, name, text, message):
    path = mine.with_name(name)
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        score("questions", mine, path)


def test_missing_responses_are_an_error_unless_allowed(mine):
    path = write_tsv(mine.with_name("t.tsv"), rows()[:3])
    with pytest.raises(ValueError, match=r"1 missing of 4 ids: 'q2'; --allow missing"):
        score("questions", mine, path)
    assert score("questions", mine, path, allow=["missing"]).scores.overall == 0.5


def test_all_protocols_stand_side_by_side(vsi, tmp_path, capsys):
    path, out = vsi_samples(tmp_path, VSI_SAID), tmp_path / "all.json"
    words = ["score", "vsi_bench", "--protocol", "all", "--data", str(vsi)]
    assert main([*words, "--responses", str(path), "--json", str(out)]) == 0
    lines = capsys.readouterr().out.splitlines()
    table = {line.rpartition("  ")[0] or line: line.split() for line in lines}
    assert lines[0].split() == ["task", "official", "lmms_eval", "vlmevalkit"]
    found = {row[0]: row[1:] for row in table.values()}
    assert found["object_counting"] == ["50.00", "100.00", "100.00"]
    assert found["overall"] == ["50.00", "75.00", "75.00"]
    assert found["no"][-3:] == ["1", "0", "0"]  # answer found
    assert lines[-1] == f"score: vsi_bench (all protocols): 4 questions; saved to {out}"
    assert json.loads(out.read_text())["lmms_eval"]["overall"] == 0.75
    assert json.loads(out.read_text())["official"]["unparsed"] == 1
