"""InternVL3 (arXiv 2504.10479): a view is divided into square tiles, followed by a thumbnail."""

from __future__ import annotations

from collections.abc import Sequence
from math import isqrt
from typing import Any

import numpy as np
import torch
from jaxtyping import Int, UInt8
from torch import Tensor
from transformers import InternVLForConditionalGeneration, PreTrainedConfig
from transformers.models.got_ocr2.image_processing_pil_got_ocr2 import (
    GotOcr2ImageProcessorPil,
    get_optimal_tiled_canvas,
)

from spatialsv.model.families.family import Family, consecutive_runs
from spatialsv.samples.views import Kind, PreparedViews


class InternVL(Family):
    """InternVL3. A view's grid joins those of its tiles; its thumbnail is in no grid.

    A view has at most as many tiles as the image processor's `max_patches`; a frame has one.
    """

    model_class = InternVLForConditionalGeneration
    image_processor_class = GotOcr2ImageProcessorPil
    encoder_layers = "model.vision_tower.encoder.layer"
    taps = {24: (3, 9, 15, 21), 28: (3, 9, 15, 21)}  # noqa: RUF012

    def __init__(self, tokenizer: Any, image_processor: Any, config: PreTrainedConfig) -> None:
        super().__init__(tokenizer, image_processor, config)
        self.template_ids["video"] = (tokenizer.convert_tokens_to_ids("<video>"),)
        self.side = isqrt(self.config.image_seq_length)  # tokens along a tile's side

    def prepare(self, images: Sequence[UInt8[np.ndarray, "_ _ 3"]], kind: Kind) -> PreparedViews:
        """See `Family`."""
        tiled = kind == "image"
        out = self.image_processor(images=list(images), crop_to_patches=tiled, return_tensors="pt")
        tokens = consecutive_runs([int(count) * self.side**2 for count in out["num_patches"]])
        framed = [self._framed(len(run)) for run in tokens]
        return PreparedViews(
            kind=kind,
            inputs={"pixel_values": out["pixel_values"]},
            placeholders=tuple(framed) if tiled else (self._as_video(framed),),
            grids=tuple(
                self._grid(run, image.shape[:2] if tiled else None)
                for run, image in zip(tokens, images, strict=True)
            ),
        )

    def _grid(self, run: Int[Tensor, " _"], size: tuple[int, ...] | None) -> Int[Tensor, "_ _"]:
        """Return the tokens of an image of this size, ordered by tile in `run`, as one map."""
        columns, rows = 1, 1
        if size is not None:
            processor = self.image_processor
            tile = (processor.size["height"], processor.size["width"])
            columns, rows = get_optimal_tiled_canvas(
                (size[0], size[1]), tile, processor.min_patches, processor.max_patches
            )
        tiles = run[: rows * columns * self.side**2].view(rows, columns, self.side, self.side)
        return tiles.transpose(1, 2).reshape(rows * self.side, columns * self.side)

    def _framed(self, count: int) -> Int[Tensor, " _"]:
        """Return `count` visual tokens between those that open and close an image."""
        begin, end = self.tokenizer.convert_tokens_to_ids(["<img>", "</img>"])
        return torch.tensor([begin, *[self.placeholder_ids["image"]] * count, end])

    def _as_video(self, frames: Sequence[Int[Tensor, " _"]]) -> Int[Tensor, " _"]:
        """Return one line per frame, numbered from 1."""
        parts: list[int] = []
        for number, frame in enumerate(frames, start=1):
            label = f"Frame{number}: " if number == 1 else f"\nFrame{number}: "
            parts += self.tokenizer(label, add_special_tokens=False)["input_ids"]
            parts += frame.tolist()
        return torch.tensor(parts)
