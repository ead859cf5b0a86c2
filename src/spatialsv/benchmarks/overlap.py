"""`spatialsv overlap`: do the training images show what a benchmark asks about?

Two ways to find out: scenes of one name, and pictures that look alike. The latter by perceptual
hashes (ImageHash's pHash: 64 bits of a picture's lowest frequencies), which a change of size,
format or brightness hardly moves, and another camera's view does.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import imagehash
import numpy as np
from jaxtyping import UInt64
from PIL import Image

from spatialsv.benchmarks.images import pictures as pictures_of
from spatialsv.benchmarks.item import Item
from spatialsv.benchmarks.names import NAMES, benchmark
from spatialsv.io.atomic import write_json
from spatialsv.io.digests import digest_bytes
from spatialsv.io.manifest import read_manifest
from spatialsv.progress import progress
from spatialsv.scenes.images import IMAGE_SUFFIXES, limit_pixels, read_image
from spatialsv.scenes.readers.video import read_frames
from spatialsv.scenes.store import load_groups

FRAMES = 16  # of a video, evenly spread
CHUNK = 2**22  # pairs compared at once
SHOWN = 10  # pairs, or scenes, that a table names
# A clip's number, or what a layout calls the same in every scene.
LAYOUT = re.compile(
    r"\d{4}|cam_\d+|seq-\d+|transforms|sparse|dense|reconstruction|images|dslr|iphone|0"
)


@dataclass(frozen=True, eq=False)
class Pictures:
    """Hashed pictures, each with its name and its scene's."""

    names: tuple[str, ...]
    scenes: tuple[str, ...]
    hashes: UInt64[np.ndarray, " n"]


@dataclass(frozen=True, kw_only=True)
class Overlap:
    """What two sets of pictures share."""

    train: int  # pictures
    test: int
    same_name: tuple[str, ...]  # scenes whose last name occurs in both
    alike: tuple[tuple[str, str, int], ...]  # (of train, of test, bits between them)
    test_alike: int  # pictures of the test set that look like one of training
    test_scenes_alike: int  # their scenes
    test_scenes: int


def overlap(
    train: Path, test: str, data: Path | None = None, distance: int = 4, out: Path | None = None
) -> Overlap:
    """What the training set `train` shares with `test`.

    Args:
        train: a manifest or store of scenes, or a folder of pictures, in folders by scene.
        test: such a path, or a benchmark's name.
        data: the benchmark's folder.
        distance: bits, of 64, in which two pictures that look alike may differ.
        out: where JSON goes; None: nowhere.

    Raises:
        ValueError: a place without pictures, or a benchmark without its folder.
    """
    first = hashed(_pictures(train))
    if test in NAMES and data is None:
        raise ValueError(f"{test}: give --data, the folder of the benchmark's files")
    asked = _shown(benchmark(test).load(data), data) if test in NAMES else _pictures(Path(test))
    second = hashed(asked)
    for place, found in ((train, first), (data or test, second)):
        if not found.names:
            raise ValueError(f"{place}: no pictures to compare")
    found = compared(first, second, distance)
    if out is not None:
        write_json(out, asdict(found))
    return found


def overlap_of_run(
    train: Sequence[Path], name: str, items: Sequence[Item], data: Path, distance: int = 4
) -> Overlap:
    """What the scenes that a model was taught share with the items of a benchmark that it is asked.

    Many models are taught the same and asked the same, so hashes are kept in the user's cache.

    Args:
        train: manifests of scenes.
        name: of the benchmark.
        data: the folder of its files.
        distance: as for `overlap`.
    """
    parts = []
    for manifest in map(read_manifest, train):
        store = manifest.find(".zarr")
        parts.append(_kept(manifest.payload[store.name], _pictures(store)))
    taught = Pictures(
        tuple(name for part in parts for name in part.names),
        tuple(scene for part in parts for scene in part.scenes),
        np.concatenate([part.hashes for part in parts]),
    )
    shown = sorted({file for item in items for file in (item.video, *item.images) if file})
    sizes = [f"{file} {(data / file.partition('#')[0]).stat().st_size}" for file in shown]
    key = digest_bytes(*(part.encode() for part in (name, str(FRAMES), *sizes)))
    return compared(taught, _kept(key, _shown(items, data)), distance)


def summary(found: Overlap) -> dict[str, Any]:
    """`found` with its long lists counted."""
    lists = {name: len(getattr(found, name)) for name in ("same_name", "alike")}
    return asdict(found) | lists


def _kept(key: str, pictures: Iterator[tuple[str, str, Image.Image]]) -> Pictures:
    """`pictures` hashed, or what was hashed before under this key, by whatever run."""
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    path = home / "spatialsv" / "hashes" / f"{key}.json"
    if not path.is_file():
        found = hashed(pictures)
        kept = {"names": found.names, "scenes": found.scenes, "hashes": found.hashes.tolist()}
        with suppress(OSError):  # a home that cannot be written to
            write_json(path, kept)
        return found
    kept = json.loads(path.read_text())
    hashes = np.array(kept["hashes"], dtype=np.uint64)
    return Pictures(tuple(kept["names"]), tuple(kept["scenes"]), hashes)


def hashed(pictures: Iterator[tuple[str, str, Image.Image]]) -> Pictures:
    """Pictures, as (scene, name, picture), by their hashes."""
    rows = [
        (name, scene, int(str(imagehash.phash(picture)), 16))
        for scene, name, picture in progress(pictures, "hash")
    ]
    names, scenes, hashes = zip(*rows, strict=True) if rows else ((), (), ())
    return Pictures(names, scenes, np.array(hashes, dtype=np.uint64))


def compared(train: Pictures, test: Pictures, distance: int) -> Overlap:
    """All pairs, the most alike first."""
    pairs = sorted(_near(train.hashes, test.hashes, distance), key=lambda pair: pair[2])
    alike = {j for _, j, _ in pairs}
    common = set.intersection(*(set().union(*map(_names, s.scenes)) for s in (train, test)))
    return Overlap(
        train=len(train.names),
        test=len(test.names),
        same_name=tuple(sorted(common)),
        alike=tuple((train.names[i], test.names[j], bits) for i, j, bits in pairs),
        test_alike=len(alike),
        test_scenes_alike=len({test.scenes[j] for j in alike}),
        test_scenes=len(set(test.scenes)),
    )


def told(found: Overlap) -> str:
    """The overlap in sentences."""
    lines = [
        f"training: {found.train} pictures; test: {found.test}, of {found.test_scenes} scenes",
        f"test pictures that look like a training picture: {found.test_alike},"
        f" of {found.test_scenes_alike} scenes",
        *(f"  {bits:>2} bits: {a}  ~  {b}" for a, b, bits in found.alike[:SHOWN]),
        f"scenes of one name: {len(found.same_name)}",
        *(f"  {name}" for name in found.same_name[:SHOWN]),
    ]
    return "\n".join(lines)


def _near(
    first: UInt64[np.ndarray, " n"], second: UInt64[np.ndarray, " m"], distance: int
) -> Iterator[tuple[int, int, int]]:
    rows = max(1, CHUNK // max(1, len(second)))
    for start in range(0, len(first), rows):
        bits = np.bitwise_count(first[start : start + rows, None] ^ second)
        for i, j in np.argwhere(bits <= distance):
            yield start + int(i), int(j), int(bits[i, j])


def _names(scene: str) -> set[str]:
    """scannet/scene0011_00.mp4 -> scene0011_00: datasets are laid out in many ways.

    A clip's number, and folders and files that all scenes of a layout have, name none of them. What
    is asked about one image, path~digest, may be called by it or by its folder.
    """
    path, asked, _ = scene.lower().partition("~")
    parts = [*Path(path).parts[:-1], Path(path).stem]
    while len(parts) > 1 and LAYOUT.fullmatch(parts[-1]):
        parts.pop()
    return {name.removesuffix("_frames") for name in parts[-2 if asked else -1 :] if name}


def _pictures(place: Path) -> Iterator[tuple[str, str, Image.Image]]:
    if place.suffix == ".json":
        place = read_manifest(place).find(".zarr")
    if place.suffix == ".zarr":
        for group in load_groups(place, ["image"]):
            for scene, views in zip(group.ids, group.image, strict=True):
                for view, image in enumerate(views):
                    yield scene, f"{scene}#{view}", Image.fromarray(image)
        return
    for path in sorted(path for path in place.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES):
        name = path.relative_to(place)
        yield str(name.parent), str(name), read_image(path)


def _shown(items: Sequence[Item], data: Path) -> Iterator[tuple[str, str, Image.Image]]:
    """Each image of a benchmark once, and evenly spread frames of each video."""
    seen = set()
    for item in items:
        for shown in item.images if item.video is None else (item.video,):
            if shown in seen:
                continue
            seen.add(shown)
            if item.video is None:
                for picture in pictures_of(data, shown):
                    yield item.scene, shown, limit_pixels(picture, 2**18)
            else:
                pictures, numbers = read_frames(data / shown, FRAMES, 2**18)
                for number, picture in zip(numbers, pictures, strict=True):
                    yield item.scene, f"{shown}#{number}", picture
