"""ScanQA (arXiv 2112.10482): questions about scans, open answers; the validation set.

A question has several answers, and a response is right if it is one of them. The test sets have none.

- `official`: EM@1 of the response as it stands.
- `em`, `em_refined`: of cleaned answers, as VLM-3R and other MLLMs report them; `em_refined` has
  answers that lie in one another right too.
- `em_leo`: as LEO's code has it: the first answer that matches, in either way, decides.

The caption measures that papers report beside (BLEU, METEOR, ROUGE-L, CIDEr) are not here. No stack
fixes the words of the prompt; those here are common for open answers. The release has no images:
videos of the scans are looked for where VSI-Bench's release has them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from spatialsv.benchmarks.benchmark import Benchmark, Item, Protocol, micro
from spatialsv.benchmarks.files import Row, find_files, locate_rows, read_rows, require_fields
from spatialsv.benchmarks.parsing import clean_answer, match_exact, match_first, match_refined

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
FIELDS = ("question_id", "scene_id", "question", "answers")
WORD = "Answer the question using a single word or phrase."


def load(data: Path) -> list[Item]:
    """The questions of ScanQA_v1.0_val.json.

    Raises:
        ValueError: no such file, or rows that are not ScanQA's.
    """
    (path,) = find_files(data, "ScanQA_v1.0_val.json")
    return [_item(*at) for at in locate_rows(path, read_rows(path))]


def _item(row: Row, where: str) -> Item:
    require_fields(row, FIELDS, where)
    if not row["answers"]:
        raise ValueError(f"{where}: no answer to {row['question_id']}")
    return Item(
        id=str(row["question_id"]),
        task=next((kind for words, kind in TYPES.items() if words in row["question"]), "Other"),
        kind="text",
        question=row["question"],
        answer=row["answers"][0],
        scene=row["scene_id"],
        video=f"scannet/{row['scene_id']}.mp4",
        more={"answers": tuple(row["answers"])},
    )


def prompt(item: Item) -> str:
    """The question, and how long the answer is."""
    return f"{item.question}\n{WORD}"


def parse(item: Item, response: str) -> str:
    """The whole response, cleaned."""
    return clean_answer(response)


def parse_official(item: Item, response: str) -> str:
    """The whole response."""
    return response


def by(match: Callable[[str, Sequence[str]], float]) -> Callable[[Item, str], float]:
    """`match`, of the item's answers."""
    return lambda item, prediction: match(prediction, item.more["answers"])


def score_official(item: Item, prediction: str) -> float:
    """1 if it is one of the answers."""
    return float(prediction in item.more["answers"])


EM = Protocol(prompt=prompt, parse_response=parse, score=by(match_exact), aggregate=micro(TASKS))
SCANQA = Benchmark(
    title="ScanQA, validation set",
    load=load,
    protocols={
        "official": replace(EM, parse_response=parse_official, score=score_official),
        "em": EM,
        "em_refined": replace(EM, score=by(match_refined)),
        "em_leo": replace(EM, score=by(match_first)),
    },
    counts={},
)
