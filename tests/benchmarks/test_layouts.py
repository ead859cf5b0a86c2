"""Files as their authors lay them out, of the benchmarks whose rules test_choices.py holds."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from spatialsv.benchmarks.benchmark import Item
from spatialsv.benchmarks.catalogue import find_benchmark
from spatialsv.benchmarks.images import read_encoded
from spatialsv.benchmarks.spatial457 import LEVELS

PICTURE = bytes(range(60))
TSV = {"index": "7", "question": "Which is higher?", "A": "the lamp", "B": "the bed"}
TSV |= {"answer": "B", "category": "height_higher", "image": base64.b64encode(PICTURE).decode()}
CV = {
    "idx": 0,
    "type": "2D",
    "task": "Count",
    "question": "How many lamps are there?",
    "choices": ["2", "1"],
    "answer": "(B)",
    "prompt": "How many lamps are there? Select from the following.\n(A) 2\n(B) 1",
    "filename": "img/2D/count/ade20k_1.png",
    "source": "ADE20K",
}
VEHICLE = {
    "image_filename": "superCLEVR_new_000001.png",
    "question": "Is there a red sedan?",
    "answer": True,
    "question_index": 3,
}


def tsv(path: Path, rows: list[dict[str, str]]) -> Path:
    lines = ["\t".join(rows[0]), *("\t".join(row.values()) for row in rows)]
    path.write_text("\n".join(lines) + "\n")
    return path.parent


def levels(folder: Path, row: dict, wrapped: bool = False) -> Path:
    (folder / "questions").mkdir()
    for level in LEVELS:
        value = {"questions": [row]} if wrapped else [row]
        (folder / "questions" / f"{level}.json").write_text(json.dumps(value))
    return folder


def asked(name: str, data: Path) -> tuple[list[Item], str]:
    """Its items, and the first one's prompt by its authors' words."""
    known = find_benchmark(name)
    items = known.load(data)
    return items, next(iter(known.protocols.values())).prompt(items[0])


def test_3dsrbench_names_rows_by_qid_and_scenes_by_question(tmp_path: Path):
    qids = ("ABCD1234", "ABCD1234-1", "ABCD1234-flip", "ABCD1234-flip-1", "EFGH5678")
    rows = [TSV | {"index": str(n), "qid": qid} for n, qid in enumerate(qids)]
    items, prompt = asked("3dsrbench", tsv(tmp_path / "3DSRBench.tsv", rows))
    assert [item.id for item in items] == list(qids)
    assert [item.scene for item in items] == ["ABCD1234"] * 4 + ["EFGH5678"]
    assert (items[0].task, items[0].answer) == ("height_higher", "B")
    assert read_encoded(tmp_path, items[0].images[0]) == [PICTURE]
    assert "Which is higher?" in prompt and "A. the lamp\nB. the bed" in prompt


def test_3dsrbench_prefers_the_file_with_turns(tmp_path: Path):
    tsv(tmp_path / "3dsrbench_v1_vlmevalkit.tsv", [TSV | {"qid": "PLAIN"}])
    turned = tmp_path / "3dsrbench_v1_vlmevalkit_circular.tsv"
    items, _ = asked("3dsrbench", tsv(turned, [TSV | {"qid": "TURNED"}]))
    assert [item.id for item in items] == ["TURNED"]


def test_topviewrs(tmp_path: Path):
    rows = [TSV, TSV | {"index": "8", "image": "7"}]  # the picture of row 7
    items, prompt = asked("topviewrs", tsv(tmp_path / "TopViewRS.tsv", rows))
    assert [read_encoded(tmp_path, item.images[0]) for item in items] == [[PICTURE]] * 2
    assert items[1].more["choices"] == {"A": "the lamp", "B": "the bed"}
    assert "A. the lamp\nB. the bed" in prompt


def test_cv_bench_of_two_files(tmp_path: Path):
    far = CV | {"idx": 1, "type": "3D", "task": "Depth", "source": "Omni3D", "filename": "3D/a.png"}
    for name, row in (("2d", CV), ("3d", far)):
        (tmp_path / f"test_{name}.jsonl").write_text(json.dumps(row) + "\n")
    items, prompt = asked("cv_bench", tmp_path)
    assert [item.images for item in items] == [(CV["filename"],), ("img/3D/a.png",)]
    assert [item.answer for item in items] == ["B", "B"]
    assert items[0].options == ("(A) 2", "(B) 1") and prompt.startswith(CV["prompt"])


@pytest.mark.parametrize("wrapped", [False, True])
def test_spatial457_of_seven_levels(tmp_path: Path, wrapped):
    items, prompt = asked("spatial457", levels(tmp_path, VEHICLE, wrapped))
    assert [item.task for item in items] == list(LEVELS)
    assert items[0].id == "L1_single/3" and {item.answer for item in items} == {"Yes"}
    assert items[0].images == ("images/superCLEVR_new_000001.png",)
    assert "identify attributes of the objects, and" in prompt and VEHICLE["question"] in prompt


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"answer": "(C)"}, "1: answer: expected one of the options A. 2, B. 1, found '.C.'"),
        ({"task": "Size"}, "1: task: expected one of Count, .*found 'Size'"),
        ({"source": "Omni3D"}, "1: type: expected one of 3D, found '2D'"),
    ],
)
def test_rows_that_are_not_cv_bench_s_are_refused(tmp_path: Path, wrong, told):
    (tmp_path / "test.jsonl").write_text(json.dumps(CV | wrong) + "\n")
    with pytest.raises(ValueError, match=f"test.jsonl.*{told}"):
        find_benchmark("cv_bench").load(tmp_path)


def test_a_lost_level_of_spatial457_is_named(tmp_path: Path):
    (levels(tmp_path, VEHICLE) / "questions" / "L4_occ.json").unlink()
    with pytest.raises(ValueError, match=r"expected questions/L4_occ\.json; found"):
        find_benchmark("spatial457").load(tmp_path)


def test_an_unknown_category_of_3dsrbench_is_named(tmp_path: Path):
    tsv(tmp_path / "3DSRBench.tsv", [TSV | {"qid": "A", "category": "juggling"}])
    with pytest.raises(ValueError, match=r"2: category: expected one of .*found 'juggling'"):
        find_benchmark("3dsrbench").load(tmp_path)
