"""MMSI-Bench (arXiv 2505.23764): 1,000 choices on several images, in 11 types of question.

- `official`: the text in `` ``, else in ` `, and in { } there; in it the first capital A to D that
  is a word and that no other word follows. The authors ask a model where this matches nothing; here
  nothing is predicted.
- `lmms_eval` (0.7.3): the same with A to F in either case, so that an article "a" before a stop is
  a letter.
- `vlmevalkit` (EASI's): a search for the answer; its prompt joins options with a comma after each.

All average over the questions.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from spatialsv.benchmarks import vlmevalkit
from spatialsv.benchmarks.benchmark import Benchmark, Item, Protocol, micro
from spatialsv.benchmarks.files import find_files, read_rows
from spatialsv.benchmarks.images import cell_name
from spatialsv.io.fields import Fields
from spatialsv.io.letters import options_in

COUNTS = {
    "Positional Relationship (Cam.-Cam.)": 93,
    "Positional Relationship (Obj.-Obj.)": 94,
    "Positional Relationship (Reg.-Reg.)": 81,
    "Positional Relationship (Cam.-Obj.)": 86,
    "Positional Relationship (Obj.-Reg.)": 85,
    "Positional Relationship (Cam.-Reg.)": 83,
    "Attribute (Meas.)": 64,
    "Attribute (Appr.)": 66,
    "Motion (Cam.)": 74,
    "Motion (Obj.)": 76,
    "MSR": 198,
}
EN_DASH = "\N{EN DASH}"  # in some of the file's types, a hyphen in others
ENCLOSED = (r"``([^`]*)``", r"`([^`]*)`", r"\{([^}]*)\}")
LETTER = re.compile(r"\b[A-D]\b(?!\s[a-zA-Z])")
LETTER_LMMS_EVAL = re.compile(r"\b[A-F]\b(?!\s[a-zA-Z])", re.I)
INSTRUCTION = (
    "Answer with the option's letter from the given choices directly."
    " Enclose the option's letter within ``."
)


def load(data: Path) -> list[Item]:
    """Load the questions of MMSI_Bench.parquet, or of data/test-*.parquet."""
    items = []
    for path in find_files(data, "MMSI_Bench.parquet", "data/test-*.parquet"):
        for number, row in enumerate(read_rows(path, without=("images",))):
            images = cell_name(data, path, number, "images")
            items.append(_item(row, images))
    return items


def _item(row: Fields, images: str) -> Item:
    task = row.text("question_type").replace(EN_DASH, "-")
    name, question = row.label("id"), row.text("question").strip()  # with its options
    return Item(
        id=name,
        task=Fields({"question_type": task}, row.where).known("question_type", COUNTS),
        kind="choice",
        question=question,
        answer=row.letter("answer", options_in(question)),
        scene=name,  # the file names no scene
        images=(images,),
    )


def prompt(item: Item) -> str:
    """Return the prompt of the authors and of lmms-eval."""
    return f"{item.question}\n{INSTRUCTION}"


def prompt_vlmevalkit(item: Item) -> str:
    """Return VLMEvalKit's prompt, which splits the options and joins them again."""
    return f"{item.question}, \n{INSTRUCTION}"


def parse(item: Item, response: str, letter: re.Pattern[str] = LETTER) -> str | None:
    """Return the letter in the innermost marks of the response."""
    for marks in ENCLOSED:
        if enclosed := re.search(marks, response):
            response = enclosed.group(1)
    match = letter.search(response)
    return match.group().upper() if match else None


def parse_lmms_eval(item: Item, response: str) -> str | None:
    """Parse as `parse` does, with more letters, in either case."""
    return parse(item, response, LETTER_LMMS_EVAL)


def score(item: Item, prediction: str | None) -> float:
    """Return 1 for the letter of the answer."""
    return float(prediction is not None and prediction == item.answer.strip().upper())


OFFICIAL = Protocol(
    prompt=prompt, parse_response=parse, score=score, aggregate=micro(tuple(COUNTS))
)
MMSI_BENCH = Benchmark(
    title="MMSI-Bench",
    load=load,
    protocols={
        "official": OFFICIAL,
        "lmms_eval": replace(OFFICIAL, parse_response=parse_lmms_eval),
        "vlmevalkit": replace(OFFICIAL, prompt=prompt_vlmevalkit, parse_response=vlmevalkit.search),
    },
    counts=COUNTS,
)
