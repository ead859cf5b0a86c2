"""Spatial457 (arXiv 2502.08636): seven levels of questions about rendered vehicles, open answers.

The authors evaluate with VLMEvalKit: `official` and `vlmevalkit` are one protocol. It looks for the
answer in the requested form, takes the full response where this form is missing, and is lenient: a
number of 1 to 9 counts as yes, 0 as no; number words are accepted, and so is any vehicle of the
same kind ("sedan" for "minivan"). `lmms_eval` (0.7.3) is lenient on the form only. Every question
weighs the same. VLMEvalKit sends the first paragraph before the image, lmms-eval after it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from spatialsv.benchmarks.benchmark import Benchmark, Item, Protocol, micro
from spatialsv.benchmarks.files import find_files, rows_of
from spatialsv.benchmarks.parsing import NUMBER_WORDS
from spatialsv.io.fields import Fields
from spatialsv.io.text import load_json

DETAILS = {  # of a level's instruction, after "identify attributes of "
    "L1_single": "the objects",
    "L2_objects": "multiple objects",
    "L3_2d_spatial": "multiple objects and their spatial relationship from 2D projected camera"
    " view",
    "L4_occ": "multiple objects and their occlusion relationships",
    "L4_pose": "multiple objects and their facing direction in 3D space from the camera view",
    "L5_6d_spatial": "multiple objects and their spatial relationship from objects' perspective in"
    " 3D space",
    "L5_collision": "multiple objects and their potential collision given the assumption of moving"
    " direction in 3D space",
}
LONGEST_NUMBER = 300  # digits; Python refuses to read much longer ones
LEVELS = tuple(DETAILS)
START = """\
You are an intelligent chatbot designed to answer questions based on an image. Your task is to \
analyze the images, identify attributes of {}, and then determine the answer to the question.
"""
OBJECTS = """\
including their shape, color, size; then add a brief reasoning process about the questions. Each \
object in the image has a shape (e.g., 'airliner'), a size (only can be 'small' or 'large'), a \
color (e.g. 'blue'). The size of the object is either 'small' or 'large'. The color of the object \
is one of the following: 'gray', 'blue', 'purple', 'brown', 'green', 'cyan', 'red', 'yellow'. The \
direction of the object is one of the following: 'left', 'right', 'front', 'back'.

"""
END = """\
, or (2) an integer [0-10] when asked for 'How many' or 'What is the number of', or (3) 'Yes' or \
'No' when asked for 'Is there'. If you think there are no possible answers or the question is not \
clear, choose the best answer that fits the question.

Write your response into this json template: {'Reasoning': '<your reasons>', 'Answer': '<Your \
answer>'}"""
PHRASE = """\
Second, give the answer based on the reasoning process. The answer should only be (1) a phrase"""
ANSWERS = """\
Small, Large, Airliner, Dirtbike, Road bike, Tandem bike, Suv, Wagon, Scooter, Mountain bike, \
Minivan, Sedan, School bus, Fighter, Chopper, Double bus, Truck, Articulated bus, Cruiser, Jet, \
Utility bike, Regular bus, Biplane, Gray, Blue, Purple, Brown, Green, Cyan, Red, Yellow, Left, \
Right, Front, Back"""
NUMBERS = {word: str(number) for word, number in NUMBER_WORDS.items() if number <= 10}
KINDS = (  # of vehicles, by the first word of their names
    "suv wagon minivan sedan truck addi car",
    "articulated regular double school bus",
    "chopper dirtbike scooter cruiser motorbike",
    "jet fighter biplane airliner aeroplane",
    "road utility mountain tandem bicycle",
)
KIND = {name: number for number, names in enumerate(KINDS) for name in names.split()}
IN_FORM = (r"Answer': '(.*?)'", r'Answer": "(.*?)"', r"Answer': (\d)")
IN_FORM_LMMS = (
    r"['\"]?Answer['\"]?\s*[:=]\s*['\"]([^'\"]+)['\"]",
    r"Answer['\"]?\s*:\s*['\"]?(\w+)",
    r"['\"]Answer['\"]:\s*(\d+)",
)
YES, NO = {"yes", "true", "1"}, {"no", "false", "0"}


def load(data: Path) -> list[Item]:
    """Load questions/LEVEL.json of all levels: lists, or objects with a list `questions`."""
    paths = {path.stem.lower(): path for path in find_files(data, "questions/*.json")}
    if missing := [level for level in LEVELS if level.lower() not in paths]:
        raise ValueError(f"{data}: expected questions/{missing[0]}.json; found {', '.join(paths)}.")
    return [item for level in LEVELS for item in _level(paths[level.lower()], level)]


def _level(path: Path, level: str) -> list[Item]:
    value = load_json(path)
    rows = value.get("questions") if isinstance(value, dict) else value
    return [_item(row, level) for row in rows_of(rows, str(path))]


def _item(row: Fields, level: str) -> Item:
    answer = row.get("answer")
    answer = str(answer) if isinstance(answer, bool) else row.label("answer")
    return Item(
        id=f"{level}/{row.label('question_index')}",
        task=level,
        kind="text",
        question=row.text("question"),
        answer={"True": "Yes", "False": "No"}.get(answer, answer),
        scene=row.file("image_filename"),
        images=(f"images/{row.file('image_filename')}",),
    )


def prompt(item: Item) -> str:
    """Return VLMEvalKit's prompt, which lists the answers, in its own spelling."""
    start = START.format(DETAILS[item.task].replace("objects' ", "objects\u2019 "))
    first = f"First, you should identify the related objects refered in the questions, {OBJECTS}"
    return (
        f"{start}{item.question}\n{first}{PHRASE} chosen from the following options: {ANSWERS}{END}"
    )


def prompt_lmms_eval(item: Item) -> str:
    """Return lmms-eval's prompt."""
    first = f"First, you should identify the related objects referred in the questions, {OBJECTS}"
    return f"{START.format(DETAILS[item.task])}{item.question}\n{first}{PHRASE}{END}"


def parse(item: Item, response: str) -> str | None:
    """Return the answer in the requested form, else the full response."""
    return _in_form(IN_FORM, response, 0)


def parse_lmms_eval(item: Item, response: str) -> str | None:
    """Parse as `parse` does with lmms-eval's patterns, in any case, stripped."""
    return _in_form(IN_FORM_LMMS, response, re.IGNORECASE).strip()


def score(item: Item, prediction: str) -> float:
    """Return the score of VLMEvalKit's `is_correct`."""
    prediction, truth = "no" if prediction.lower() == "none" else prediction, item.answer
    kinds = [KIND.get(text.lower().split(" ")[0]) for text in (prediction, truth)]
    return float(
        prediction.lower() == truth.lower()
        or (prediction == "0" and truth == "No")
        or NUMBERS.get(prediction.lower()) == truth
        or (truth.lower() == "yes" and prediction in set("123456789"))
        or (kinds[0] is not None and kinds[0] == kinds[1])
    )


def score_lmms_eval(item: Item, prediction: str) -> float:
    """Return the score of lmms-eval's `_check_correctness`: 1 is yes, 0 is no."""
    prediction, truth = prediction.strip().lower(), item.answer.strip().lower()
    if prediction == truth or {prediction, truth} <= YES or {prediction, truth} <= NO:
        return 1.0
    numbers = prediction.isdecimal() and truth.isdecimal() and len(prediction) < LONGEST_NUMBER
    return float(numbers and int(prediction) == int(truth))


def _in_form(patterns: Sequence[str], response: str, flags: int) -> str:
    for pattern in patterns:
        if match := re.search(pattern, response, flags):
            return match.group(1)
    return response


VLMEVALKIT = Protocol(prompt=prompt, parse_response=parse, score=score, aggregate=micro(LEVELS))
SPATIAL457 = Benchmark(
    title="Spatial457",
    load=load,
    protocols={
        "official": VLMEVALKIT,
        "lmms_eval": replace(
            VLMEVALKIT,
            prompt=prompt_lmms_eval,
            parse_response=parse_lmms_eval,
            score=score_lmms_eval,
        ),
        "vlmevalkit": VLMEVALKIT,
    },
    counts={},
)
