"""BLINK by three stacks' rules: golden responses, prompts, averages, files."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as parquet
import pytest

from spatialsv.benchmarks.benchmark import Item
from spatialsv.benchmarks.blink import BLINK, COUNTS, load
from spatialsv.benchmarks.images import read_encoded

STACKS = ("official", "lmms_eval", "vlmevalkit")


def item(task: str = "Counting") -> Item:
    return Item(
        id="val_Counting_1",
        task=task,
        kind="choice",
        question="How many?",
        options=("two apples", "three apples"),
        answer="B",
        scene="s",
        more={"prompt": "How many?\n(A) two apples\n(B) three apples\n"},
    )


@pytest.mark.parametrize(
    ("response", "official", "lmms_eval", "vlmevalkit"),
    [
        ("B", 1, 1, 1),
        ("(B)", 1, 1, 1),
        ("b", 0, 1, 0),
        ("B.", 0, 1, 1),  # a judge would be asked
        ("", 0, 0, 0),
        ("The answer is (B).", 0, 1, 1),  # "(B)." is no "(B)"
        ("I choose (B) three apples", 1, 1, 1),
        ("(A) or (B)\n\nI choose (B)", 1, 1, 0),  # the last paragraph
        ("(B) and not (A)", 0, 0, 0),
        ("three apples", 0, 0, 1),  # the option's words
        ("apples", 0, 0, 0),  # lmms-eval: its first letter is A
        ("big", 0, 1, 0),  # and here B
        ("The correct answer is B because of the apples in it", 0, 1, 1),
        ("answer: A, no, answer: B", 0, 1, 0),
        ("(C)", 0, 0, 0),
        ("Cannot determine the answer B", 0, 1, 0),
        ("Z", 0, 0, 0),
    ],
)
def test_a_reply_is_read_as_each_stack_reads_it(response, official, lmms_eval, vlmevalkit):
    found = [
        BLINK.protocols[s].score(item(), BLINK.protocols[s].parse_response(item(), response))
        for s in STACKS
    ]
    assert found == [official, lmms_eval, vlmevalkit]


def test_prompts():
    asked = item().more["prompt"]
    official, lmms_eval, vlmevalkit = (BLINK.protocols[stack].prompt for stack in STACKS)
    assert official(item()) == asked
    assert official(item("Jigsaw")).startswith("Disclaimer: This is not to make unfair")
    told = (
        "Note: You only need to respond with A, B without providing any additional information.\n"
    )
    assert lmms_eval(item()) == told + asked
    options = "Options:\nA. two apples\nB. three apples\n"
    told = (
        f"Question: How many?\n{options}Please select the correct answer from the options above. \n"
    )
    assert vlmevalkit(item()) == told


def test_tasks_weigh_alike_but_not_in_vlmevalkit():
    scored = [(item("Jigsaw"), 1.0), *[(item("Counting"), 0.0)] * 3]
    found = [BLINK.protocols[stack].aggregate(scored).overall for stack in STACKS]
    assert found == [0.5, 0.5, 0.25]


def release(folder: Path, task: str, **changes) -> Path:
    row = {
        "idx": f"val_{task}_1",
        "sub_task": task,
        "question": "How many?",
        "choices": ["two apples", "three apples"],
        "answer": "(B)",
        "prompt": "How many?\n(A) two apples\n(B) three apples\n",
        "image_1": {"bytes": b"one", "path": None},
        "image_2": None,
        "image_3": None,
        "image_4": None,
    }
    path = folder / task / "val-00000-of-00001.parquet"
    path.parent.mkdir(parents=True)
    parquet.write_table(pa.Table.from_pylist([row | changes]), path)
    return folder


def test_the_release_is_a_folder_a_task(tmp_path):
    for task in COUNTS:
        release(tmp_path, task)
    items = load(tmp_path)
    assert [i.task for i in items] == sorted(COUNTS) and sum(COUNTS.values()) == 1901
    assert items[0].answer == "B"
    assert [read_encoded(tmp_path, name) for name in items[0].images] == [[b"one"], [], [], []]


def test_files_that_are_not_blink_s_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"expected \*/val-\*\.parquet; found nothing"):
        load(tmp_path)
    with pytest.raises(
        ValueError, match=r"folder: expected one of Art_Style, Counting, .*found 'Juggling'"
    ):
        load(release(tmp_path / "a", "Juggling"))
    with pytest.raises(
        ValueError, match=r"answer: expected one of the options A. two apples, B. .*found 'hidden'"
    ):
        load(release(tmp_path / "b", "Counting", answer="hidden"))
