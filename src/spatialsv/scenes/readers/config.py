"""What is read from outside, and how."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from spatialsv.scenes.readers.sampling import Sampling

MAX_LISTED = 20  # records, captures or frames left out that a manifest names; all are counted


@dataclass(frozen=True, kw_only=True)
class ReadConfig:
    """Which files are read, and how."""

    files: dict[str, str] = field(default_factory=dict)  # of each split: its records or captures
    images: str = "."  # the folder below which the images lie that records name
    shard_size: int = 128  # records, or captures, a job
    stop: int | None = None  # records or captures of the split; None: all
    frames: int = 8  # of a video; of a capture, those of a scene
    sampling: Sampling = field(default_factory=Sampling)  # of captures alone
    max_pixels: int | None = None  # of an image; larger ones are made smaller
    without_text: tuple[str, ...] = ("unlabelled",)  # splits that are images only

    def __post_init__(self) -> None:
        for name in ("shard_size", "frames", "max_pixels"):
            if getattr(self, name) is not None and getattr(self, name) < 1:
                raise ValueError(f"scenes.{name}: expected 1 or more, found {getattr(self, name)}")

    def place(self, split: str) -> Path:
        """Where the records or captures of `split` lie.

        Raises:
            ValueError: the settings do not say.
        """
        if split not in self.files:
            raise ValueError(f"scenes.read.files: no file for the split {split!r}; name one")
        return Path(self.files[split])

    def rows(self, shard: int) -> range:
        """The numbers of the records or captures of shard number `shard`."""
        first = shard * self.shard_size
        end = first + self.shard_size
        return range(first, end if self.stop is None else min(end, self.stop))
