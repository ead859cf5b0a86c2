"""The images of a shard's records, each kept once, and the scenes that they make up.

A scene is a list of images, or a video's frames. A record whose images are all in another one's
list shows views of that scene. A scene's views have one size, its first one's: others are padded,
in that scene only.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from spatialsv.io.digests import digest_bytes
from spatialsv.scenes.images import limit_pixels, read_image
from spatialsv.scenes.readers.record import Record, RecordError
from spatialsv.scenes.readers.video import read_frames
from spatialsv.scenes.scene import Scenes, as_frame_ids, grouped

PADDING = (127, 127, 127)
Names = tuple[str, ...]


class RecordImages:
    """Images by the names that records give them; a frame of a video is named "VIDEO#FRAME".

    Args:
        root: the folder below which the files lie.
        frames: of a video, at most.
        pixels: of an image, at most; None keeps its size.
    """

    def __init__(self, root: Path, frames: int, pixels: int | None) -> None:
        self.root, self.frames, self.pixels = root, frames, pixels
        self.padded = 0  # views that had another size than their scene's first
        self._images_by_name: dict[str, Image.Image] = {}
        self._frames: dict[str, int] = {}  # of those that are frames: their number
        self._videos: dict[str, Names] = {}

    def add(self, record: Record) -> Names:
        """Read what `record` shows, and name its views.

        Raises:
            RecordError: a file that is missing or cannot be read; nothing of the record is kept.
        """
        try:
            return self._video(record.shown[0]) if record.video else self._images(record.shown)
        except FileNotFoundError as error:
            raise RecordError("missing file", str(error.filename or error)) from None
        except ValueError as error:
            raise RecordError("file cannot be read", str(error)) from None

    def _images(self, names: Names) -> Names:
        new = [name for name in dict.fromkeys(names) if name not in self._images_by_name]
        self._images_by_name |= {
            n: limit_pixels(read_image(self.root / n), self.pixels) for n in new
        }
        return names

    def _video(self, name: str) -> Names:
        if name not in self._videos:
            pictures, frames = read_frames(self.root / name, self.frames, self.pixels)
            named = [f"{name}#{frame}" for frame in frames]
            self._images_by_name |= dict(zip(named, pictures, strict=True))
            self._frames |= dict(zip(named, frames, strict=True))
            self._videos[name] = tuple(named)
        return self._videos[name]

    def scenes(
        self, shown: Sequence[Names], source: str
    ) -> tuple[list[Scenes], list[tuple[str, tuple[int, ...]]]]:
        """The scenes that lists of views make up, in groups of one shape.

        Returns: them, and of each list its scene's id, and which views of it, in order.
        """
        holding: dict[str, list[Names]] = {}  # view -> scenes that show it
        places: dict[Names, tuple[str, tuple[int, ...]]] = {}
        scenes: list[Names] = []
        for names in sorted(dict.fromkeys(shown), key=len, reverse=True):
            scene = next((s for s in holding.get(names[0], ()) if set(names) <= set(s)), names)
            places[names] = scene_id(scene), tuple(map(scene.index, names))
            if scene is names:
                scenes.append(names)
                alike = len({self._images_by_name[name].size for name in names}) == 1
                for name in dict.fromkeys(names if alike else ()):  # padded, none stands for others
                    holding.setdefault(name, []).append(names)
        groups = grouped(self._scene(names, source) for names in scenes)
        return groups, [places[names] for names in shown]

    def _scene(self, names: Names, source: str) -> Scenes:
        pictures = [self._images_by_name[name] for name in names]
        size, video = pictures[0].size, names[0] in self._frames
        self.padded += sum(image.size != size for image in pictures)
        fitted = [p if p.size == size else ImageOps.pad(p, size, color=PADDING) for p in pictures]
        return Scenes(
            ids=(scene_id(names),),
            image=np.stack([np.asarray(image) for image in fitted])[None],
            frame_ids=as_frame_ids(self._frames[n] for n in names) if video else None,
            unit="relative",
            source=source,
            licence="unknown",
        )


def scene_id(names: Names) -> str:
    """The first image's name, and a digest of all: the same images, the same scene."""
    return f"{names[0]}~{digest_bytes(*(name.encode() for name in names))[:8]}"
