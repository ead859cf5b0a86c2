"""Candidate questions, and what their generators share: wordings, names, directions, sampling.

A candidate becomes a question when its options get letters, which happens for many scenes at once
(`balance.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from spatialsv.rooms.questions.visibility import Visibility
from spatialsv.rooms.room import wrap
from spatialsv.scenes.question import Question

LETTERS = "ABCDEF"
LEFT, AHEAD, RIGHT, BACK = (np.radians(a) for a in (90.0, 0.0, -90.0, 180.0))
INSIDE, OUTSIDE = np.radians(30.0), np.radians(60.0)  # 15 degrees off the edge of a quadrant


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A possible question about a scene; its options have no letters yet."""

    scene: str
    task: str
    stem: str
    answer: str  # one of `options`, or a decimal
    options: tuple[str, ...] = ()
    cues: tuple[str, ...] = ()  # other information in the text: objects, directions, views
    views: tuple[int, ...]

    def question(self, id: str, order: Sequence[int]) -> Question:
        """Return the question with lettered options in this `order` (empty for a number)."""
        options = tuple(self.options[i] for i in order)
        lines = [f"{LETTERS[i]}. {option}" for i, option in enumerate(options)]
        return Question(
            id=id,
            scene=self.scene,
            task=self.task,
            text="\n".join([self.stem, *lines]),
            answer=LETTERS[options.index(self.answer)] if options else self.answer,
            options=options,
            views=self.views,
        )


def candidate(
    measured: Visibility, task: str, stem: str, answer: str, options=(), cues=()
) -> Candidate:
    """Return a candidate about all views of a room."""
    return Candidate(
        scene=measured.room.id,
        task=task,
        stem=stem,
        answer=answer,
        options=tuple(options),
        cues=tuple(cues),
        views=measured.views,
    )


def choose_wording(rng: np.random.Generator, *wordings: str) -> str:
    """Return one of several wordings."""
    return wordings[rng.integers(len(wordings))]


def sample_indices(
    rng: np.random.Generator, mask: Bool[np.ndarray, "*shape"], count: int
) -> list[tuple]:
    """Return up to `count` indices where `mask` is true, in random order."""
    found = np.argwhere(mask)
    return [tuple(row) for row in found[rng.permutation(len(found))[:count]].tolist()]


def nameable_mask(measured: Visibility) -> Bool[np.ndarray, " P"]:
    """Return which objects a question may name."""
    mask = np.zeros(len(measured.names), dtype=bool)
    mask[measured.nameable] = True
    return mask


def distinct_triples(measured: Visibility, apart: float) -> Bool[np.ndarray, "P P P"]:
    """Return ordered triples of nameable objects whose neighbours are `apart` metres apart."""
    nameable = nameable_mask(measured)
    far = (measured.distance > apart) & nameable[:, None] & nameable[None]
    return far[:, :, None] & far[None] & far[:, None, :]


def object_towards(
    measured: Visibility,
    rng: np.random.Generator,
    angle: Float[np.ndarray, " P"],  # direction of each object, radians
    wanted: float,
    exclude: int | None = None,
) -> tuple[str, list[str]] | None:
    """Return the name of the object nearest to direction `wanted`, and 2-3 distractors.

    The answer lies within 30 degrees of `wanted`, distractors are more than 60 degrees off. None if
    no object qualifies, or fewer than two distractors do.
    """
    off = np.abs(wrap(angle - wanted))
    objects = [i for i in measured.nameable if i != exclude]
    inside = [i for i in objects if off[i] < INSIDE]
    others = [i for i in objects if off[i] > OUTSIDE]
    if not inside or len(others) < 2:
        return None
    best = min(inside, key=lambda i: off[i])
    chosen = rng.permutation(others)[:3]
    names = [str(name) for name in measured.names]  # those of nameable objects are not None
    return names[best], [names[i] for i in chosen]
