"""LLaVA-OneVision (arXiv 2408.03326): a single image in tiles; several images padded to squares."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, sqrt
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor
from transformers import LlavaOnevisionForConditionalGeneration, PreTrainedModel
from transformers.models.llava_onevision.image_processing_pil_llava_onevision import (
    LlavaOnevisionImageProcessorPil,
)

from spatialsv.model.families.anyres import Anyres
from spatialsv.samples.views import Kind, PreparedViews


class LlavaOneVision(Anyres):
    """LLaVA-OneVision 1. The paper lists no settings for it; these are those of its successor."""

    model_class: ClassVar[type[PreTrainedModel]] = LlavaOnevisionForConditionalGeneration
    image_processor_class = LlavaOnevisionImageProcessorPil
    projector = ("model.multi_modal_projector.", "model.image_newline")
    lr_llm = 2e-7

    def prepare(self, images: Sequence[UInt8[np.ndarray, "_ _ 3"]], kind: Kind) -> PreparedViews:
        """See `Family`."""
        if kind == "video":  # the processor resizes an image to a square if it is the only one
            single = [self.image_processor(images=[[i]], return_tensors="pt") for i in images]
            return self.frames([one["pixel_values"] for one in single])
        out = self.image_processor(images=[list(images)], return_tensors="pt")
        maps = [self._map((image.shape[0], image.shape[1]), len(images)) for image in images]
        return self.as_images({name: torch.as_tensor(value) for name, value in out.items()}, maps)

    def frames(self, tiles: Sequence[Float[Tensor, "1 _ C H W"]]) -> PreparedViews:
        """Return the first tile of each image as a frame of a video."""
        return self.as_video(tiles, ceil(self.side / 2), ends=1)

    def _map(self, size: tuple[int, int], images: int) -> tuple[Int[Tensor, "h w"], int]:
        """Return the map of an image within its own tokens, and their number."""
        if images > 1:  # padded to a square, with one line end after it
            square = torch.arange(self.side**2).view(self.side, self.side)
            return _within_square(square, size), self.side**2 + 1
        rows, columns = self.unpadded(size)
        most = int(self.config.vision_aspect_ratio.removeprefix("anyres_max_")) * self.side**2
        if (ratio := sqrt(rows * columns / most)) > 1.1:  # as the model reduces it
            rows, columns = int(rows // ratio), int(columns // ratio)
        return self.tiled(rows, columns)


def _within_square(square: Int[Tensor, "s s"], size: tuple[int, int]) -> Int[Tensor, "h w"]:
    """Return the cells of a square map that an image padded on two sides covers."""
    longest, side = max(size), len(square)
    rows, columns = (max(1, round(side * length / longest)) for length in size)
    top, left = (side - rows) // 2, (side - columns) // 2
    return square[top : top + rows, left : left + columns]
