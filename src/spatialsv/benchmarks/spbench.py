"""SPBench-SI (SpatialLadder, arXiv 2510.08531): VSI-Bench's questions about single images.

`official` is the authors' code as their script runs it, which asks for thoughts and an answer in
tags; `official_direct` is the same code with a prompt for only the answer, and without tags.
`vlmevalkit` (EASI's) prompts as the latter and searches for the answer. Numbers score by
VSI-Bench's MRA. Every task weighs the same. lmms-eval lacks this benchmark.
"""

from __future__ import annotations

import re
from dataclasses import replace
from functools import partial
from pathlib import Path

from spatialsv.benchmarks import vlmevalkit
from spatialsv.benchmarks.benchmark import Benchmark, Item, Protocol, macro
from spatialsv.benchmarks.files import find_files, read_rows
from spatialsv.benchmarks.parsing import NUMBER_WORDS, as_float
from spatialsv.benchmarks.vsi_bench import score
from spatialsv.io.fields import Fields

NUMBERS = ("object_abs_distance", "object_size_estimation")
CHOICES = ("object_rel_distance", "object_rel_direction")
TASKS = NUMBERS + CHOICES
LETTER = "the option's letter from the given choices (e.g., A, B, etc.)"
NUMBER = "a numerical value (e.g., 42 or 3.1)"
THINK = "Please think about this question as if you were a human pondering deeply. Engage in an"
THINK += " internal dialogue using expressions such as 'let me think', 'wait', 'Hmm', 'oh, I see',"
THINK += (
    " 'let's break it down', etc, or other natural language thought expressions It's encouraged"
)
THINK += " to include self-reflection or verification in the reasoning process. \n"
TAGS = "Please provide your detailed reasoning between the <think> </think> tags, and then answer"
TAGS += " the question with {} within the <answer> </answer> tags."
# The first of these words that is anywhere in a response is its number, in the authors' order; "a"
# and "an" are 1.
ORDER = [word for word in NUMBER_WORDS if word not in ("zero", "hundred", "thousand")] + ["zero"]
WORDS = {word: NUMBER_WORDS[word] for word in ORDER} | {"a": 1, "an": 1}


def load(data: Path) -> list[Item]:
    """Load the questions of SPBench-SI.parquet; their images lie in images/SCENE/."""
    path = find_files(data, "SPBench-SI.parquet", "SPBench-SI/SPBench-SI.parquet")[0]
    root = "images" if path.parent == data else "SPBench-SI/images"
    return [_item(row, root) for row in read_rows(path)]


def _item(row: Fields, root: str) -> Item:
    task, scene = row.known("question_type", TASKS), row.file("scene_name")
    options, answer = row.answer_of(task in CHOICES, "options", "ground_truth")
    return Item(
        id=row.label("id"),
        task=task,
        kind="number" if task in NUMBERS else "choice",
        question=row.text("question"),
        options=options,
        answer=answer,
        scene=scene,
        images=tuple(f"{root}/{scene}/{image}" for image in row.files("images")),
    )


def prompt(item: Item) -> str:
    """Return the prompt that asks for thoughts."""
    answer = NUMBER if item.kind == "number" else LETTER
    return f"Question: {_question(item)}\n{THINK}\n{TAGS.format(answer)}"


def prompt_direct(item: Item) -> str:
    """Return the prompt that asks for only the answer."""
    using = f"the question using {NUMBER}" if item.kind == "number" else f"with {LETTER}"
    return f"Question: {_question(item)}\n\nPlease answer {using} directly."


def _question(item: Item) -> str:
    return "\n".join([item.question, "Options:", *item.options]) if item.options else item.question


def parse(item: Item, response: str, tags: bool = True) -> str | float | None:
    """Return a letter that is the first word, else the full response; or a number.

    Args:
        item: the question.
        response: any text.
        tags: parse the text between <answer> and </answer>, where there is an <answer>.

    Returns:
        The prediction; None: no number.
    """
    if tags and "<answer>" in response:
        match = re.search("<answer>(.*?)</answer>", response, re.DOTALL)
        response = match.group(1).strip() if match else "None"
    if item.kind == "number":
        return _number(response)
    response = response.replace("Answer:", "")
    first = response.split(" ")[0].strip()
    return first.rstrip(".") if re.search(r"^[A-D]\.?$", first) else response.strip()


def _number(response: str) -> float | None:
    text = response.strip().lower()
    for word, number in WORDS.items():
        if re.search(rf"\b{word}\b", text):
            return float(number)
    match = re.search(r"(\d+(\.\d+)?)", text)
    return as_float(match.group(1) if match else None)


OFFICIAL = Protocol(prompt=prompt, parse_response=parse, score=score, aggregate=macro(TASKS))
DIRECT = replace(OFFICIAL, prompt=prompt_direct, parse_response=partial(parse, tags=False))
SPBENCH_SI = Benchmark(
    title="SPBench-SI",
    load=load,
    protocols={
        "official": OFFICIAL,
        "official_direct": DIRECT,
        "vlmevalkit": replace(DIRECT, parse_response=vlmevalkit.search),
    },
    counts={"overall": 1009},
)
