"""The inputs of `spatialsv lift` as image sets: images of one place, with its geometry if known.

Photos named one by one are the views of one place, in their order. Folders of photos, videos and
datasets are read like `spatialsv ingest` reads them. A store, or a manifest of one, has scenes.

A model trained at one size gets images of that aspect ratio: the centre of each, resized. Any other
model gets full images.

Shapes: h w pixels of the model's input.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image

from spatialsv.geometry.camera import intrinsics_before_resampling
from spatialsv.io.manifest import read_manifest
from spatialsv.scenes.images import limit_pixels, read_image
from spatialsv.scenes.readers.capture import Capture, CaptureError, FrameError
from spatialsv.scenes.readers.formats import FORMATS, GENERIC, detect, find_captures
from spatialsv.scenes.readers.load import load, read_images, read_thumbnails, validate_frames
from spatialsv.scenes.readers.nerfstudio import is_transforms
from spatialsv.scenes.readers.read_captures import capture_id
from spatialsv.scenes.readers.sampling import THUMBNAIL, Sampling, select_frames
from spatialsv.scenes.readers.video import VIDEOS
from spatialsv.scenes.scene import Scenes
from spatialsv.scenes.scene_list import SceneList
from spatialsv.scenes.store import open_store

Matrix = Float[np.ndarray, "3 3"]
STORE = "zarr.json"  # at the root of a Zarr folder


@dataclass(frozen=True, kw_only=True)
class ImageSetConfig:
    """Which images of videos, folders and datasets are lifted; single photos are all lifted."""

    format: str | None = None  # of folders, such as "colmap"; None: detected
    frames: int = 8  # largest number of images of one place
    sampling: Sampling = field(default_factory=Sampling)  # of videos and captures
    max_pixels: int = 1_000_000  # of the files in images/; larger images are reduced

    def __post_init__(self) -> None:
        for name in ("frames", "max_pixels"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: expected 1 or more, found {getattr(self, name)}.")
        if self.format is not None and self.format not in FORMATS:
            known = ", ".join(FORMATS)
            raise ValueError(f"format: unknown format {self.format!r}. Known formats: {known}.")


@dataclass(frozen=True, kw_only=True, eq=False)
class ImageSet:
    """N images of one place, upright, of any sizes."""

    id: str
    names: tuple[str, ...]  # of each image: its path, or its name at its source
    sizes: tuple[tuple[int, int], ...]  # width and height of each image before it was reduced
    images: tuple[Image.Image, ...]
    truth: Scenes | None = None  # one scene, with cameras at least
    skipped: tuple[str, ...] = ()  # why images could not be read
    available: int | None = None  # the number of images of the place, if some were not selected


def read_image_sets(
    inputs: Sequence[Path], config: ImageSetConfig, ids: Sequence[str] = ()
) -> Iterator[ImageSet]:
    """Read image sets one after the other.

    Args:
        inputs: photos, videos, folders, stores or their manifests.
        config: settings.
        ids: the image sets to read; by default all.

    Yields:
        Each image set.

    Raises:
        ValueError: an input is missing or cannot be read, or an id does not exist.
    """
    if not inputs:
        raise ValueError("There is nothing to lift. Give photos, a video, a folder or a store.")
    if missing := [path for path in inputs if not path.exists()]:
        raise ValueError(f"{missing[0]}: no such photo, file or folder.")
    photos = [path for path in inputs if _is_photo(path)]
    found: list[str] = []
    for images in _read(photos, [path for path in inputs if path not in photos], config, ids):
        if not ids or images.id in ids:
            yield images
        found.append(images.id)
    if unknown := [name for name in ids if name not in found]:
        raise ValueError(f"Unknown scene {unknown[0]!r}. Known scenes: {', '.join(found[:20])}.")


def _read(
    photos: Sequence[Path], others: Sequence[Path], config: ImageSetConfig, ids: Sequence[str]
) -> Iterator[ImageSet]:
    if photos:
        images = [(str(path), read_image(path)) for path in photos]
        yield _image_set("photos", images, config.max_pixels)
    for path in others:
        if path.suffix == ".json" and not is_transforms(path):
            yield from _from_store(read_manifest(path).find(".zarr"), config.max_pixels, ids)
        elif (path / STORE).is_file():
            yield from _from_store(path, config.max_pixels, ids)
        else:
            yield from _from_captures(path, config)


def _is_photo(path: Path) -> bool:
    return path.is_file() and path.suffix.lower() not in {*VIDEOS, ".json"}


def _image_set(id: str, images: Sequence[tuple[str, Image.Image]], max_pixels: int) -> ImageSet:
    """Return images, with their names, as an image set; large ones are reduced."""
    return ImageSet(
        id=id,
        names=tuple(name for name, _ in images),
        sizes=tuple(image.size for _, image in images),
        images=tuple(limit_pixels(image, max_pixels) for _, image in images),
    )


def _from_store(path: Path, max_pixels: int, ids: Sequence[str]) -> Iterator[ImageSet]:
    for scene in SceneList(open_store(path)):
        if ids and scene.ids[0] not in ids:
            yield _image_set(scene.ids[0], [], max_pixels)  # its images are not read
        elif not scene.has_image:
            raise ValueError(f"{path}: scene {scene.ids[0]!r} has no images to lift.")
        else:
            yield _from_scene(scene.load("image", "depth"), max_pixels)


def _from_scene(scene: Scenes, max_pixels: int) -> ImageSet:
    images = [Image.fromarray(image) for image in scene.image[0]]
    names = scene.frame_ids[0] if "frame_ids" in scene.arrays else range(len(images))
    truth = scene if scene.has_cameras else None
    named = list(zip(map(str, names), images, strict=True))
    return replace(_image_set(scene.ids[0], named, max_pixels), truth=truth)


def _from_captures(root: Path, config: ImageSetConfig) -> Iterator[ImageSet]:
    format = config.format or detect(root)
    paths = find_captures(format, root)
    if not paths:
        raise ValueError(f"{root}: found nothing in the format {format}.")
    for path in paths:
        capture = replace(FORMATS[format].capture(path), id=capture_id(root, path))
        yield from (_from_images if format in GENERIC else _from_posed)(capture, config)


def _from_posed(capture: Capture, config: ImageSetConfig) -> Iterator[ImageSet]:
    scenes, skipped = load(capture, config.frames, config.sampling, None)
    selected = sum(scene.shape[0] for scene in scenes) + len(skipped)
    for scene in scenes:
        yield replace(
            _from_scene(scene, config.max_pixels),
            skipped=tuple(map(str, skipped)),
            available=len(capture.frames) if selected < len(capture.frames) else None,
        )


def _from_images(capture: Capture, config: ImageSetConfig) -> Iterator[ImageSet]:
    """Yield images in their own shapes, where `load` pads them to the first one's."""
    frames, _ = validate_frames(capture)
    thumbnails = partial(read_thumbnails, pixels=THUMBNAIL * THUMBNAIL)
    clips = select_frames(frames, config.frames, config.sampling, thumbnails)
    selected = sum(map(len, clips))
    for number, clip in enumerate(clips):
        results = list(zip(clip, read_images(clip), strict=True))
        skipped = [str(image) for _, image in results if isinstance(image, FrameError)]
        images = [(f.id, image) for f, image in results if not isinstance(image, FrameError)]
        if not images:
            raise CaptureError(f"{capture.id}: no image of {len(clip)} can be read: {skipped[0]}")
        id = capture.id if len(clips) == 1 else f"{capture.id}/{number:04d}"
        yield replace(
            _image_set(id, images, config.max_pixels),
            skipped=tuple(skipped),
            available=len(frames) if selected < len(frames) else None,
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class View:
    """An image, and the part of it that is lifted."""

    name: str  # of its file, or of its frame
    size: tuple[int, int]  # width and height of the photo, upright, in pixels
    crop: tuple[float, float, float, float]  # left, top, width, height in the photo, in pixels
    image: Image.Image  # the cropped part, in its own aspect ratio
    model_input: UInt8[np.ndarray, "h w 3"]  # the cropped part as the model gets it

    @property
    def cropped_share(self) -> float:
        """The share of the photo that is not lifted."""
        return 1 - self.crop[2] * self.crop[3] / (self.size[0] * self.size[1])

    def image_intrinsics(self, K: Matrix, size: tuple[int, int]) -> Matrix:
        """Return K of `image`, from K of a lifted map of `size` (height, width)."""
        return self._to_size(self.image.size) @ self._input_intrinsics(K, size)

    def photo_intrinsics(self, K: Matrix, size: tuple[int, int]) -> Matrix:
        """Return K of the photo, from K of a lifted map of `size` (height, width)."""
        left, top, width, height = self.crop
        to_photo = self._to_size((width, height))
        to_photo[:2, 2] = left, top
        return to_photo @ self._input_intrinsics(K, size)

    def _input_intrinsics(self, K: Matrix, size: tuple[int, int]) -> Matrix:
        """Return K of the model's input; smaller maps stand for pixels picked from it."""
        shape = (self.model_input.shape[0], self.model_input.shape[1])
        return intrinsics_before_resampling(torch.from_numpy(K), size, shape).numpy()

    def _to_size(self, size: tuple[float | int, float | int]) -> Matrix:
        """Return the matrix from pixels of the model's input to pixels at `size`."""
        height, width = self.model_input.shape[:2]
        return np.diag([size[0] / width, size[1] / height, 1.0])


def make_view(
    name: str,
    image: Image.Image,
    size: tuple[int, int],
    shape: tuple[int, int] | None,
    max_pixels: int,
) -> View:
    """Prepare an image for a model.

    Args:
        name: of the image.
        image: the upright photo, possibly reduced.
        size: width and height of the photo before it was reduced.
        shape: height and width at which the model was trained; None: any.
        max_pixels: of the input of a model without a `shape`.

    Returns:
        The view.
    """
    left, top, width, height = centre_crop(image.size, shape)
    part = image.crop((left, top, left + width, top + height))
    if shape is None:
        resized = limit_pixels(part, max_pixels)
    else:
        resized = part.resize(shape[::-1], Image.Resampling.BICUBIC, reducing_gap=3)
    x, y = size[0] / image.width, size[1] / image.height
    return View(
        name=name,
        size=size,
        crop=(left * x, top * y, width * x, height * y),
        image=part,
        model_input=np.asarray(resized),
    )


def centre_crop(size: tuple[int, int], shape: tuple[int, int] | None) -> tuple[int, int, int, int]:
    """Return left, top, width and height of the largest box of a shape in an image of `size`."""
    width, height = size
    if shape is None:
        return 0, 0, width, height
    box_width = min(width, max(1, round(height * shape[1] / shape[0])))
    box_height = min(height, max(1, round(width * shape[0] / shape[1])))
    return (width - box_width) // 2, (height - box_height) // 2, box_width, box_height
