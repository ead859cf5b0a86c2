"""Questions on which two models disagree, with what each of them sees: the paper's Figure 6.

Nobody picks them: they lie evenly over all choices that one model alone got right, as far as both
models' depth is known.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import UInt8

from spatialsv.io.manifest import Manifest
from spatialsv.report.browser import spread
from spatialsv.report.comparisons import Runs
from spatialsv.report.jobs import Answer
from spatialsv.report.viewer import Cloud, Maps, cloud_of
from spatialsv.scenes.question import Question, read_questions
from spatialsv.scenes.scene import Scenes
from spatialsv.scenes.singly import ById
from spatialsv.scenes.store import open_groups

EACH = 2  # questions that the one alone got right, and as many of the other


@dataclass(frozen=True, eq=False)
class Example:
    """One question, what two models replied, and what is known of its scene and by whom."""

    question: Question
    replies: Mapping[str, Answer]  # by arm, the first one first
    images: UInt8[np.ndarray, "N H W 3"]
    known: Cloud | None
    seen: Mapping[str, Cloud]  # by arm


@dataclass(frozen=True, eq=False)
class Disagreement:
    """Two arms, how the depth of each was had, and some questions that one alone got right."""

    arms: tuple[str, str]
    how: Mapping[str, str]  # "lifted", or "probed": then the cameras are the scene's own
    examples: Sequence[Example]


def disagreements_of(
    record: Sequence[Mapping[str, Any]],
    runs: Runs,
    scenes: Sequence[Manifest],
    known: Maps,
    lifted: Mapping[str, Maps],
    probed: Mapping[str, Maps],
    each: int = EACH,
) -> list[Disagreement]:
    """Of each pair of the report's `disagreements` that there is anything to show of.

    Args:
        known: where scenes' own geometry lies.
        lifted: where each arm's lifted geometry lies; probed: the depth that a probe reads.
    """
    asked, places = _asked(scenes)
    how = dict.fromkeys(probed, "probed") | dict.fromkeys(lifted, "lifted")
    maps = {**probed, **lifted}
    found = []
    for part in record:
        arms = (part["first"], part["second"])
        if any(arm not in maps for arm in arms):
            continue
        examples = []
        for key in ("only_first", "only_second"):
            fit = [name for name in part[key] if name in asked and asked[name].options]
            fit = [i for i in fit if all(asked[i].scene in maps[arm] for arm in arms)]
            for question in map(asked.__getitem__, spread(fit, each)):
                replies = {arm: runs[arm][0][question.id] for arm in arms}
                clouds = {arm: cloud_of(*maps[arm][question.scene]) for arm in arms}
                images = places[question.scene].read("image").image[0]
                own = known.get(question.scene)
                truth = cloud_of(*own) if own else None
                examples.append(Example(question, replies, images, truth, clouds))
        if examples:
            found.append(Disagreement(arms, {arm: how[arm] for arm in arms}, examples))
    return found


def _asked(scenes: Sequence[Manifest]) -> tuple[dict[str, Question], dict[str, Scenes]]:
    """The questions by id, and each scene by itself, whose images are still in their store."""
    asked: dict[str, Question] = {}
    places: dict[str, Scenes] = {}
    for manifest in scenes:
        asked |= {q.id: q for q in read_questions(manifest.find(".questions.jsonl"))}
        places |= ById(open_groups(manifest.find(".zarr"), ["image"]))
    return asked, places
