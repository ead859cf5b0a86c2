"""ScanQA (arXiv 2112.10482): open questions about scans; the validation set.

A question has several answers; a response is correct if it is one of them. The test sets have none.

- `official`: EM@1 of the unchanged response.
- `em`, `em_refined`: of normalised answers, as VLM-3R and other MLLMs report them; `em_refined`
  also accepts answers that contain one another.
- `em_leo`: as in LEO's code: the first answer that matches, in either way, decides.

The caption measures that papers also report (BLEU, METEOR, ROUGE-L, CIDEr) are not implemented. No
stack specifies the prompt; the one here is common for open answers. The release has no images:
videos of the scans are expected where VSI-Bench's release has them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from spatialsv.benchmarks.benchmark import Benchmark, Item, Protocol, micro
from spatialsv.benchmarks.files import find_files, read_rows
from spatialsv.benchmarks.parsing import clean_answer, match_exact, match_first, match_refined
from spatialsv.io.fields import Fields

TYPES = {  # by the first of these words that a question has
    "Where": "Place",
    "How many": "Number",
    "What color": "Color",
    "What is the color": "Color",
    "What shape": "Object nature",
    "What type": "Object nature",
    "What kind": "Object nature",
    "What is": "Object",
}
TASKS = ("Place", "Number", "Color", "Object nature", "Object", "Other")
WORD = "Answer the question using a single word or phrase."


def load(data: Path) -> list[Item]:
    """Load the questions of ScanQA_v1.0_val.json."""
    (path,) = find_files(data, "ScanQA_v1.0_val.json")
    return [_item(row) for row in read_rows(path)]


def _item(row: Fields) -> Item:
    question, answers, scene = row.text("question"), row.texts("answers"), row.file("scene_id")
    if not answers:
        raise row.expected("answers", "one or more answers")
    return Item(
        id=row.label("question_id"),
        task=next((kind for words, kind in TYPES.items() if words in question), "Other"),
        kind="text",
        question=question,
        answer=answers[0],
        scene=scene,
        video=f"scannet/{scene}.mp4",
        more={"answers": answers},
    )


def prompt(item: Item) -> str:
    """Return the question and the instruction."""
    return f"{item.question}\n{WORD}"


def parse(item: Item, response: str) -> str:
    """Return the normalised response."""
    return clean_answer(response)


def parse_official(item: Item, response: str) -> str:
    """Return the response."""
    return response


def score_by(match: Callable[[str, Sequence[str]], float]) -> Callable[[Item, str], float]:
    """Return a `score` that matches a prediction with the item's answers."""
    return lambda item, prediction: match(prediction, item.more["answers"])


def score_official(item: Item, prediction: str) -> float:
    """Return 1 for one of the answers."""
    return float(prediction in item.more["answers"])


EM = Protocol(
    prompt=prompt, parse_response=parse, score=score_by(match_exact), aggregate=micro(TASKS)
)
SCANQA = Benchmark(
    title="ScanQA, validation set",
    load=load,
    protocols={
        "official": replace(EM, parse_response=parse_official, score=score_official),
        "em": EM,
        "em_refined": replace(EM, score=score_by(match_refined)),
        "em_leo": replace(EM, score=score_by(match_first)),
    },
    counts={},
)
