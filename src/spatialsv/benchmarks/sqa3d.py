"""SQA3D (arXiv 2210.07474): questions of one who stands at a place in a scan; the test set.

The answer is a word or a few, one for each question. The types are the questions' first words.

- `em`: EM@1, the measure that is reported, of answers that LEO's rules have cleaned.
- `em_refined`: as LLM papers report it beside, with answers that lie in one another right too.
- `official`: the authors' script for LLMs: right as well is a cleaned response that lies in the
  answer, or shares a word with it.

No stack fixes the words of the prompt; those here are common for open answers. The release has no
images: videos of the scans are looked for where VSI-Bench's release has them.
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
    """The test questions, mean_of_means with their answers on question_id.

    Args:
        data: sqa_task, its folder balanced, or one with both files of the test set.

    Raises:
        ValueError: no such files, rows that are not SQA3D's, or a question without an answer.
    """
    names = ("v1_balanced_questions_test*.json", "v1_balanced_sqa_annotations_test*.json")
    paths = [find_files(data, name, f"balanced/{name}")[0] for name in names]
    questions = _rows(paths[0], "questions", FIELDS)
    notes = _rows(paths[1], "annotations", ("question_id", "answers"))
    answers = {
        row["question_id"]: [prediction["answer"] for prediction in row["answers"]] for row in notes
    }
    return [_item(row, answers, where) for row, where in locate_rows(paths[0], questions)]


def _rows(path: Path, name: str, fields: Sequence[str]) -> list[Row]:
    value = read_json(path)
    require_fields(value if isinstance(value, dict) else {}, [name], str(path))
    for row, where in locate_rows(path, value[name]):
        require_fields(row, fields, where)
    return value[name]


def _item(row: Row, answers: dict[int, list[str]], where: str) -> Item:
    prediction = answers.get(row["question_id"], [])
    if len(prediction) != 1:
        raise ValueError(
            f"{where}: {len(prediction)} answers to {row['question_id']}, expected one"
        )
    return Item(
        id=str(row["question_id"]),
        task=first_word(row["question"]),
        kind="text",
        question=row["question"],
        answer=prediction[0],
        scene=row["scene_id"],
        video=f"scannet/{row['scene_id']}.mp4",
        more={"situation": row["situation"]},
    )


def first_word(question: str) -> str:
    """The type of a question."""
    bare = question.lower().translate(str.maketrans("", "", ",.?")).replace("'s", " 's").split()
    return bare[0] if bare and bare[0] in COUNTS else "others"


def prompt(item: Item) -> str:
    """The situation, the question, and how long the answer is."""
    return f"{item.more['situation']} {item.question}\n{WORD}"


def parse(item: Item, response: str) -> str:
    """The whole response, cleaned."""
    return clean_answer(response)


def by(match: Callable[[str, Sequence[str]], float]) -> Callable[[Item, str], float]:
    """`match`, of the item's answer."""
    return lambda item, prediction: match(prediction, [item.answer])


def score_official(item: Item, prediction: str) -> float:
    """1 if the answer holds the response, or a word of it. The answer stands as it is."""
    inside = "".join(prediction.split()) in "".join(item.answer.split())
    shared = set(prediction.split()) & set(item.answer.split())
    return float(prediction in item.answer or inside or bool(shared))


EM = Protocol(
    prompt=prompt, parse_response=parse, score=by(match_exact), aggregate=micro(tuple(COUNTS))
)
SQA3D = Benchmark(
    title="SQA3D",
    load=load,
    protocols={
        "em": EM,
        "em_refined": replace(EM, score=by(match_refined)),
        "official": replace(EM, score=score_official),
    },
    counts=COUNTS,
)
