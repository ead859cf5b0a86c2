"""MindCube (arXiv 2506.21458): what a few views of a place say of its layout.

The setting of a question (rotation, among, around) is the prefix of its id; `aroundnew` is around.
`mindcube_tiny` names two item sets: the 1,200 items (400 around) of SpatialSV's paper, and the
1,050 (250 around) that the authors publish now. Every question weighs the same.

`official` and `lmms_eval` (0.7.3) read responses by the same rules, the authors' own; `vlmevalkit`
(EASI's) searches for the answer. All ask as the authors' `raw_qa`, though the harnesses take the
text from copies of the files. The authors leave questions of a setting `translation` out of the
mean over all, as lmms-eval does not.
"""

from __future__ import annotations

import re
from dataclasses import replace
from functools import partial
from pathlib import Path, PurePosixPath

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
from spatialsv.benchmarks.files import Row, find_files, read_rows, require_fields
from spatialsv.benchmarks.vlmevalkit import search_choice

SETTINGS = ("rotation", "among", "around")
COUNTS = {"rotation": 200, "among": 600, "around": (400, 250)}  # tiny: of the paper, and public
TOTAL = {"overall": 21154}
LEFT_OUT = "translation"
OTHER = "other"
INSTRUCTION = """[Task]
Your task is to analyze the spatial arrangement of objects in the scene by examining the provided \
images, which show the scene from different viewpoints.
[Answer Instruction]
You only need to provide *ONE* correct answer selecting from the options listed below. For example,\
 if you think the correct answer is 'A. Above' from 'A. Above B. Under C. Front D. Behind', your \
response should **only** be '<answer>A. Above</answer>'.
"""
# The authors' `extract_answer`: in turn, the last match of the first that matches; without those of
# its patterns that the first makes void.
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
    """The questions of one file.

    Args:
        data: the folder of the release, unpacked: `file` lies in data/raw, raw or the folder.

    Raises:
        ValueError: no such file, or rows that are not MindCube's.
    """
    path = find_files(data, f"data/raw/{file}", f"raw/{file}", file)[0]
    root = path.parent.parent if path.parent.name == "raw" else path.parent
    images = PurePosixPath(root.relative_to(data)) if root != data else PurePosixPath()
    rows = enumerate(read_rows(path), start=1)
    return [_item(row, f"{path}: record {number}", images) for number, row in rows]


def _item(row: Row, where: str, root: PurePosixPath) -> Item:
    require_fields(row, ("id", "question", "images", "gt_answer"), where)
    name, images = str(row["id"]), row["images"]
    if not row["gt_answer"] or not images:
        raise ValueError(f"{where}: expected an answer and images")
    prefix = name.split("_", 1)[0]
    task = "around" if prefix == "aroundnew" else prefix
    return Item(
        id=name,
        task=task if task in (*SETTINGS, LEFT_OUT) else OTHER,
        kind="choice",
        question=row["question"],
        answer=row["gt_answer"],
        scene=str(PurePosixPath(images[0]).parent),
        images=tuple(str(root / image) for image in images),
    )


def prompt(item: Item) -> str:
    """As the authors' `raw_qa` asks; the options stand in the question."""
    return f"{INSTRUCTION}\n[Question]\n{item.question}"


def parse(item: Item, response: str) -> str | None:
    """The authors' rules. The last "X." anywhere wins over all else.

    Their tag is "<Answer>", so that "<answer>", which they ask for, is read by the rules for any
    text.
    """
    if found := _last(DOTTED, response):
        return found
    if tag := re.search(r"<Answer>(.*?)(?:<|$)", response, re.DOTALL):
        for pattern in IN_TAG:
            if found := _last(pattern, tag.group(1)):
                return found
    for pattern in ANYWHERE:
        if found := _last(pattern, response):
            return found
    for line in reversed(response.split("\n")):
        if found := re.search(FIRST_OF_LINE, line):
            return found.group(1)
    return None


def parse_stripped(item: Item, response: str) -> str | None:
    """As lmms-eval calls them: white space at either end is cut first."""
    return parse(item, response.strip())


def parse_vlmevalkit(item: Item, response: str) -> str | None:
    """What its search finds."""
    return search_choice(response)


def aggregate(scored: ScoredItems) -> Scores:
    """Every question weighs the same, but for those of `translation`, which do not count."""
    counted = [(item, value) for item, value in scored if item.task != LEFT_OUT]
    return Scores(tree=mean_score(counted), tasks=task_means(scored, SETTINGS))


def _last(pattern: str, text: str) -> str | None:
    found = re.findall(pattern, text)
    return found[-1] if found else None


OFFICIAL = Protocol(prompt=prompt, parse_response=parse, score=score_letter, aggregate=aggregate)
PROTOCOLS = {
    "official": OFFICIAL,
    "lmms_eval": replace(OFFICIAL, parse_response=parse_stripped, aggregate=micro(SETTINGS)),
    "vlmevalkit": replace(OFFICIAL, parse_response=parse_vlmevalkit, aggregate=micro(SETTINGS)),
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
