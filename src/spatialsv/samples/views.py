"""What a sample shows, as its MLLM takes it, and where each view's visual tokens will stand.

Shapes: N views of one sample, h w a view's grid of visual tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Int, UInt8
from torch import Tensor

from spatialsv.scenes.scene import SceneSet
from spatialsv.scenes.scene_list import SceneList

GREY = 127  # of 255: what a blind model is shown
Kind = Literal["image", "video"]


@dataclass(frozen=True, kw_only=True, eq=False)
class PreparedViews:
    """The views of one sample, prepared.

    Where an MLLM merges frames of a video, two grids hold the same tokens; what is no part of a
    view's picture (line ends, thumbnails) is in no grid.
    """

    kind: Kind  # what the chat's template is told they are
    inputs: dict[str, Tensor]  # of the MLLM's forward: pixels, and what belongs to them
    placeholders: tuple[Int[Tensor, " _"], ...]  # the tokens that stand for each item of the chat
    grids: tuple[Int[Tensor, "_ _"], ...]  # each view's tokens, counted over the visual ones
    # What layers of the frozen encoder make of them, by number, where it is kept.
    encoded: dict[str, Tensor] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.grids)


Encode = Callable[[Mapping[str, Tensor]], dict[str, Tensor]]  # `inputs` to `encoded`


@runtime_checkable
class ViewProcessor(Protocol):
    """What samples need to know of an MLLM; `model.families` has them."""

    tokenizer: Any
    views_as: Kind  # separate images, or the frames of one video
    template_ids: dict[Kind, tuple[int, ...]]  # what the chat template writes for one item

    @property
    def visual_tokens(self) -> frozenset[int]:
        """The ids of all tokens that hold visual states."""

    def prepare(self, images: Sequence[UInt8[np.ndarray, "_ _ 3"]], kind: Kind) -> PreparedViews:
        """The views of one sample, in the order in which they are shown."""

    def batch_inputs(
        self, views: Sequence[PreparedViews], input_ids: Int[Tensor, "B T"]
    ) -> dict[str, Tensor]:
        """What the MLLM's forward takes for B samples beside tokens and their mask."""


class SceneViews:
    """The prepared views of scenes.

    Args:
        scenes: with images, each by itself; those in a store are read when they are prepared.
        processor: the MLLM's own; it may resize.
        blank: show plain grey instead, of the same size.
        keep_gib: prepared views are kept in memory up to this many GiB, then prepared anew.
        encode: gives what is kept of the encoder with them; None keeps nothing of it.
    """

    def __init__(
        self,
        scenes: SceneList[SceneSet],
        processor: ViewProcessor,
        blank: bool = False,
        keep_gib: float = 2.0,
        encode: Encode | None = None,
    ) -> None:
        self.scenes = scenes
        self.encode = encode
        self.processor = processor
        self.blank = blank
        self._room = keep_gib * 2**30  # bytes
        self._kept: dict[tuple, PreparedViews] = {}

    def __call__(self, row: int, views: Sequence[int]) -> PreparedViews:
        """The `views` of the scene at `row`; blank ones are those of any scene of its size."""
        key = (self.scenes.group(row).shape[1:] if self.blank else row, tuple(views))
        return self._kept.get(key) or self._prepare(key, self._images(row, views))

    def _images(self, row: int, views: Sequence[int]) -> UInt8[np.ndarray, "_ _ _ 3"]:
        if self.blank:
            return np.full((len(views), *self.scenes.group(row).shape[1:], 3), GREY, np.uint8)
        return self.scenes[row].load("image").image[0, list(views)]

    def _prepare(self, key: tuple, images: UInt8[np.ndarray, "_ _ _ 3"]) -> PreparedViews:
        shown = self.processor.prepare(list(images), self.processor.views_as)
        if self.encode is not None:
            shown = replace(shown, encoded=self.encode(shown.inputs))
        size = sum(value.nbytes for value in shown.inputs.values())  # the rest lies in files
        if size <= self._room:
            self._room -= size
            self._kept[key] = shown
        return shown
