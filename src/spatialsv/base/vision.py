"""Rung zero: the vision encoder learns what stands where in one image.

As the encoders of real MLLMs come pretrained on single images, ours learns, from single images, to
tell for each patch of pixels which category and which colour covers most of it, or which surface:
wall, floor or ceiling. No depth and no camera is shown or asked. The linear reader is thrown away
afterwards.

Shapes: M images, P patches an image, G patches a visual token (2 x 2).
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from spatialsv.geometry.rays import point_map, ray_map
from spatialsv.scenes.rooms.parts import CATEGORIES, COLOURS
from spatialsv.scenes.rooms.room import Room
from spatialsv.scenes.scene import Scenes

SURFACES = ("wall", "floor", "ceiling")
KINDS = (*SURFACES, *CATEGORIES)


def patch_classes(rooms: list[Room], scenes: Scenes, patch: int) -> Int[np.ndarray, "S N P 2"]:
    """What covers each patch most: which of `KINDS`, and which colour (0 = a surface).

    A thing goes before surfaces where it covers an eighth. Patches come in the order in which
    Qwen2.5-VL's image processor writes them: 2 x 2 blocks.
    """
    count = len(SURFACES)
    most = count + max(len(room.things) for room in rooms)
    kinds = np.zeros((len(rooms), most, 2), np.int64)
    kinds[:, :count, 0] = np.arange(count)
    for scene, room in enumerate(rooms):
        for k, thing in enumerate(room.things, start=count):
            kinds[scene, k] = KINDS.index(thing.category), list(COLOURS).index(thing.colour) + 1
    instance = scenes.instance.astype(np.int64)
    shown = np.where(instance > 0, instance + count - 1, surfaces(rooms, scenes))
    views, height, width = shown.shape[1:]
    rows, columns = height // patch, width // patch
    blocks = shown.reshape(len(rooms), views, rows // 2, 2, patch, columns // 2, 2, patch)
    blocks = blocks.transpose(0, 1, 2, 5, 3, 6, 4, 7)  # blocks, their patches, their pixels
    blocks = blocks.reshape(len(rooms), views, rows * columns, patch**2)
    counts = np.stack([(blocks == k).sum(-1) for k in range(most)], axis=-1)
    things = counts[..., count:]
    winner = np.where(
        things.max(-1) >= patch, things.argmax(-1) + count, counts[..., :count].argmax(-1)
    )
    return kinds[np.arange(len(rooms))[:, None, None], winner]


def surfaces(rooms: list[Room], scenes: Scenes) -> Int[np.ndarray, "S N H W"]:
    """Which of `SURFACES` lies at each pixel's depth; what is on things counts for nothing."""
    rays = ray_map(
        torch.from_numpy(scenes.intrinsics).double(),
        torch.from_numpy(scenes.cam_to_world).double(),
        *scenes.depth.shape[2:],
    )
    height = point_map(torch.from_numpy(scenes.depth).double(), rays)[..., 2].numpy()
    top = np.array([room.extent[2] for room in rooms])[:, None, None, None]
    return np.select([height < 0.02, height > top - 0.02], [1, 2], 0)  # metres


@torch.no_grad()
def settle(merger: nn.Module, tokens: Float[Tensor, "T D"], size: float) -> None:
    """Rescale `merger`'s last layer, which gave `tokens`, until their mean norm is `size`.

    Trained alone, it grows tokens many times longer than word embeddings. An LLM's layers add to
    what comes in, and could hardly write beside such tokens which view they belong to.
    """
    factor = size / tokens.norm(dim=-1).mean()
    merger.mlp[-1].weight.mul_(factor)
    merger.mlp[-1].bias.mul_(factor)


class PatchReader(nn.Module):
    """Reads the classes of its four patches from each visual token, linearly."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.sizes = (len(KINDS), len(COLOURS) + 1)
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
        """Shares of the patches with a thing whose category, whose colour is right."""
        logits = self.linear(tokens).float().view(len(classes), -1)
        shown = classes[:, 1] > 0
        right = [
            (part.argmax(-1) == classes[:, i])[shown].float().mean().item()
            for i, part in enumerate(logits.split(self.sizes, dim=-1))
        ]
        return right[0], right[1]
