"""What LLaVA's families share: a view squashed to a square, then its tiles with line ends.

Shapes: V images, P tiles of an image (the squashed one first), h w the map of all tiles.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import pad
from transformers.models.llava_next_video.modeling_llava_next_video import (
    get_anyres_image_grid_shape,
    unpad_image,
)

from spatialsv.model.families.family import Family, runs
from spatialsv.samples.views import PreparedViews


class Anyres(Family):
    """A family whose images come in tiles."""

    @property
    def side(self) -> int:
        """Visual tokens of a tile, one way."""
        return self.config.vision_config.image_size // self.config.vision_config.patch_size

    def unpadded(self, size: tuple[int, int]) -> tuple[int, int]:
        """Rows and columns of the map of all tiles of an image, once its padding is cut off.

        The model's own functions say so.

        Args:
            size: height and width of the image.
        """
        rows, columns = get_anyres_image_grid_shape(
            size, self.config.image_grid_pinpoints, self.config.vision_config.image_size
        )
        padded = torch.empty(1, rows * self.side, columns * self.side)
        return tuple(unpad_image(padded, size).shape[1:])

    def tiled(self, rows: int, columns: int) -> tuple[Int[Tensor, "h w"], int]:
        """The map of an image's tiles among all its tokens, and how many these are.

        First come those of the squashed image; then each row of the map, and a line end.
        """
        count = self.side**2 + rows * (columns + 1)
        lines = torch.arange(self.side**2, count).view(rows, columns + 1)
        return lines[:, :columns], count

    def as_images(
        self, inputs: dict[str, Tensor], maps: Sequence[tuple[Int[Tensor, "_ _"], int]]
    ) -> PreparedViews:
        """Views of which each is a map among its own tokens, and so many tokens."""
        tokens = runs([count for _, count in maps])
        return PreparedViews(
            kind="image",
            inputs=inputs,
            placeholders=tuple(
                torch.full_like(run, self.placeholder_ids["image"]) for run in tokens
            ),
            grids=tuple(run[grid] for run, (grid, _) in zip(tokens, maps, strict=True)),
        )

    def as_video(
        self, tiles: Sequence[Float[Tensor, "1 _ C H W"]], side: int, ends: int, line_ends: int = 0
    ) -> PreparedViews:
        """The first, squashed tile of each image as a frame of side x side pooled tokens.

        Args:
            ends: the tokens behind the last frame's.
            line_ends: those behind each line.
        """
        tokens = runs([side * (side + line_ends)] * len(tiles))
        count = sum(map(len, tokens)) + ends
        return PreparedViews(
            kind="video",
            inputs={"pixel_values_videos": torch.stack([one[0, 0] for one in tiles])[None]},
            placeholders=(torch.full((count,), self.placeholder_ids["video"]),),
            grids=tuple(run.view(side, -1)[:, :side] for run in tokens),
        )

    def join_inputs(self, name: str, values: Sequence[Tensor]) -> Tensor:
        """See `Family`."""
        return stack_tiles(values) if name == "pixel_values" else super().join_inputs(name, values)


def stack_tiles(images: Sequence[Float[Tensor, "_ _ C H W"]]) -> Float[Tensor, "V P C H W"]:
    """Images of different numbers of tiles, filled up with empty tiles that the model drops."""
    most = max(tiles.shape[1] for tiles in images)
    gaps = [(0, 0) * 3 + (0, most - tiles.shape[1]) for tiles in images]
    return torch.cat([pad(tiles, gap) for tiles, gap in zip(images, gaps, strict=True)])
