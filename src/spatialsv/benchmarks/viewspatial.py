"""ViewSpatial-Bench (arXiv 2505.21500): directions relative to the camera and to a person.

`official` (the authors' evaluate.py) and `lmms_eval` (0.7.3) parse the last line's first letter
that is a word, in either case: an article "a" is one. Their prompts differ: the authors' script
puts the choices directly after the question. `vlmevalkit` (EASI's) prompts as lmms-eval and
searches for the answer. Every question weighs the same.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path, PurePosixPath

from spatialsv.benchmarks import vlmevalkit
from spatialsv.benchmarks.benchmark import Benchmark, Item, Protocol, micro, score_letter
from spatialsv.benchmarks.files import find_files, read_rows
from spatialsv.io.fields import Fields

COUNTS = {  # of the authors' file
    "Camera perspective - Relative Direction": 1773,
    "Camera perspective - Object View Orientation": 996,
    "Person perspective - Object View Orientation": 996,
    "Person perspective - Relative Direction": 842,
    "Person perspective - Scene Simulation Relative Direction": 1105,
}
INSTRUCTION = "\nReply only to the corresponding option.\nAnswer:"
LETTER = re.compile(r"\b([A-D])\b", re.IGNORECASE)


def load(data: Path) -> list[Item]:
    """Load the questions; they have no ids, so an id is the row's number, from 0."""
    path = find_files(data, "ViewSpatial-Bench.json", "eval/ViewSpatial-Bench.json")[0]
    return [_item(row, number) for number, row in enumerate(read_rows(path))]


def _item(row: Fields, number: int) -> Item:
    images, options = row.files("image_path"), tuple(row.text("choices").split("\n"))
    return Item(
        id=str(number),
        task=row.known("question_type", COUNTS),
        kind="choice",
        question=row.text("question"),
        options=options,
        answer=row.letter("answer", row.lettered("choices", options)),
        scene=_scene(images[0]),
        images=images,
    )


def _scene(image: str) -> str:
    """Return ScanNet's scene, or an image of COCO, each of which is a scene."""
    parts = PurePosixPath(image).parts
    return "/".join(parts[1:3])


def prompt(item: Item) -> str:
    """Return the prompt of the authors' script."""
    return item.question + "\n".join(item.options) + INSTRUCTION


def prompt_lmms_eval(item: Item) -> str:
    """Return the prompt of lmms-eval and VLMEvalKit."""
    return f"Question: {item.question}\nChoices: " + "\n".join(item.options) + INSTRUCTION


def letter(text: str) -> str | None:
    """Return the first of A to D that is a word, in either case."""
    match = LETTER.search(text)
    return match.group(1).upper() if match else None


def parse(item: Item, response: str) -> str | None:
    """Return the letter of the last line, which may be empty."""
    return letter(response.split("\n")[-1])


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
        "vlmevalkit": replace(LMMS_EVAL, parse_response=vlmevalkit.search),
    },
    counts=COUNTS,
)
