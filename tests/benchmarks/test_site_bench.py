"""SITE-Bench by three stacks' rules: golden responses, chance-adjusted accuracy, prompts, files."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as parquet
import pytest

from spatialsv.benchmarks.benchmark import Item
from spatialsv.benchmarks.catalogue import load_items
from spatialsv.benchmarks.chance import random_scores
from spatialsv.benchmarks.site_bench import COUNTS, SITE_BENCH

STACKS = ("official", "vlmevalkit")
ITEM = Item(
    id="image_test/0",
    task="counting & existence",
    kind="choice",
    question=" How many?\n",
    options=("one", "two", "three", "four"),
    answer="B",
    scene="s",
)


@pytest.mark.parametrize(
    ("response", "official", "vlmevalkit"),
    [
        ("B", 1, 1),
        (" B\n", 1, 1),
        ("(B)", 1, 1),
        ("B.", 1, 1),
        ("B: two", 1, 1),
        ("The best answer is:B", 1, 1),
        ("(A) or B", 0, 0),  # brackets first
        ("A B C", 0, 0),
        ("A or B", 1, 0),  # the last that stands alone
        ("(A) (B)", 0, 0),  # neither stands alone: the first
        ("E", 0.25, 0),  # no letter of four: the authors draw one at random
        ("b", 0.25, 1),
        ("", 0.25, 0),
        ("two", 0.25, 0),
        ("<answer>B</answer>", 0.25, 1),
    ],
)
def test_a_response_is_parsed_as_each_stack_parses_it(response, official, vlmevalkit):
    found = [
        SITE_BENCH.protocols[s].score(ITEM, SITE_BENCH.protocols[s].parse_response(ITEM, response))
        for s in STACKS
    ]
    assert found == [official, vlmevalkit]


def test_lmms_eval_has_the_authors_rules():
    assert SITE_BENCH.protocols["lmms_eval"] is SITE_BENCH.protocols["official"]


def test_prompts():
    options = "Options:\nA: one\nB: two\nC: three\nD: four\n"
    end = "Give me the answer letter directly. The best answer is:"
    official, vlmevalkit = (SITE_BENCH.protocols[stack].prompt for stack in STACKS)
    assert official(ITEM) == f"Question: How many?\n{options}{end}"
    assert vlmevalkit(ITEM) == f"Question:  How many?\n\n{options}{end}"
    video = official(replace(ITEM, video="v.mp4"))
    assert video.startswith("Select the best answer to the following multiple-choice question")
    assert video.endswith(f"the correct option.\nQuestion: How many?\n{options}{end}")


def test_chance_is_zero_whatever_the_number_of_options():
    """Two of four right among fours, one of one among twos: (3 - 1.5) / (5 - 1.5)."""
    two = replace(
        ITEM, options=ITEM.options[:2], video="v.mp4", task="3d information understanding"
    )
    scored = [(ITEM, 1.0), (ITEM, 1.0), (ITEM, 0.0), (ITEM, 0.0), (two, 1.0)]
    found = SITE_BENCH.protocols["official"].aggregate(scored)
    assert found.overall == pytest.approx(1.5 / 3.5)
    assert {name: tree.score for name, tree in found.tasks.items()} == pytest.approx(
        {
            "counting & existence": 1 / 3,
            "3d information understanding": 1,
            "images": 1 / 3,
            "videos": 1,
            "accuracy": 0.6,
        }
    )
    chance = random_scores([ITEM, two], SITE_BENCH.protocols["official"])
    assert chance.overall == pytest.approx(0) and chance.tasks["accuracy"].score == 0.375
    wrong = SITE_BENCH.protocols["official"].aggregate([(ITEM, 0.0)])
    assert wrong.overall == pytest.approx(-1 / 3)


def row(**changes) -> dict:
    fields = {"question": "Where is <image>?", "options": ["left", "<image>"], "answer": "B"}
    fields |= {"category": next(iter(COUNTS)), "dataset": "CLEVR", "visual": ["a/1.jpg", "a/2.jpg"]}
    return fields | changes


def release(folder: Path, nested: bool) -> Path:
    video = row(visual=["v/1.mp4"], question="When?", options=["now", "then"])
    if nested:
        for part, one in (("image_test", row()), ("video_test", video)):
            (folder / part).mkdir()
            parquet.write_table(
                pa.Table.from_pylist([one]), folder / part / "test-00000-of-00001.parquet"
            )
    else:
        (folder / "image_test.json").write_text(json.dumps([row()]))
        (folder / "video_test.jsonl").write_text(json.dumps(video))
    return folder


@pytest.mark.parametrize("nested", [True, False])
def test_the_release_has_images_and_videos(tmp_path, nested):
    image, video = load_items("site_bench", release(tmp_path, nested))
    assert (image.id, image.images, image.video) == ("image_test/0", ("a/1.jpg", "a/2.jpg"), None)
    assert (video.id, video.images, video.video) == ("video_test/0", (), "v/1.mp4")
    assert (image.answer, image.more["source"], sum(COUNTS.values())) == ("B", "CLEVR", 8068)


def test_a_release_without_videos_is_refused(tmp_path):
    (tmp_path / "image_test.json").write_text(json.dumps([row()]))
    with pytest.raises(ValueError, match=r"expected video_test/\*\.parquet or .*image_test.json"):
        load_items("site_bench", tmp_path)
