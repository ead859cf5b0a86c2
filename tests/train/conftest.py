"""A training job's input on disk: scenes, labels and pseudo labels with their manifests."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from spatialsv.io.digests import digest_path
from spatialsv.io.manifest import Manifest, read_manifest, write_manifest
from spatialsv.scenes.question import write_questions
from spatialsv.scenes.scene import GateReason, Scenes
from spatialsv.scenes.store import write_store


@dataclass(frozen=True)
class Job:
    """Manifests as the stages before leave them."""

    scenes: list[Path]
    unlabelled: list[Path]
    labels: list[Path]
    pseudo: list[Path]


@pytest.fixture(scope="session")
def job(tmp_path_factory, tiny_scenes, tiny_labels, tiny_questions) -> Job:
    """Two shards of scenes with labels, and one of pseudo-labelled scenes under other names."""
    root = tmp_path_factory.mktemp("job")
    scenes, labels = [], []
    for shard, rows in enumerate((slice(0, 3), slice(3, 6))):
        part = tiny_scenes.select(rows)
        asked = [question for question in tiny_questions if question.scene in part.ids]
        scenes.append(_write(root / f"scenes/{shard:04d}.json", "scenes", part, asked))
        label = tiny_labels.select(rows)
        labels.append(_write(root / f"labels/{shard:04d}.json", "labels", label))
    ids = tuple(f"other-{i}" for i in range(len(tiny_scenes)))
    others = _write(root / "scenes/other.json", "scenes", tiny_scenes.replace(ids=ids), [])
    reason = np.zeros(tiny_labels.valid.shape, dtype=np.uint8)
    reason[[2, 5]] = GateReason.INCONSISTENT
    reason[1, :, 8:16, 4:20] = GateReason.UNSURE  # a hole, which the other scenes have not
    excluded = {ids[row]: "keeps too little" for row in (2, 5)}
    valid = reason == GateReason.KEPT
    guessed = tiny_labels.replace(ids=ids, valid=valid, reason=reason)
    about = {"excluded": excluded, "made_from": made_from(others)}
    pseudo = _write(root / "pseudo/other.json", "pseudo", guessed, **about)
    return Job(scenes, [others], labels, [pseudo])


def made_from(scenes: Path) -> dict:
    """What a labelling job says of where its scenes lie."""
    payload = read_manifest(scenes).payload
    return {"scenes": {name: payload[name] for name in payload if ".zarr" in name}}


def _write(
    path: Path, stage: str, scenes: Scenes, questions: list | None = None, **about: dict
) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    store = path.with_suffix(".zarr")
    payload = {store.name: write_store(store, scenes)}
    if questions is not None:
        asked = path.with_suffix(".questions.jsonl")
        write_questions(asked, questions)
        payload[asked.name] = digest_path(asked)
    write_manifest(path, Manifest(stage=stage, payload=payload, about=about))
    return path
