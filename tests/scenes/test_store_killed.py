"""Stores whose writers are killed, or write at the same time: always an old or a new one, whole."""

from __future__ import annotations

import itertools
import os
from pathlib import Path

import numpy as np
import pytest

from helpers.killed import killed, started
from spatialsv.io.atomic import temporary_path
from spatialsv.scenes.scene import Scenes
from spatialsv.scenes.store import digest_scenes, load_store, write_store


def write_by_turns(path: Path, times: int, *contents: Scenes) -> None:
    for scenes in itertools.islice(itertools.cycle(contents), times):
        write_store(path, scenes)


@pytest.fixture
def contents(tiny_scenes: Scenes) -> tuple[Scenes, Scenes]:
    return tiny_scenes.select([0, 1]), tiny_scenes.select([3, 4, 5])


@pytest.mark.parametrize("kills", [6, pytest.param(50, marks=pytest.mark.long)])
def test_a_killed_writer_leaves_the_old_store_or_the_new_one(
    tmp_path: Path, contents: tuple[Scenes, Scenes], kills: int
) -> None:
    store, rng = tmp_path / "s.zarr", np.random.default_rng(kills)
    known = {write_store(store, scenes) for scenes in contents}
    for _ in range(kills):
        writer = started(write_by_turns, store, 1000, *contents)
        assert killed(writer, rng.uniform(0.05, 0.6))
        assert digest_scenes(load_store(store)) in known
    write_store(store, contents[0])
    assert [path.name for path in tmp_path.iterdir()] == ["s.zarr"]


def test_two_writers_and_a_reader_do_not_disturb_each_other(
    tmp_path: Path, contents: tuple[Scenes, Scenes]
) -> None:
    store = tmp_path / "s.zarr"
    known = {write_store(store, scenes) for scenes in contents}
    writers = [started(write_by_turns, store, 8, scenes) for scenes in contents]
    found = {digest_scenes(load_store(store))}
    while any(writer.is_alive() for writer in writers):
        found.add(digest_scenes(load_store(store)))
    assert [writer.exitcode for writer in writers] == [0, 0]
    assert found == known
    assert [path.name for path in tmp_path.iterdir()] == ["s.zarr"]


def test_only_the_leftovers_of_processes_that_are_gone_are_deleted(tmp_path: Path) -> None:
    gone = started(int)
    gone.join()
    own = temporary_path(tmp_path / "s.zarr")
    stem = own.name.removesuffix(str(os.getpid()))
    names = [f"{stem}{process}" for process in (gone.pid, os.getppid(), os.getpid())]
    names += [f".s.zarr.another-machine.{gone.pid}", f"{stem}not-ours"]
    for name in names:
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").touch()
    assert temporary_path(tmp_path / "s.zarr") == own
    assert {path.name for path in tmp_path.iterdir()} == set(names[1:])
