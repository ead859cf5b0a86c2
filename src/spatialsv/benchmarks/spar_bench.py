"""SPAR-Bench (arXiv 2503.22976): 20 tasks on depth, distance, views and imagined views.

`official` (the authors' fork of lmms-eval):

- a choice is right if the response, in lower case, lies in the truth or starts with it. The truth is
  one letter, so that an empty response is right;
- a number is the first one in the response, the last one where there are several views;
- a change of view is five signed axes, each scored by MRA with its two arguments swapped, so that
  the error is measured by the response; a response that is not "name:number,..." throughout scores 0;
- the average of the middle level misses `view_change_infer`, whose name its code cuts wrongly.

`lmms_eval` (0.7.3) took this code over and lost one import on the way, so that every number scores
0. `vlmevalkit` (EASI's) searches for the answer, measures errors by the truth, skips the parts of a
change of view that it can't read (so that an empty response is no change, and right on the axes that
have none), and averages the middle level whole. All average the tasks' means.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from spatialsv.benchmarks.benchmark import (
    Benchmark,
    Item,
    Protocol,
    ScoredItems,
    Scores,
    macro,
    mean_of_means,
    score_number,
)
from spatialsv.benchmarks.files import Row, find_files, read_rows, require_fields
from spatialsv.benchmarks.images import cell_name
from spatialsv.benchmarks.parsing import LETTER, WORD, as_float
from spatialsv.benchmarks.vlmevalkit import search_choice, search_number

VIEW = "view_change_infer"
LOW = (
    "depth_prediction_oc",
    "depth_prediction_oo",
    "distance_prediction_oc",
    "distance_prediction_oo",
    "depth_prediction_oc_mv",
    "depth_prediction_oo_mv",
    "distance_prediction_oo_mv",
    "distance_prediction_oc_mv",
)
BOXES = ("position_matching", "camera_motion_infer")
MIDDLE = (VIEW, *BOXES)
HIGH = (
    "obj_spatial_relation_oo",
    "obj_spatial_relation_oc_mv",
    "obj_spatial_relation_oo_mv",
    "spatial_imagination_oc",
    "spatial_imagination_oo",
    "spatial_imagination_oc_mv",
    "spatial_imagination_oo_mv",
    "distance_infer_center_oo",
    "distance_infer_center_oo_mv",
)
TASKS = (*LOW, *MIDDLE, *HIGH)
AXES = (
    ("move_right", "move_left"),
    ("move_up", "move_down"),
    ("move_forward", "move_backward"),
    ("rotate_right", "rotate_left"),
    ("rotate_up", "rotate_down"),
)
FIELDS = ("id", "task", "question", "answer")
IMAGES = ("image", "depth")  # depth in the RGBD versions only
SCALE = (
    "The values represent the bounding box coordinates normalized to a 0-1000 scale,"
    " with the top-left corner as the origin of the image."
)
NUMBER = re.compile(r"(?<!\^)\d+\.\d+|(?<!\^)\d+")


def load(data: Path) -> list[Item]:
    """The questions of data/test-*.parquet.

    Raises:
        ValueError: no such files, or rows that are not SPAR-Bench's.
    """
    items = []
    for path in find_files(data, "data/test-*.parquet", "test-*.parquet"):
        for number, row in enumerate(read_rows(path, without=IMAGES)):
            image = cell_name(data, path, number, "image")
            items.append(_item(row, image, f"{path}: row {number}"))
    return items


def _item(row: Row, image: str, where: str) -> Item:
    require_fields(row, FIELDS, where)
    task = row["task"]
    if task not in TASKS:
        raise ValueError(f"{where}: task {task!r} is not one of {', '.join(TASKS)}")
    return Item(
        id=str(row["id"]),
        task=task,
        kind="number" if task in LOW else "text" if task == VIEW else "choice",
        question=row["question"],
        answer=row["answer"],
        scene=image,  # the file names no scene
        images=(image,),
    )


def prompt(item: Item) -> str:
    """As all three ask. Empty lines stand where a part is empty."""
    if item.kind == "number":
        return f"\n{item.question}\n{WORD}"
    if item.kind == "text":
        return f"\n{item.question}\n\n"
    return f"\n{item.question}\n{SCALE if item.task in BOXES else ''}\n{LETTER}"


def parse(item: Item, response: str) -> str | float | Mapping[str, float] | None:
    """A choice is the whole response; an empty one too is one, and is scored."""
    if item.kind == "choice":
        return response.lower()
    return _changes(response) if item.kind == "text" else _number(response, item.task)


def _number(response: str, task: str) -> float | None:
    numbers = NUMBER.findall(response)
    if not task.endswith("_mv"):
        return float(numbers[0]) if numbers else None
    return float(numbers[-1]) if numbers else -1.0


def _changes(text: str) -> dict[str, float] | None:
    """Names are not stripped: " rotate_left", after a comma and a space, is no axis."""
    parts = [part.split(":") for part in text.split(",")]
    if any(len(part) != 2 or as_float(part[1]) is None for part in parts):
        return None
    return {name: float(value) for name, value in parts}


def parse_vlmevalkit(item: Item, response: str) -> str | float | Mapping[str, float] | None:
    """What its search finds; of a change of view, the parts that it can read."""
    if item.kind == "choice":
        return search_choice(response)
    return search_number(response) if item.kind == "number" else _readable_changes(response)


def _readable_changes(text: str) -> dict[str, float]:
    found = {}
    for part in text.split(","):
        name, _, value = part.partition(":")
        number = as_float(value.strip())
        if number is not None:
            found[name.strip()] = number
    return found


def score(item: Item, prediction: str | float | Mapping[str, float] | None) -> float:
    """1 or 0 of a choice, MRA of a number, the mean MRA of the axes of a change of view."""
    if prediction is None:
        return 0.0
    if item.kind == "number":
        return score_number(prediction, float(item.answer))
    if item.kind == "choice":
        truth = item.answer.lower()
        return float(prediction in truth or prediction[0] == truth)
    truth = _changes(item.answer) or {}
    return _mean(score_number(t, s) for s, t in _axes(prediction, truth))  # swapped


def score_lmms_eval(item: Item, prediction: str | float | Mapping[str, float] | None) -> float:
    """As `score`, but 0 of every number."""
    return 0.0 if item.kind == "number" else score(item, prediction)


def score_vlmevalkit(item: Item, prediction: str | float | Mapping[str, float] | None) -> float:
    """As `score`, but a choice has to be the letter, and errors are measured by the truth."""
    if item.kind == "choice":
        return float(prediction == item.answer.strip().upper())
    if item.kind == "number" or prediction is None:
        return score(item, prediction)
    return _mean(score_number(s, t) for s, t in _axes(prediction, _readable_changes(item.answer)))


def _axes(*changes: Mapping[str, float]) -> list[tuple[float, ...]]:
    """Each axis of each change, signed."""
    return [tuple(c.get(more, 0.0) - c.get(less, 0.0) for c in changes) for more, less in AXES]


def _mean(values: Iterable[float]) -> float:
    return sum(values) / len(AXES)


def aggregate(scored: ScoredItems, middle: Sequence[str] = MIDDLE) -> Scores:
    """The mean of the tasks' means, and of those of each level."""
    found = macro(TASKS)(scored)
    levels = {}
    for name, tasks in (("low", LOW), ("middle", middle), ("high", HIGH)):
        if there := [found.tasks[task] for task in tasks if task in found.tasks]:
            levels[name] = mean_of_means(there)
    return replace(found, tasks=found.tasks | levels)


OFFICIAL = Protocol(
    prompt=prompt, parse_response=parse, score=score, aggregate=partial(aggregate, middle=BOXES)
)
PROTOCOLS = {
    "official": OFFICIAL,
    "lmms_eval": replace(OFFICIAL, score=score_lmms_eval),
    "vlmevalkit": Protocol(
        prompt=prompt, parse_response=parse_vlmevalkit, score=score_vlmevalkit, aggregate=aggregate
    ),
}
SPAR_BENCH = Benchmark(  # the card counts 7,207 questions, the files' metadata 7,211
    title="SPAR-Bench", load=load, protocols=PROTOCOLS, counts={"overall": (7207, 7211)}
)
SPAR_BENCH_TINY = Benchmark(
    title="SPAR-Bench-Tiny", load=load, protocols=PROTOCOLS, counts=dict.fromkeys(TASKS, 50)
)
