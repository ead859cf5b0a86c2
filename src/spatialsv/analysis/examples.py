"""Questions on which two arms disagree, with the geometry of both: the paper's Figure 6.

The examples are not picked: they are spaced evenly over all choices that only one arm answered
correctly and for which the depth of both arms is stored.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from spatialsv.analysis.browser import evenly_spaced, jpeg_uri
from spatialsv.analysis.clouds import Maps, encode_cloud, load_cloud
from spatialsv.analysis.jobs import Runs
from spatialsv.analysis.tables import Row
from spatialsv.io.manifest import Manifest
from spatialsv.scenes.question import Question, read_questions
from spatialsv.scenes.scene import Scenes
from spatialsv.scenes.singly import ById
from spatialsv.scenes.store import open_groups

EACH = 2  # questions that one arm alone answered correctly, and as many of the other
POINTS = 20_000  # upper limit of a cloud
SIDE, QUALITY = 92, 85  # of JPEGs


def disagreement_payload(
    disagreements: Sequence[Row],
    runs: Runs,
    scenes: Sequence[Manifest],
    exact: Maps,
    lifted: Mapping[str, Maps],
    probed: Mapping[str, Maps],
    each: int = EACH,
) -> list[dict[str, Any]]:
    """Collect examples of each pair of arms in the table `disagreements`.

    Args:
        disagreements: rows of that table.
        runs: responses by arm and seed.
        scenes: manifests of the scenes.
        exact: the scenes' own geometry.
        lifted: each arm's lifted geometry.
        probed: the depth that a probe predicts from each arm; lifted geometry takes precedence.
        each: examples per arm that answered correctly.

    Returns:
        JSON-ready records of pairs that have examples: `arms`, `sources` and `examples`.
    """
    questions, stored = _read(scenes)
    sources = dict.fromkeys(probed, "probed") | dict.fromkeys(lifted, "lifted")
    maps = {**probed, **lifted}
    payload = []
    for arms in dict.fromkeys((row["arm"], row["reference"]) for row in disagreements):
        if any(arm not in maps for arm in arms):
            continue
        examples = []
        for winner in arms:
            ids = [
                row["question"]
                for row in disagreements
                if (row["arm"], row["reference"]) == arms and row["correct_arm"] == winner
            ]
            ids = [id for id in ids if id in questions and questions[id].options]
            ids = [id for id in ids if all(questions[id].scene in maps[arm] for arm in arms)]
            for question in map(questions.__getitem__, evenly_spaced(ids, each)):
                places = {"exact": exact.get(question.scene)}
                places |= {arm: maps[arm][question.scene] for arm in arms}
                clouds = {
                    n: encode_cloud(load_cloud(*at), POINTS) for n, at in places.items() if at
                }
                image = stored[question.scene].read("image").image[0]
                examples.append(
                    _example(question, {arm: runs[arm][0] for arm in arms})
                    | {"images": [jpeg_uri(view, SIDE, QUALITY) for view in image]}
                    | {"clouds": clouds}
                )
        if examples:
            used = {arm: sources[arm] for arm in arms}
            payload.append({"arms": list(arms), "sources": used, "examples": examples})
    return payload


def _example(question: Question, runs: Mapping[str, Mapping]) -> dict[str, Any]:
    responses = {arm: run[question.id] for arm, run in runs.items()}
    return {
        "question": question.id,
        "text": question.text,
        "answer": question.answer,
        "views": list(question.views),
        "responses": {
            arm: {"text": one.response, "is_correct": one.scored.score == 1}
            for arm, one in responses.items()
        },
    }


def _read(scenes: Sequence[Manifest]) -> tuple[dict[str, Question], dict[str, Scenes]]:
    """The questions by id, and each scene, whose images are still in their store."""
    questions: dict[str, Question] = {}
    stored: dict[str, Scenes] = {}
    for manifest in scenes:
        questions |= {q.id: q for q in read_questions(manifest.find(".questions.jsonl"))}
        stored |= ById(open_groups(manifest.find(".zarr"), ["image"]))
    return questions, stored
