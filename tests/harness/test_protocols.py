"""Protocols called `lmms_eval` against lmms-eval's own functions, on random responses.

Opt-in, as test_lmms_eval.py is: `make test-harness`.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
from typing import Any

import pytest

from spatialsv.benchmarks.benchmark import Item
from spatialsv.benchmarks.catalogue import find_benchmark

PYTHON = os.environ.get("SPATIALSV_HARNESS_PYTHON")
pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(not PYTHON, reason="SPATIALSV_HARNESS_PYTHON names no environment"),
]
REPLIES = 3000
# By the file alone: the package itself imports all that could be evaluated, torchvision included.
THEIRS = """
import json, sys
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
name, function, places = sys.argv[1:4]
(root,) = find_spec("lmms_eval").submodule_search_locations
spec = spec_from_file_location("utils", Path(root) / "tasks" / name / "utils.py")
module = module_from_spec(spec)
spec.loader.exec_module(module)
judge = getattr(module, function)
given, found = json.load(sys.stdin), []
if name == "sitebench":  # it draws a letter where it finds none; ours then has no prediction
    module.random.choice = lambda letters: None
for response in given["responses"]:
    value = judge(dict(given["doc"]), [response])
    for place in places.split("/"):
        value = value[place]
    found.append(float(value))
print("scores", json.dumps(found))
"""
CHOICES = {"A": "left", "B": "right", "C": "front", "D": "back"}
# Of responses: what rules look for, and what leads them astray.
PARTS = (
    *("A", "B", "C", "D", "b", "(B)", "B.", "B:", "**B**", "[C]", "E", "a", "A. left", "B. right"),
    *("left", "right", "The answer is", "answer:", "Answer: B", "My answer is", "<answer>"),
    *("</answer>", "<Answer>B", "<think>", "</think>", "I", "banana", "Because", "\n", "\n\n", " "),
    *("2", "2.0", "two", "twenty", "3.5", "-2", "0", "1,000", "about", "meters", "ten", "a chair"),
    *("{'Reasoning': 'x', 'Answer': 'Sedan'}", "'Answer': 'sedan'", "Answer=3", "Yes", "no", "."),
    *("'Answer': '3'", "'Answer': 'Yes'", "Answer: yes"),
)
CASES: dict[str, tuple[str, str, str, dict[str, Any], Item]] = {}


def case(name: str, call: tuple[str, str, str], doc: dict[str, Any], **fields: Any) -> None:
    """`call`: the task's folder, its function, and where in what that gives the score is."""
    item = Item(**{"id": "0", "question": "Where?", "scene": "s", **fields})
    CASES[f"{name} {item.task} {item.answer}"] = (*call, doc, item)


VSI = ("vsibench", "vsibench_process_results")
doc = {"question_type": "route_planning", "ground_truth": "B"}
case(
    "vsi_bench",
    (*VSI, "vsibench_overall/accuracy"),
    doc,
    task="route_planning",
    kind="choice",
    answer="B",
)
for truth in ("2", "3.5", "20"):
    doc = {"question_type": "object_counting", "ground_truth": truth}
    case(
        "vsi_bench",
        (*VSI, "vsibench_overall/MRA:.5:.95:.05"),
        doc,
        task="object_counting",
        kind="number",
        answer=truth,
    )
doc = {"answer": "(B)", "idx": 0, "type": "2D", "task": "Count", "source": "COCO"}
case(
    "cv_bench",
    ("cv_bench", "cv_bench_process_results", "cv_bench_acc/is_correct"),
    doc,
    task="Count",
    kind="choice",
    answer="B",
    more={"choices": CHOICES, "source": "COCO"},
)
doc = {"answer": "B. right", "question_type": "x"}
case(
    "viewspatial",
    ("viewspatial", "viewspatial_process_results", "overall_accuracy/score"),
    doc,
    task="x",
    kind="choice",
    answer="B",
    more={"choices": CHOICES},
)
doc = {"gt_answer": "B", "id": "among_1"}
case(
    "mindcube",
    ("mindcube", "mindcube_process_results", "overall_accuracy/score"),
    doc,
    task="among",
    kind="choice",
    answer="B",
)
doc = {"answer": "B", "category": "height_higher", "index": 0, "qid": "ABCD1234"}
case(
    "3dsrbench",
    ("3dsrbench", "process_results", "vanilla_accuracy/score"),
    doc,
    task="height_higher",
    kind="choice",
    answer="B",
    more={"choices": CHOICES, "qid": "ABCD1234"},
)
doc = {"answer": 1, "question_id": "0", "relation": "close", "data_source": "mp3d"}
case(
    "embspatial_bench",
    ("embspatial", "embspatial_process_results", "embspatial_acc/is_correct"),
    doc,
    task="close",
    kind="choice",
    answer="B",
    options=tuple(CHOICES.values()),
    more={"source": "mp3d"},
)
doc = {"answer": "B", "options": list(CHOICES.values()), "dataset": "CLEVR"}
case(
    "site_bench",
    ("sitebench", "spatial_process_results", "accuracy/overall"),
    doc | {"category": "counting & existence"},
    task="counting & existence",
    kind="choice",
    answer="B",
    options=tuple(CHOICES.values()),
)
for truth in ("Sedan", "3", "Yes"):
    case(
        "spatial457",
        ("spatial457", "spatial457_process_results", "spatial457_accuracy/is_correct"),
        {"answer": truth, "question_index": 0},
        task="L1_single",
        kind="text",
        answer=truth,
    )


def responses() -> list[str]:
    generator = random.Random(0)
    lengths = [generator.choice((0, 1, 1, 2, 3, 5, 8)) for _ in range(REPLIES)]
    joints = [generator.choice((" ", "", "\n")) for _ in lengths]
    return [
        joint.join(generator.choices(PARTS, k=k)) for joint, k in zip(joints, lengths, strict=True)
    ]


@pytest.mark.parametrize("name", CASES)
def test_scores_are_theirs(name):
    folder, function, places, doc, item = CASES[name]
    made = responses()
    done = subprocess.run(
        [PYTHON, "-c", THEIRS, folder, function, places],
        input=json.dumps({"doc": doc, "responses": made}),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    theirs = json.loads(done.stdout.rpartition("scores ")[2])
    rules = find_benchmark(name.partition(" ")[0]).protocols["lmms_eval"]
    predictions = [rules.parse_response(item, response) for response in made]
    drawn = name.startswith("site_bench")  # and the expected score of a drawn letter
    ours = [0 if drawn and p is None else rules.score(item, p) for p in predictions]
    wrong = [
        (r, a, b) for r, a, b in zip(made, ours, theirs, strict=True) if abs((a or 0) - b) > 1e-9
    ]
    assert not wrong, f"{len(wrong)} of {len(made)} differ, such as {wrong[:3]}"
    assert 0 < sum(theirs) < len(theirs)  # neither all right nor all wrong, or nothing is shown
