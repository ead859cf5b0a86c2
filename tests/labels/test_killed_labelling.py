"""Labelling that is killed goes on where it was, and two processes share one job."""

from __future__ import annotations

import errno
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from helpers.killed import killed, started
from spatialsv.io.digests import digest_path
from spatialsv.io.manifest import Manifest, read_manifest, write_manifest
from spatialsv.labels import LabelsConfig, run
from spatialsv.scenes.scene import Scenes
from spatialsv.scenes.scene_list import stack
from spatialsv.scenes.store import digest_scenes, load_store, write_store
from spatialsv.teachers.exact import ExactTeacher

SCENES = 12
CONFIG = LabelsConfig(batch_size=2)  # and parts as small: six of them


@dataclass
class SlowTeacher:
    """Knows all, takes its time, and notes down which scenes it was asked about."""

    notes: Path

    def label(self, scenes: Scenes) -> Scenes:
        with self.notes.open("a") as notes:
            notes.write(" ".join(scenes.ids) + "\n")
        time.sleep(0.05)
        return ExactTeacher().label(scenes)


@pytest.fixture
def shard(tmp_path: Path, tiny_scenes: Scenes) -> Path:
    """The manifest of twelve scenes."""
    again = tiny_scenes.replace(ids=tuple(f"{name}'" for name in tiny_scenes.ids))
    digest = write_store(tmp_path / "scenes.zarr", stack([tiny_scenes, again]))
    path = tmp_path / "scenes.json"
    write_manifest(path, Manifest(stage="scenes", payload={"scenes.zarr": digest}))
    return path


@pytest.fixture
def notes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the teacher notes down."""
    path = tmp_path / "notes.txt"
    path.touch()
    monkeypatch.setattr("spatialsv.labels.stage.load_teacher", lambda *_: SlowTeacher(path))
    monkeypatch.setattr("spatialsv.teachers.parts.PART_SIZE", 2)
    return path


def label(shard: Path, out: Path) -> None:
    run(shard, "slow", CONFIG, out)


def finished(out: Path) -> set[str]:
    """The ids in parts that are kept, all of them whole; in the end, of all scenes."""
    if out.is_file():
        return set(load_store(read_manifest(out).find(".zarr")).ids)
    parts = (out.parent / f".{out.stem}.work").glob("[0-9]*")
    return {name for part in parts for name in load_store(part).ids}


@pytest.mark.parametrize("kills", [5, pytest.param(50, marks=pytest.mark.long)])
def test_nothing_that_was_finished_is_done_again(
    tmp_path: Path, shard: Path, notes: Path, kills: int
) -> None:
    undisturbed = tmp_path / "undisturbed/0000.json"
    label(shard, undisturbed)
    digest = read_manifest(undisturbed).payload["0000.zarr"]
    rng, done, jobs = np.random.default_rng(kills), 0, 0
    while done < kills:
        jobs, calls, was_killed = jobs + 1, 0, True
        out = tmp_path / f"{jobs}/0000.json"
        notes.write_text("")
        while was_killed:
            kept, noted = finished(out), notes.read_text()
            patience = rng.uniform(0.05, 1.5) if done < kills else 600
            was_killed = killed(started(label, shard, out), patience)
            asked = set(notes.read_text().removeprefix(noted).split())
            assert not kept & asked, "asked about scenes whose labels were kept"
            done, calls = done + was_killed, calls + 1
            if out.with_suffix(".zarr").exists():
                assert digest_scenes(load_store(out.with_suffix(".zarr"))) == digest
        assert len(notes.read_text().splitlines()) <= SCENES // 2 + calls - 1
        assert out.read_text() == undisturbed.read_text()
        names = {"0000.json", "0000.metrics.json", "0000.zarr"}
        assert {path.name for path in out.parent.iterdir()} == names


def test_two_processes_at_one_job_do_it_once(tmp_path: Path, shard: Path, notes: Path) -> None:
    out = tmp_path / "labels/0000.json"
    both = [started(label, shard, out) for _ in range(2)]
    for process in both:
        assert not killed(process, 120)
    assert len(notes.read_text().splitlines()) == SCENES // 2
    manifest = read_manifest(out)
    labels = load_store(manifest.find(".zarr"))
    assert digest_scenes(labels) == manifest.payload["0000.zarr"] and len(labels) == SCENES


@pytest.mark.parametrize(
    ("changed", "asked"),
    [(LabelsConfig(batch_size=2, half=True), 1), (LabelsConfig(batch_size=3), 4)],
)
def test_answers_are_taken_up_unless_they_could_be_others(
    tmp_path: Path, shard: Path, notes: Path, monkeypatch: pytest.MonkeyPatch, changed, asked
) -> None:
    """Ten scenes were labelled: rounding changes no answer, batches of another size might."""
    from spatialsv.teachers import parts

    def all_but_the_last(path: Path, scenes: Scenes) -> str:
        if path.name == "0.10":
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        return write_store(path, scenes)

    out = tmp_path / "labels/0000.json"
    with monkeypatch.context() as context, pytest.raises(OSError, match="No space left"):
        context.setattr(parts, "write_store", all_but_the_last)
        label(shard, out)
    notes.write_text("")
    run(shard, "slow", changed, out)
    assert len(notes.read_text().splitlines()) == asked


def test_a_full_disk_costs_only_the_part_that_did_not_fit(
    tmp_path: Path, shard: Path, notes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from spatialsv.teachers import parts

    def until_full(path: Path, scenes: Scenes) -> str:
        if path.name == "0.6":
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        return write_store(path, scenes)

    out = tmp_path / "labels/0000.json"
    monkeypatch.setattr(parts, "write_store", until_full)
    with pytest.raises(OSError, match="No space left"):
        label(shard, out)
    assert len(finished(out)) == 6 and not out.exists()
    monkeypatch.setattr(parts, "write_store", write_store)
    label(shard, out)
    assert len(notes.read_text().splitlines()) == SCENES // 2 + 1


def test_half_labels_take_half_the_space_and_lose_eleven_bits(
    tmp_path: Path, shard: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wide, half = tmp_path / "wide/0000.json", tmp_path / "half/0000.json"
    run(shard, "rooms", LabelsConfig(drop_percent=0.0), wide)
    run(shard, "rooms", LabelsConfig(drop_percent=0.0, half=True), half)
    stores = [read_manifest(out).find(".zarr") for out in (wide, half)]
    exact, rounded = map(load_store, stores)
    np.testing.assert_allclose(rounded.depth, exact.depth, rtol=2**-11)
    assert not np.array_equal(rounded.depth, exact.depth)
    sizes = [(store / "depth/c/0/0/0/0").stat().st_size for store in stores]
    assert sizes[1] < 0.6 * sizes[0]
    assert digest_path(stores[0]) != digest_path(stores[1])
