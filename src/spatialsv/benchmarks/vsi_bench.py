"""VSI-Bench (arXiv 2412.14171): questions about videos of rooms, choices and numbers.

Three protocols: `official` (thinking-in-space), `lmms_eval` (0.7.3: numbers are the first one in
the response, words included) and `vlmevalkit` (EASI's: its own prompt, and a search for the
answer). All average the types' means, with the three difficulties of direction averaged first.
SpatialSV's paper reports only the choices, with equal weight per question: `vsi_bench_mc`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from spatialsv.benchmarks import vlmevalkit
from spatialsv.benchmarks.benchmark import (
    Benchmark,
    Item,
    Protocol,
    ScoredItems,
    Scores,
    mean_of_means,
    micro,
    score_number,
    task_means,
)
from spatialsv.benchmarks.files import find_files, read_rows
from spatialsv.benchmarks.lmms_eval import first_number
from spatialsv.benchmarks.parsing import LETTER, WORD, as_float, first_word
from spatialsv.io.fields import Fields

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
VIDEO = "These are frames of a video."
FLOAT = "Answer briefly and directly in one float number."


def load(data: Path, config: str = "full", types: Sequence[str] = tuple(COUNTS)) -> list[Item]:
    """Load the questions of `types` from test*.parquet, or from a folder `config` of such files."""
    here = ("*.parquet", "*.jsonl") if config == "full" else ()
    patterns = (f"{config}/*.parquet", f"{config}/*.jsonl", f"*{config}*.parquet", *here)
    paths = find_files(data, *patterns)
    items = (_item(row) for path in paths for row in read_rows(path))
    return [item for item in items if item.task in types]


def _item(row: Fields) -> Item:
    task, scene = row.known("question_type", COUNTS), f"{row.file('dataset')}/"
    scene += row.file("scene_name")
    options, answer = row.answer_of(task in CHOICES, "options", "ground_truth")
    return Item(
        id=row.label("id"),
        task=task,
        kind="number" if task in NUMBERS else "choice",
        question=row.text("question"),
        options=options,
        answer=answer,
        scene=scene,
        video=f"{scene}.mp4",
    )


def prompt(item: Item) -> str:
    """Return the prompt of the authors and of lmms-eval."""
    if item.kind == "number":
        return f"{VIDEO}\n{item.question}\n{WORD}"
    return "\n".join([VIDEO, item.question, "Options:", *item.options, LETTER])


def prompt_vlmevalkit(item: Item) -> str:
    """Return VLMEvalKit's prompt: no line "Options:", and other words for a number."""
    if item.kind == "number":
        return f"{VIDEO}\n{item.question}\n{FLOAT}"
    return "\n".join([VIDEO, item.question, *item.options, LETTER])


def parse(item: Item, response: str) -> str | float | None:
    """Return the first word: a letter, or a number if it is only that."""
    word = first_word(response)
    return as_float(word) if item.kind == "number" else word or None


def parse_lmms_eval(item: Item, response: str) -> str | float | None:
    """Return the first word for a choice, the first number anywhere for a number."""
    return first_number(response) if item.kind == "number" else first_word(response) or None


def score(item: Item, prediction: Any) -> float:
    """Return 1 for the letter of the answer in either case, MRA for a number."""
    if item.kind == "number":
        return score_number(prediction, float(item.answer))
    return float(prediction is not None and prediction.lower() == item.answer.lower())


def aggregate(scored: ScoredItems, all_levels: bool = False) -> Scores:
    """Average the tasks' means; the difficulties of direction are one task, their mean.

    Args:
        scored: items and their scores.
        all_levels: average the difficulties only where all three are present, as VLMEvalKit does;
            else each counts as a task.

    Returns:
        The scores of the tasks, of direction, and overall.
    """
    tasks = task_means(scored, tuple(COUNTS))
    levels = {name: mean for name, mean in tasks.items() if name.startswith(DIRECTION)}
    means = dict(tasks)
    if levels and (len(levels) == 3 or not all_levels):
        means = {name: mean for name, mean in tasks.items() if name not in levels}
        means[DIRECTION] = mean_of_means(levels.values())
    return Scores(tree=mean_of_means(means.values()), tasks=tasks | means)


OFFICIAL = Protocol(prompt=prompt, parse_response=parse, score=score, aggregate=aggregate)
PROTOCOLS = {
    "official": OFFICIAL,
    "lmms_eval": replace(OFFICIAL, parse_response=parse_lmms_eval),
    "vlmevalkit": Protocol(
        prompt=prompt_vlmevalkit,
        parse_response=vlmevalkit.search,
        score=score,
        aggregate=partial(aggregate, all_levels=True),
    ),
}
TOKENS = 16  # of a response, in both stacks
VSI_BENCH = Benchmark(
    title="VSI-Bench", load=load, protocols=PROTOCOLS, counts=COUNTS, response_tokens=TOKENS
)
VSI_BENCH_DEBIASED = Benchmark(
    title="VSI-Bench, debiased",
    load=partial(load, config="debiased"),
    protocols=PROTOCOLS,
    counts={},
    response_tokens=TOKENS,
)
VSI_BENCH_MC = Benchmark(
    title="VSI-Bench, its choices, as SpatialSV's paper reports them",
    load=partial(load, types=CHOICES),
    protocols={name: replace(one, aggregate=micro(CHOICES)) for name, one in PROTOCOLS.items()},
    counts={name: COUNTS[name] for name in CHOICES},
    response_tokens=TOKENS,
)
