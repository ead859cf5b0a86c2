"""Compare our depth storage with npz, HDF5, 16-bit PNG and a raw memmap: bytes and reading time.

All formats store the same values in the same type, frame by frame. They deliver random frames from
the page cache, alternately in one run. Times are medians over frames, as ratios to the memmap's.
Bytes are relative to raw float32. The depth maps are

  rendered             rooms from the renderer, float32
  rendered, half       the same, rounded to float16 (labels with `half: true`)
  rendered, sensor     the same in millimetres, with the noise and holes of a Kinect
  real                 frames of a sensor, if SPATIALSV_SAMPLES names a folder of samples
  teacher              labels of the shipped teacher, float32
  teacher, half        the same, rounded to float16

A PNG holds 16 bits, so PNGs of float32 hold millimetres; only these lose precision. The
peers are installed by pip install -e '.[perf]'.

    python perf/store.py [--scenes 12] [--size 384] [--reads 200]
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from common.figures import Figure, make_parser, parse, report
from PIL import Image

from spatialsv.rooms.layout import RoomsConfig
from spatialsv.rooms.views import render_views
from spatialsv.scenes.scene import Cameras, Geometry, Scenes
from spatialsv.scenes.store import open_store, write_store
from spatialsv.teachers.rooms import RoomsTeacher

try:
    import h5py
except ImportError as error:
    raise SystemExit(f"{error}. Install the peers: pip install -e '.[perf]'") from error

Frames = np.ndarray  # (F, H, W), uint16 or a float type, as stored
Read = Callable[[int], np.ndarray]
KINECT = 1.425e-3  # metres of noise at 1 m, growing with the square (Khoshelham 2012)


def memmap(folder: Path, frames: Frames) -> tuple[int, Read]:
    """Store frames as one raw array."""
    path = folder / "raw.npy"
    np.save(path, frames)
    mapped = np.load(path, mmap_mode="r")
    return path.stat().st_size, lambda i: np.array(mapped[i])


def ours(folder: Path, frames: Frames) -> tuple[int, Read]:
    """Read the stored type: `Scenes` has metres, the other formats a sensor's millimetres."""
    depth = frames / np.float32(1000) if frames.dtype == np.uint16 else frames
    depth = depth.astype(np.float32)[:, None]
    count = len(depth)
    scenes = Scenes(
        ids=tuple(map(str, range(count))),
        geometry=Geometry(
            cameras=Cameras(
                intrinsics=np.zeros((count, 1, 3, 3)), cam_to_world=np.zeros((count, 1, 4, 4))
            ),
            depth=depth,
            valid=np.ones(depth.shape, bool),
        ),
    )
    write_store(folder / "ours.zarr", scenes)
    (stored,) = open_store(folder / "ours.zarr")
    chunks = stored.chunks["depth"]
    assert np.array_equal(chunks.scenes(np.arange(count)), depth)
    assert chunks.dtype == frames.dtype, "stored in another type than the other formats"
    as_stored = replace(chunks, attributes={})
    return (folder / "ours.zarr/depth/c/0/0/0/0").stat().st_size, lambda i: as_stored.frame(i, 0)


def npz(folder: Path, frames: Frames) -> tuple[int, Read]:
    """Store frames as compressed npz files."""
    for i, frame in enumerate(frames):
        np.savez_compressed(folder / f"{i}.npz", depth=frame)
    size = sum(file.stat().st_size for file in folder.glob("*.npz"))

    def read(i: int) -> np.ndarray:
        with np.load(folder / f"{i}.npz") as opened:
            return opened["depth"]

    return size, read


def png(folder: Path, frames: Frames) -> tuple[int, Read]:
    """Store frames as 16-bit PNGs."""
    codes = frames if frames.dtype == np.uint16 else np.rint(frames.astype(np.float32) * 1000)
    for i, frame in enumerate(codes.astype(np.uint16)):
        Image.fromarray(frame).save(folder / f"{i}.png")
    size = sum(file.stat().st_size for file in folder.glob("*.png"))
    return size, lambda i: np.asarray(Image.open(folder / f"{i}.png"))


def hdf5(folder: Path, frames: Frames) -> tuple[int, Read]:
    """Store frames as a chunked, compressed HDF5 dataset."""
    with h5py.File(folder / "depth.h5", "w") as file:
        options = {"compression": "gzip", "shuffle": True, "chunks": (1, *frames.shape[1:])}
        file.create_dataset("depth", data=frames, **options)
    opened = h5py.File(folder / "depth.h5", rdcc_nbytes=0)[
        "depth"
    ]  # without a cache of decoded frames
    return (folder / "depth.h5").stat().st_size, lambda i: opened[i]


def simulate_sensor(depth: np.ndarray) -> np.ndarray:
    """Return uint16 millimetres with sensor noise and 13 % of the pixels missing in patches."""
    rng = np.random.default_rng(0)
    noisy = depth + rng.normal(size=depth.shape) * KINECT * depth**2
    frames, height, width = depth.shape
    coarse = rng.uniform(size=(frames, height // 16 + 1, width // 16 + 1)) < 0.13
    holes = coarse.repeat(16, 1).repeat(16, 2)[:, :height, :width]
    return np.where(holes, 0, np.rint(noisy * 1000)).astype(np.uint16)


def real_frames(least: int) -> np.ndarray | None:
    """Return recorded frames, repeated with rolled rows until there are `least`."""
    folder = Path(os.environ.get("SPATIALSV_SAMPLES", "")) / "open3d_rgbd/depth"
    files = sorted(folder.glob("*.png"))
    if not files:
        return None
    frames = np.stack([np.asarray(Image.open(file)) for file in files])
    turns = [np.roll(frames, 7 * turn, axis=1) for turn in range(-(-least // len(frames)))]
    return np.concatenate(turns)


def measure(sides: dict[str, tuple[int, Read]], count: int, reads: int) -> dict[str, float]:
    """Return the median seconds per random frame of each format, read alternately."""
    rng = np.random.default_rng(0)
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for i in rng.integers(0, count, reads):
        for name, (_, read) in sides.items():
            start = time.perf_counter()
            read(int(i))
            seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in seconds.items()}


def compare(name: str, frames: Frames, reads: int) -> list[Figure]:
    """Return bytes and reading time of our format relative to the others' on these frames."""
    kinds = {"memmap": memmap, "ours": ours, "npz": npz, "PNG": png, "HDF5": hdf5}
    with tempfile.TemporaryDirectory() as folder:
        sides = {kind: make(Path(folder), frames) for kind, make in kinds.items()}
        times = measure(sides, len(frames), reads)
    share = sides["ours"][0] / (frames.size * 4)
    figures = [Figure(comparison=f"{name}: bytes, ours / raw float32", value=share)]
    for kind in ("memmap", "npz", "PNG", "HDF5"):
        ratio = times["ours"] / times[kind]
        figures.append(Figure(comparison=f"{name}: reading time, ours / {kind}", value=ratio))
    return figures


def main() -> None:
    """Parse the command line, measure and report."""
    arguments = parse(make_parser(__doc__, scenes=(12, 2), size=(384, 32), reads=(200, 4)))
    config = RoomsConfig(views=4, image_size=arguments.size)
    _, scenes = render_views(range(arguments.scenes), config)
    rendered = scenes.depth.reshape(-1, arguments.size, arguments.size)
    labels = RoomsTeacher.load().label(scenes).depth.reshape(rendered.shape)
    kinds = {
        "rendered": rendered,
        "rendered, half": rendered.astype(np.float16),
        "rendered, sensor": simulate_sensor(rendered),
        "real": real_frames(len(rendered)),
        "teacher": labels,
        "teacher, half": labels.astype(np.float16),
    }
    figures = []
    for name, frames in kinds.items():
        if frames is None:
            print(f"{name}: skipped. Set SPATIALSV_SAMPLES to a folder with open3d_rgbd/depth.")
        else:
            figures += compare(name, frames, arguments.reads)
    report(arguments, f"{len(rendered)} frames of {arguments.size} x {arguments.size}", figures)


if __name__ == "__main__":
    main()
