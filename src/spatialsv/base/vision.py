"""The first phase: the vision encoder learns which object is where in one image.

As the encoders of real MLLMs come pretrained on single images, ours learns, from single images, to
predict for each small cell of pixels which category and which colour covers most of it, or which
surface: wall, floor or ceiling. Depth and cameras are not used. The linear reader
is discarded afterwards, and the encoder's blocks are frozen.

Cells are finer than patches: so tokens encode where in them an edge runs, which determines a list's
order and a wall's distance.

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
    """Return what covers most of each cell: the index in `KINDS`, and the colour (0 = a surface).

    An object takes precedence over surfaces where it covers an eighth.

    Args:
        rooms: those of `scenes`.
        scenes: with instances and depth.
        token: the pixels that a visual token covers, in rows and in columns.
        cell: the same of a cell; it divides `token`.

    Returns:
        Two classes a cell, token by token, row by row within each.
    """
    count = len(SURFACES)
    most = count + max(len(room.objects) for room in rooms)
    kinds = np.zeros((len(rooms), most, 2), np.int8)
    kinds[:, :count, 0] = np.arange(count)
    for scene, room in enumerate(rooms):
        for k, item in enumerate(room.objects, start=count):
            kinds[scene, k] = KINDS.index(item.category), list(COLOURS).index(item.colour) + 1
    instance = scenes.instance.astype(np.int64)
    visible = np.where(instance > 0, instance + count - 1, find_surfaces(rooms, scenes))
    cells = rearrange(
        visible,
        "s n (row r h) (column c w) -> s n (row column r c) (h w)",
        r=token // cell,
        c=token // cell,
        h=cell,
        w=cell,
    )
    counts = np.stack([(cells == k).sum(-1) for k in range(most)], axis=-1)
    objects = counts[..., count:]
    winner = np.where(
        objects.max(-1) >= cell**2 / 8, objects.argmax(-1) + count, counts[..., :count].argmax(-1)
    )
    return kinds[np.arange(len(rooms))[:, None, None], winner]


def find_surfaces(rooms: list[Room], scenes: Scenes) -> Int[np.ndarray, "S N H W"]:
    """Return the index in `SURFACES` at each pixel's depth; on objects it is meaningless."""
    rays = ray_map(
        torch.from_numpy(scenes.intrinsics).double(),
        torch.from_numpy(scenes.cam_to_world).double(),
        *scenes.depth.shape[2:],
    )
    height = point_map(torch.from_numpy(scenes.depth).double(), rays)[..., 2].numpy()
    top = np.array([room.extent[2] for room in rooms])[:, None, None, None]
    return np.select([height < 0.02, height > top - 0.02], [1, 2], 0)  # metres


@torch.no_grad()
def rescale_merger(merger: nn.Module, tokens: Float[Tensor, "T D"], norm: float) -> None:
    """Rescale `merger`'s last layer, which returned `tokens`, so that their mean norm is `norm`.

    The first phase leaves tokens many times longer than word embeddings. An LLM's layers add to
    the residual stream, and could hardly add to such tokens which view they belong to.
    """
    factor = norm / tokens.norm(dim=-1).mean()
    last = [layer for layer in merger.modules() if isinstance(layer, nn.Linear)][-1]
    last.weight.mul_(factor)
    last.bias.mul_(factor)


class CellReader(nn.Module):
    """Reads the classes of its cells from each visual token, linearly."""

    def __init__(self, width: int, cells: int) -> None:
        super().__init__()
        self.sizes = (len(KINDS), len(COLOURS) + 1)
        self.linear = nn.Linear(width, cells * sum(self.sizes))

    def loss(
        self, tokens: Float[Tensor, "T D"], classes: Int[Tensor, "C 2"]
    ) -> dict[str, Float[Tensor, ""]]:
        """Return the cross-entropy over all cells, and accuracies.

        Returns:
            "total", of category and colour together, and the accuracies of "category" and "colour"
            over the cells with an object.
        """
        logits = self.linear(tokens).float().view(len(classes), -1).split(self.sizes, dim=-1)
        classes = classes.long()
        has_object = classes[:, 1] > 0
        losses = {"total": torch.zeros((), device=tokens.device)}
        for i, (name, part) in enumerate(zip(("category", "colour"), logits, strict=True)):
            losses["total"] = losses["total"] + nn.functional.cross_entropy(part, classes[:, i])
            correct = (part.argmax(-1) == classes[:, i])[has_object]
            losses[name] = correct.sum() / has_object.sum().clamp_min(1)
        return losses
