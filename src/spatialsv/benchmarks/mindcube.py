"""MindCube (arXiv 2506.21458): spatial reasoning from a few views of a place.

The setting of a question (rotation, among, around) is the prefix of its id; `aroundnew` is around.
`mindcube_tiny` names two item sets: the 1,200 items (400 around) of SpatialSV's paper, and the
1,050 (250 around) that the authors publish now. Every question weighs the same.

`official` and `lmms_eval` (0.7.3) parse responses by the authors' own rules; `vlmevalkit` (EASI's)
searches for the answer. All prompt as the authors' `raw_qa`, although the harnesses take the text
from copies of the files. The authors exclude questions of a setting `translation` from the overall
mean, which lmms-eval does not.
"""

from __future__ import annotations

import re
from dataclasses import replace
from functools import partial
from pathlib import Path, PurePosixPath

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
    task_means,
)
from spatialsv.benchmarks.files import find_files, read_rows
from spatialsv.io.fields import Fields
from spatialsv.io.letters import options_in

SETTINGS = ("rotation", "among", "around")
# Of the tiny set: around as in the paper, and as public now.
COUNTS: dict[str, int | tuple[int, ...]] = {"rotation": 200, "among": 600, "around": (400, 250)}
TOTAL = {"overall": 21154}
EXCLUDED = "translation"
OTHER = "other"
INSTRUCTION = """[Task]
Your task is to analyze the spatial arrangement of objects in the scene by examining the provided \
images, which show the scene from different viewpoints.
[Answer Instruction]
You only need to provide *ONE* correct answer selecting from the options listed below. For example,\
 if you think the correct answer is 'A. Above' from 'A. Above B. Under C. Front D. Behind', your \
response should **only** be '<answer>A. Above</answer>'.
"""
# The authors' `extract_answer`: the last match of the first pattern that matches; patterns that the
# first one makes redundant are omitted.
DOTTED = r"([A-E])\."
IN_TAG = (r"[Mm]y answer is ([A-E])", r"[Tt]he answer is ([A-E])", r"\b([A-E])\b")
ANYWHERE = (
    r"(?:^|\n)(?:Answer: )?([A-E])(?:\.|$|\s)",
    r"[\*\"]([A-E])[\*\"]",
    r"\bAnswer:?\s*([A-E])\b",
    r"[Mm]y answer is ([A-E])",
    r"answer is ([A-E])",
)
FIRST_OF_LINE = r"\b([A-E])\b"


def load(data: Path, file: str) -> list[Item]:
    """Load the questions of `file` in data/raw, raw or the folder of the unpacked release."""
    path = find_files(data, f"data/raw/{file}", f"raw/{file}", file)[0]
    root = path.parent.parent if path.parent.name == "raw" else path.parent
    images = PurePosixPath(root.relative_to(data)) if root != data else PurePosixPath()
    return [_item(row, images) for row in read_rows(path)]


def _item(row: Fields, root: PurePosixPath) -> Item:
    name, images, question = row.label("id"), row.files("images"), row.text("question")
    prefix = name.split("_", 1)[0]
    task = "around" if prefix == "aroundnew" else prefix
    return Item(
        id=name,
        task=task if task in (*SETTINGS, EXCLUDED) else OTHER,
        kind="choice",
        question=question,
        answer=row.letter("gt_answer", options_in(question)),
        scene=str(PurePosixPath(images[0]).parent),
        images=tuple(str(root / image) for image in images),
    )


def prompt(item: Item) -> str:
    """Return the authors' `raw_qa` prompt; the question contains the options."""
    return f"{INSTRUCTION}\n[Question]\n{item.question}"


def parse(item: Item, response: str) -> str | None:
    """Return the authors' prediction: the last "X." anywhere, else the first rule that matches.

    Their tag is "<Answer>", so that "<answer>", which they ask for, is parsed by the other rules.

    Args:
        item: the question.
        response: any text.

    Returns:
        A letter, A to E, or None.
    """
    if letter := _last(DOTTED, response):
        return letter
    tag = re.search(r"<Answer>(.*?)(?:<|$)", response, re.DOTALL)
    rules = [(pattern, tag.group(1)) for pattern in IN_TAG] if tag else []
    for pattern, text in [*rules, *((pattern, response) for pattern in ANYWHERE)]:
        if letter := _last(pattern, text):
            return letter
    for line in reversed(response.split("\n")):
        if match := re.search(FIRST_OF_LINE, line):
            return match.group(1)
    return None


def parse_stripped(item: Item, response: str) -> str | None:
    """Parse as lmms-eval does, which strips white space first."""
    return parse(item, response.strip())


def aggregate(scored: ScoredItems) -> Scores:
    """Average over all questions except those of `translation`."""
    counted = [(item, value) for item, value in scored if item.task != EXCLUDED]
    return Scores(tree=mean_score(counted), tasks=task_means(scored, SETTINGS))


def _last(pattern: str, text: str) -> str | None:
    matches = re.findall(pattern, text)
    return matches[-1] if matches else None


OFFICIAL = Protocol(prompt=prompt, parse_response=parse, score=score_letter, aggregate=aggregate)
PROTOCOLS = {
    "official": OFFICIAL,
    "lmms_eval": replace(OFFICIAL, parse_response=parse_stripped, aggregate=micro(SETTINGS)),
    "vlmevalkit": replace(OFFICIAL, parse_response=vlmevalkit.search, aggregate=micro(SETTINGS)),
}
MINDCUBE = Benchmark(
    title="MindCube",
    load=partial(load, file="MindCube.jsonl"),
    protocols=PROTOCOLS,
    counts=TOTAL,
)
MINDCUBE_TINY = Benchmark(
    title="MindCube-Tiny",
    load=partial(load, file="MindCube_tinybench.jsonl"),
    protocols=PROTOCOLS,
    counts=COUNTS,
)
