"""VSI-Bench by three stacks' rules: golden responses, prompts, averages, files."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as parquet
import pytest

from spatialsv.benchmarks.benchmark import Item
from spatialsv.benchmarks.score import score
from spatialsv.benchmarks.vsi_bench import CHOICES, COUNTS, NUMBERS, PROTOCOLS, load

STACKS = ("official", "lmms_eval", "vlmevalkit")
LETTERS = "ABCD"


def row(number: int, task: str, truth: str) -> dict:
    options = [f"{letter}. thing {letter}" for letter in LETTERS] if task in CHOICES else None
    return {
        "id": number,
        "dataset": "scannet",
        "scene_name": f"scene{number % 88:04d}_00",
        "question_type": task,
        "question": f"Question {number}?",
        "ground_truth": truth,
        "options": options,
    }


def release(folder: Path, rows: list[dict], name: str = "test-00000-of-00001.parquet") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(pa.Table.from_pylist(rows), path)
    return folder


def whole(folder: Path) -> Path:
    """5,130 rows, as many of each type as published; every truth is B, or 10."""
    tasks = [task for task, count in COUNTS.items() for _ in range(count)]
    truth = {task: "B" if task in CHOICES else "10" for task in tasks}
    return release(folder, [row(number, task, truth[task]) for number, task in enumerate(tasks)])


def item(task: str, truth: str) -> Item:
    options = tuple(f"{letter}. thing" for letter in LETTERS) if task in CHOICES else ()
    return Item(
        id="0",
        task=task,
        kind="choice" if task in CHOICES else "number",
        question="Where is it?",
        options=options,
        answer=truth,
        scene="scannet/scene0000_00",
    )


def scored(stack: str, question: Item, response: str) -> float:
    rules = PROTOCOLS[stack]
    return rules.score(question, rules.parse_response(question, response))


@pytest.mark.parametrize(
    ("response", "official", "vlmevalkit"),
    [
        # lmms-eval reads choices as the authors do
        ("B", 1, 1),
        ("b", 1, 1),
        ("B.", 1, 1),
        ("B. left", 1, 1),
        ("B...", 1, 1),
        ("A", 0, 0),
        ("", 0, 0),
        (" B", 0, 1),  # the text before the first space is empty
        ("B) left", 0, 1),
        ("(B)", 0, 1),
        ("B\nbecause it is", 0, 1),  # a line break is no space
        ("The answer is B", 0, 1),
        ("<answer>B</answer>", 0, 1),
        ("<think>A or B? A.</think> B", 0, 1),
        ("left", 0, 0),
        ("A\nB", 0, 1),  # the last line counts
        ("B is right, A is not", 1, 0),  # two letters in one line are none
    ],
)
def test_a_choice_is_read_as_each_stack_reads_it(response, official, vlmevalkit):
    question = item("route_planning", "B")
    found = {stack: scored(stack, question, response) for stack in STACKS}
    assert found == {"official": official, "lmms_eval": official, "vlmevalkit": vlmevalkit}


@pytest.mark.parametrize(
    ("response", "official", "lmms_eval", "vlmevalkit"),
    [
        ("3", 1, 1, 1),
        ("3.0", 1, 1, 1),
        ("3 chairs", 1, 1, 1),
        ("3.", 1, 1, 1),
        ("3,", 0, 1, 1),
        ("3m", 0, 1, 1),
        ("~3", 0, 1, 1),
        ("three", 0, 1, 1),
        ("There are 3 chairs.", 0, 1, 1),
        ("one table and 3 chairs", 0, 0, 1),  # the first number, or the last
        ("3 chairs and 1 table", 1, 1, 0),
        ("nan", 0, 0, 0),
        ("inf", 0, 0, 0),
        ("none", 0, 0, 0),
        ("", 0, 0, 0),
        ("<answer>3</answer>", 0, 1, 1),
        ("<think>1 or 2?</think>3", 0, 0, 1),
        ("[3, 1]", 0, 1, 1),
        ("[1], [3]", 0, 0, 1),  # no list
        ("[{{3}}]", 0, 1, 0),
    ],
)
def test_a_number_is_read_as_each_stack_reads_it(response, official, lmms_eval, vlmevalkit):
    question = item("object_counting", "3")
    found = {stack: scored(stack, question, response) for stack in STACKS}
    assert found == {"official": official, "lmms_eval": lmms_eval, "vlmevalkit": vlmevalkit}


@pytest.mark.parametrize("stack", STACKS)
@pytest.mark.parametrize(
    ("prediction", "truth", "expected"),
    [
        # worked with the authors' code
        ("3", "2", 0.1),
        ("1.05", "1", 1.0),
        ("1.1", "1", 0.9),
        ("10.5", "10", 1.0),
        ("6", "4", 0.1),
        ("0", "3", 0.0),
        ("-3", "3", 0.0),
        ("0", "0", 1.0),  # their code divides by zero; the absolute error stands in
        ("0.5", "0", 0.1),
    ],
)
def test_mean_relative_accuracy(stack, prediction, truth, expected):
    question = item("object_abs_distance", truth)
    assert scored(stack, question, prediction) == pytest.approx(expected)


def test_prompts():
    choice, number = item("route_planning", "B"), item("room_size_estimation", "20")
    options = "A. thing\nB. thing\nC. thing\nD. thing"
    letter = "Answer with the option's letter from the given choices directly."
    video = "These are frames of a video.\nWhere is it?"
    for stack in ("official", "lmms_eval"):
        assert PROTOCOLS[stack].prompt(choice) == f"{video}\nOptions:\n{options}\n{letter}"
        told = "Please answer the question using a single word or phrase."
        assert PROTOCOLS[stack].prompt(number) == f"{video}\n{told}"
    assert PROTOCOLS["vlmevalkit"].prompt(choice) == f"{video}\n{options}\n{letter}"
    told = "Answer briefly and directly in one float number."
    assert PROTOCOLS["vlmevalkit"].prompt(number) == f"{video}\n{told}"


def responses(path: Path, prediction: dict[int, str]) -> Path:
    lines = [
        json.dumps({"id": number, "response": response}) for number, response in prediction.items()
    ]
    path.write_text("\n".join(lines) + "\n")
    return path


def test_overall_is_the_mean_of_eight_tasks_and_not_of_the_questions(tmp_path):
    data = whole(tmp_path / "data")
    items = load(data)
    prediction = {int(i.id): "B" if i.task.endswith("_easy") else "nothing" for i in items}
    found = score("vsi_bench", data, responses(tmp_path / "r.jsonl", prediction))
    assert found.scores.overall == pytest.approx(1 / 3 / 8)
    assert found.scores.tasks["object_rel_direction"].score == pytest.approx(1 / 3)
    assert found.scores.tasks["object_rel_direction_easy"].n == 217
    assert (found.items, found.warnings) == (5130, ())
    found = score("vsi_bench_mc", data, tmp_path / "r.jsonl", allow=["unknown"])
    assert found.scores.overall == pytest.approx(217 / 2490)  # the paper's: each question alike


def test_difficulties_stand_alone_in_vlmevalkit_where_one_is_missing(tmp_path):
    rows = [row(0, "object_rel_direction_easy", "B"), row(1, "object_rel_direction_hard", "A")]
    data = release(tmp_path / "data", [*rows, row(2, "route_planning", "B")])
    path = responses(tmp_path / "r.jsonl", {0: "B", 1: "B", 2: "B"})
    overall = {s: score("vsi_bench", data, path, s).scores.overall for s in STACKS}
    assert overall["official"] == pytest.approx((0.5 + 1) / 2)
    assert overall["vlmevalkit"] == pytest.approx((1 + 0 + 1) / 3)
    assert "object_counting: 0 items, published are 565" in score("vsi_bench", data, path).warnings


def test_ids_that_do_not_fit_are_errors_unless_allowed(tmp_path):
    data = release(
        tmp_path / "data", [row(7, "route_planning", "B"), row(8, "route_planning", "A")]
    )
    path = tmp_path / "r.jsonl"
    responses(path, {7: "B"})
    with pytest.raises(ValueError, match=r"1 missing of 2 ids: '8'; --allow missing"):
        score("vsi_bench", data, path)
    assert score("vsi_bench", data, path, allow=["missing"]).scores.overall == 0.5
    responses(path, {7: "B", 8: "A", 9: "A"})
    with pytest.raises(ValueError, match="1 unknown of 2 ids: '9'"):
        score("vsi_bench", data, path)
    path.write_text(
        '{"id": 7, "response": "A"}\n{"id": "7", "response": "B"}\n{"id": 8, "response": "A"}\n'
    )
    with pytest.raises(ValueError, match="1 duplicate of 2 ids: '7'"):
        score("vsi_bench", data, path)
    assert score("vsi_bench", data, path, allow=["duplicate"]).scores.overall == 1
    path.write_text('{"id": 7, "response": null}\n')
    with pytest.raises(ValueError, match=r"r\.jsonl:1: expected"):
        score("vsi_bench", data, path)


def test_files_that_are_not_vsi_bench_s_are_refused(tmp_path):
    path = responses(tmp_path / "r.jsonl", {0: "B"})
    with pytest.raises(ValueError, match=r"expected full/\*\.parquet .* found nothing"):
        score("vsi_bench", tmp_path / "data", path)
    data = release(tmp_path / "data", [{"id": 0, "q": "?"}])
    with pytest.raises(ValueError, match=r"row 0: question_type: no such field; found id, q"):
        score("vsi_bench", data, path)
    release(tmp_path / "data", [row(0, "juggling", "B")])
    with pytest.raises(ValueError, match=r"question_type: expected one of .*found 'juggling'"):
        score("vsi_bench", data, path)
    (data / "test-00000-of-00001.parquet").write_bytes(b"PAR1")
    with pytest.raises(ValueError, match="not Parquet"):
        score("vsi_bench", data, path)


def test_the_debiased_questions_lie_in_a_folder_of_their_own(tmp_path):
    data = whole(tmp_path / "data")
    release(data, [row(0, "route_planning", "B")], "debiased/test-00000-of-00001.parquet")
    assert len(load(data, "debiased")) == 1 and len(load(data)) == 5130
    assert len(load(data, types=CHOICES)) == 2490 and len(load(data, types=NUMBERS)) == 2640


def test_the_command_line_prints_a_table_and_writes_json_without_torch(tmp_path):
    data = whole(tmp_path / "data")
    path = responses(tmp_path / "r.jsonl", dict.fromkeys(range(5130), "B"))
    code = (
        "import sys; from spatialsv.cli import main;"
        f"code = main(['score', 'vsi_bench', '--data', {str(data)!r}, '--responses', {str(path)!r},"
        f" '--protocol', 'lmms_eval', '--json', {str(tmp_path / 'out.json')!r}]);"
        "assert 'torch' not in sys.modules and 'transformers' not in sys.modules; sys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "scored by the protocol lmms_eval" in done.stdout
    found = json.loads((tmp_path / "out.json").read_text())
    assert found["overall"] == pytest.approx(0.5)
    route = found["tasks"]["route_planning"]
    assert (route["n"], route["score"], route["scenes"]) == (194, 1.0, 88)
    assert route["interval"] == pytest.approx([88 / (88 + 1.959964**2), 1])  # Wilson's, of scenes
    assert found["unparsed"] == 2640
