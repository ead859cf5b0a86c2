"""Settings of the readers."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from spatialsv.scenes.readers.sampling import Sampling

MAX_LISTED = 20  # skipped records, captures or frames that a manifest lists; all are counted


@dataclass(frozen=True, kw_only=True)
class ReadConfig:
    """Input files and sampling."""

    files: dict[str, str] = field(default_factory=dict)  # split -> path of records or captures
    images: str = "."  # root directory of the images that records name
    linked_folders: tuple[str, ...] = ()  # outside `images`, that links in it may lead to
    shard_size: int = 128  # records or captures per job
    stop: int | None = None  # number of records or captures in the split; None: all
    frames: int = 8  # per video, or per scene of a capture
    sampling: Sampling = field(default_factory=Sampling)  # of captures
    max_pixels: int | None = None  # per image; larger ones are downscaled
    without_text: tuple[str, ...] = ("unlabelled",)  # splits without questions

    def __post_init__(self) -> None:
        for name in ("shard_size", "frames", "max_pixels"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"scenes.{name}: expected 1 or more, found {value}.")

    def path_of(self, split: str) -> Path:
        """Return the path of the records or captures of `split`.

        Raises:
            ValueError: `files` has no entry for the split.
        """
        if split not in self.files:
            raise ValueError(f"scenes.read.files: no path for the split {split!r}. Add one.")
        return Path(self.files[split])

    def rows(self, shard: int) -> range:
        """Return the indices of the records or captures of a shard."""
        first = shard * self.shard_size
        end = first + self.shard_size
        return range(first, end if self.stop is None else min(end, self.stop))
