"""BLINK (arXiv 2404.12390): 14 tasks of visual perception, choices; the validation set.

- `official`: a single letter, or the one "(A)" that is a word of the response or of its last
  paragraph. The authors ask GPT-3.5 where this rule matches nothing; here nothing is predicted.
- `lmms_eval` (0.7.3): a different prompt, and four patterns for a letter.
- `vlmevalkit`: its own prompt, its older rule without a judge, and the mean over all questions
  where the others average the tasks' means.
"""

from __future__ import annotations

import re
from pathlib import Path

from spatialsv.benchmarks import vlmevalkit
from spatialsv.benchmarks.benchmark import Benchmark, Item, Protocol, macro, micro, score_letter
from spatialsv.benchmarks.files import find_files, read_rows
from spatialsv.benchmarks.images import cell_name
from spatialsv.benchmarks.lmms_eval import stated_letter
from spatialsv.benchmarks.vlmevalkit import match_option
from spatialsv.io.fields import Fields

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
LETTERS = "ABCDE"
DISCLAIMED = ("Forensic_Detection", "Jigsaw", "Art_Style")
DISCLAIMER = (
    "Disclaimer: This is not to make unfair assumptions about the people in the image and you just"
    " need to give your assessment on this question. You don't need to identify the real people."
    " You just need to analyze based on the information I gave you.\n\n"
)
NOTE = "Note: You only need to respond with {} without providing any additional information.\n"


def load(data: Path) -> list[Item]:
    """Load the questions of TASK/val-*.parquet."""
    items = []
    for path in find_files(data, "*/val-*.parquet"):
        task = path.parent.name
        Fields({"folder": task}, str(path)).known("folder", COUNTS)
        for number, row in enumerate(read_rows(path, without=IMAGES)):
            images = tuple(cell_name(data, path, number, name) for name in IMAGES)
            items.append(_item(row, task, images))
    return items


def _item(row: Fields, task: str, images: tuple[str, ...]) -> Item:
    choices, name = row.options("choices", LETTERS), row.label("idx")
    return Item(
        id=name,
        task=task,
        kind="choice",
        question=row.text("question"),
        options=choices,
        answer=row.letter("answer", row.lettered("choices", choices)),
        scene=name,  # the file names no scene
        images=images,
        more={"prompt": row.text("prompt")},
    )


def prompt(item: Item) -> str:
    """Return the file's prompt, after a disclaimer for three tasks."""
    return (DISCLAIMER if item.task in DISCLAIMED else "") + item.more["prompt"]


def prompt_lmms_eval(item: Item) -> str:
    """Return the file's prompt, after a note that asks for only the letter."""
    return NOTE.format(", ".join(_letters(item))) + item.more["prompt"]


def prompt_vlmevalkit(item: Item) -> str:
    """Return VLMEvalKit's prompt for all choices, with the file's question."""
    return vlmevalkit.format_choices(item.question, _options(item))


def parse(item: Item, response: str) -> str | None:
    """Return a single letter, or the one "(A)" in the words of the last paragraph, or of all."""
    if re.fullmatch(r"[A-E]|\([A-E]\)", response):
        return response.strip("()")
    choices = {f"({letter})" for letter in _letters(item)}
    anywhere = choices.intersection(response.split())
    last = choices.intersection(response.split("\n\n")[-1].split())
    for chosen in (last, anywhere):
        if len(chosen) == 1:
            return chosen.pop().strip("()")
    return None


def parse_lmms_eval(item: Item, response: str) -> str | None:
    """Return the letter of the item that the response states."""
    return stated_letter(response, _letters(item))


def parse_vlmevalkit(item: Item, response: str) -> str | None:
    """Return the letter that VLMEvalKit matches."""
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
