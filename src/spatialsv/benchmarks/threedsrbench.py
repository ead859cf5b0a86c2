"""3DSRBench (arXiv 2412.07825): height, location, orientation and relations of objects in images.

A question may be in the file several times: on the mirrored image (`-flip` in its qid), and with
its options rotated (`-1`, `-2`, ...). Four scores differ in which rows must be correct together:

- `vanilla`: each row counts separately;
- `flip`: a question and its mirrored one;
- `circular`: all rotations of a question, mirrored ones separately;
- `flip_circular`: all rows of a question.

All are listed; `overall` is the one that a stack reports: `circular` in `official` (the authors'
script), `vanilla` in `lmms_eval` (0.7.3, the first of its metrics), `flip_circular` in `vlmevalkit`
(OpenCompass's spatial leaderboard). The tasks' scores are of that kind as well. On the file without
rotations, `circular` is `vanilla`. VLMEvalKit parses the authors' responses with the help of a
language model, here without: `official` and `vlmevalkit` have equal prompts and parsers.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from spatialsv.benchmarks import vlmevalkit
from spatialsv.benchmarks.benchmark import (
    Benchmark,
    Item,
    Protocol,
    ScoredItems,
    Scores,
    all_correct,
    mean_score,
    score_letter,
    task_means,
)
from spatialsv.benchmarks.files import find_files
from spatialsv.benchmarks.images import read_tsv_rows
from spatialsv.io.fields import Fields

TYPES = {
    "height": ("height_higher",),
    "location": ("location_above", "location_closer_to_camera", "location_next_to"),
    "orientation": ("orientation_in_front_of", "orientation_on_the_left", "orientation_viewpoint"),
    "multi_object": (
        "multi_object_closer_to",
        "multi_object_facing",
        "multi_object_viewpoint_towards_object",
        "multi_object_parallel",
        "multi_object_same_direction",
    ),
}
CATEGORIES = tuple(name for names in TYPES.values() for name in names)
FILES = ("3dsrbench_v1_vlmevalkit_circular.tsv", "3DSRBench.tsv", "3dsrbench_v1_vlmevalkit.tsv")
FLIP, ROTATION = "-flip", re.compile(r"-\d+$")
LETTER = (  # lmms-eval's, in turn
    r"^([A-D])[\.\s\)]",
    r"^([A-D])$",
    r"[Aa]nswer[:\s]+([A-D])",
    r"[Tt]he answer is[:\s]+([A-D])",
    r"[Mm]y answer is[:\s]+([A-D])",
    r"\(([A-D])\)",
    r"([A-D])\.",
    r"\b([A-D])\b",
)


def load(data: Path) -> list[Item]:
    """Load the rows of the authors' TSV, preferably that with rotations."""
    path = find_files(data, *FILES)[0]
    return [_item(row) for row in read_tsv_rows(data, path)]


def _item(row: Fields) -> Item:
    row.known("category", CATEGORIES)
    name = row.text("qid")
    base = ROTATION.sub("", name).removesuffix(FLIP)
    return replace(vlmevalkit.item_from_row(row, scene=base, qid=name), id=name)


def parse_lmms_eval(item: Item, response: str) -> str | None:
    """Return the first match of the first pattern that matches."""
    for pattern in LETTER:
        if match := re.search(pattern, response.strip()):
            return match.group(1)
    return None


GROUPS: dict[str, Callable[[Item], str]] = {
    "vanilla": lambda item: item.more["qid"],
    "flip": lambda item: item.more["qid"].replace(FLIP, ""),
    "circular": lambda item: ROTATION.sub("", item.more["qid"]),
    "flip_circular": lambda item: item.scene,
}


def aggregate(scored: ScoredItems, kind: str) -> Scores:
    """Average all four kinds overall, and `kind` by type and category."""
    kinds = {name: all_correct(scored, group) for name, group in GROUPS.items()}
    tasks = {name: mean_score(values) for name, values in kinds.items()}
    for name, categories in TYPES.items():
        values = [pair for pair in kinds[kind] if pair[0].task in categories]
        if values:
            tasks[name] = mean_score(values)
    return Scores(tree=tasks[kind], tasks={**tasks, **task_means(kinds[kind], CATEGORIES)})


OFFICIAL = Protocol(
    prompt=vlmevalkit.prompt,
    parse_response=vlmevalkit.parse,
    score=score_letter,
    aggregate=partial(aggregate, kind="circular"),
)
THREEDSRBENCH = Benchmark(
    title="3DSRBench",
    load=load,
    protocols={
        "official": OFFICIAL,
        "lmms_eval": replace(
            OFFICIAL, parse_response=parse_lmms_eval, aggregate=partial(aggregate, kind="vanilla")
        ),
        "vlmevalkit": replace(OFFICIAL, aggregate=partial(aggregate, kind="flip_circular")),
    },
    counts={},
)
