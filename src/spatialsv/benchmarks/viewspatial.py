"""ViewSpatial-Bench (arXiv 2505.21500): where things are, seen by the camera and by a person.

`official` (the authors' evaluate.py) and `lmms_eval` (0.7.3) read the last line's first letter that
stands alone, in either case: an article "a" is one. They ask in other words: the authors' script
puts the choices after the question with nothing between. `vlmevalkit` (EASI's) asks as lmms-eval
and searches for the answer. Every question weighs the same.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path, PurePosixPath

from spatialsv.benchmarks.benchmark import Benchmark, Item, Protocol, micro, score_letter
from spatialsv.benchmarks.files import Row, find_files, read_rows, require_fields
from spatialsv.benchmarks.vlmevalkit import search_choice

COUNTS = {  # of the authors' file
    "Camera perspective - Relative Direction": 1773,
    "Camera perspective - Object View Orientation": 996,
    "Person perspective - Object View Orientation": 996,
    "Person perspective - Relative Direction": 842,
    "Person perspective - Scene Simulation Relative Direction": 1105,
}
FIELDS = ("question_type", "image_path", "question", "answer", "choices")
REPLY = "\nReply only to the corresponding option.\nAnswer:"
LETTER = re.compile(r"\b([A-D])\b", re.IGNORECASE)


def load(data: Path) -> list[Item]:
    """The questions, which have no ids: an id is the row's number, from 0.

    Args:
        data: a folder with ViewSpatial-Bench.json, in it or in `eval`, and ViewSpatial-Bench/, the
            images.

    Raises:
        ValueError: no such file, or rows that are not ViewSpatial-Bench's.
    """
    path = find_files(data, "ViewSpatial-Bench.json", "eval/ViewSpatial-Bench.json")[0]
    return [_item(row, number, path) for number, row in enumerate(read_rows(path))]


def _item(row: Row, number: int, path: Path) -> Item:
    where = f"{path}: row {number}"
    require_fields(row, FIELDS, where)
    task, images, answer = row["question_type"], row["image_path"], letter(row["answer"])
    if task not in COUNTS:
        raise ValueError(f"{where}: question_type {task!r} is not one of {', '.join(COUNTS)}")
    if answer is None or not images:
        raise ValueError(f"{where}: expected images and an answer such as 'A. right'")
    return Item(
        id=str(number),
        task=task,
        kind="choice",
        question=row["question"],
        options=tuple(row["choices"].split("\n")),
        answer=answer,
        scene=_scene(images[0]),
        images=tuple(images),
    )


def _scene(image: str) -> str:
    """ScanNet's scene, or a photo of COCO, which is one by itself."""
    parts = PurePosixPath(image).parts
    return "/".join(parts[1:3])


def prompt(item: Item) -> str:
    """As the authors' script asks."""
    return item.question + "\n".join(item.options) + REPLY


def prompt_lmms_eval(item: Item) -> str:
    """As lmms-eval and VLMEvalKit ask."""
    return f"Question: {item.question}\nChoices: " + "\n".join(item.options) + REPLY


def letter(text: str) -> str | None:
    """The first of A to D that stands alone, in either case."""
    found = LETTER.search(text)
    return found.group(1).upper() if found else None


def parse(item: Item, response: str) -> str | None:
    """The last line's letter; the last line may be empty."""
    return letter(response.split("\n")[-1])


def parse_vlmevalkit(item: Item, response: str) -> str | None:
    """What its search finds."""
    return search_choice(response)


OFFICIAL = Protocol(
    prompt=prompt, parse_response=parse, score=score_letter, aggregate=micro(tuple(COUNTS))
)
LMMS_EVAL = replace(OFFICIAL, prompt=prompt_lmms_eval)
VIEWSPATIAL = Benchmark(
    title="ViewSpatial-Bench",
    load=load,
    protocols={
        "official": OFFICIAL,
        "lmms_eval": LMMS_EVAL,
        "vlmevalkit": replace(LMMS_EVAL, parse_response=parse_vlmevalkit),
    },
    counts=COUNTS,
)
