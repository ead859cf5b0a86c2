"""Rung zero: the vision encoder learns what stands where in one image.

As the encoders of real MLLMs come pretrained on single images, ours learns, from single images, to
tell for each small cell of pixels which category and which colour covers most of it, or which
surface: wall, floor or ceiling. No depth and no camera is shown or asked. The linear reader is
thrown away afterwards, and the encoder's blocks learn no more.

Cells are finer than patches: so tokens say where in them an edge runs, which is what tells a
list's order and a wall's distance.

Shapes: S scenes, N views, T visual tokens, C cells.
"""

from __future__ import annotations

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Float, Int, Int8
from torch import Tensor, nn

from spatialsv.geometry.rays import point_map, ray_map
from spatialsv.rooms.parts import CATEGORIES, COLOURS
from spatialsv.rooms.room import Room
from spatialsv.scenes.scene import Scenes

SURFACES = ("wall", "floor", "ceiling")
KINDS = (*SURFACES, *CATEGORIES)


def cell_classes(
    rooms: list[Room], scenes: Scenes, token: int, cell: int
) -> Int8[np.ndarray, "S N C 2"]:
    """What covers each cell most: which of `KINDS`, and which colour (0 = a surface).

    A thing goes before surfaces where it covers an eighth. Cells come token by token, row by row
    within each.

    Args:
        token: the pixels that a visual token covers, in rows and in columns.
        cell: the same of a cell; it divides `token`.
    """
    count = len(SURFACES)
    most = count + max(len(room.objects) for room in rooms)
    kinds = np.zeros((len(rooms), most, 2), np.int8)
    kinds[:, :count, 0] = np.arange(count)
    for scene, room in enumerate(rooms):
        for k, thing in enumerate(room.objects, start=count):
            kinds[scene, k] = KINDS.index(thing.category), list(COLOURS).index(thing.colour) + 1
    instance = scenes.instance.astype(np.int64)
    shown = np.where(instance > 0, instance + count - 1, surfaces(rooms, scenes))
    cells = rearrange(
        shown,
        "s n (row r h) (column c w) -> s n (row column r c) (h w)",
        r=token // cell,
        c=token // cell,
        h=cell,
        w=cell,
    )
    counts = np.stack([(cells == k).sum(-1) for k in range(most)], axis=-1)
    things = counts[..., count:]
    winner = np.where(
        things.max(-1) >= cell**2 / 8, things.argmax(-1) + count, counts[..., :count].argmax(-1)
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


class CellReader(nn.Module):
    """Reads the classes of its cells from each visual token, linearly."""

    def __init__(self, width: int, cells: int) -> None:
        super().__init__()
        self.sizes = (len(KINDS), len(COLOURS) + 1)
        self.linear = nn.Linear(width, cells * sum(self.sizes))

    def loss(
        self, tokens: Float[Tensor, "T D"], classes: Int[Tensor, "C 2"]
    ) -> dict[str, Float[Tensor, ""]]:
        """Cross-entropy over all cells, category and colour together.

        Returns: "total", and "category" and "colour", the shares of cells with a thing that are
            told right.
        """
        logits = self.linear(tokens).float().view(len(classes), -1).split(self.sizes, dim=-1)
        classes = classes.long()
        shown = classes[:, 1] > 0
        losses = {"total": torch.zeros((), device=tokens.device)}
        for i, (name, part) in enumerate(zip(("category", "colour"), logits, strict=True)):
            losses["total"] = losses["total"] + nn.functional.cross_entropy(part, classes[:, i])
            losses[name] = (part.argmax(-1) == classes[:, i])[shown].float().mean()
        return losses
