"""All-Angles Bench (arXiv 2504.15280): choices of three about several views of one scene.

`official` is the authors' copy of VLMEvalKit: its older rule, without a judge. Most questions have
a twin that asks the same with the views changed; the shares of pairs with both, one or no correct
answer are listed with the tasks. lmms-eval 0.7.3 and VLMEvalKit at e8e78f05 lack this benchmark.
"""

from __future__ import annotations

from pathlib import Path

from spatialsv.benchmarks import vlmevalkit
from spatialsv.benchmarks.benchmark import (
    Benchmark,
    Item,
    Protocol,
    ScoredItems,
    Scores,
    mean_score,
    micro,
    score_letter,
)
from spatialsv.benchmarks.files import find_files, read_rows
from spatialsv.benchmarks.vlmevalkit import match_option
from spatialsv.io.fields import Fields

COUNTS = {
    "counting": 251,
    "attribute_identification": 383,
    "relative_distance": 494,
    "relative_direction": 352,
    "manipulation": 476,
    "camera_pose_estimation": 176,
}
LETTERS = "ABC"
PAIRS = ("pairs: none right", "pairs: one right", "pairs: both right")  # names in scores.json


def load(data: Path) -> list[Item]:
    """Load the questions of data.json."""
    (path,) = find_files(data, "data.json")
    return [_item(row) for row in read_rows(path)]


def _item(row: Fields) -> Item:
    options = {letter: row.label(letter) for letter in LETTERS}
    return Item(
        id=row.label("index"),
        task=row.known("category", COUNTS),
        kind="choice",
        question=row.text("question"),
        options=tuple(options.values()),
        answer=row.letter("answer", options),
        scene=row.text("folder"),
        images=row.files("image_path"),
        more={"twin": str(row.get("pair_idx"))},  # an index; unknown without a twin
    )


def prompt(item: Item) -> str:
    """Return VLMEvalKit's prompt with the question of data.json."""
    return vlmevalkit.format_choices(item.question, _options(item))


def parse(item: Item, response: str) -> str | None:
    """Return the letter that VLMEvalKit's older rule matches."""
    return match_option(response, _options(item), old=True)


def aggregate(scored: ScoredItems) -> Scores:
    """Average over the questions, and over the pairs of which both questions are present."""
    scores = micro(tuple(COUNTS))(scored)
    by_id = {item.id: (item, value or 0.0) for item, value in scored}
    pairs = [
        (item, _pair_shares(value, by_id[twin][1]))
        for item, value in by_id.values()
        if (twin := item.more["twin"]) in by_id
        and by_id[twin][0].more["twin"] == item.id
        and item.id < twin  # each pair once
    ]
    shares = {
        name: mean_score([(item, values[column]) for item, values in pairs])
        for column, name in enumerate(PAIRS)
        if pairs
    }
    return Scores(tree=scores.tree, tasks={**scores.tasks, **shares})


def _pair_shares(first: float, second: float) -> tuple[float, float, float]:
    """Return the chances that none, one and both of two answers are correct."""
    both = first * second
    return 1 - first - second + both, first + second - 2 * both, both


def _options(item: Item) -> dict[str, str]:
    return dict(zip(LETTERS, item.options, strict=True))


ALL_ANGLES = Benchmark(
    title="All-Angles Bench",
    load=load,
    protocols={
        "official": Protocol(
            prompt=prompt, parse_response=parse, score=score_letter, aggregate=aggregate
        )
    },
    counts=COUNTS,
)
