r"""The rooms' own questions as a benchmark, on stores of scenes.

One rule parses every response. It is VSI-Bench's official one (the text before the first space,
without trailing dots) with two corrections: leading white space is ignored, and a line break ends
the first word as a space does. So "B", "b.", "B. the chair" and "B\nbecause" are all B, while
"(B)", "<answer>B</answer>" and "The answer is B" are not answers and score 0. The prompt asks for
only the letter or the number; a model that fails to give that has failed.

A choice scores 1 or 0, a number its mean relative accuracy (MRA, arXiv 2412.14171). A free answer,
which only questions of your own have, scores 1 if the response equals it after normalisation.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from spatialsv.benchmarks.benchmark import (
    Benchmark,
    Item,
    Protocol,
    ScoredItems,
    Scores,
    mean_score,
    task_means,
)
from spatialsv.benchmarks.files import find_files
from spatialsv.benchmarks.parsing import normalise_answer
from spatialsv.benchmarks.responses import Response
from spatialsv.io.manifest import read_manifest
from spatialsv.scenes.question import TASKS, Question, read_questions
from spatialsv.stats.accuracy import mean_relative_accuracy
from spatialsv.stats.summary import GROUPS, groups_of, summarise

NAME = "rooms"
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)


def load(data: Path) -> list[Item]:
    """Load the questions of all shards.

    Args:
        data: a folder of the stage `scenes` with its shards' manifests, 0000.json and so on.

    Returns:
        The questions that can be scored.

    Raises:
        ValueError: no manifests, or one without scenes or questions.
    """
    return read_shards(find_files(data, "*.json"), data)[0]


def read_shards(manifests: Iterable[str | Path], data: Path) -> tuple[list[Item], int]:
    """Read the questions of some shards.

    Args:
        manifests: of the stage `scenes`.
        data: the folder that the items' images are named below.

    Returns:
        The questions that can be scored, and how many others there are: open conversations.

    Raises:
        ValueError: a manifest without scenes or questions.
    """
    items, skipped = [], 0
    for manifest in map(read_manifest, manifests):
        store = manifest.find(".zarr")
        name, digest = os.path.relpath(store, data), manifest.payload[store.name]
        for question in read_questions(manifest.find(".questions.jsonl")):
            if not TASKS[question.task].is_scored:
                skipped += 1
            else:
                items.append(item_from_question(question, name, digest))
    return items, skipped


def item_from_question(question: Question, store: str = "", digest: str = "") -> Item:
    """Return the item of a question.

    Args:
        question: about a scene.
        store: the path of the scene's store, below the benchmark's folder.
        digest: of the store.

    Returns:
        The item.
    """
    return Item(
        id=question.id,
        task=question.group,
        kind=question.kind,
        question=question.text,
        options=question.options,
        answer=question.answer,
        scene=question.scene,
        images=tuple(f"{store}#{question.scene}/{view}" for view in question.views),
        views=question.views,
        spatial=TASKS[question.task].spatial,
        digest=digest,
    )


def prompt(item: Item) -> str:
    """Return the question, which contains its options."""
    return item.question


def parse(item: Item, response: str) -> str | float | None:
    """Return the letter or the number that `response` starts with, or all its words, or None."""
    if item.kind == "choice":
        return parse_choice(response, len(item.options))
    if item.kind == "text":
        return normalise_answer(response) or None
    return parse_number(response)


def parse_choice(response: str, options: int) -> str | None:
    """Return the letter that `response` starts with; None if not one of the first `options`."""
    word = _first_word(response).upper()
    return word if len(word) == 1 and "A" <= word <= chr(ord("A") + options - 1) else None


def parse_number(response: str) -> float | None:
    """Return the finite decimal number that `response` starts with, or None."""
    word = _first_word(response)
    value = float(word) if NUMBER.fullmatch(word) else math.nan
    return value if math.isfinite(value) else None


def _first_word(response: str) -> str:
    words = response.split(maxsplit=1)
    return words[0].rstrip(".") if words else ""


def score(item: Item, prediction: str | float | None) -> float:
    """Return 1 or 0 of a choice or a free answer, MRA of a number; 0 without a prediction."""
    if prediction is None:
        return 0.0
    if item.kind == "text":
        return float(prediction == normalise_answer(item.answer))
    if item.kind == "choice":
        return float(prediction == item.answer)
    return float(mean_relative_accuracy(np.array(prediction), np.array(float(item.answer))))


def aggregate(scored: ScoredItems) -> Scores:
    """Return the means of the tasks and of groups of them; overall is `spatial`.

    Every question of a task or group weighs the same.
    """
    pools = {
        name: mean_score(
            [pair for pair in scored if name in groups_of(pair[0].kind, pair[0].spatial)]
        )
        for name in GROUPS
    }
    tasks = task_means(scored) | {name: mean for name, mean in pools.items() if mean.n}
    return Scores(tree=pools["spatial"], tasks=tasks)


def metrics(
    responses: Sequence[Response], resamples: int = 2000, seed: int = 0
) -> dict[str, float | int]:
    """Summarise responses as flat numbers, for `metrics.json`.

    Args:
        responses: of one model, scored.
        resamples: of the bootstrap.
        seed: of the bootstrap.

    Returns:
        The score of each task or group under its name, the number of questions and the 95 %
        interval: `rotation`, `rotation_n`, `rotation_low`, `rotation_high`; and `unparsed`, the
        share of responses in which no answer was found.
    """
    flat: dict[str, float | int] = {}
    summaries = summarise([response.scored() for response in responses], resamples, seed)
    for name, summary in summaries.items():
        flat |= {name: summary.mean, f"{name}_n": summary.n}
        if summary.interval is not None:
            flat |= {f"{name}_low": summary.interval.low, f"{name}_high": summary.interval.high}
    flat["unparsed"] = sum(response.prediction is None for response in responses) / len(responses)
    return flat


ROOMS = Benchmark(
    title="Questions about procedural rooms",
    load=load,
    protocols={
        "official": Protocol(prompt=prompt, parse_response=parse, score=score, aggregate=aggregate)
    },
    counts={},
    response_tokens=16,  # VSI-Bench's; a letter or a number needs fewer
    batch_size=64,
    images_are_views=True,
)
