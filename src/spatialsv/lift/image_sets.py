"""What `spatialsv lift` is given, as places: the pictures of one place each, and truth if known.

Photos named one by one are views of one place, in their order. A folder of photos or a video is
read as `spatialsv ingest` reads it, and so is any dataset that it knows. A store, or the manifest
of one, gives its own scenes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from PIL import Image

from spatialsv.io.manifest import read_manifest
from spatialsv.scenes.images import limit_pixels, read_image
from spatialsv.scenes.readers.capture import Capture, CaptureError, FrameError
from spatialsv.scenes.readers.formats import FORMATS, GENERIC, detect
from spatialsv.scenes.readers.load import load, read_images, read_thumbnails, validate_frames
from spatialsv.scenes.readers.nerfstudio import is_transforms
from spatialsv.scenes.readers.read_captures import capture_id
from spatialsv.scenes.readers.sampling import THUMBNAIL, Sampling, select_frames
from spatialsv.scenes.readers.video import VIDEOS
from spatialsv.scenes.scene import Scenes
from spatialsv.scenes.singly import Singly
from spatialsv.scenes.store import open_groups

STORE = "zarr.json"  # at a Zarr folder's root


@dataclass(frozen=True, kw_only=True)
class ImageSetConfig:
    """What is taken of videos, folders and datasets; photos named one by one are all taken."""

    format: str | None = None  # of folders, such as "colmap"; None: found out
    frames: int = 8  # of one place, at most
    sampling: Sampling = field(default_factory=Sampling)
    max_pixels: int = 1_000_000  # of the pictures in images/; larger ones are made smaller

    def __post_init__(self) -> None:
        for name in ("frames", "max_pixels"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: expected 1 or more, found {getattr(self, name)}")
        if self.format is not None and self.format not in FORMATS:
            raise ValueError(f"format {self.format!r}: known are {', '.join(FORMATS)}")


@dataclass(frozen=True, kw_only=True, eq=False)
class ImageSet:
    """N pictures of one place, upright, of any sizes."""

    id: str
    names: tuple[str, ...]  # of each picture: its path, or what its source calls it
    sizes: tuple[tuple[int, int], ...]  # width and height of each, before it was made smaller
    pictures: tuple[Image.Image, ...]
    truth: Scenes | None = None  # a stack of one, with cameras at least
    skipped: tuple[str, ...] = ()  # pictures that could not be read
    of: int | None = None  # how many there were to choose from, where some were left out


def read_image_sets(
    inputs: Sequence[Path], config: ImageSetConfig, wanted: Sequence[str] = ()
) -> Iterator[ImageSet]:
    """The places at `inputs`, one read after the other.

    Args:
        wanted: the ids of those that are meant; none: all.

    Raises:
        ValueError: an input that is missing or cannot be read, or none of an id that is wanted.
    """
    if not inputs:
        raise ValueError("nothing to lift: give photos, a video, a folder or a store")
    if absent := [path for path in inputs if not path.exists()]:
        raise ValueError(f"{absent[0]}: no such photo, file or folder")
    photos = [path for path in inputs if _is_photo(path)]
    seen: list[str] = []
    for place in _all(photos, [path for path in inputs if path not in photos], config, wanted):
        if not wanted or place.id in wanted:
            yield place
        seen.append(place.id)
    if lacking := [name for name in wanted if name not in seen]:
        raise ValueError(f"no scene {lacking[0]!r}; there are {', '.join(seen[:20])}")


def _all(
    photos: Sequence[Path], others: Sequence[Path], config: ImageSetConfig, wanted: Sequence[str]
) -> Iterator[ImageSet]:
    if photos:
        yield _of_photos(photos, config.max_pixels)
    for path in others:
        if path.suffix == ".json" and not is_transforms(path):
            yield from _of_store(read_manifest(path).find(".zarr"), config.max_pixels, wanted)
        elif (path / STORE).is_file():
            yield from _of_store(path, config.max_pixels, wanted)
        else:
            yield from _of_captures(path, config)


def _is_photo(path: Path) -> bool:
    return path.is_file() and path.suffix.lower() not in {*VIDEOS, ".json"}


def _of_photos(paths: Sequence[Path], pixels: int) -> ImageSet:
    read = []
    for path in paths:
        picture = read_image(path)
        read.append((picture.size, limit_pixels(picture, pixels)))
    sizes, shown = zip(*read, strict=True)
    return ImageSet(id="photos", names=tuple(map(str, paths)), sizes=sizes, pictures=shown)


def _of_store(path: Path, pixels: int, wanted: Sequence[str]) -> Iterator[ImageSet]:
    for scene in Singly(open_groups(path, ["image"])):
        if wanted and scene.ids[0] not in wanted:
            yield ImageSet(
                id=scene.ids[0], names=(), sizes=(), pictures=()
            )  # is there, is not read
        elif scene.image is None:
            raise ValueError(f"{path}: scene {scene.ids[0]!r} has no images to lift")
        else:
            yield _of_scene(scene.read(), pixels)


def _of_scene(scene: Scenes, pixels: int) -> ImageSet:
    images = [Image.fromarray(image) for image in scene.image[0]]
    names = range(len(images)) if scene.frame_ids is None else scene.frame_ids[0]
    return ImageSet(
        id=scene.ids[0],
        names=tuple(str(name) for name in names),
        sizes=tuple(image.size for image in images),
        pictures=tuple(limit_pixels(image, pixels) for image in images),
        truth=scene if scene.has_cameras else None,
    )


def _of_captures(root: Path, config: ImageSetConfig) -> Iterator[ImageSet]:
    format = config.format or detect(root)
    places = FORMATS[format].scenes(root)
    if not places:
        raise ValueError(f"{root}: nothing here in the format {format}")
    for place in places:
        capture = replace(FORMATS[format].capture(place), id=capture_id(root, place))
        yield from (_of_pictures if format in GENERIC else _of_posed)(capture, config)


def _of_posed(capture: Capture, config: ImageSetConfig) -> Iterator[ImageSet]:
    scenes, skipped = load(capture, config.frames, config.sampling, None)
    taken = sum(scene.shape[0] for scene in scenes) + len(skipped)
    for scene in scenes:
        yield replace(
            _of_scene(scene, config.max_pixels),
            skipped=tuple(map(str, skipped)),
            of=len(capture.frames) if taken < len(capture.frames) else None,
        )


def _of_pictures(capture: Capture, config: ImageSetConfig) -> Iterator[ImageSet]:
    """Each picture in its own shape, where `load` would pad them to the first one's."""
    frames, _ = validate_frames(capture)
    clips = select_frames(
        frames,
        config.frames,
        config.sampling,
        partial(read_thumbnails, pixels=THUMBNAIL * THUMBNAIL),
    )
    for number, clip in enumerate(clips):
        names, read, skipped = [], [], []
        for frame, shown in zip(clip, read_images(clip), strict=True):
            if isinstance(shown, FrameError):
                skipped.append(str(shown))
                continue
            names.append(frame.id)
            read.append((shown.size, limit_pixels(shown, config.max_pixels)))
        if not read:
            raise CaptureError(f"{capture.id}: no picture of {len(clip)} can be read; {skipped[0]}")
        sizes, shown = zip(*read, strict=True)
        yield ImageSet(
            id=capture.id if len(clips) == 1 else f"{capture.id}/{number:04d}",
            names=tuple(names),
            sizes=sizes,
            pictures=shown,
            skipped=tuple(skipped),
            of=len(frames) if sum(map(len, clips)) < len(frames) else None,
        )
