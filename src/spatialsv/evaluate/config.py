"""Settings of the stage `evaluate`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

# What a model sees of an item: its images; none; plain grey or black ones; those of another item;
# all in reverse order; the first only; mirrored ones, with left and right exchanged in the text.
Shown = Literal["all", "none", "grey", "black", "other", "reversed", "first", "mirrored"]


@dataclass(frozen=True, kw_only=True)
class EvaluateConfig:
    """How a model is prompted with a benchmark's items, and how scores are summarised."""

    protocol: str | None = None  # scoring protocol; None: that of the benchmark's authors
    frames: int = 32  # of a video, evenly spaced, with the first and the last
    max_pixels: int | None = None  # of an image or a frame; larger ones are shrunk; None: no limit
    max_new_tokens: int | None = None  # of a response; None: the benchmark's own limit
    batch_size: int | None = None  # questions in a forward pass; None: 64 for rooms, 16 for others
    videos_as: Literal["image", "video"] | None = None  # None: as the model was trained
    images: str | None = None  # folder of the images that your own questions name; None: theirs
    linked_folders: tuple[str, ...] = ()  # outside --data, that links in it may lead to
    blank_images: bool = False  # show grey images only, for the no-image baseline
    shown: Shown = "all"  # what is shown of the images; `spatialsv audit` compares all of these
    resamples: int = 2000  # of the bootstrap of the rooms' metrics
    seed: int = 0  # of that bootstrap; generation is greedy

    def __post_init__(self) -> None:
        for name in ("frames", "max_new_tokens", "batch_size"):
            if (number := getattr(self, name)) is not None and number < 1:
                raise ValueError(f"{name}: expected 1 or more, found {number}.")
