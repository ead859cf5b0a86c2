"""SPAR-Bench by three stacks' rules, slips included: golden responses, prompts, averages, files."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as parquet
import pytest

from spatialsv.benchmarks.benchmark import Item
from spatialsv.benchmarks.images import read_encoded
from spatialsv.benchmarks.score import check_counts
from spatialsv.benchmarks.spar_bench import (
    HIGH,
    LOW,
    MIDDLE,
    PROTOCOLS,
    SPAR_BENCH_TINY,
    TASKS,
    VIEW,
    load,
)

STACKS = ("official", "lmms_eval", "vlmevalkit")


def item(task: str, truth: str) -> Item:
    kind = "number" if task in LOW else "text" if task == VIEW else "choice"
    return Item(id="0", task=task, kind=kind, question="Which?", answer=truth, scene="s")


def scores(question: Item, response: str) -> list[float]:
    rules = [PROTOCOLS[stack] for stack in STACKS]
    return [rule.score(question, rule.parse_response(question, response)) for rule in rules]


@pytest.mark.parametrize(
    ("response", "official", "vlmevalkit"),
    [
        # lmms-eval scores choices as the authors do
        ("B", 1, 1),
        ("b", 1, 1),
        ("B. left", 1, 1),
        ("big", 1, 0),  # it starts with the letter
        ("A", 0, 0),
        ("", 1, 0),  # nothing lies in any text
        (" B", 0, 1),
        ("(B)", 0, 1),
        ("The answer is B", 0, 1),
    ],
)
def test_a_choice(response, official, vlmevalkit):
    assert scores(item(HIGH[0], "B"), response) == [official, official, vlmevalkit]


@pytest.mark.parametrize(
    ("task", "response", "official", "vlmevalkit"),
    [
        ("depth_prediction_oc", "3", 1, 1),
        ("depth_prediction_oc", "3 m, not 5", 1, 0),  # the first number, or the last
        ("depth_prediction_oc_mv", "3 m, not 5", 0, 0),
        ("depth_prediction_oc_mv", "5 m, no, 3", 1, 1),
        ("depth_prediction_oc", "-3", 1, 0),  # no sign is read
        ("depth_prediction_oc", "m^2 3", 1, 1),  # an exponent is no number
        ("depth_prediction_oc", "three", 0, 1),
        ("depth_prediction_oc", "", 0, 0),
        ("depth_prediction_oc_mv", "", 0, 0),
    ],
)
def test_a_number_which_lmms_eval_never_scores(task, response, official, vlmevalkit):
    assert scores(item(task, "3"), response) == [official, 0, vlmevalkit]


def test_a_truth_of_0_is_scored_by_the_absolute_error():
    assert scores(item(LOW[0], "0"), "0.5") == [pytest.approx(0.1), 0, pytest.approx(0.1)]


@pytest.mark.parametrize(
    ("response", "official", "vlmevalkit"),
    [
        ("move_right:1.0,rotate_up:10", 1.0, 1.0),
        ("move_left:-1,rotate_down:-10", 1.0, 1.0),  # axes have signs
        ("move_right:2,rotate_up:10", 0.82, 0.8),  # an error of 1 / 2, or of 1 / 1
        ("move_right:1.0, rotate_up:10", 0.8, 1.0),  # the name after the space is not stripped
        ("", 0.0, 0.6),  # unread, or no change, which is right on three axes
        ("I moved right", 0.0, 0.6),
        ("move_right:1.0,rotate_up:10.", 1.0, 1.0),
        ("move_right:1.0,rotate_up:10 degrees", 0.0, 0.8),
    ],
)
def test_a_change_of_view(response, official, vlmevalkit):
    found = scores(item(VIEW, "move_right:1.0,rotate_up:10"), response)
    assert found == pytest.approx([official, official, vlmevalkit])


def test_prompts_are_one_and_start_with_an_empty_line():
    letter = "Answer with the option's letter from the given choices directly."
    for stack in STACKS:
        ask = PROTOCOLS[stack].prompt
        assert ask(item(HIGH[0], "B")) == f"\nWhich?\n\n{letter}"
        assert ask(item(VIEW, "move_up:1")) == "\nWhich?\n\n"
        assert ask(item("position_matching", "B")).startswith("\nWhich?\nThe values represent the")
        assert ask(item(LOW[0], "3")).endswith("using a single word or phrase.")


def test_overall_weighs_tasks_alike_and_two_stacks_lose_one_from_the_middle_level():
    scored = [
        (item(VIEW, ""), 1.0),
        (item("position_matching", "B"), 0.0),
        (item(HIGH[0], "B"), 0.0),
    ]
    scored += [(item(LOW[0], "3"), 0.5)] * 9
    for stack, middle in (("official", 0.0), ("lmms_eval", 0.0), ("vlmevalkit", 0.5)):
        found = PROTOCOLS[stack].aggregate(scored)
        assert found.overall == pytest.approx(1.5 / 4)
        assert found.tasks["middle"].score == middle
        assert (found.tasks["low"].score, found.tasks["low"].n) == (0.5, 9)


def release(folder: Path, rows: list[dict]) -> Path:
    path = folder / "data" / "test-00000-of-00001.parquet"
    path.parent.mkdir(parents=True)
    parquet.write_table(pa.Table.from_pylist(rows), path, row_group_size=2)
    return folder


def row(number: int, task: str) -> dict:
    images = [{"bytes": f"{number}{view}".encode(), "path": None} for view in "ab"]
    answer = "2.5" if task in LOW else "move_left:0.3,rotate_up:20" if task == VIEW else "B"
    texts = {"task": task, "question": "Which?", "answer": answer, "source": "scannet"}
    return {
        "id": number,
        "img_type": "multi_view",
        "format_type": "select",
        "image": images,
    } | texts


def test_rows_of_the_release_and_their_images(tmp_path):
    data = release(tmp_path, [row(number, task) for number, task in enumerate(TASKS)])
    items = load(data)
    assert [i.task for i in items] == list(TASKS)
    assert {i.kind for i in items if i.task in MIDDLE} == {"text", "choice"}
    assert read_encoded(data, items[7].images[0]) == [b"7a", b"7b"]
    with pytest.raises(ValueError, match="no cell"):
        read_encoded(data, items[7].images[0].replace("#7/", "#20/"))
    assert check_counts(items, SPAR_BENCH_TINY.counts)[0].endswith("1 items, published are 50")


def test_rows_that_are_not_spar_bench_s_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"expected data/test-\*\.parquet .* found nothing"):
        load(tmp_path / "none")
    with pytest.raises(
        ValueError, match=r"task: expected one of depth_prediction_oc, .*found 'juggling'"
    ):
        load(release(tmp_path / "a", [row(0, "juggling")]))
    with pytest.raises(ValueError, match="row 0: task: no such field; found id"):
        load(release(tmp_path / "b", [{"id": 0}]))
