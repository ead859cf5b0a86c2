"""The images of a shard's records, stored once, and the scenes they form.

A scene is a list of images or the frames of a video. A record whose images all occur in another
record's list shows views of that scene. All views of a scene have the size of its first one; others
are padded.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from spatialsv.io.digests import digest_bytes
from spatialsv.io.paths import path_inside
from spatialsv.scenes.images import read_image
from spatialsv.scenes.readers.record import Record, RecordError
from spatialsv.scenes.readers.video import read_frames
from spatialsv.scenes.scene import Scenes, as_frame_ids
from spatialsv.scenes.scene_list import group_by_shape

PADDING = (127, 127, 127)
Names = tuple[str, ...]


class RecordImages:
    """Images by name; a video frame is named "VIDEO#FRAME".

    Args:
        root: root directory of the files.
        frames: maximum number of frames per video.
        pixels: maximum number of pixels per image; None keeps the size.
        linked: folders outside `root` that links in it may lead to.
    """

    def __init__(
        self, root: Path, frames: int, pixels: int | None, linked: Sequence[str] = ()
    ) -> None:
        self.root, self.frames, self.pixels, self.linked = root, frames, pixels, linked
        self.padded = 0  # number of padded views
        self._images_by_name: dict[str, Image.Image] = {}
        self._frames: dict[str, int] = {}  # name -> frame number, for video frames
        self._videos: dict[str, Names] = {}

    def add(self, record: Record) -> Names:
        """Return the names of the views of `record`, after reading its images.

        Raises:
            RecordError: a file is missing or cannot be read; nothing of the record is stored.
        """
        try:
            return self._video(record.shown[0]) if record.video else self._images(record.shown)
        except FileNotFoundError as error:
            raise RecordError("missing file", str(error.filename or error)) from None
        except (ValueError, OSError) as error:
            raise RecordError("file cannot be read", str(error)) from None

    def _images(self, names: Names) -> Names:
        new = [name for name in dict.fromkeys(names) if name not in self._images_by_name]
        paths = {name: path_inside(self.root, name, self.linked) for name in new}
        self._images_by_name |= {
            name: read_image(path, max_pixels=self.pixels) for name, path in paths.items()
        }
        return names

    def _video(self, name: str) -> Names:
        if name not in self._videos:
            images, frames = read_frames(
                path_inside(self.root, name, self.linked), self.frames, self.pixels
            )
            named = [f"{name}#{frame}" for frame in frames]
            self._images_by_name |= dict(zip(named, images, strict=True))
            self._frames |= dict(zip(named, frames, strict=True))
            self._videos[name] = tuple(named)
        return self._videos[name]

    def scenes(
        self, shown: Sequence[Names], source: str
    ) -> tuple[list[Scenes], list[tuple[str, tuple[int, ...]]]]:
        """Group lists of views into scenes.

        Args:
            shown: the views of each record.
            source: of the scenes.

        Returns:
            The scenes in groups of equal shape, and for each list its scene's id and the indices of
            its views.
        """
        holding: dict[str, list[Names]] = {}  # view -> scenes that contain it
        places: dict[Names, tuple[str, tuple[int, ...]]] = {}
        scenes: list[Names] = []
        for names in sorted(dict.fromkeys(shown), key=len, reverse=True):
            scene = next((s for s in holding.get(names[0], ()) if set(names) <= set(s)), names)
            places[names] = scene_id(scene), tuple(map(scene.index, names))
            if scene is names:
                scenes.append(names)
                alike = len({self._images_by_name[name].size for name in names}) == 1
                for name in dict.fromkeys(names if alike else ()):  # padded views are not shared
                    holding.setdefault(name, []).append(names)
        groups = group_by_shape(self._scene(names, source) for names in scenes)
        return groups, [places[names] for names in shown]

    def _scene(self, names: Names, source: str) -> Scenes:
        images = [self._images_by_name[name] for name in names]
        size, video = images[0].size, names[0] in self._frames
        self.padded += sum(image.size != size for image in images)
        fitted = [p if p.size == size else ImageOps.pad(p, size, color=PADDING) for p in images]
        return Scenes(
            ids=(scene_id(names),),
            image=np.stack([np.asarray(image) for image in fitted])[None],
            frame_ids=as_frame_ids(self._frames[n] for n in names) if video else None,
            unit="relative",
            source=source,
            licence="unknown",
        )


def scene_id(names: Names) -> str:
    """Return a scene id from the first image's name and a digest of all names."""
    return f"{names[0]}~{digest_bytes(*(name.encode() for name in names))[:8]}"
