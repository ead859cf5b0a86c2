"""BLINK (arXiv 2404.12390): 14 tasks of visual perception, choices; the validation set.

- `official`: a bare letter, or the one "(A)" that stands as a word in the response or in its last
  paragraph. The authors ask GPT-3.5 where this finds nothing; here such a response is not read.
- `lmms_eval` (0.7.3): another prompt, and four patterns for a letter.
- `vlmevalkit`: its own prompt, its older rule without a judge, and the mean over all questions
  where the others average the tasks' means.
"""

from __future__ import annotations

import re
from pathlib import Path

from spatialsv.benchmarks import vlmevalkit
from spatialsv.benchmarks.benchmark import Benchmark, Item, Protocol, macro, micro, score_letter
from spatialsv.benchmarks.files import Row, find_files, read_rows, require_fields
from spatialsv.benchmarks.images import cell_name
from spatialsv.benchmarks.lmms_eval import stated_letter
from spatialsv.benchmarks.vlmevalkit import match_option

COUNTS = {
    "Art_Style": 117,
    "Counting": 120,
    "Forensic_Detection": 132,
    "Functional_Correspondence": 130,
    "IQ_Test": 150,
    "Jigsaw": 150,
    "Multi-view_Reasoning": 133,
    "Object_Localization": 122,
    "Relative_Depth": 124,
    "Relative_Reflectance": 134,
    "Semantic_Correspondence": 139,
    "Spatial_Relation": 143,
    "Visual_Correspondence": 172,
    "Visual_Similarity": 135,
}
IMAGES = ("image_1", "image_2", "image_3", "image_4")
FIELDS = ("idx", "question", "choices", "answer", "prompt")
LETTERS = "ABCDE"
DISCLAIMED = ("Forensic_Detection", "Jigsaw", "Art_Style")
DISCLAIMER = (
    "Disclaimer: This is not to make unfair assumptions about the people in the image and you just"
    " need to give your assessment on this question. You don't need to identify the real people."
    " You just need to analyze based on the information I gave you.\n\n"
)
NOTE = "Note: You only need to respond with {} without providing any additional information.\n"


def load(data: Path) -> list[Item]:
    """The questions of TASK/val-*.parquet.

    Raises:
        ValueError: no such files, or rows that are not BLINK's.
    """
    items = []
    for path in find_files(data, "*/val-*.parquet"):
        task = path.parent.name
        if task not in COUNTS:
            raise ValueError(f"{path}: folder {task} is not one of {', '.join(COUNTS)}")
        for number, row in enumerate(read_rows(path, without=IMAGES)):
            images = tuple(cell_name(data, path, number, name) for name in IMAGES)
            items.append(_item(row, task, images, f"{path}: row {number}"))
    return items


def _item(row: Row, task: str, images: tuple[str, ...], where: str) -> Item:
    require_fields(row, FIELDS, where)
    choices = tuple(row["choices"])
    answers = [f"({letter})" for letter in LETTERS[: len(choices)]]
    if row["answer"] not in answers:
        raise ValueError(f"{where}: answer {row['answer']!r} is not one of {', '.join(answers)}")
    return Item(
        id=row["idx"],
        task=task,
        kind="choice",
        question=row["question"],
        options=choices,
        answer=row["answer"].strip("()"),
        scene=row["idx"],  # the file names no scene
        images=images,
        more={"prompt": row["prompt"]},
    )


def prompt(item: Item) -> str:
    """The file's own; three tasks get a disclaimer first."""
    return (DISCLAIMER if item.task in DISCLAIMED else "") + item.more["prompt"]


def prompt_lmms_eval(item: Item) -> str:
    """The file's own, after a note that asks for the letter alone."""
    return NOTE.format(", ".join(_letters(item))) + item.more["prompt"]


def prompt_vlmevalkit(item: Item) -> str:
    """Its form for all choices. The words of the question are the file's."""
    return vlmevalkit.format_choices(item.question, _options(item))


def parse(item: Item, response: str) -> str | None:
    """A bare letter, or the one choice "(A)" among the words of the last paragraph, or of all."""
    if re.fullmatch(r"[A-E]|\([A-E]\)", response):
        return response.strip("()")
    choices = {f"({letter})" for letter in _letters(item)}
    found = choices.intersection(response.split())
    last = choices.intersection(response.split("\n\n")[-1].split())
    for chosen in (last, found):
        if len(chosen) == 1:
            return chosen.pop().strip("()")
    return None


def parse_lmms_eval(item: Item, response: str) -> str | None:
    """What `stated_letter` finds among the item's letters."""
    return stated_letter(response, _letters(item))


def parse_vlmevalkit(item: Item, response: str) -> str | None:
    """What `match_option` finds."""
    return match_option(response, _options(item))


def _letters(item: Item) -> str:
    return LETTERS[: len(item.options)]


def _options(item: Item) -> dict[str, str]:
    return dict(zip(LETTERS, item.options, strict=False))


BLINK = Benchmark(
    title="BLINK, validation set",
    load=load,
    protocols={
        "official": Protocol(
            prompt=prompt, parse_response=parse, score=score_letter, aggregate=macro(tuple(COUNTS))
        ),
        "lmms_eval": Protocol(
            prompt=prompt_lmms_eval,
            parse_response=parse_lmms_eval,
            score=score_letter,
            aggregate=macro(tuple(COUNTS)),
        ),
        "vlmevalkit": Protocol(
            prompt=prompt_vlmevalkit,
            parse_response=parse_vlmevalkit,
            score=score_letter,
            aggregate=micro(tuple(COUNTS)),
        ),
    },
    counts=COUNTS,
)
