"""SITE-Bench (arXiv 2505.05456): spatial questions of 31 data sets, on images and videos; choices.

The score is chance-adjusted accuracy, CAA = sum(x - 1 / k) / sum(1 - 1 / k) over questions with
score x and k options: 0 for random answers, below 0 for worse ones. The paper and EASI report it
over images and videos together. The plain mean is listed as `accuracy`.

- `official` and `lmms_eval` (0.7.3): equal texts, parsers and scores. The parser takes "(A)", else
  " A ", else "A.", else "A:", of several letters the last one between spaces. Where it finds
  none, their code draws a random letter; here the score is the expected one, 1 / k.
- `vlmevalkit` (EASI's): a search for the answer; a response without one is wrong.

A question marks the places of its images by <image>, and they are shown there, as in the harnesses.
Images without a mark come before the last text; VLMEvalKit omits them.
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
    mean_score,
    score_letter,
)
from spatialsv.benchmarks.files import find_files, read_rows
from spatialsv.io.fields import Fields
from spatialsv.stats.means import Mean

COUNTS = {
    "counting & existence": 1702,
    "object localization & positioning": 965,
    "3d information understanding": 945,
    "multi-view & cross-image reasoning": 1632,
    "spatial relationship reasoning": 1721,
    "movement prediction & navigation": 1103,
}
IMAGES, VIDEOS = "image_test", "video_test"
SUFFIXES = ("parquet", "jsonl", "json")
MARK = "<image>"
VIDEO = (
    "Select the best answer to the following multiple-choice question based on the video."
    " Respond with only the letter of the correct option.\n"
)
INSTRUCTION = "Give me the answer letter directly. The best answer is:"
FORMS = (("({})",), (" {} ",), ("{}.",), ("{}:", ":{}", ": {}"))  # of a letter, in turn


def load(data: Path) -> list[Item]:
    """Load both parts; questions have no ids, so an id is the part and the row, from 0."""
    items = []
    for part in (IMAGES, VIDEOS):
        patterns = (f"{place}*.{suffix}" for place in (f"{part}/", part) for suffix in SUFFIXES)
        rows = (row for path in find_files(data, *patterns) for row in read_rows(path))
        items += [_item(row, f"{part}/{number}", part) for number, row in enumerate(rows)]
    return items


def _item(row: Fields, name: str, part: str) -> Item:
    options, files = row.options("options"), row.files("visual")
    return Item(
        id=name,
        task=row.known("category", COUNTS),
        kind="choice",
        question=row.text("question"),
        options=options,
        answer=row.letter("answer", dict(zip(ascii_uppercase, options, strict=False))),
        scene=files[0],  # the file names no scene
        images=files if part == IMAGES else (),
        video=files[0] if part == VIDEOS else None,
        more={"source": row.text("dataset")},
    )


def prompt(item: Item) -> str:
    """Return the prompt of the authors and of lmms-eval."""
    return prompt_vlmevalkit(replace(item, question=item.question.strip()))


def prompt_vlmevalkit(item: Item) -> str:
    """Return the same prompt, but with the white space around the question in the file."""
    return (VIDEO if item.video else "") + format_question(item)


def format_question(item: Item) -> str:
    """Return the question, the options as "A: text" and the instruction."""
    options = zip(ascii_uppercase, item.options, strict=False)
    listed = "".join(f"{letter}: {text}\n" for letter, text in options)
    return f"Question: {item.question}\nOptions:\n{listed}{INSTRUCTION}"


def parse(item: Item, response: str) -> str | None:
    """Return the letter in the first form in which any of the item's letters occurs, or None."""
    text = f" {response.strip()} "
    letters = ascii_uppercase[: len(item.options)]
    for forms in FORMS:
        if found := [name for name in letters if any(form.format(name) in text for form in forms)]:
            return max(found, key=lambda name: text.rfind(f" {name} "))  # the first if none is
    return None


def score(item: Item, prediction: str | None) -> float:
    """Return 1 for the letter of the answer; without a prediction the score of a random one."""
    return 1 / len(item.options) if prediction is None else score_letter(item, prediction)


def aggregate(scored: ScoredItems) -> Scores:
    """Return the CAA overall, of categories, images and videos; and the plain accuracy."""
    counted = [(item, value) for item, value in scored if value is not None]
    parts = {name: [pair for pair in counted if pair[0].task == name] for name in COUNTS}
    for name, is_video in (("images", False), ("videos", True)):
        parts[name] = [pair for pair in counted if bool(pair[0].video) == is_video]
    tasks = {name: _chance_adjusted(pairs) for name, pairs in parts.items() if pairs}
    tasks["accuracy"] = mean_score(counted)
    return Scores(tree=_chance_adjusted(counted), tasks=tasks)


def _chance_adjusted(pairs: list[tuple[Item, float]]) -> Mean:
    """Return the CAA: the mean of scores on a scale with chance at 0, weighted by 1 - 1 / k."""
    chances = [1 / len(item.options) for item, _ in pairs]
    return Mean(
        tuple((x - p) / (1 - p) for (_, x), p in zip(pairs, chances, strict=True)),
        tuple(item.scene for item, _ in pairs),
        tuple(1 - chance for chance in chances),
    )


OFFICIAL = Protocol(prompt=prompt, parse_response=parse, score=score, aggregate=aggregate)
SITE_BENCH = Benchmark(
    title="SITE-Bench, images and videos",
    load=load,
    protocols={
        "official": OFFICIAL,
        "lmms_eval": OFFICIAL,
        "vlmevalkit": Protocol(
            prompt=prompt_vlmevalkit,
            parse_response=vlmevalkit.search,
            score=score_letter,
            aggregate=aggregate,
        ),
    },
    counts=COUNTS,
    image_mark=MARK,
)
