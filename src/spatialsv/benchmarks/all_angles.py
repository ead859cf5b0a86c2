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
    Score,
    Scored,
    Scorer,
    Scores,
    micro,
    right_letter,
)
from spatialsv.benchmarks.files import Row, find, placed, rows_of, wanted
from spatialsv.benchmarks.infer import infer_choice
from spatialsv.benchmarks.item import Item

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
    (path,) = find(data, "data.json")
    return [_item(*at) for at in placed(path, rows_of(path))]


def _item(row: Row, where: str) -> Item:
    wanted(row, FIELDS, where)
    if row["category"] not in COUNTS:
        raise ValueError(f"{where}: category {row['category']!r} is none of {', '.join(COUNTS)}")
    if row["answer"] not in tuple(LETTERS):
        raise ValueError(f"{where}: answer {row['answer']!r} is none of A, B, C")
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
    return vlmevalkit.form(item.question, _options(item))


def read(item: Item, reply: str) -> str | None:
    """What `infer_choice` finds."""
    return infer_choice(reply, _options(item), old=True)


def aggregate(scored: Scored) -> Scores:
    """Over the questions; with the pairs both of whose questions are there."""
    found = micro(tuple(COUNTS))(scored)
    right = {item.id: value for item, value in scored if value is not None}
    twins = {item.id: item.more["twin"] for item, _ in scored}
    pairs = {frozenset((name, twin)) for name, twin in twins.items() if twins.get(twin) == name}
    sums = [sum(right[name] for name in pair) for pair in pairs if len(pair) == 2]
    shares = {
        name: Score(n=len(sums), score=sums.count(count) / len(sums))
        for count, name in enumerate(PAIRS)
        if sums
    }
    return Scores(overall=found.overall, tasks=found.tasks | shares)


def _options(item: Item) -> dict[str, str]:
    return dict(zip(LETTERS, item.options, strict=True))


ALL_ANGLES = Benchmark(
    title="All-Angles Bench",
    load=load,
    scorers={"official": Scorer(prompt=prompt, read=read, score=right_letter, aggregate=aggregate)},
    counts=COUNTS,
)
