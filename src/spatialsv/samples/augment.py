"""Random cameras in training: crops, borders, and another choice or order of views.

Beyond the paper; CA-MLLM (arXiv 2603.06704) changes focal length and principal point. Samples with
questions are changed only where that cannot change an answer; see `draw_augmentation`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from math import log
from typing import NamedTuple

import numpy as np

from spatialsv.samples.crop import Crop
from spatialsv.scenes.question import TASKS, Question

# What may say which image, and where in it. Tasks that say so by themselves are in TASKS.
NAMES_VIEW = re.compile(r"\b(images?|views?|frames?|photos?|pict\w+|videos?|first|last)\b", re.I)
NAMES_PLACE = re.compile(
    r"\b(pixels?|coordinates?|corners?|hal(f|ves)|edges?|borders?|box(es)?|sides?|middle|cent(re|er)s?)\b"
    r"|\b(left|right|top|bottom) (part )?(of|in) (the|this|an?) (image|view|frame|photo|pict)"
    r"|\b(quadrant|upper|lower)\b|[\[(]\s*\d",
    re.IGNORECASE,
)


@dataclass(frozen=True, kw_only=True)
class AugmentConfig:
    """How far cameras differ from those of the data, at random for each view and epoch."""

    zoom: float = 1.0  # largest factor on a focal length, by a crop; images without questions only
    shrink: float = 1.0  # largest divisor of a focal length, by a smaller image in a grey border
    aspect: float = 1.0  # largest ratio between the factors of the two focal lengths
    shuffle_views: bool = False  # another order, where no question depends on it
    min_views: int | None = None  # show so many views or more; images without questions only

    def __post_init__(self) -> None:
        for name in ("zoom", "shrink", "aspect"):
            if not 1 <= getattr(self, name) <= 10:
                found = getattr(self, name)
                raise ValueError(f"augment.{name}: expected 1 (no change) to 10, found {found}.")
        if self.min_views is not None and self.min_views < 1:
            raise ValueError(f"augment.min_views: expected 1 or more, found {self.min_views}.")
        changes_cameras = self.zoom > 1 or self.shrink > 1
        if not (changes_cameras or self.shuffle_views or self.min_views):
            raise ValueError(
                "augment: changes nothing. Set zoom, shrink, shuffle_views or min_views."
            )


class Augmentation(NamedTuple):
    """The views of one sample, in order, and their crops."""

    views: tuple[int, ...]
    crops: tuple[Crop, ...] | None = None


def draw_augmentation(
    config: AugmentConfig,
    rng: np.random.Generator,
    views: Sequence[int],
    size: tuple[int, int],
    questions: Sequence[Question],
) -> Augmentation:
    """Draw the views and cameras of a sample.

    With questions, nothing that they may be about leaves an image: no crops and no fewer views.
    Borders are skipped where a question may refer to places in an image, and another order where it
    may refer to an image by its number. Left and right stay: no image is mirrored.

    Args:
        config: the limits.
        rng: a generator of this sample.
        views: the sample's views.
        size: height and width of their images.
        questions: those of the sample; none for images only.

    Returns:
        The views, and a crop of each if cameras change.
    """
    chosen = np.array(views)
    if config.min_views is not None and not questions:
        count = rng.integers(min(config.min_views, len(chosen)), len(chosen) + 1)
        chosen = np.sort(rng.choice(len(chosen), count, replace=False))
        chosen = np.array(views)[chosen]
    if config.shuffle_views and all(map(_has_no_order, questions)):
        chosen = rng.permutation(chosen)
    crops, zoom = None, 1.0 if questions else config.zoom
    if max(zoom, config.shrink) > 1 and all(map(_names_no_place, questions)):
        crops = tuple(_draw_crop(config, zoom, rng, size) for _ in chosen)
    return Augmentation(tuple(int(view) for view in chosen), crops)


def _has_no_order(question: Question) -> bool:
    is_free = TASKS[question.task].any_order
    return is_free and not any(NAMES_VIEW.search(t) for turn in question.turns for t in turn)


def _names_no_place(question: Question) -> bool:
    is_known = question.task not in ("choice", "conversation")  # external, about anything
    return is_known and not any(NAMES_PLACE.search(t) for turn in question.turns for t in turn)


def _draw_crop(
    config: AugmentConfig, zoom: float, rng: np.random.Generator, size: tuple[int, int]
) -> Crop:
    """Draw the factors of both focal lengths, and the place of the crop or of the image."""
    low, high, spread = -log(config.shrink), log(zoom), log(config.aspect)
    across = rng.uniform(low, high)
    down = float(np.clip(across + rng.uniform(-spread, spread), low, high))
    top, bottom = _draw_side(size[0], float(np.exp(down)), rng)
    left, right = _draw_side(size[1], float(np.exp(across)), rng)
    source, target = zip(left, top, right, bottom, strict=True)
    return Crop(source, target, size)


def _draw_side(
    length: int, factor: float, rng: np.random.Generator
) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return start and end, each in source and target, of one side of `length` pixels."""
    part = max(1, round(length * min(factor, 1 / factor)))
    start = int(rng.integers(0, length - part + 1))
    inner, outer = (start, start + part), (0, length)
    source, target = (inner, outer) if factor >= 1 else (outer, inner)
    return (source[0], target[0]), (source[1], target[1])
