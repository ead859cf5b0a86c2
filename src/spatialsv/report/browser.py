"""The question browser's data: scenes as small images, questions, and every arm's replies."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from jaxtyping import Bool, Float, UInt8
from PIL import Image

from spatialsv.io.manifest import Manifest
from spatialsv.report.comparisons import Runs
from spatialsv.report.jobs import BASELINES, arm_label
from spatialsv.report.results import task_label
from spatialsv.report.viewer import Maps
from spatialsv.scenes.question import TASKS, Question, read_questions
from spatialsv.scenes.scene import Scenes
from spatialsv.scenes.store import read_groups

COLOURS = matplotlib.colormaps["viridis"]  # perceptual, and readable without colour vision


def browser_data(
    runs: Runs,
    scenes: Sequence[Manifest],
    depths: Mapping[str, Maps],
    limit: int,
    side: int = 160,
    quality: int = 85,
) -> dict[str, Any]:
    """What the page's script reads; JSON-ready.

    Args:
        runs: replies of each arm's seeds; the first seed is shown.
        scenes: manifests of the scenes, whose images and depth are shown.
        depths: others' depth, shown beside the scene's own: in words, whose, and where it lies.
        limit: most scenes, spread evenly over all; their questions alone are shown.
        side: longer images are made smaller, to this many pixels.
        quality: of the JPEGs.
    """
    first = {arm: seeds[0] for arm, seeds in runs.items()}
    asked: dict[str, Question] = {}
    pictures: dict[str, Any] = {}
    names = set(spread([n for manifest in scenes for n in _scene_names(manifest)], limit))
    for manifest in scenes:
        for found in read_groups(manifest.find(".zarr"), ["image"]):
            for row, name in enumerate(found.ids):
                if name in names:
                    pictures[name] = _pictures(found, row, name, depths, side, quality)
        questions = read_questions(manifest.find(".questions.jsonl"))
        asked |= {question.id: question for question in questions if question.scene in names}
    return {
        "arms": [
            {"name": arm, "label": arm_label(arm), "baseline": arm in BASELINES} for arm in runs
        ],
        "tasks": [{"name": name, "label": task_label(name)} for name in _tasks(asked)],
        "scenes": pictures,
        "questions": [_question(question, first) for question in asked.values()],
    }


def _scene_names(manifest: Manifest) -> list[str]:
    questions = read_questions(manifest.find(".questions.jsonl"))
    return list(dict.fromkeys(question.scene for question in questions))


def spread(names: Sequence[str], limit: int) -> list[str]:
    """At most `limit` of `names`, evenly spaced."""
    count = min(limit, len(names))
    return [names[index * len(names) // count] for index in range(count)]


def _tasks(asked: Mapping[str, Question]) -> list[str]:
    seen = {question.task for question in asked.values()}
    return [name for name in TASKS if name in seen]


def _question(question: Question, replies: Mapping[str, Mapping]) -> dict[str, Any]:
    """Replies are [text, score] in the order of the arms, null where an arm was not asked."""
    found = [answers.get(question.id) for answers in replies.values()]
    return {
        "id": question.id,
        "scene": question.scene,
        "task": question.task,
        "text": question.text,
        "answer": question.answer,
        "views": list(question.views),
        "replies": [answer and [answer.reply, round(answer.scored.score, 4)] for answer in found],
    }


def _pictures(
    scenes: Scenes, row: int, name: str, depths: Mapping[str, Maps], side: int, quality: int
) -> dict[str, Any]:
    """Images, depth where it is known, others' depth of one scene, a data URI a view."""
    found = {whose: maps[name] for whose, maps in depths.items() if name in maps}
    if scenes.has_geometry:
        depth, valid = scenes.depth[row], scenes.valid[row]
        others = {whose: _in_label_unit(*place, depth, valid) for whose, place in found.items()}
    else:
        others = {whose: store.depth[at] for whose, (store, at) in found.items()}
        depth = next(iter(others.values()), np.zeros((0, 1, 1), np.float32))  # for the range
        valid = depth > 0
    known = depth[valid] if valid.any() else np.array([0.0, 1.0], dtype=np.float32)
    low, high = (float(edge) for edge in np.quantile(known, [0.02, 0.98]))
    high = max(high, low + 1e-6)
    shown = zip(depth, valid, strict=True) if scenes.has_geometry else ()
    return {
        "images": [jpeg_uri(view, side, quality) for view in scenes.image[row]],
        "depth": [depth_uri(view, seen, low, high, side, quality) for view, seen in shown],
        "range": [round(low, 2), round(high, 2)],
        "unit": "m" if scenes.unit == "metre" else "",
        "others": {
            whose: [depth_uri(view, None, low, high, side, quality) for view in told]
            for whose, told in others.items()
        },
    }


def _in_label_unit(
    store: Scenes, row: int, depth: Float[np.ndarray, "N H W"], valid: Bool[np.ndarray, "N H W"]
) -> Float[np.ndarray, "N h w"]:
    """Depth times its scene's scale; without one, times the ratio of medians."""
    predicted = store.depth[row].astype(np.float32)
    if store.unit == "metre":
        return predicted
    if store.scale is not None:
        return predicted * np.float32(store.scale[row])
    ratio = np.median(depth[valid]) / max(float(np.median(predicted)), 1e-6)
    return predicted * np.float32(ratio)


def depth_uri(
    depth: Float[np.ndarray, "H W"],
    valid: Bool[np.ndarray, "H W"] | None,
    low: float,
    high: float,
    side: int,
    quality: int,
) -> str:
    """Near is dark, far is bright; pixels without depth are grey."""
    shade = (COLOURS(np.clip((depth - low) / (high - low), 0, 1))[..., :3] * 255).astype(np.uint8)
    if valid is not None:
        shade[~valid] = 128
    return jpeg_uri(shade, side, quality)


def jpeg_uri(image: UInt8[np.ndarray, "H W 3"], side: int, quality: int) -> str:
    """A data URI, at most `side` pixels in height and width."""
    picture = Image.fromarray(image)
    picture.thumbnail((side, side))
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=quality, subsampling=0, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
