"""STI-Bench by two stacks' rules: golden responses, prompts, files."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as parquet
import pytest

from spatialsv.benchmarks.sti_bench import STI_BENCH, load

ROW = {
    "Video": "scene0000_00.mp4",
    "ID": 7,
    "time_start": 1.5,
    "time_end": 9,
    "Question": "How far?",
    "Candidates": json.dumps(dict(zip("ABCDE", "12345", strict=True))),
    "Answer": "B",
    "Task": "Spatial Relation",
}


def release(folder: Path, **changes) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    parquet.write_table(pa.Table.from_pylist([ROW | changes]), folder / "qa.parquet")
    return folder


@pytest.mark.parametrize(
    ("response", "official", "vlmevalkit"),
    [
        ("B", 1, 1),
        ("(B)", 1, 1),
        ("(b)", 1, 1),
        ("b", 0, 1),  # the last character, as it is
        ("Ans='B'", 1, 1),
        ("Answer: B. 2 m", 1, 1),
        ("Option B", 1, 1),
        ("I take B.", 1, 1),
        ("I choose B", 1, 1),  # the last character
        ("B, 2 m", 0, 1),
        ("(A) is wrong. Answer: B", 0, 1),  # the first pattern anywhere decides
        ("option correct", 0, 0),  # C
        ("LAMB", 1, 0),
        ("", 0, 0),
    ],
)
def test_a_reply_is_read_as_each_stack_reads_it(tmp_path, response, official, vlmevalkit):
    (item,) = load(release(tmp_path))
    rules = [STI_BENCH.protocols[stack] for stack in ("official", "vlmevalkit")]
    assert [r.score(item, r.parse_response(item, response)) for r in rules] == [
        official,
        vlmevalkit,
    ]


def test_prompts_and_candidates_as_text_or_as_an_object(tmp_path):
    candidates = {"A": "1", "B": "2", "C": "3", "D": "4", "E": None}
    (item,) = load(release(tmp_path, Candidates=candidates))
    assert STI_BENCH.protocols["official"].prompt(item) == (
        "From 1.5 s to 9 s. How far?\n(A) 1\n(B) 2\n(C) 3\n(D) 4\n"
        "Please output only the option letter!"
    )
    told = STI_BENCH.protocols["vlmevalkit"].prompt(item)
    assert "Question: From 1.5 seconds to 9 seconds. How far?\nA 1\nB 2\n" in told
    assert item.id == "scene0000_00.mp4|7|1.5|9" and item.video == "video/scene0000_00.mp4"
    (tmp_path / "videos").mkdir()
    assert load(tmp_path)[0].video == "videos/scene0000_00.mp4"


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"Task": "Juggling"}, "Task: expected one of Dimensional Measurement, .*found 'Juggling'"),
        ({"Answer": "F"}, "Answer: expected one of the options .*found 'F'"),
        ({"Candidates": "1, 2"}, "Candidates: expected an object, found '1, 2'"),
        ({"Candidates": '{"B": "1"}'}, "Candidates: expected A to E, found B"),
    ],
)
def test_rows_that_are_not_sti_bench_s_are_refused(tmp_path, changes, told):
    with pytest.raises(ValueError, match=told):
        load(release(tmp_path, **changes))
