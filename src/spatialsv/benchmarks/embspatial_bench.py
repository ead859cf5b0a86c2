"""EmbSpatial-Bench (arXiv 2406.05756): relations of objects seen by a robot, choices.

The authors publish no code for their scores, so there is no `official` protocol.

- `vlmevalkit` (EASI's): prompts as for SITE-Bench, and searches for the answer.
- `lmms_eval` (0.7.3): another prompt; any letter that starts the response is the answer.

All questions weigh the same. Scores are listed by relation and by source of the images.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from string import ascii_uppercase

from spatialsv.benchmarks import vlmevalkit
from spatialsv.benchmarks.benchmark import (
    Benchmark,
    Item,
    Protocol,
    ScoredItems,
    Scores,
    group_means,
    mean_score,
    score_letter,
    task_means,
)
from spatialsv.benchmarks.files import find_files, read_rows
from spatialsv.benchmarks.images import cell_name
from spatialsv.benchmarks.lmms_eval import first_letter
from spatialsv.benchmarks.site_bench import format_question
from spatialsv.io.fields import Fields

SOURCES = ("mp3d", "ai2thor", "scannet")
RELATIONS = ("close", "far", "above", "under", "left", "right")
FILE = "embspatial_bench.json"  # images in base64
COPY = "data/test-*.parquet"  # FlagEval's, from which lmms-eval reads
NOTE = (
    "Note: You only need to respond with A, B, C, D without providing any additional information.\n"
)


def load(data: Path) -> list[Item]:
    """Load the questions of the authors' file, or of FlagEval's copy of it in Parquet."""
    return [
        _item(row, cell_name(data, path, number, "image"))
        for path in find_files(data, FILE, COPY)
        for number, row in enumerate(read_rows(path, without=("image",)))
    ]


def _item(row: Fields, image: str) -> Item:
    options, number, name = (
        row.options("answer_options"),
        row.count("answer"),
        row.label("question_id"),
    )
    if number >= len(options):
        raise row.expected("answer", f"the index of one of {len(options)} options, from 0")
    source = row.known("data_source", SOURCES)
    scene = row.label("scene_id") if "scene_id" in row.values else name  # not in all copies
    return Item(
        id=name,
        task=row.text("relation"),
        kind="choice",
        question=row.text("question"),
        options=options,
        answer=ascii_uppercase[number],
        scene=f"{source}/{scene}",
        images=(image,),
        more={"source": source},
    )


def prompt_lmms_eval(item: Item) -> str:
    """Return lmms-eval's note, the question, and the options as "A) text"."""
    options = zip(ascii_uppercase, item.options, strict=False)
    return "\n".join([NOTE + item.question, *(f"{letter}) {text}" for letter, text in options)])


def aggregate(scored: ScoredItems) -> Scores:
    """Average all questions, those of each relation, and those of each source."""
    sources = group_means(scored, lambda item: item.more["source"], SOURCES)
    return Scores(tree=mean_score(scored), tasks={**task_means(scored, RELATIONS), **sources})


VLMEVALKIT = Protocol(
    prompt=format_question,
    parse_response=vlmevalkit.search,
    score=score_letter,
    aggregate=aggregate,
)
EMBSPATIAL_BENCH = Benchmark(
    title="EmbSpatial-Bench",
    load=load,
    protocols={
        "vlmevalkit": VLMEVALKIT,
        "lmms_eval": replace(VLMEVALKIT, prompt=prompt_lmms_eval, parse_response=first_letter),
    },
    counts={"overall": 3640},
)
