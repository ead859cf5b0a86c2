"""Images as the MLLM's image processor delivers them, prepared once a scene."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int, UInt8
from torch import Tensor

GREY = 127  # of 255: what a blind model is shown


class Pixels:
    """The prepared images of S scenes of N views, P patches of D values a view.

    Args:
        image: the scenes' images.
        image_processor: the MLLM's own; it may resize.
        blank: show plain grey instead, of the same size.
        keep_gib: prepared scenes are kept in memory up to this many GiB, then prepared anew.
    """

    def __init__(
        self,
        image: UInt8[np.ndarray, "S N H W 3"],
        image_processor: Any,
        blank: bool = False,
        keep_gib: float = 2.0,
    ) -> None:
        self.image = image
        self.processor = image_processor
        self.blank = blank
        self._room = int(keep_gib * 2**30)  # bytes
        self._kept: dict[int, tuple[Tensor, Tensor]] = {}

    def __call__(
        self, row: int, views: Sequence[int]
    ) -> tuple[Float[Tensor, "n P D"], Int[Tensor, "n 3"]]:
        """Patches and their grid (time, height, width) of `views` of the scene at `row`."""
        row = 0 if self.blank else row
        values, grid = self._kept.get(row) or self._prepare(row)
        chosen = list(views)
        return values[chosen], grid[chosen]

    def visual_tokens(self, grid: Int[Tensor, "n 3"]) -> list[int]:
        """How many tokens of the LLM each view takes."""
        return (grid.prod(dim=1) // self.processor.merge_size**2).tolist()

    def _prepare(self, row: int) -> tuple[Tensor, Tensor]:
        images = self.image[row]
        if self.blank:
            images = np.full_like(images, GREY)
        out = self.processor(images=list(images), return_tensors="pt")
        values, grid = out["pixel_values"], out["image_grid_thw"]
        values = values.view(len(images), -1, values.shape[-1])
        size = values.numel() * values.element_size()
        if size <= self._room:
            self._room -= size
            self._kept[row] = (values, grid)
        return values, grid
