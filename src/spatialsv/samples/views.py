"""Views of a sample as its MLLM takes them, with the positions of their visual tokens.

Shapes: N views of one sample, h w a view's grid of visual tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Int, UInt8
from torch import Tensor

from spatialsv.samples.crop import GREY, Crop, crop_image
from spatialsv.scenes.scene import SceneSet
from spatialsv.scenes.scene_list import SceneList

Kind = Literal["image", "video"]


@dataclass(frozen=True, kw_only=True, eq=False)
class PreparedViews:
    """The views of one sample, prepared for the MLLM.

    Where an MLLM merges frames of a video, two grids hold the same tokens. Tokens that belong to no
    pixel of a view (line ends, thumbnails) are in no grid.
    """

    kind: Kind  # type of the items in the chat template
    inputs: dict[str, Tensor]  # arguments of the MLLM's forward: pixels, and what describes them
    placeholders: tuple[Int[Tensor, " _"], ...]  # the tokens that stand for each item of the chat
    grids: tuple[Int[Tensor, "_ _"], ...]  # each view's tokens, counted among the visual ones
    # Cached outputs of layers of the frozen vision encoder, by number.
    encoded: dict[str, Tensor] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.grids)


Encode = Callable[[Mapping[str, Tensor]], dict[str, Tensor]]  # `inputs` to `encoded`


@runtime_checkable
class ViewProcessor(Protocol):
    """The part of an MLLM family that samples need; see `model.families`."""

    tokenizer: Any
    views_as: Kind  # separate images, or the frames of one video
    template_ids: dict[Kind, tuple[int, ...]]  # tokens that the chat template writes for one item

    @property
    def visual_tokens(self) -> frozenset[int]:
        """The ids of all tokens that hold visual states."""

    def prepare(self, images: Sequence[UInt8[np.ndarray, "_ _ 3"]], kind: Kind) -> PreparedViews:
        """Prepare the views of one sample, in the order in which they are shown."""

    def batch_inputs(
        self, views: Sequence[PreparedViews], input_ids: Int[Tensor, "B T"]
    ) -> dict[str, Tensor]:
        """Return the arguments of the MLLM's forward for B samples, but tokens and mask."""


class SceneViews:
    """Prepared views of scenes, cached in memory.

    Args:
        scenes: scenes with images, which are loaded when views of them are prepared.
        processor: the MLLM's, which may resize.
        blank: show plain grey of the same size instead.
        cache_gib: memory of the cache, GiB; further views are prepared again on each access.
        encode: computes the vision encoder's outputs to cache; None caches none.
    """

    def __init__(
        self,
        scenes: SceneList[SceneSet],
        processor: ViewProcessor,
        blank: bool = False,
        cache_gib: float = 2.0,
        encode: Encode | None = None,
    ) -> None:
        self.scenes = scenes
        self.encode = encode
        self.processor = processor
        self.blank = blank
        self._free_bytes = cache_gib * 2**30
        self._cache: dict[tuple[Any, ...], PreparedViews] = {}

    def __call__(
        self, row: int, views: Sequence[int], crops: Sequence[Crop] | None = None
    ) -> PreparedViews:
        """Return the `views` of the scene at `row`; blank ones are shared by scenes of its size.

        Cropped views differ in each epoch and are not cached.
        """
        if crops is not None:
            images = zip(self._images(row, views), crops, strict=True)
            cropped = [crop_image(image, crop) for image, crop in images]
            return self.processor.prepare(cropped, self.processor.views_as)
        key = (self.scenes.group(row).shape[1:] if self.blank else row, tuple(views))
        return self._cache.get(key) or self._prepare(key, self._images(row, views))

    def _images(self, row: int, views: Sequence[int]) -> UInt8[np.ndarray, "_ _ _ 3"]:
        if self.blank:
            return np.full((len(views), *self.scenes.group(row).shape[1:], 3), GREY, np.uint8)
        return self.scenes[row].load("image").image[0, list(views)]

    def _prepare(self, key: tuple[Any, ...], images: UInt8[np.ndarray, "_ _ _ 3"]) -> PreparedViews:
        views = self.processor.prepare(list(images), self.processor.views_as)
        if self.encode is not None:
            views = replace(views, encoded=self.encode(views.inputs))
        size = sum(value.nbytes for value in views.inputs.values())  # `encoded` lies in files
        if size <= self._free_bytes:
            self._free_bytes -= size
            self._cache[key] = views
        return views
