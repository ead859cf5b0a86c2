"""Stage `scenes`: render one shard of rooms and generate its questions."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from spatialsv.config import to_mapping
from spatialsv.io.manifest import Manifest, read_manifest, write_manifest
from spatialsv.rooms.layout import RoomsConfig
from spatialsv.rooms.questions import balance_questions, generate_questions
from spatialsv.rooms.room import MOTIONS
from spatialsv.rooms.splits import split_seeds
from spatialsv.rooms.views import render_views
from spatialsv.scenes.question import (
    CROSS_VIEW,
    SINGLE_VIEW,
    TASKS,
    read_questions,
    write_questions,
)
from spatialsv.scenes.store import write_store

SELECTED = (*CROSS_VIEW, *SINGLE_VIEW)  # tasks of `rooms.evidence`


@dataclass(frozen=True, kw_only=True)
class ScenesConfig:
    """Number of rooms, and number and kind of questions."""

    splits: dict[str, int] = field(default_factory=dict)  # rooms in each; shards divide it
    shard_size: int = 128  # rooms per job; questions are balanced within a shard
    questions: int = 12  # per room, including recognition, without those of cross_ and single_
    tasks: dict[str, tuple[str, ...]] = field(default_factory=dict)  # per split; default: all tasks
    without_text: tuple[str, ...] = ("unlabelled",)  # splits that are images only
    rooms: RoomsConfig = field(default_factory=RoomsConfig)  # their layout, cameras and images

    def __post_init__(self) -> None:
        for split, tasks in self.tasks.items():
            for task in tasks:
                if task not in TASKS:
                    known = ", ".join(TASKS)
                    raise ValueError(
                        f"scenes.tasks.{split}: unknown task {task!r}. Known: {known}."
                    )
                if task in SELECTED and (self.rooms.views != 2 or self.rooms.motions != ("free",)):
                    raise ValueError(
                        f"scenes.tasks.{split}: task {task!r} needs two views with free cameras."
                        " Set rooms.views to 2 and rooms.motions to [free]."
                    )
                if task in MOTIONS and task not in self.rooms.motions:
                    raise ValueError(
                        f"scenes.tasks.{split}: task {task!r} needs its camera motion. Add it to"
                        " rooms.motions, or drop the task."
                    )
        for split, rooms in self.splits.items():
            split_seeds(split, 0, rooms)
            if rooms % self.shard_size:
                raise ValueError(
                    f"scenes.splits.{split}: {rooms} is not a multiple of scenes.shard_size"
                    f" ({self.shard_size})."
                )

    def selected_tasks(self, split: str) -> tuple[str, ...]:
        """Return the tasks of `split` whose questions are selected over all its rooms."""
        return tuple(task for task in self.tasks.get(split, ()) if task in SELECTED)


def selected_name(split: str, shard: int) -> str:
    """Return the file of a shard's selected questions, relative to the selection's manifest."""
    return f"selection/{split}/{shard:04d}.jsonl"


def run(
    split: str, shard: int, config: ScenesConfig, out: Path, selection: Path | None = None
) -> Manifest:
    """Render one shard of a split and write its store, questions and manifest.

    Args:
        split: a name of `splits.SPLITS`.
        shard: number of the shard in its split, from 0.
        config: of all shards.
        out: the manifest to write; store and questions are written next to it.
        selection: manifest of the questions across views, where the split's tasks name any.

    Returns:
        The manifest.

    Raises:
        ValueError: the split is unknown, the shard exceeds its seeds, or a selection is missing.
    """
    if config.selected_tasks(split) and selection is None:
        raise ValueError(
            f"scenes.tasks.{split}: questions across views are selected over all shards. Run"
            " `spatialsv select` first, and give its manifest as --selection."
        )
    seeds = split_seeds(split, shard * config.shard_size, config.shard_size)
    rooms, scenes = render_views(seeds, config.rooms)
    out.parent.mkdir(parents=True, exist_ok=True)
    store = out.with_suffix(".zarr")
    payload = {store.name: write_store(store, scenes)}
    counts = {"scenes": len(rooms), "views": len(rooms) * config.rooms.views}
    if split not in config.without_text:
        tasks = config.tasks.get(split, TASKS)
        candidates = [
            [c for c in generate_questions(room, instance) if c.task in tasks]
            for room, instance in zip(rooms, scenes.instance, strict=True)
        ]
        rng = np.random.default_rng([seeds.start, 13])
        questions = balance_questions(candidates, config.questions, rng)
        if config.selected_tasks(split) and selection is not None:
            chosen = read_manifest(selection).resolve(selected_name(split, shard))
            questions = [*questions, *read_questions(chosen)]
        path = out.with_suffix(".questions.jsonl")
        payload[path.name] = write_questions(path, questions)
        per_task = Counter(question.task for question in questions)
        counts |= {"questions": len(questions)} | dict(sorted(per_task.items()))
    return write_manifest(
        out,
        Manifest(
            stage="scenes",
            payload=payload,
            counts=counts,
            config=to_mapping(config),
            about={"split": split, "seeds": [seeds.start, seeds.stop]},
        ),
    )
