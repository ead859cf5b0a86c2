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
from spatialsv.benchmarks.files import find_files, read_object
from spatialsv.benchmarks.parsing import clean_answer, match_exact, match_refined
from spatialsv.io.fields import Fields

COUNTS = {"what": 1144, "is": 652, "how": 465, "can": 338, "which": 351, "others": 569}
WORD = "Answer the question using a single word or phrase."


def load(data: Path) -> list[Item]:
    """Load the test questions of sqa_task or of its folder balanced, joined with their answers."""
    names = ("v1_balanced_questions_test*.json", "v1_balanced_sqa_annotations_test*.json")
    paths = [find_files(data, name, f"balanced/{name}")[0] for name in names]
    questions, notes = (
        read_object(path).records(name)
        for path, name in zip(paths, ("questions", "annotations"), strict=True)
    )
    answers = {note.label("question_id"): note.records("answers") for note in notes}
    return [_item(row, answers.get(row.label("question_id"), [])) for row in questions]


def _item(row: Fields, answers: Sequence[Fields]) -> Item:
    name, question, scene = row.label("question_id"), row.text("question"), row.file("scene_id")
    if len(answers) != 1:
        raise row.error("question_id", f"{len(answers)} answers to {name}, expected one")
    return Item(
        id=name,
        task=first_word(question),
        kind="text",
        question=question,
        answer=answers[0].label("answer"),
        scene=scene,
        video=f"scannet/{scene}.mp4",
        more={"situation": row.text("situation")},
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
