"""Rung zero: the vision encoder learns what stands where in one image.

As the encoders of real MLLMs come pretrained on single images, ours learns, from single images, to
tell for each patch of pixels which category and which colour covers most of it. Geometry is
neither shown nor asked. The linear reader is thrown away afterwards.

Shapes: M images, P patches an image, G patches a visual token (2 x 2).
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from spatialsv.scenes.rooms.parts import CATEGORIES, COLOURS
from spatialsv.scenes.rooms.room import Room


def patch_classes(
    rooms: list[Room], instance: Int[np.ndarray, "S N H W"], patch: int
) -> Int[np.ndarray, "S N P 2"]:
    """Category and colour (0 = background) that cover the middle of each patch most.

    Patches come in the order in which Qwen2.5-VL's image processor writes them: 2 x 2 blocks.
    """
    colours = list(COLOURS)
    scenes, views, height, width = instance.shape
    rows, columns = height // patch, width // patch
    blocks = instance.reshape(scenes, views, rows, patch, columns, patch)
    blocks = blocks.transpose(0, 1, 2, 4, 3, 5).reshape(scenes, views, rows, columns, -1)
    counts = np.stack([(blocks == k).sum(-1) for k in range(1, instance.max() + 1)], axis=-1)
    number = np.where(counts.max(-1) >= patch, counts.argmax(-1) + 1, 0)  # an eighth is enough
    names = np.zeros((scenes, instance.max() + 1, 2), np.int64)
    for scene, room in enumerate(rooms):
        for k, thing in enumerate(room.things, start=1):
            if k < names.shape[1]:
                names[scene, k] = (
                    CATEGORIES.index(thing.category) + 1,
                    colours.index(thing.colour) + 1,
                )
    classes = names[np.arange(scenes)[:, None, None, None], number]
    classes = classes.reshape(scenes, views, rows // 2, 2, columns // 2, 2, 2)
    return classes.transpose(0, 1, 2, 4, 3, 5, 6).reshape(scenes, views, -1, 2)


class PatchReader(nn.Module):
    """Reads the classes of its four patches from each visual token, linearly."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.sizes = (len(CATEGORIES) + 1, len(COLOURS) + 1)
        self.linear = nn.Linear(width, 4 * sum(self.sizes))

    def loss(self, tokens: Float[Tensor, "T D"], classes: Int[Tensor, "P 2"]) -> Float[Tensor, ""]:
        """Cross-entropy over all patches, category and colour together."""
        logits = self.linear(tokens).float().view(len(classes), -1)
        category, colour = logits.split(self.sizes, dim=-1)
        return nn.functional.cross_entropy(category, classes[:, 0]) + nn.functional.cross_entropy(
            colour, classes[:, 1]
        )

    @torch.no_grad()
    def accuracy(
        self, tokens: Float[Tensor, "T D"], classes: Int[Tensor, "P 2"]
    ) -> tuple[float, float]:
        """Shares of non-background patches whose category, whose colour is right."""
        logits = self.linear(tokens).float().view(len(classes), -1)
        shown = classes[:, 0] > 0
        right = [
            (part.argmax(-1) == classes[:, i])[shown].float().mean().item()
            for i, part in enumerate(logits.split(self.sizes, dim=-1))
        ]
        return right[0], right[1]
