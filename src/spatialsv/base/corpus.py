"""The rooms that base and teacher learn from: rendered once, in shards, then held in memory."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from spatialsv.base.tasks import (
    RoomQuestions,
    read_room_questions,
    room_questions,
    write_room_questions,
)
from spatialsv.progress import progress
from spatialsv.rooms.layout import RoomsConfig, make_room
from spatialsv.rooms.room import Room, room_seed
from spatialsv.rooms.splits import split_seeds
from spatialsv.rooms.views import render_views
from spatialsv.scenes.scene import Scenes
from spatialsv.scenes.scene_list import stack
from spatialsv.scenes.store import load_store, write_store

SHARD = 512  # rooms


def render_corpus(folder: Path, split: str, shards: int, config: RoomsConfig) -> list[Path]:
    """Render the shards of `split` that `folder` lacks, one a core at a time, and return all."""
    folder.mkdir(parents=True, exist_ok=True)
    stores = [folder / f"{shard:04d}.zarr" for shard in range(shards)]
    missing = [
        (store, split_seeds(split, shard * SHARD, SHARD), config)
        for shard, store in enumerate(stores)
        if not store.exists()
    ]
    _run_parallel(_render, missing, f"rooms of {split}")
    return stores


def _render(store: Path, seeds: range, config: RoomsConfig) -> None:
    write_store(store, render_views(seeds, config)[1])


def _run_parallel(work: Callable[..., None], calls: Sequence[tuple], title: str) -> None:
    """Call `work` with each of these arguments, in separate processes."""
    if not calls:
        return
    cores = min(os.cpu_count() or 1, len(calls))
    with ProcessPoolExecutor(cores, multiprocessing.get_context("spawn")) as pool:
        jobs = [pool.submit(work, *arguments) for arguments in calls]
        for job in progress(as_completed(jobs), title, total=len(jobs)):
            job.result()


def describe_corpus(stores: list[Path], config: RoomsConfig) -> list[RoomQuestions]:
    """Return the questions about all rooms; each shard's are written once, next to its store."""
    paths = {store: store.with_suffix(".questions.jsonl") for store in stores}
    missing = [(store, path, config) for store, path in paths.items() if not path.exists()]
    _run_parallel(_describe, missing, "describing rooms")
    return [room for path in paths.values() for room in read_room_questions(path)]


def _describe(store: Path, path: Path, config: RoomsConfig) -> None:
    scenes = load_store(store, ["instance"])
    pairs = zip(rooms_of(scenes, config), scenes.instance, strict=True)
    write_room_questions(path, [room_questions(room, instance) for room, instance in pairs])


def rooms_of(scenes: Scenes, config: RoomsConfig) -> list[Room]:
    """Return the rooms of `scenes`, generated again from their seeds.

    Raises:
        ValueError: they were rendered by other code or settings, so names would not fit the images.
    """
    rooms = [make_room(room_seed(name), config) for name in scenes.ids]
    for room, poses in zip(rooms, scenes.cam_to_world, strict=True):
        if not np.allclose(room.cam_to_world, poses, atol=1e-5):
            raise ValueError(
                f"{room.id}: its stored cameras differ from those of its seed. The store was"
                " rendered by other code or settings: delete it to render it again."
            )
    return rooms


def load_corpus(stores: list[Path], variables: list[str]) -> Scenes:
    """Load all of `stores`, with `variables` in addition to the geometry."""
    return stack([load_store(store, variables) for store in progress(stores, "loading rooms")])


def patchify(
    images: UInt8[np.ndarray, "M H W 3"], image_processor
) -> tuple[Float[Tensor, "R D"], Tensor]:
    """Return `pixel_values` and `image_grid_thw` as the image processor does, but for batches.

    The processor takes images one by one; a test compares both.
    """
    count, height, width, _ = images.shape
    patch, merge = image_processor.patch_size, image_processor.merge_size
    mean = torch.tensor(image_processor.image_mean)
    std = torch.tensor(image_processor.image_std)
    values = (torch.from_numpy(images).float() / 255 - mean) / std
    rows, columns = height // patch, width // patch
    shape = (count, rows // merge, merge, patch, columns // merge, merge, patch, 3)
    values = values.view(shape).permute(0, 1, 4, 2, 5, 7, 3, 6)
    values = values.reshape(count * rows * columns, 3, 1, patch, patch)
    values = values.expand(-1, -1, image_processor.temporal_patch_size, -1, -1)
    grid = torch.tensor([[1, rows, columns]]).expand(count, -1).contiguous()
    return values.reshape(len(values), -1), grid
