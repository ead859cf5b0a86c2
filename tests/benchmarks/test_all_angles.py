"""All-Angles Bench by its authors' rules: golden responses, pairs, prompt, files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from spatialsv.benchmarks.all_angles import ALL_ANGLES, COUNTS, load

RULES = ALL_ANGLES.protocols["official"]


def row(index: int, twin: int | str = "", **changes) -> dict:
    told = {
        "index": index,
        "folder": "01_tagging",
        "category": "relative_direction",
        "pair_idx": twin,
        "sourced_dataset": "egohumans",
        "image_path": ["01_tagging/1.jpg", "01_tagging/2.jpg"],
        "question": "Where does the person go in View 2?",
        "answer": "B",
    }
    return told | {"A": "To the left", "B": "To the right", "C": "Away"} | changes


def release(folder: Path, rows: list[dict]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "data.json").write_text(json.dumps(rows))
    return folder


@pytest.mark.parametrize(
    ("response", "right"),
    [
        ("B", 1),
        ("B. To the right", 1),
        ("(B)", 1),
        ("I think that B is where they will go to after that", 1),  # anywhere in the response
        ("b", 0),
        ("to the right", 1),  # the option's words
        ("to the left or to the right", 0),
        ("A or B", 0),
        ("A person goes to the right", 0),  # the article is a letter
        ("The answer is **B**", 1),
        ("", 0),
    ],
)
def test_a_reply_is_read_as_the_authors_read_it(tmp_path, response, right):
    (item,) = load(release(tmp_path, [row(0)]))
    assert RULES.score(item, RULES.parse_response(item, response)) == right


def test_pairs_are_twins_that_name_each_other(tmp_path):
    twins = [(0, 1), (1, 0), (2, 3), (3, 2), (4, 5), (5, 4), (6, ""), (7, 0), (8, 8)]
    items = load(release(tmp_path, [row(index, twin) for index, twin in twins]))
    values = [1.0, 1.0, 0.0, 1.0, 0.0, 0.0, 1.0, 1.0, 1.0]
    found = RULES.aggregate(list(zip(items, values, strict=True)))
    assert found.overall == pytest.approx(6 / 9)
    shares = {name: (score.n, score.score) for name, score in found.tasks.items() if "pair" in name}
    assert shares == {f"pairs: {name} right": (3, 1 / 3) for name in ("none", "one", "both")}
    alone = RULES.aggregate([(items[0], 1.0), (items[2], 0.0)])
    assert set(alone.tasks) == {"relative_direction"}


def test_prompt_and_counts(tmp_path):
    (item,) = load(release(tmp_path, [row(0)]))
    assert RULES.prompt(item) == (
        "Question: Where does the person go in View 2?\n"
        "Options:\nA. To the left\nB. To the right\nC. Away\n"
        "Please select the correct answer from the options above. \n"
    )
    assert item.scene == "01_tagging" and len(item.images) == 2
    assert sum(COUNTS.values()) == 2132


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"category": "juggling"}, "row 0: category: expected one of counting, .*found 'juggling'"),
        ({"answer": "D"}, "row 0: answer: expected one of the options .*found 'D'"),
    ],
)
def test_rows_that_are_not_all_angles_bench_s_are_refused(tmp_path, changes, told):
    with pytest.raises(ValueError, match=told):
        load(release(tmp_path, [row(0, **changes)]))
