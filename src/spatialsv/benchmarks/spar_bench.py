"""SPAR-Bench (arXiv 2503.22976): 20 tasks on depth, distance, views and imagined views.

`official` (the authors' fork of lmms-eval):

- A choice is correct if the lower-case response is contained in the answer or starts with it. The
  answer is one letter, so that an empty response is correct.
- A number is the first one in the response, the last one where there are several views.
- A change of view has five signed axes, each scored by MRA with its two arguments swapped, so that
  errors are relative to the response. A response that is not "name:number,..." throughout scores 0.
- The average of the middle level lacks `view_change_infer`, whose name its code truncates wrongly.

`lmms_eval` (0.7.3) copied this code without one import, so that every number scores 0. `vlmevalkit`
(EASI's) searches for the answer, measures errors relative to the truth, skips the parts of a change
of view that it cannot parse (an empty response means no change, and is correct on the axes without
one), and averages the full middle level. All average the tasks' means.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
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
    macro,
    mean_of_means,
    score_number,
)
from spatialsv.benchmarks.files import find_files, read_rows
from spatialsv.benchmarks.images import cell_name
from spatialsv.benchmarks.parsing import LETTER, WORD, as_float
from spatialsv.io.fields import Fields
from spatialsv.io.letters import options_in

VIEW = "view_change_infer"
DEPTH, DISTANCE, IMAGINED = "depth_prediction", "distance_prediction", "spatial_imagination"
RELATION, CENTRE = "obj_spatial_relation", "distance_infer_center"
LOW = (
    *(f"{DEPTH}_oc", f"{DEPTH}_oo", f"{DISTANCE}_oc", f"{DISTANCE}_oo"),
    *(f"{DEPTH}_oc_mv", f"{DEPTH}_oo_mv", f"{DISTANCE}_oo_mv", f"{DISTANCE}_oc_mv"),
)
BOXES = ("position_matching", "camera_motion_infer")
MIDDLE = (VIEW, *BOXES)
HIGH = (
    *(f"{RELATION}_oo", f"{RELATION}_oc_mv", f"{RELATION}_oo_mv"),
    *(f"{IMAGINED}_{end}" for end in ("oc", "oo", "oc_mv", "oo_mv")),
    *(f"{CENTRE}_oo", f"{CENTRE}_oo_mv"),
)
TASKS = (*LOW, *MIDDLE, *HIGH)
AXES = (
    ("move_right", "move_left"),
    ("move_up", "move_down"),
    ("move_forward", "move_backward"),
    ("rotate_right", "rotate_left"),
    ("rotate_up", "rotate_down"),
)
IMAGES = ("image", "depth")  # depth in the RGBD versions only
SCALE = (
    "The values represent the bounding box coordinates normalized to a 0-1000 scale,"
    " with the top-left corner as the origin of the image."
)
Prediction = str | float | Mapping[str, float] | None
NUMBER = re.compile(r"(?<!\^)\d+\.\d+|(?<!\^)\d+")


def load(data: Path) -> list[Item]:
    """Load the questions of data/test-*.parquet."""
    items = []
    for path in find_files(data, "data/test-*.parquet", "test-*.parquet"):
        for number, row in enumerate(read_rows(path, without=IMAGES)):
            image = cell_name(data, path, number, "image")
            items.append(_item(row, image))
    return items


def _item(row: Fields, image: str) -> Item:
    task, question = row.known("task", TASKS), row.text("question")
    if task == VIEW:
        answer = row.text("answer")
        if not _parsable_changes(answer).keys() & set().union(*AXES):
            raise row.expected("answer", "changes such as 'move_right:0.3'")
    else:
        options = options_in(question)
        answer = row.decimal("answer") if task in LOW else row.letter("answer", options)
    return Item(
        id=row.label("id"),
        task=task,
        kind="number" if task in LOW else "text" if task == VIEW else "choice",
        question=question,
        answer=answer,
        scene=image,  # the file names no scene
        images=(image,),
    )


def prompt(item: Item) -> str:
    """Return the prompt of all three stacks, with empty lines where a part is empty."""
    if item.kind == "number":
        return f"\n{item.question}\n{WORD}"
    if item.kind == "text":
        return f"\n{item.question}\n\n"
    return f"\n{item.question}\n{SCALE if item.task in BOXES else ''}\n{LETTER}"


def parse(item: Item, response: str) -> Prediction:
    """Return the full response to a choice, even if empty; else a number, or changes by axis."""
    if item.kind == "choice":
        return response.lower()
    return _changes(response) if item.kind == "text" else _number(response, item.task)


def _number(response: str, task: str) -> float | None:
    numbers = NUMBER.findall(response)
    if not task.endswith("_mv"):
        return float(numbers[0]) if numbers else None
    return float(numbers[-1]) if numbers else -1.0


def _changes(text: str) -> dict[str, float] | None:
    """Parse "name:number,..."; names are not stripped, so that " rotate_left" is not an axis."""
    parts = [part.split(":") for part in text.split(",")]
    if any(len(part) != 2 or as_float(part[1]) is None for part in parts):
        return None
    return {name: float(value) for name, value in parts}


def parse_vlmevalkit(item: Item, response: str) -> Prediction:
    """Return what VLMEvalKit's search finds; of a change of view, the parts that it can parse."""
    if item.kind == "text":
        return _parsable_changes(response)
    return vlmevalkit.search(item, response)


def _parsable_changes(text: str) -> dict[str, float]:
    changes = {}
    for part in text.split(","):
        name, _, value = part.partition(":")
        number = as_float(value.strip())
        if number is not None:
            changes[name.strip()] = number
    return changes


def score(item: Item, prediction: Any) -> float:
    """Return 1 or 0 of a choice, MRA of a number, the mean MRA of the axes of a change of view."""
    if prediction is None:
        return 0.0
    if item.kind == "number":
        return score_number(prediction, float(item.answer))
    if item.kind == "choice":
        answer = item.answer.lower()
        return float(prediction in answer or prediction[0] == answer)
    axes = _axes(prediction, _changes(item.answer) or {})
    return _axis_mean(score_number(truth, predicted) for predicted, truth in axes)  # swapped


def score_lmms_eval(item: Item, prediction: Any) -> float:
    """Score as `score` does, but 0 for every number."""
    return 0.0 if item.kind == "number" else score(item, prediction)


def score_vlmevalkit(item: Item, prediction: Any) -> float:
    """Score as `score` does, with a choice's exact letter and errors relative to the truth."""
    if item.kind == "choice":
        return float(prediction == item.answer.strip().upper())
    if item.kind == "number" or prediction is None:
        return score(item, prediction)
    axes = _axes(prediction, _parsable_changes(item.answer))
    return _axis_mean(score_number(predicted, truth) for predicted, truth in axes)


def _axes(*changes: Mapping[str, float]) -> list[tuple[float, ...]]:
    """Return each axis of each change, signed."""
    return [tuple(c.get(more, 0.0) - c.get(less, 0.0) for c in changes) for more, less in AXES]


def _axis_mean(values: Iterable[float]) -> float:
    return sum(values) / len(AXES)


def aggregate(scored: ScoredItems, middle: Sequence[str] = MIDDLE) -> Scores:
    """Average the tasks' means, and those of each level; `middle` are the tasks of that level."""
    scores = macro(TASKS)(scored)
    levels = {}
    for name, tasks in (("low", LOW), ("middle", middle), ("high", HIGH)):
        if means := [scores.tasks[task] for task in tasks if task in scores.tasks]:
            levels[name] = mean_of_means(means)
    return replace(scores, tasks={**scores.tasks, **levels})


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
