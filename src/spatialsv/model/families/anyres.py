"""What the LLaVA families share: an image resized to a square, then its tiles with line ends.

Shapes: V images, P tiles of an image (the resized image first), h w the map of all tiles.
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

from spatialsv.model.families.family import Family, consecutive_runs
from spatialsv.samples.views import PreparedViews


class Anyres(Family):
    """A family whose images are divided into tiles."""

    @property
    def side(self) -> int:
        """The number of visual tokens along a tile's side."""
        return self.config.vision_config.image_size // self.config.vision_config.patch_size

    def unpadded(self, size: tuple[int, int]) -> tuple[int, int]:
        """Return rows and columns of an image's map of tiles, without its padding.

        Computed by the model's own functions.

        Args:
            size: height and width of the image.

        Returns:
            Rows and columns, in visual tokens.
        """
        rows, columns = get_anyres_image_grid_shape(
            size, self.config.image_grid_pinpoints, self.config.vision_config.image_size
        )
        padded = torch.empty(1, rows * self.side, columns * self.side)
        _, height, width = unpad_image(padded, size).shape
        return height, width

    def tiled(self, rows: int, columns: int) -> tuple[Int[Tensor, "h w"], int]:
        """Return the map of an image's tiles within the image's tokens, and their number.

        The tokens of the resized image come first, then each row of the map with its line end.
        """
        count = self.side**2 + rows * (columns + 1)
        lines = torch.arange(self.side**2, count).view(rows, columns + 1)
        return lines[:, :columns], count

    def as_images(
        self, inputs: dict[str, Tensor], maps: Sequence[tuple[Int[Tensor, "_ _"], int]]
    ) -> PreparedViews:
        """Return views of which each is a map within its own tokens.

        Args:
            inputs: keyword arguments of the model's forward.
            maps: for each view, its map and its number of tokens, as `tiled` returns them.
        """
        tokens = consecutive_runs([count for _, count in maps])
        image = self.placeholder_ids["image"]
        return PreparedViews(
            kind="image",
            inputs=inputs,
            placeholders=tuple(torch.full_like(run, image) for run in tokens),
            grids=tuple(run[grid] for run, (grid, _) in zip(tokens, maps, strict=True)),
        )

    def as_video(
        self, tiles: Sequence[Float[Tensor, "1 _ C H W"]], side: int, ends: int, line_ends: int = 0
    ) -> PreparedViews:
        """Return each image's first tile as a video frame of side x side pooled tokens.

        Args:
            tiles: the tiles of each image, the resized image first.
            side: the number of tokens along a frame's side.
            ends: the number of tokens after the last frame's.
            line_ends: the number of tokens after each line.
        """
        tokens = consecutive_runs([side * (side + line_ends)] * len(tiles))
        count = sum(map(len, tokens)) + ends
        return PreparedViews(
            kind="video",
            inputs={"pixel_values_videos": torch.stack([one[0, 0] for one in tiles])[None]},
            placeholders=(torch.full((count,), self.placeholder_ids["video"]),),
            grids=tuple(run.view(side, -1)[:, :side] for run in tokens),
        )

    def join_inputs(self, name: str, values: Sequence[Tensor]) -> Tensor:
        """See `Family`; images have different numbers of tiles."""
        return stack_tiles(values) if name == "pixel_values" else super().join_inputs(name, values)


def stack_tiles(images: Sequence[Float[Tensor, "_ _ C H W"]]) -> Float[Tensor, "V P C H W"]:
    """Return images padded to the same number of tiles; the model ignores the empty ones."""
    most = max(tiles.shape[1] for tiles in images)
    gaps = [(0, 0) * 3 + (0, most - tiles.shape[1]) for tiles in images]
    return torch.cat([pad(tiles, gap) for tiles, gap in zip(images, gaps, strict=True)])
