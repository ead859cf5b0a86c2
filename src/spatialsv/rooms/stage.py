"""The stage `scenes`: one shard of rooms, photographed and asked about."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from spatialsv.config import to_mapping
from spatialsv.io.manifest import Manifest, write_manifest
from spatialsv.rooms.layout import RoomsConfig
from spatialsv.rooms.questions import balance_questions, generate_questions
from spatialsv.rooms.room import MOTIONS
from spatialsv.rooms.splits import split_seeds
from spatialsv.rooms.views import render_views
from spatialsv.scenes.question import TASKS, write_questions
from spatialsv.scenes.store import write_store


@dataclass(frozen=True, kw_only=True)
class ScenesConfig:
    """Which rooms there are, and how many questions each is asked."""

    splits: dict[str, int] = field(default_factory=dict)  # rooms; multiples of `shard`
    shard: int = 128  # rooms a job; questions are balanced within a shard
    questions: int = 12  # a room, recognition included
    tasks: dict[str, tuple[str, ...]] = field(default_factory=dict)  # of a split; else every task
    without_text: tuple[str, ...] = ("unlabelled",)  # splits that are images only
    rooms: RoomsConfig = field(default_factory=RoomsConfig)

    def __post_init__(self) -> None:
        for split, tasks in self.tasks.items():
            for task in tasks:
                if task not in TASKS:
                    known = ", ".join(TASKS)
                    raise ValueError(f"scenes.tasks.{split}: no task {task!r}; known: {known}")
                if task in MOTIONS and task not in self.rooms.motions:
                    raise ValueError(
                        f"scenes.tasks.{split}: no room has {task!r}, which"
                        f" rooms.motions leaves out"
                    )
        for split, rooms in self.splits.items():
            split_seeds(split, 0, rooms)
            if rooms % self.shard:
                raise ValueError(
                    f"scenes.splits.{split}: {rooms} rooms are no multiple of"
                    f" scenes.shard, {self.shard}"
                )


def run(split: str, shard: int, config: ScenesConfig, out: Path) -> None:
    """Render shard number `shard` of `split` and write its store, questions and manifest.

    Raises:
        ValueError: an unknown split, or a shard beyond the split's seeds.
    """
    seeds = split_seeds(split, shard * config.shard, config.shard)
    rooms, scenes = render_views(seeds, config.rooms)
    out.parent.mkdir(parents=True, exist_ok=True)
    store = out.with_suffix(".zarr")
    payload = {store.name: write_store(store, scenes)}
    counts = {"scenes": len(rooms), "views": len(rooms) * config.rooms.views}
    if split not in config.without_text:
        tasks = config.tasks.get(split, TASKS)
        candidates = [
            [found for found in generate_questions(room, visible) if found.task in tasks]
            for room, visible in zip(rooms, scenes.instance, strict=True)
        ]
        rng = np.random.default_rng([seeds.start, 13])
        chosen_per_task = balance_questions(candidates, config.questions, rng)
        path = out.with_suffix(".questions.jsonl")
        payload[path.name] = write_questions(path, chosen_per_task)
        found = Counter(question.task for question in chosen_per_task)
        counts |= {"questions": len(chosen_per_task)} | dict(sorted(found.items()))
    write_manifest(
        out,
        Manifest(
            stage="scenes",
            payload=payload,
            counts=counts,
            config=to_mapping(config),
            about={"split": split, "seeds": [seeds.start, seeds.stop]},
        ),
    )
