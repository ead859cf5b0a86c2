"""Ego3D-Bench (arXiv 2509.06266): a street, in the views of the cameras around a car; its choices.

Two of its ten categories ask for metres and are scored by RMSE, over the responses with a number
other than 0, clipped at 100: an error, not a score, so they are skipped, as in SpatialSV's paper.
`official` is the authors' script for plain models. It asks for "yes or no" in three categories,
although most of their answers are letters; only the exact answer is correct, so that "B. no" is
wrong. `official_letter` always asks for the letter, as their script for Ego3D-VLM does, and parses
as `official`. The authors print no overall score; here every question weighs the same. lmms-eval
and VLMEvalKit lack this benchmark.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path, PurePosixPath

from spatialsv.benchmarks.benchmark import Benchmark, Item, Protocol, micro
from spatialsv.benchmarks.files import find_files, read_rows
from spatialsv.io.fields import Fields
from spatialsv.io.letters import options_in

YES_NO = (
    "Ego_Centric_Relative_Distance",
    "Ego_Centric_Motion_Reasoning",
    "Object_Centric_Motion_Reasoning",
)
CHOICES = (
    "Localization",
    "Travel_Time",
    "Ego_Centric_Absolute_Distance_MultiChoice",
    "Object_Centric_Absolute_Distance_MultiChoice",
    "Object_Centric_Relative_Distance",
    *YES_NO,
)
NUMBERS = ("Ego_Centric_Absolute_Distance", "Object_Centric_Absolute_Distance")
CAMERAS = {  # in the order in which the questions name them
    "nuscenes": "Front_Left Front Front_Right Back_Right Back Back_Left",
    "waymo": "Front Front_Left Side_Left Front_Right Side_Right",
    "argoverse": "Front_Left Front Front_Right Side_Right Back_Right Back_Left Side_Left",
}
THINK = "\nOutput the thinking process in <think> </think> and final answer ({}) in <answer>"
THINK += " </answer> tags."


def load(data: Path) -> list[Item]:
    """Load the choices; they have no ids, so an id is the row's number in all files, from 0."""
    paths = find_files(data, "test/*.arrow", "test/*.parquet", "*.parquet")
    rows = (row for path in paths for row in read_rows(path))
    items = [_item(row, number) for number, row in enumerate(rows)]
    return [item for item in items if item.task in CHOICES]


def _item(row: Fields, number: int) -> Item:
    task, source = row.known("category", (*CHOICES, *NUMBERS)), row.known("source", CAMERAS)
    cameras = row.record("images")
    images = [cameras.file(camera) for camera in CAMERAS[source].split()]
    options, answer = row.texts("options"), row.label("answer")
    if task in CHOICES and not (task in YES_NO and answer.lower() in ("yes", "no")):
        named = row.lettered("options", options) or options_in(row.text("question"))
        answer = row.letter("answer", named)
    return Item(
        id=str(number),
        task=task,
        kind="number" if task in NUMBERS else "choice",
        question=row.text("question"),
        options=options,
        answer=answer if task in CHOICES else row.decimal("answer"),
        scene=str(PurePosixPath(images[0]).with_suffix("")),
        images=tuple(f"images/{image}" for image in images),
    )


def prompt(item: Item) -> str:
    """Return the question, with <image> for each camera's, its options, and the form."""
    form = "yes or no" if item.task in YES_NO else "only the letter of the choice"
    return "\n".join([item.question, *item.options]) + THINK.format(form)


def prompt_letter(item: Item) -> str:
    """Return the same prompt, with the letter for all categories."""
    return "\n".join([item.question, *item.options]) + THINK.format("ONLY the letter of the choice")


def parse(item: Item, response: str) -> str | None:
    """Return the text between the last <answer> and </answer>, else all: one line, lower case."""
    text = response.split("<answer>")[-1].split("</answer>")[0].replace("\n", "")
    return text.strip().replace("/n", "").strip().lower() or None


def score(item: Item, prediction: str | None) -> float:
    """Return 1 for exactly the answer, in either case."""
    return float(prediction == item.answer.lower())


OFFICIAL = Protocol(prompt=prompt, parse_response=parse, score=score, aggregate=micro(CHOICES))
EGO3D_BENCH = Benchmark(
    title="Ego3D-Bench, its choices",
    load=load,
    protocols={"official": OFFICIAL, "official_letter": replace(OFFICIAL, prompt=prompt_letter)},
    counts={},
)
