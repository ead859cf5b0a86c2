"""VSI-Bench (arXiv 2412.14171): questions about videos of rooms, choices and numbers.

Three stacks, three sets of rules: `official` (thinking-in-space), `lmms_eval` (0.7.3: numbers are
the first one in the reply, words included) and `vlmevalkit` (EASI's: its own prompt, and a search
for the answer). All average the types' means, the three difficulties of direction made one first.
SpatialSV's paper reports the choices alone, each question weighing the same: `vsi_bench_mc`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from spatialsv.benchmarks.benchmark import (
    Benchmark,
    Scored,
    Scorer,
    Scores,
    by_task,
    joined,
    micro,
)
from spatialsv.benchmarks.files import Row, find, placed, rows_of, wanted
from spatialsv.benchmarks.item import Item
from spatialsv.benchmarks.rules import (
    LETTER,
    WORD,
    as_float,
    first_number,
    first_word,
    mean_relative_accuracy,
)
from spatialsv.benchmarks.search import search_choice, search_number

DIRECTION = "object_rel_direction"
COUNTS = {
    "object_counting": 565,
    "object_abs_distance": 834,
    "object_size_estimation": 953,
    "room_size_estimation": 288,
    "object_rel_distance": 710,
    f"{DIRECTION}_easy": 217,
    f"{DIRECTION}_medium": 378,
    f"{DIRECTION}_hard": 373,
    "route_planning": 194,
    "obj_appearance_order": 618,
}
NUMBERS = tuple(COUNTS)[:4]
CHOICES = tuple(COUNTS)[4:]
FIELDS = ("id", "dataset", "scene_name", "question_type", "question", "ground_truth", "options")
VIDEO = "These are frames of a video."
FLOAT = "Answer briefly and directly in one float number."


def load(data: Path, config: str = "full", types: Sequence[str] = tuple(COUNTS)) -> list[Item]:
    """The questions of `types`.

    Args:
        data: the folder of the release: test*.parquet, or a folder `config` of such files.

    Raises:
        ValueError: no such files, or rows that are not VSI-Bench's.
    """
    here = ("*.parquet", "*.jsonl") if config == "full" else ()
    patterns = (f"{config}/*.parquet", f"{config}/*.jsonl", f"*{config}*.parquet", *here)
    paths = find(data, *patterns)
    items = (_item(*at) for path in paths for at in placed(path, rows_of(path)))
    return [item for item in items if item.task in types]


def _item(row: Row, where: str) -> Item:
    wanted(row, FIELDS, where)
    task, scene = row["question_type"], f"{row['dataset']}/{row['scene_name']}"
    if task not in COUNTS:
        raise ValueError(f"{where}: question_type {task!r} is none of {', '.join(COUNTS)}")
    kind = "number" if task in NUMBERS else "choice"
    if kind == "choice" and not row["options"]:
        raise ValueError(f"{where}: a {task} without options")
    return Item(
        id=str(row["id"]),
        task=task,
        kind=kind,
        question=row["question"],
        options=tuple(row["options"] or ()),
        answer=str(row["ground_truth"]),
        scene=scene,
        video=f"{scene}.mp4",
    )


def prompt(item: Item) -> str:
    """As the authors' code and lmms-eval ask."""
    if item.kind == "number":
        return f"{VIDEO}\n{item.question}\n{WORD}"
    return "\n".join([VIDEO, item.question, "Options:", *item.options, LETTER])


def prompt_vlmevalkit(item: Item) -> str:
    """As VLMEvalKit asks: no line "Options:", and a number in other words."""
    if item.kind == "number":
        return f"{VIDEO}\n{item.question}\n{FLOAT}"
    return "\n".join([VIDEO, item.question, *item.options, LETTER])


def read(item: Item, reply: str) -> str | float | None:
    """The first word: a letter, or a number if it is nothing but that."""
    word = first_word(reply)
    return as_float(word) if item.kind == "number" else word or None


def read_lmms_eval(item: Item, reply: str) -> str | float | None:
    """The first word for a choice, the first number anywhere for a number."""
    return first_number(reply) if item.kind == "number" else first_word(reply) or None


def read_vlmevalkit(item: Item, reply: str) -> str | float | None:
    """What its search finds; its letters are A to F whatever the options are."""
    return search_number(reply) if item.kind == "number" else search_choice(reply)


def score(item: Item, said: str | float | None) -> float:
    """1 for the right letter in either case, MRA for a number."""
    if item.kind == "number":
        return mean_relative_accuracy(said, float(item.answer))
    return float(said is not None and said.lower() == item.answer.lower())


def aggregate(scored: Scored, whole: bool = False) -> Scores:
    """The mean of the tasks' means; the difficulties of direction are one task, their mean.

    Args:
        whole: they are so only where all three are there, as in VLMEvalKit; else each stands alone.
    """
    tasks = by_task(scored, tuple(COUNTS))
    levels = {name: value for name, value in tasks.items() if name.startswith(DIRECTION)}
    means = dict(tasks)
    if levels and (len(levels) == 3 or not whole):
        means = {name: value for name, value in tasks.items() if name not in levels}
        means[DIRECTION] = joined(levels.values())
    return Scores(whole=joined(means.values()), tasks=tasks | means)


OFFICIAL = Scorer(prompt=prompt, read=read, score=score, aggregate=aggregate)
SCORERS = {
    "official": OFFICIAL,
    "lmms_eval": replace(OFFICIAL, read=read_lmms_eval),
    "vlmevalkit": Scorer(
        prompt=prompt_vlmevalkit,
        read=read_vlmevalkit,
        score=score,
        aggregate=partial(aggregate, whole=True),
    ),
}
TOKENS = 16  # of a reply, in both stacks
VSI_BENCH = Benchmark(
    title="VSI-Bench", load=load, scorers=SCORERS, counts=COUNTS, reply_tokens=TOKENS
)
VSI_BENCH_DEBIASED = Benchmark(
    title="VSI-Bench, debiased",
    load=partial(load, config="debiased"),
    scorers=SCORERS,
    counts={},
    reply_tokens=TOKENS,
)
VSI_BENCH_MC = Benchmark(
    title="VSI-Bench, its choices, as SpatialSV's paper reports them",
    load=partial(load, types=CHOICES),
    scorers={name: replace(rules, aggregate=micro(CHOICES)) for name, rules in SCORERS.items()},
    counts={name: COUNTS[name] for name in CHOICES},
    reply_tokens=TOKENS,
)
