"""Compare samples per second and memory of our stores with WebDataset and HF `datasets`.

A sample is one scene: images, depth, valid pixels and cameras of all views. All sides hold the same
rooms and deliver the same numbers in shuffled order through PyTorch's DataLoader. They read from
the page cache and alternate in one run. The script prints ratios, and bytes on disk. The peers
store images as PNG, which is usual, or as plain arrays, which are larger and need no decoding.

Memory is the anonymous resident memory (Linux) of a new process after 2000 random samples from 100
or 10,000 scenes: once read as `spatialsv train` does, once with all scenes in memory.

The peers are installed by pip install -e '.[perf]'.

    python perf/loader.py [--scenes 128] [--size 128] [--repeats 5] [--workers 0]
"""

from __future__ import annotations

import argparse
import io
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common.figures import Figure, make_parser, parse, report, resident
from PIL import Image
from torch.utils.data import DataLoader, Dataset

from spatialsv.model.checkpoint import resolve_model
from spatialsv.model.mllm import load_mllm
from spatialsv.rooms.layout import RoomsConfig
from spatialsv.rooms.views import render_views
from spatialsv.samples.dataset import SamplesConfig, SceneDataset
from spatialsv.scenes.scene import Scenes
from spatialsv.scenes.scene_list import SceneList
from spatialsv.scenes.store import load_groups, open_store, write_store

os.environ["HF_HUB_OFFLINE"] = "1"
try:
    import datasets
    import webdataset
except ImportError as error:
    raise SystemExit(f"{error}. Install the peers: pip install -e '.[perf]'") from error

NAMES = ("image", "depth", "valid", "intrinsics", "cam_to_world")
Sample = dict[str, torch.Tensor]
Loader = Iterable[list[Sample]]
BATCH = 8
SHARD = 128  # scenes per store in the memory test


def arrays(one: Scenes) -> dict[str, np.ndarray]:
    """Return the arrays of a single scene."""
    return {name: getattr(one, name)[0] for name in NAMES}


def tensors(sample: dict[str, Any]) -> Sample:
    """Return a sample of tensors."""
    return {name: torch.as_tensor(np.asarray(sample[name])) for name in NAMES}


class OurScenes(Dataset):
    """Scenes of our store, read one at a time."""

    def __init__(self, path: Path) -> None:
        self.scenes = SceneList(open_store(path))

    def __len__(self) -> int:
        return len(self.scenes)

    def __getitem__(self, row: int) -> Sample:
        return tensors(arrays(self.scenes[row].load(*NAMES)))


def batched(data: Dataset, workers: int) -> Loader:
    """Return a shuffling loader."""
    return DataLoader(
        data, batch_size=BATCH, shuffle=True, num_workers=workers, collate_fn=lambda batch: batch
    )


def ours(folder: Path, scenes: Scenes, workers: int) -> Loader:
    """Write our store and return its loader."""
    write_store(folder / "scenes.zarr", scenes.replace(instance=None))
    return batched(OurScenes(folder / "scenes.zarr"), workers)


def as_png(image: np.ndarray) -> bytes:
    """Encode an image as PNG."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "png")
    return buffer.getvalue()


def from_png(data: bytes) -> np.ndarray:
    """Decode a PNG."""
    return np.asarray(Image.open(io.BytesIO(data)))


def hf(png: bool) -> Callable[[Path, Scenes, int], Loader]:
    """Return the function that writes a HF dataset and returns its loader."""

    def make(folder: Path, scenes: Scenes, workers: int) -> Loader:
        views, height, width = scenes.shape
        maps = {"depth": "float32", "valid": "bool"}
        features = {k: datasets.Array3D((views, height, width), v) for k, v in maps.items()}
        features["intrinsics"] = datasets.Array3D((views, 3, 3), "float64")
        features["cam_to_world"] = datasets.Array3D((views, 4, 4), "float64")
        shape = (views, height, width, 3)
        features["image"] = (
            datasets.List(datasets.Image()) if png else datasets.Array4D(shape, "uint8")
        )

        def rows() -> Iterator[dict[str, Any]]:
            for one in scenes:
                row = arrays(one)
                yield row | ({"image": [Image.fromarray(v) for v in row["image"]]} if png else {})

        data = datasets.Dataset.from_generator(
            rows, features=datasets.Features(features), cache_dir=str(folder)
        )
        return batched(HfScenes(data.with_format("numpy")), workers)

    return make


class HfScenes(Dataset):
    """Scenes of a HF dataset."""

    def __init__(self, data: Any) -> None:
        self.data = data

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, row: int) -> Sample:
        arrays = self.data[row]
        return tensors(arrays | {"image": np.asarray(arrays["image"], np.uint8)})


def wds(png: bool) -> Callable[[Path, Scenes, int], Loader]:
    """Return the function that writes a WebDataset and returns its loader."""

    def make(folder: Path, scenes: Scenes, workers: int) -> Loader:
        path = folder / "scenes.tar"
        with webdataset.TarWriter(str(path)) as tar:
            for one in scenes:
                row, sample = arrays(one), {"__key__": one.ids[0]}
                images = row.pop("image")
                if png:
                    sample |= {f"{i}.png": as_png(view) for i, view in enumerate(images)}
                else:
                    sample["image.npy"] = images
                tar.write(sample | {f"{name}.npy": value for name, value in row.items()})

        def sample_of(files: dict[str, Any]) -> Sample:
            if png:
                views = [from_png(files[f"{i}.png"]) for i in range(scenes.shape[0])]
                files["image.npy"] = np.stack(views)
            return tensors({name: files[f"{name}.npy"] for name in NAMES})

        stream = webdataset.WebDataset(str(path), shardshuffle=False).shuffle(64)
        stream = stream.decode().map(sample_of).batched(BATCH, collation_fn=list)
        return DataLoader(stream, batch_size=None, num_workers=workers)

    return make


def seconds(loader: Loader, expected: int) -> float:
    """Return the time of one epoch that reads every sample."""
    start, count = time.perf_counter(), 0
    for batch in loader:
        count += len(batch)
        for sample in batch:
            assert sample["image"].dtype == torch.uint8 and sample["depth"].ndim == 3
    assert count == expected, f"{count} samples of {expected}"
    return time.perf_counter() - start


def throughput(arguments: argparse.Namespace) -> list[Figure]:
    """Return our samples per second relative to those of each peer, and bytes on disk."""
    config = RoomsConfig(views=4, image_size=arguments.size)
    _, scenes = render_views(range(arguments.scenes), config)
    sides: dict[str, Callable[[Path, Scenes, int], Loader]] = {"ours": ours}
    sides |= {"WebDataset, PNG": wds(True), "WebDataset, arrays": wds(False)}
    datasets.disable_progress_bars()
    sides |= {"HF datasets, PNG": hf(True), "HF datasets, arrays": hf(False)}
    with tempfile.TemporaryDirectory() as name:
        loaders, sizes = {}, {}
        for side, make in sides.items():
            folder = Path(name) / side
            folder.mkdir()
            loaders[side] = make(folder, scenes, arguments.workers)
            sizes[side] = sum(f.stat().st_size for f in folder.rglob("*") if f.is_file())
        repeats = []
        for repeat in range(arguments.repeats + 1):
            times = {side: seconds(loader, len(scenes)) for side, loader in loaders.items()}
            repeats += [times] if repeat else []  # the first is a warm-up
    figures = []
    for side in list(sides)[1:]:
        ratio = statistics.median(times[side] / times["ours"] for times in repeats)
        share = sizes["ours"] / sizes[side]
        figures.append(Figure(comparison=f"samples per second, ours / {side}", value=ratio))
        figures.append(Figure(comparison=f"bytes on disk, ours / {side}", value=share))
    return figures


def memory(folder: Path, count: int, in_memory: bool) -> None:
    """Print how much the scenes add to the anonymous memory of this process, in MB."""
    _, family = load_mllm(resolve_model("rooms").checkpoint)
    stores = [folder / f"{number}.zarr" for number in range(-(-count // SHARD))]
    start = resident("RssAnon")
    opened = load_groups if in_memory else open_store
    scenes = SceneList(group for store in stores for group in opened(store))[:count]
    data = SceneDataset(scenes, [], family, scenes, SamplesConfig(cache_gib=0.0))
    rng = np.random.default_rng(0)
    for row in rng.integers(0, count, 2000):
        data.images_only(int(row))
    print((resident("RssAnon") - start) / 1e6)


def write_many(folder: Path, count: int) -> None:
    """Write stores of small scenes; every store repeats the rooms of the first."""
    _, rooms = render_views(range(SHARD), RoomsConfig(views=2, image_size=32))
    for number in range(-(-count // SHARD)):
        ids = tuple(f"{number}-{name}" for name in rooms.ids)
        write_store(folder / f"{number}.zarr", rooms.replace(ids=ids, instance=None))


def memories(scenes: int) -> list[Figure]:
    """Return how many times more memory the large set takes, from stores and held in memory."""
    counts = (100, scenes)
    figures = []
    with tempfile.TemporaryDirectory() as name:
        write_many(Path(name), scenes)
        for side in ("read from stores", "held in memory"):
            for count in counts:
                command = [sys.executable, __file__, "--memory", name, str(count), side]
                megabytes = float(subprocess.check_output(command, text=True).split()[-1])
                comparison = f"memory of {count} scenes {side}"
                figures.append(Figure(comparison=comparison, value=megabytes, unit="MB"))
    return figures


def main() -> None:
    """Parse the command line, measure and report."""
    sizes = {"scenes": (128, 8), "size": (128, 16), "repeats": (5, 1), "workers": (0, 0)}
    parser = make_parser(__doc__, **sizes, large=(10_000, 200))
    parser.add_argument("--memory", nargs=3, help=argparse.SUPPRESS)  # the process that is measured
    arguments = parse(parser)
    if arguments.memory:
        folder, count, side = arguments.memory
        memory(Path(folder), int(count), side == "held in memory")
        return
    about = f"{arguments.scenes} scenes of 4 views of {arguments.size} pixels"
    figures = throughput(arguments) + memories(arguments.large)
    report(arguments, f"{about}, {arguments.workers} workers", figures)


if __name__ == "__main__":
    main()
