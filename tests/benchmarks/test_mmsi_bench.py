"""MMSI-Bench by three stacks' rules: golden responses, prompts, files."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as parquet
import pytest

from spatialsv.benchmarks.benchmark import Item
from spatialsv.benchmarks.images import read_encoded
from spatialsv.benchmarks.mmsi_bench import COUNTS, MMSI_BENCH, load

STACKS = ("official", "lmms_eval", "vlmevalkit")
QUESTION = "Where is it?\nOptions: A: left, B: right, C: up, D: down"
ITEM = Item(id="0", task="MSR", kind="choice", question=QUESTION, answer="B", scene="0")
ASK = (
    "Answer with the option's letter from the given choices directly."
    " Enclose the option's letter within ``."
)


@pytest.mark.parametrize(
    ("response", "official", "lmms_eval", "vlmevalkit"),
    [
        ("``B``", 1, 1, 1),
        ("`B`", 1, 1, 1),
        ("{B}", 1, 1, 1),
        ("A or C? ``B``", 1, 1, 0),
        ("B", 1, 1, 1),
        ("b", 0, 1, 1),
        ("``b``", 0, 1, 1),
        ("B bikes", 0, 0, 1),  # a word follows
        ("It is a: B", 1, 0, 1),  # the article is a letter
        ("E, then B", 1, 0, 0),  # E is no letter of four
        ("right", 0, 0, 0),
        ("", 0, 0, 0),
        ("`nothing` but B", 0, 0, 1),
    ],
)
def test_a_reply_is_read_as_each_stack_reads_it(response, official, lmms_eval, vlmevalkit):
    rules = [MMSI_BENCH.protocols[stack] for stack in STACKS]
    assert [r.score(ITEM, r.parse_response(ITEM, response)) for r in rules] == [
        official,
        lmms_eval,
        vlmevalkit,
    ]


def test_prompts():
    official, lmms_eval, vlmevalkit = (MMSI_BENCH.protocols[stack].prompt(ITEM) for stack in STACKS)
    assert official == lmms_eval == f"{QUESTION}\n{ASK}"
    assert vlmevalkit == f"{QUESTION}, \n{ASK}"


def row(task: str) -> dict:
    texts = {"id": 5, "question_type": task, "question": f"{QUESTION} ", "answer": "B"}
    return {"images": [b"one", b"two"], "thought": "", **texts}


def test_types_are_known_by_hyphen_and_by_dash(tmp_path):
    tasks = ["Positional Relationship (Cam.–Cam.)", "Positional Relationship (Cam.-Cam.)"]  # noqa: RUF001
    path = tmp_path / "MMSI_Bench.parquet"
    parquet.write_table(pa.Table.from_pylist([row(task) for task in tasks]), path)
    items = load(tmp_path)
    assert {item.task for item in items} == {"Positional Relationship (Cam.-Cam.)"}
    assert items[0].question == QUESTION and sum(COUNTS.values()) == 1000
    assert read_encoded(tmp_path, items[1].images[0]) == [b"one", b"two"]


def test_rows_that_are_not_mmsi_bench_s_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"expected MMSI_Bench\.parquet or .* found nothing"):
        load(tmp_path)
    parquet.write_table(pa.Table.from_pylist([row("Juggling")]), tmp_path / "MMSI_Bench.parquet")
    with pytest.raises(ValueError, match=r"question_type: expected one of .*found 'Juggling'"):
        load(tmp_path)
