"""SQA3D (arXiv 2210.07474): questions from a described position in a scan; the test set.

The answer is a word or a few, one for each question. The types are the questions' first words.

- `em`: EM@1, the reported measure, of answers normalised by LEO's rules.
- `em_refined`: as LLM papers also report it: answers that contain one another are accepted.
- `official`: the authors' script for LLMs: it also accepts a normalised response that is contained
  in the answer, or shares a word with it.

No stack specifies the prompt; the one here is common for open answers. The release has no images:
videos of the scans are expected where VSI-Bench's release has them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from spatialsv.benchmarks.benchmark import Benchmark, Item, Protocol, micro
from spatialsv.benchmarks.files import Row, find_files, locate_rows, read_json, require_fields
from spatialsv.benchmarks.parsing import clean_answer, match_exact, match_refined

COUNTS = {"what": 1144, "is": 652, "how": 465, "can": 338, "which": 351, "others": 569}
FIELDS = ("question_id", "scene_id", "situation", "question")
WORD = "Answer the question using a single word or phrase."


def load(data: Path) -> list[Item]:
    """Load the test questions of sqa_task or of its folder balanced, joined with their answers."""
    names = ("v1_balanced_questions_test*.json", "v1_balanced_sqa_annotations_test*.json")
    paths = [find_files(data, name, f"balanced/{name}")[0] for name in names]
    questions = _rows(paths[0], "questions", FIELDS)
    annotations = _rows(paths[1], "annotations", ("question_id", "answers"))
    answers = {row["question_id"]: [a["answer"] for a in row["answers"]] for row in annotations}
    return [_item(row, answers, where) for row, where in locate_rows(paths[0], questions)]


def _rows(path: Path, name: str, fields: Sequence[str]) -> list[Row]:
    value = read_json(path)
    require_fields(value if isinstance(value, dict) else {}, [name], str(path))
    for row, where in locate_rows(path, value[name]):
        require_fields(row, fields, where)
    return value[name]


def _item(row: Row, answers: dict[int, list[str]], where: str) -> Item:
    found = answers.get(row["question_id"], [])
    if len(found) != 1:
        raise ValueError(f"{where}: {len(found)} answers to {row['question_id']}, expected one.")
    return Item(
        id=str(row["question_id"]),
        task=first_word(row["question"]),
        kind="text",
        question=row["question"],
        answer=found[0],
        scene=row["scene_id"],
        video=f"scannet/{row['scene_id']}.mp4",
        more={"situation": row["situation"]},
    )


def first_word(question: str) -> str:
    """Return the type of a question."""
    words = question.lower().translate(str.maketrans("", "", ",.?")).replace("'s", " 's").split()
    return words[0] if words and words[0] in COUNTS else "others"


def prompt(item: Item) -> str:
    """Return the situation, the question and the instruction."""
    return f"{item.more['situation']} {item.question}\n{WORD}"


def parse(item: Item, response: str) -> str:
    """Return the normalised response."""
    return clean_answer(response)


def score_by(match: Callable[[str, Sequence[str]], float]) -> Callable[[Item, str], float]:
    """Return a `score` that matches a prediction with the item's answer."""
    return lambda item, prediction: match(prediction, [item.answer])


def score_official(item: Item, prediction: str) -> float:
    """Return 1 if the unchanged answer contains the prediction, or shares a word with it."""
    inside = "".join(prediction.split()) in "".join(item.answer.split())
    shared = set(prediction.split()) & set(item.answer.split())
    return float(prediction in item.answer or inside or bool(shared))


EM = Protocol(
    prompt=prompt, parse_response=parse, score=score_by(match_exact), aggregate=micro(tuple(COUNTS))
)
SQA3D = Benchmark(
    title="SQA3D",
    load=load,
    protocols={
        "em": EM,
        "em_refined": replace(EM, score=score_by(match_refined)),
        "official": replace(EM, score=score_official),
    },
    counts=COUNTS,
)
