"""Data of the question browser: scenes as small images, questions, and every arm's responses."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from jaxtyping import Bool, Float

from spatialsv.analysis.clouds import Maps
from spatialsv.analysis.jobs import BASELINES, Runs
from spatialsv.analysis.tables import Row
from spatialsv.io.manifest import Manifest
from spatialsv.scenes.question import TASKS, Question, read_questions
from spatialsv.scenes.scene import Scenes
from spatialsv.scenes.store import load_groups
from spatialsv.viewer.images import jpeg_uri

COLOURS = matplotlib.colormaps["viridis"]  # perceptual, and readable without colour vision


def browser_payload(
    runs: Runs,
    scenes: Sequence[Manifest],
    depths: Mapping[str, Maps],
    limit: int,
    side: int = 160,
    quality: int = 85,
    more: Iterable[str] = (),
) -> dict[str, Any]:
    """Build the data of the question browser.

    Args:
        runs: responses by arm and seed; the first seed is used.
        scenes: manifests of the scenes, with their images, depth and questions.
        depths: further depth by source, such as `lifted:text`.
        limit: upper limit of scenes, spaced evenly over all; other questions are left out.
        side: of the largest image, in pixels; larger ones are reduced.
        quality: of the JPEGs.
        more: scenes to include in any case.

    Returns:
        JSON-ready `arms`, `tasks`, `scenes` and `questions`.
    """
    first = {arm: seeds[0] for arm, seeds in runs.items()}
    stored = [(m, read_questions(m.find(".questions.jsonl"))) for m in scenes]
    names = list(dict.fromkeys(question.scene for _, own in stored for question in own))
    chosen = {*evenly_spaced(names, limit), *more}
    images: dict[str, Any] = {}
    questions: dict[str, Question] = {}
    for manifest, own in stored:
        for group in load_groups(manifest.find(".zarr"), ["image", "depth"]):
            for row, name in enumerate(group.ids):
                if name in chosen:
                    images[name] = _scene_images(group, row, name, depths, side, quality)
        questions |= {question.id: question for question in own if question.scene in chosen}
    present = dict.fromkeys(question.group for question in questions.values())
    return {
        "arms": [{"name": arm, "is_baseline": arm in BASELINES} for arm in runs],
        "tasks": [name for name in {**TASKS, **present} if name in present],
        "scenes": images,
        "questions": [_question(question, first) for question in questions.values()],
    }


def evenly_spaced(names: Sequence[str], limit: int) -> list[str]:
    """Return at most `limit` of `names`, evenly spaced."""
    count = min(limit, len(names))
    return [names[index * len(names) // count] for index in range(count)]


def mark_examples(
    rows: Sequence[Row],
    scenes: Sequence[Manifest],
    maps: Mapping[str, Collection[str]],
    each: int = 2,
) -> list[str]:
    """Mark the questions of the figure of disagreements, the paper's Figure 6.

    They are not picked: they are spaced evenly over all choices that only one arm answered
    correctly and for which the depth of both arms is stored.

    Args:
        rows: of the table `disagreements`, whose column `is_example` is set.
        scenes: manifests of the scenes.
        maps: the scenes with stored depth, by arm.
        each: examples per arm that answered correctly.

    Returns:
        The scenes of the examples.
    """
    stored = [read_questions(m.find(".questions.jsonl")) for m in scenes if rows]
    choices = {question.id for own in stored for question in own if question.options}
    groups: dict[tuple[str, str], dict[str, Row]] = {}
    for row in rows:
        has_depth = all(row["scene"] in maps.get(row[a], ()) for a in ("arm", "reference"))
        if has_depth and row["question"] in choices:
            groups.setdefault((row["arm"], row["correct_arm"]), {})[row["question"]] = row
    examples = [g[id] for g in groups.values() for id in evenly_spaced(list(g), each)]
    for row in examples:
        row["is_example"] = True
    return list(dict.fromkeys(row["scene"] for row in examples))


def _question(question: Question, first: Mapping[str, Mapping]) -> dict[str, Any]:
    """Responses are [text, score] in the order of the arms, null where an arm has none."""
    responses = [run.get(question.id) for run in first.values()]
    return {
        "id": question.id,
        "scene": question.scene,
        "task": question.group,
        "text": question.text,
        "answer": question.answer,
        "views": list(question.views),
        "responses": [one and [one.response, round(one.scored().score, 4)] for one in responses],
    }


def _scene_images(
    scenes: Scenes, row: int, name: str, depths: Mapping[str, Maps], side: int, quality: int
) -> dict[str, Any]:
    """One scene's images, its depth where known, and further depth, a data URI per view."""
    stored = {source: maps[name] for source, maps in depths.items() if name in maps}
    if scenes.has_geometry:
        depth, valid = scenes.depth[row], scenes.valid[row]
        others = {s: _in_label_unit(*place, depth, valid) for s, place in stored.items()}
    else:
        others = {source: store.depth[at] for source, (store, at) in stored.items()}
        depth = next(iter(others.values()), np.zeros((0, 1, 1), np.float32))  # for the range
        valid = depth > 0
    low, high = depth_range(depth[valid])
    own = zip(depth, valid, strict=True) if scenes.has_geometry else ()
    return {
        "images": [jpeg_uri(view, side, quality) for view in scenes.image[row]],
        "depth": [_depth_uri(view, mask, low, high, side, quality) for view, mask in own],
        "range": [round(low, 2), round(high, 2)],
        "unit": "m" if scenes.unit == "metre" else "",
        "others": {
            source: [_depth_uri(view, None, low, high, side, quality) for view in views]
            for source, views in others.items()
        },
    }


def _in_label_unit(
    store: Scenes, row: int, depth: Float[np.ndarray, "N H W"], valid: Bool[np.ndarray, "N H W"]
) -> Float[np.ndarray, "N h w"]:
    """Predicted depth times its scene's scale; without one, times the ratio of medians."""
    predicted = store.depth[row].astype(np.float32)
    if store.unit == "metre":
        return predicted
    if store.has("scale"):
        return predicted * np.float32(store.scale[row])
    ratio = np.median(depth[valid]) / max(float(np.median(predicted)), 1e-6)
    return predicted * np.float32(ratio)


def depth_range(depth: Float[np.ndarray, " pixels"]) -> tuple[float, float]:
    """Return the ends of the colour scale: the 2nd and the 98th percentile of valid depths."""
    if not depth.size:
        return 0.0, 1.0
    low, high = (float(edge) for edge in np.quantile(depth, [0.02, 0.98]))
    return low, max(high, low + 1e-6)


def _depth_uri(
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
