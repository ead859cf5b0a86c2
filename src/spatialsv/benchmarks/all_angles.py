"""All-Angles Bench (arXiv 2504.15280): choices of three about several views of one scene.

`official` is the authors' copy of VLMEvalKit: its older rule, without a judge. Most questions have
a twin that asks for the same with the views changed; of the pairs, the shares with both, one or
none right are told beside the tasks. lmms-eval 0.7.3 and VLMEvalKit at e8e78f05 do not have it.
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
from spatialsv.benchmarks.files import Row, find_files, locate_rows, read_rows, require_fields
from spatialsv.benchmarks.vlmevalkit import match_option

COUNTS = {
    "counting": 251,
    "attribute_identification": 383,
    "relative_distance": 494,
    "relative_direction": 352,
    "manipulation": 476,
    "camera_pose_estimation": 176,
}
LETTERS = "ABC"
FIELDS = ("index", "folder", "category", "pair_idx", "image_path", "question", "answer", *LETTERS)
PAIRS = ("pairs: none right", "pairs: one right", "pairs: both right")


def load(data: Path) -> list[Item]:
    """The questions of data.json.

    Raises:
        ValueError: no such file, or rows that are not All-Angles Bench's.
    """
    (path,) = find_files(data, "data.json")
    return [_item(*at) for at in locate_rows(path, read_rows(path))]


def _item(row: Row, where: str) -> Item:
    require_fields(row, FIELDS, where)
    if row["category"] not in COUNTS:
        raise ValueError(f"{where}: category {row['category']!r} is not one of {', '.join(COUNTS)}")
    if row["answer"] not in tuple(LETTERS):
        raise ValueError(f"{where}: answer {row['answer']!r} is not one of A, B, C")
    return Item(
        id=str(row["index"]),
        task=row["category"],
        kind="choice",
        question=row["question"],
        options=tuple(str(row[letter]) for letter in LETTERS),
        answer=row["answer"],
        scene=row["folder"],
        images=tuple(row["image_path"]),
        more={"twin": str(row["pair_idx"])},  # an index; of no question where there is no twin
    )


def prompt(item: Item) -> str:
    """As VLMEvalKit asks; the question stands as data.json has it."""
    return vlmevalkit.format_choices(item.question, _options(item))


def parse(item: Item, response: str) -> str | None:
    """What `match_option` finds."""
    return match_option(response, _options(item), old=True)


def aggregate(scored: ScoredItems) -> Scores:
    """Over the questions; with the pairs both of whose questions are there."""
    found = micro(tuple(COUNTS))(scored)
    by_id = {item.id: (item, value) for item, value in scored}
    pairs = [
        (item, value, by_id[twin][1])
        for item, value in scored
        if (twin := item.more["twin"]) in by_id
        and by_id[twin][0].more["twin"] == item.id
        and item.id < twin  # each pair once
    ]
    shares = zip(*(_shares(one, other) for _, one, other in pairs), strict=True)
    told = {
        name: mean_score([(item, share) for (item, *_), share in zip(pairs, values, strict=True)])
        for name, values in zip(PAIRS, shares, strict=bool(pairs))
    }
    return Scores(tree=found.tree, tasks=found.tasks | told)


def _shares(one: float, other: float) -> tuple[float, float, float]:
    """How likely none, one and both of two answers are right, which are so with such chances."""
    both = one * other
    return 1 - one - other + both, one + other - 2 * both, both


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
