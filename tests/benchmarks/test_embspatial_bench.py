"""EmbSpatial-Bench by two stacks' rules: golden responses, prompts, averages, files."""

from __future__ import annotations

from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as parquet
import pytest

from helpers.benchmark_rows import ROWS, write_release
from spatialsv.benchmarks.benchmark import Item
from spatialsv.benchmarks.catalogue import load_items
from spatialsv.benchmarks.embspatial_bench import EMBSPATIAL_BENCH
from spatialsv.benchmarks.images import read_encoded

STACKS = ("vlmevalkit", "lmms_eval")
ITEM = Item(
    id="mp3d_57",
    task="close",
    kind="choice",
    question="Which is near?",
    options=("garage door", "cabinet", "table", "cart"),
    answer="C",
    scene="mp3d/s",
    more={"source": "mp3d"},
)


@pytest.mark.parametrize(
    ("response", "vlmevalkit", "lmms_eval"),
    [
        ("C", 1, 1),
        ("c", 1, 1),
        ("(C) table", 1, 1),
        ("C) table", 1, 1),
        ("Cart", 0, 1),  # its first letter
        ("The answer is C", 1, 0),  # T
        ("<answer>C</answer>", 1, 0),
        ("**C**", 1, 0),
        ("table", 0, 0),
        ("", 0, 0),
    ],
)
def test_a_response_is_parsed_as_each_stack_parses_it(response, vlmevalkit, lmms_eval):
    rules = [EMBSPATIAL_BENCH.protocols[stack] for stack in STACKS]
    assert [r.score(ITEM, r.parse_response(ITEM, response)) for r in rules] == [
        vlmevalkit,
        lmms_eval,
    ]


def test_prompts():
    vlmevalkit, lmms_eval = (EMBSPATIAL_BENCH.protocols[stack].prompt(ITEM) for stack in STACKS)
    assert vlmevalkit == (
        "Question: Which is near?\nOptions:\nA: garage door\nB: cabinet\nC: table\nD: cart\n"
        "Give me the answer letter directly. The best answer is:"
    )
    assert lmms_eval == (
        "Note: You only need to respond with A, B, C, D without providing any additional"
        " information.\nWhich is near?\nA) garage door\nB) cabinet\nC) table\nD) cart"
    )


def test_every_question_weighs_the_same():
    other = replace(ITEM, task="far", more={"source": "scannet"})
    found = EMBSPATIAL_BENCH.protocols["vlmevalkit"].aggregate([(ITEM, 1.0), *[(other, 0.0)] * 3])
    scores = {name: tree.score for name, tree in found.tasks.items()}
    assert found.overall == 0.25 and scores == {"close": 1, "far": 0, "mp3d": 1, "scannet": 0}


def test_images_are_in_the_file_as_base64_or_bytes(tmp_path):
    row = ROWS["embspatial_bench"][1]
    data = write_release("embspatial_bench", tmp_path / "a", row)
    (item,) = load_items("embspatial_bench", data)
    assert (item.id, item.task, item.answer) == ("mp3d_57", "close", "B")
    assert item.scene == "mp3d/YVUC4YcDtcY"
    assert read_encoded(data, item.images[0]) == [bytes(range(60))]
    (tmp_path / "b/data").mkdir(parents=True)
    copy = {name: row[name] for name in row if name != "scene_id"} | {"image": {"bytes": b"one"}}
    path = tmp_path / "b/data/test-00000-of-00001.parquet"
    parquet.write_table(pa.Table.from_pylist([copy]), path)
    (item,) = load_items("embspatial_bench", tmp_path / "b")
    assert item.scene == "mp3d/mp3d_57"
    assert read_encoded(tmp_path / "b", item.images[0]) == [b"one"]


@pytest.mark.parametrize("answer", [2, -1, "C", 0.5, True])
def test_an_answer_that_is_no_index_of_an_option_is_refused(tmp_path, answer):
    row = ROWS["embspatial_bench"][1] | {"answer": answer}
    with pytest.raises(ValueError, match=r"row 0: answer: expected"):
        load_items("embspatial_bench", write_release("embspatial_bench", tmp_path, row))


@pytest.mark.parametrize("image", [None, "", 3])
def test_a_row_without_image_is_named_when_it_is_shown(tmp_path, image):
    row = ROWS["embspatial_bench"][1] | {"image": image}
    data = write_release("embspatial_bench", tmp_path, row)
    (item,) = load_items("embspatial_bench", data)
    with pytest.raises(ValueError, match=r"embspatial_bench.json: row 0: image: expected text"):
        read_encoded(data, item.images[0])
