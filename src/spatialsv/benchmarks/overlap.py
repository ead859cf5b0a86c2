"""`spatialsv overlap`: images and scenes that a training set shares with a benchmark.

Two checks: scenes of equal name, and similar images. Similarity is by perceptual hashes
(ImageHash's pHash: 64 bits of an image's lowest frequencies). They hardly depend on size, format
and brightness, but on the camera's pose.
"""

from __future__ import annotations

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

from spatialsv.benchmarks.benchmark import Item
from spatialsv.benchmarks.catalogue import NAMES, load_items
from spatialsv.benchmarks.images import check_media, file_of, read_images
from spatialsv.io.atomic import write_json
from spatialsv.io.digests import digest_bytes, user_cache
from spatialsv.io.manifest import read_manifest
from spatialsv.io.text import load_json
from spatialsv.progress import progress
from spatialsv.scenes.images import IMAGE_SUFFIXES, read_image
from spatialsv.scenes.readers.video import read_frames
from spatialsv.scenes.store import load_groups

FRAMES = 16  # of a video, evenly spaced
MAX_PIXELS = 2**18  # of an image or a frame of a benchmark
CHUNK = 2**22  # pairs compared at once
LISTED = 10  # pairs, or scenes, that are printed
# A clip's number, or what a layout calls the same in every scene.
LAYOUT = re.compile(
    r"\d{4}|cam_\d+|seq-\d+|transforms|sparse|dense|reconstruction|images|dslr|iphone|0"
)
NamedImages = Iterator[tuple[str, str, Image.Image]]  # scene, name, image


@dataclass(frozen=True, eq=False)
class HashedImages:
    """Perceptual hashes of images, each with its name and its scene's."""

    names: tuple[str, ...]
    scenes: tuple[str, ...]
    hashes: UInt64[np.ndarray, " n"]


@dataclass(frozen=True, kw_only=True)
class Overlap:
    """What two sets of images share."""

    train: int  # images
    test: int
    same_name: tuple[str, ...]  # scenes whose last name occurs in both
    similar: tuple[tuple[str, str, int], ...]  # (training image, test image, bits between them)
    test_similar: int  # test images that are similar to one of training
    test_scenes_similar: int  # their scenes
    test_scenes: int

    def summary(self) -> dict[str, Any]:
        """Return a record with the length of each list in place of the list."""
        lengths = {name: len(getattr(self, name)) for name in ("same_name", "similar")}
        return asdict(self) | lengths


def overlap(
    train: Path,
    test: str,
    data: Path | None = None,
    distance: int = 4,
    out: Path | None = None,
    linked_folders: Sequence[str] = (),
) -> Overlap:
    """Find what the training set `train` shares with `test`.

    Args:
        train: a manifest or store of scenes, or a folder of images, in folders by scene.
        test: such a path, or a benchmark's name.
        data: the benchmark's folder.
        distance: bits, of 64, in which the hashes of two similar images may differ.
        out: JSON file to write; None: none.
        linked_folders: folders outside `data` that links in it may lead to.

    Returns:
        The overlap.

    Raises:
        ValueError: a set without images, or a benchmark without its folder.
    """
    if test in NAMES:
        if data is None:
            raise ValueError(f"{test}: give --data, the folder of the benchmark's files.")
        items = load_items(test, data)
        check_media(items, data, linked_folders)
        images = _benchmark_images(items, data)
    else:
        images = _stored_images(Path(test))
    first, second = hash_images(_stored_images(train)), hash_images(images)
    for path, hashed in ((train, first), (data or test, second)):
        if not hashed.names:
            raise ValueError(f"{path}: no images to compare.")
    result = compare_hashes(first, second, distance)
    if out is not None:
        write_json(out, asdict(result))
    return result


def overlap_of_run(
    train: Sequence[Path], name: str, items: Sequence[Item], data: Path, distance: int = 4
) -> Overlap:
    """Find what a model's training scenes share with the benchmark that it is evaluated on.

    Many models share both, so hashes are cached in the user's cache folder.

    Args:
        train: manifests of scenes.
        name: the benchmark.
        items: of the benchmark.
        data: the folder of its files.
        distance: as for `overlap`.

    Returns:
        The overlap.
    """
    parts = []
    for manifest in map(read_manifest, train):
        store = manifest.find(".zarr")
        parts.append(_cached_hashes(manifest.payload[store.name], _stored_images(store)))
    hashed_train = HashedImages(
        tuple(name for part in parts for name in part.names),
        tuple(scene for part in parts for scene in part.scenes),
        np.concatenate([part.hashes for part in parts]),
    )
    files = sorted({file for item in items for file in (item.video, *item.images) if file})
    sizes = [f"{file} {file_of(data, file).stat().st_size}" for file in files]
    key = digest_bytes(*(part.encode() for part in (name, str(FRAMES), *sizes)))
    hashed_test = _cached_hashes(key, _benchmark_images(items, data))
    return compare_hashes(hashed_train, hashed_test, distance)


def hash_images(images: NamedImages) -> HashedImages:
    """Return the perceptual hashes of images."""
    rows = [
        (name, scene, int(str(imagehash.phash(image)), 16))
        for scene, name, image in progress(images, "hash")
    ]
    names, scenes, hashes = zip(*rows, strict=True) if rows else ((), (), ())
    return HashedImages(names, scenes, np.array(hashes, dtype=np.uint64))


def compare_hashes(train: HashedImages, test: HashedImages, distance: int) -> Overlap:
    """Return what two sets share, the most similar pairs first."""
    pairs = sorted(_near(train.hashes, test.hashes, distance), key=lambda pair: pair[2])
    similar = {j for _, j, _ in pairs}
    names = [set().union(*map(_names, images.scenes)) for images in (train, test)]
    return Overlap(
        train=len(train.names),
        test=len(test.names),
        same_name=tuple(sorted(names[0] & names[1])),
        similar=tuple((train.names[i], test.names[j], bits) for i, j, bits in pairs),
        test_similar=len(similar),
        test_scenes_similar=len({test.scenes[j] for j in similar}),
        test_scenes=len(set(test.scenes)),
    )


def format_overlap(found: Overlap) -> str:
    """Return the overlap in lines of text."""
    lines = [
        f"training: {found.train} images; test: {found.test} images of {found.test_scenes} scenes",
        f"test images similar to a training image: {found.test_similar},"
        f" of {found.test_scenes_similar} scenes",
        *(f"  {bits:>2} bits: {a}  ~  {b}" for a, b, bits in found.similar[:LISTED]),
        f"scenes of equal name: {len(found.same_name)}",
        *(f"  {name}" for name in found.same_name[:LISTED]),
        f"{found.test_similar:,} of {found.test:,} test images are similar to training images,"
        f" {len(found.same_name):,} scenes have equal names",
    ]
    return "\n".join(lines)


def _cached_hashes(key: str, images: NamedImages) -> HashedImages:
    """Return the hashes of images, from the user's cache where it has `key`."""
    path = user_cache("hashes") / f"{key}.json"
    with suppress(OSError, ValueError, KeyError, TypeError):  # not there, or damaged
        record = load_json(path)
        hashes = np.array(record["hashes"], dtype=np.uint64)
        return HashedImages(tuple(record["names"]), tuple(record["scenes"]), hashes)
    hashed = hash_images(images)
    record = {"names": hashed.names, "scenes": hashed.scenes, "hashes": hashed.hashes.tolist()}
    with suppress(OSError):  # a home without write permission
        write_json(path, record)
    return hashed


def _near(
    first: UInt64[np.ndarray, " n"], second: UInt64[np.ndarray, " m"], distance: int
) -> Iterator[tuple[int, int, int]]:
    rows = max(1, CHUNK // max(1, len(second)))
    for start in range(0, len(first), rows):
        bits = np.bitwise_count(first[start : start + rows, None] ^ second)
        for i, j in np.argwhere(bits <= distance):
            yield start + int(i), int(j), int(bits[i, j])


def _names(scene: str) -> set[str]:
    """Return the names of a scene without those of its layout: datasets have many layouts.

    scannet/scene0011_00.mp4 -> scene0011_00. A clip's number, and folders and files that all scenes
    of a layout have, are skipped. Of a question about one image, path~digest, both the image and
    its folder count.

    Args:
        scene: a scene's id, or a path.

    Returns:
        The names, in lower case.
    """
    path, digest, _ = scene.lower().partition("~")
    parts = [*Path(path).parts[:-1], Path(path).stem]
    while len(parts) > 1 and LAYOUT.fullmatch(parts[-1]):
        parts.pop()
    return {name.removesuffix("_frames") for name in parts[-2 if digest else -1 :] if name}


def _stored_images(path: Path) -> NamedImages:
    """Yield the images of a manifest, a store or a folder."""
    if path.suffix == ".json":
        path = read_manifest(path).find(".zarr")
    if path.suffix == ".zarr":
        for group in load_groups(path, ["image"]):
            for scene, views in zip(group.ids, group.image, strict=True):
                for view, image in enumerate(views):
                    yield scene, f"{scene}#{view}", Image.fromarray(image)
        return
    for file in sorted(file for file in path.rglob("*") if file.suffix.lower() in IMAGE_SUFFIXES):
        name = file.relative_to(path)
        yield str(name.parent), str(name), read_image(file)


def _benchmark_images(items: Sequence[Item], data: Path) -> NamedImages:
    """Yield each image of a benchmark once, and evenly spaced frames of each video."""
    first_scene: dict[tuple[bool, str], str] = {}  # images may be shared by scenes
    for item in items:
        for name in item.media:
            first_scene.setdefault((item.video is not None, name), item.scene)
    for (is_video, name), scene in first_scene.items():
        if is_video:
            frames, numbers = read_frames(data / name, FRAMES, MAX_PIXELS)
            for number, frame in zip(numbers, frames, strict=True):
                yield scene, f"{name}#{number}", frame
        else:
            for image in read_images(data, name, MAX_PIXELS):
                yield scene, name, image
