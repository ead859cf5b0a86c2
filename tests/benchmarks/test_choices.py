"""Golden responses to the multiple-choice benchmarks by each stack's rules, and their averages."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from spatialsv.benchmarks.benchmark import Item
from spatialsv.benchmarks.catalogue import find_benchmark, load_items
from spatialsv.benchmarks.images import read_encoded
from spatialsv.benchmarks.score import check_counts

CHOICES = {"A": "left", "B": "right", "C": "front", "D": "back"}
MORE = {"choices": CHOICES, "source": "COCO", "prompt": "Where?", "qid": "ABCD1234"}


def item(answer: str = "B", task: str = "t", kind: str = "choice", **more) -> Item:
    fields = {"id": "0", "question": "Where?", "scene": "s", "more": MORE} | more
    return Item(task=task, kind=kind, answer=answer, **fields)


def scored(name: str, stack: str, question: Item, response: str) -> float:
    rules = find_benchmark(name).protocols[stack]
    return rules.score(question, rules.parse_response(question, response))


@pytest.mark.parametrize(
    ("name", "stack", "response", "expected"),
    [
        ("mindcube_tiny", "official", "A. left, or B. right", 1),  # the last "X." wins
        ("mindcube_tiny", "official", "<answer>B</answer>", 1),
        ("mindcube_tiny", "official", "B", 1),
        ("mindcube_tiny", "official", "", 0),
        ("mindcube_tiny", "official", "right", 0),
        ("viewspatial", "official", "B\na thing", 0),  # the article is an A
        ("viewspatial", "official", "A\nb", 1),
        ("viewspatial", "official", "B\n", 0),  # the last line is empty
        ("viewspatial", "vlmevalkit", "B\n", 1),
        ("cv_bench", "official", "The answer is B", 1),
        ("cv_bench", "lmms_eval", "The answer is B", 0),  # T
        ("cv_bench", "lmms_eval", "banana", 1),
        ("cv_bench", "vlmevalkit", "right", 1),
        ("3dsrbench", "lmms_eval", "Answer: B", 1),
        ("3dsrbench", "official", "B or C", 0),
        ("ego3d_bench", "official", "<think>A</think><answer>B</answer>", 1),
        ("ego3d_bench", "official", "<answer>B. right</answer>", 0),
        ("topviewrs", "vlmevalkit", "I say B.", 1),
        ("mmbench", "official", "The answer is B", 1),
        ("mmbench", "official", "A sedan is on the right.", 1),  # A is too far from the end
        ("mmbench", "official", "left or right", 0),
        ("mmbench", "official", "Sorry, I can't help with images of people yet.", 0),
        ("mmbench", "lmms_eval", "(B)", 1),
        ("mmbench", "lmms_eval", "right", 1),
        ("mmbench", "lmms_eval", "Failed to obtain answer via API", 0),
        ("spbench_si", "official", "<think>A</think><answer>B. right</answer>", 1),
        ("spbench_si", "official", "B right", 1),
        ("spbench_si", "official", "<answer>B", 0),  # a tag that is not closed
        ("spbench_si", "official_direct", "<answer>B</answer>", 0),
        ("spbench_si", "vlmevalkit", "<answer>B</answer>", 1),
    ],
)
def test_choices(name, stack, response, expected):
    assert scored(name, stack, item(), response) == expected


@pytest.mark.parametrize(
    ("stack", "response", "expected"),
    [
        ("official", "<think>3</think><answer>5.0 m</answer>", 1),
        ("official", "five or six", 1),
        ("official", "a chair, 5", 0),  # the article is a 1
        ("official", "", 0),
        ("official_direct", "about 5", 1),
        ("vlmevalkit", "a chair, 5", 1),
    ],
)
def test_numbers_of_spbench(stack, response, expected):
    assert scored("spbench_si", stack, item("5", kind="number"), response) == expected


def test_spatial457_forgives_a_vehicle_and_a_number_in_vlmevalkit_alone():
    for truth, prediction in (("minivan", "sedan"), ("Yes", "3"), ("3", "three")):
        response = f"{{'Reasoning': 'x', 'Answer': '{prediction}'}}"
        question = item(truth, kind="text")
        assert scored("spatial457", "official", question, response) == 1
        assert scored("spatial457", "lmms_eval", question, response) == 0


def test_kinds_of_3dsrbench_differ_in_what_must_be_right_at_once():
    rows = {"ABCD1234": 1, "ABCD1234-1": 1, "ABCD1234-flip": 1, "ABCD1234-flip-1": 0}
    task = "height_higher"
    scores = [
        (item(task=task, scene="ABCD1234", more={"qid": qid}), float(value))
        for qid, value in rows.items()
    ]
    overall = {
        name: rules.aggregate(scores).overall
        for name, rules in find_benchmark("3dsrbench").protocols.items()
    }
    assert overall == {"official": 0.5, "lmms_eval": 0.75, "vlmevalkit": 0}


def test_cv_bench_weighs_its_sources():
    def one(source: str, value: float) -> tuple[Item, float]:
        return item(task="Count", more={"source": source}), value

    scores = [one("ADE20K", 1.0), one("COCO", 0.0), one("COCO", 0.0), one("Omni3D", 1.0)]
    assert find_benchmark("cv_bench").protocols["official"].aggregate(scores).overall == 0.75
    assert find_benchmark("cv_bench").protocols["lmms_eval"].aggregate(scores).overall == 0.5


def test_mindcube_tiny_of_either_size_is_as_published(tmp_path: Path):
    known = find_benchmark("mindcube_tiny")

    def warnings(around: int) -> list[str]:
        counts = {"rotation": 200, "among": 600, "aroundnew": around}
        rows = [
            {"id": f"{name}_{n}", "question": "?", "images": ["x/1.jpg"], "gt_answer": "A"}
            for name, count in counts.items()
            for n in range(count)
        ]
        path = tmp_path / "MindCube_tinybench.jsonl"
        path.write_text("\n".join(map(json.dumps, rows)))
        return check_counts(load_items("mindcube_tiny", tmp_path), known.counts)

    assert warnings(400) == warnings(250) == []
    assert warnings(300) == ["around: 300 items, published are 400 or 250"]


def test_mmbench_is_circular_and_shares_images(tmp_path: Path):
    picture = bytes(range(60))
    fields = ["index", "question", "hint", "A", "B", "answer", "category", "l2-category", "image"]
    rows = [
        ["1", "Q?", "", "cat", "dog", "A", "animals", "cp", base64.b64encode(picture).decode()],
        ["1000001", "Q?", "", "dog", "cat", "B", "animals", "cp", "1"],
    ]
    lines = ["\t".join(row) for row in [fields, *rows]]
    (tmp_path / "MMBench_DEV_EN.tsv").write_text("\n".join(lines) + "\n")
    known = find_benchmark("mmbench")
    items = load_items("mmbench", tmp_path)
    assert [read_encoded(tmp_path, one.images[0])[0] for one in items] == [picture, picture]
    found = known.protocols["official"].aggregate([(items[0], 1.0), (items[1], 0.0)])
    assert (found.overall, found.tasks["vanilla"].score) == (0, 1)


def test_layouts_that_are_not_understood_are_refused(tmp_path: Path):
    for name in ("mindcube", "viewspatial", "cv_bench", "3dsrbench", "spatial457", "mmbench"):
        with pytest.raises(ValueError, match=r"expected .*; found nothing"):
            find_benchmark(name).load(tmp_path)
