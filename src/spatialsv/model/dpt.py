"""A DPT head: from four token maps to one dense map (Ranftl et al., arXiv 2103.13413).

Shapes: B views (samples and views together), h w tokens, H W output pixels, C channels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F  # noqa: N812
from jaxtyping import Float
from torch import Tensor, nn


@dataclass(frozen=True, kw_only=True)
class DPTConfig:
    """The sizes of one head. At full size: 256, [256, 512, 1024, 1024], 32."""

    width: int = 32  # channels while maps are fused
    reassembly: tuple[int, int, int, int] = (32, 32, 32, 32)  # channels at x4, x2, x1, x1/2
    output_width: int = 16  # channels at the output's resolution, where each costs most


class ResidualUnit(nn.Module):
    """Two 3 x 3 convolutions with a residual connection."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Float[Tensor, "B C h w"]) -> Float[Tensor, "B C h w"]:
        """Return x plus its refinement."""
        return x + self.second(F.relu_(self.first(F.relu(x))))


class Fusion(nn.Module):
    """RefineNet's step: add the finer map to the coarse one, refine, and upsample."""

    def __init__(self, width: int, lateral: bool) -> None:
        super().__init__()
        self.lateral = ResidualUnit(width) if lateral else None
        self.refine = ResidualUnit(width)
        self.project = nn.Conv2d(width, width, 1)

    def forward(self, x: Tensor, finer: Tensor | None, size: tuple[int, ...]) -> Tensor:
        """Return the fused map at `size` (height, width)."""
        if self.lateral is not None:
            x = x + self.lateral(finer)
        # A 1 x 1 convolution and bilinear upsampling commute: convolving first costs a quarter.
        x = self.project(self.refine(x))
        if tuple(x.shape[-2:]) == size:
            return x
        return F.interpolate(x, size=size, mode="bilinear", align_corners=False)


class DPTHead(nn.Module):
    """Decode four token maps, shallow tap first, into one map of raw values.

    The maps are reassembled at 4, 2, 1 and 1/2 times the token grid, fused from the coarsest up,
    and resized to the output. Pixel coordinates in [-1, 1] join before the last layers: ray
    directions are linear in them, and token maps encode their position only roughly.

    Args:
        inputs: C_in, the maps' channels.
        outputs: C_out, the output's channels.
        config: the sizes in between.
    """

    def __init__(self, inputs: int, outputs: int, config: DPTConfig) -> None:
        super().__init__()
        self.reduce = nn.ModuleList(nn.Conv2d(inputs, c, 1) for c in config.reassembly)
        first, second, _, last = config.reassembly
        self.resize = nn.ModuleList(
            [
                nn.ConvTranspose2d(first, first, 4, stride=4),
                nn.ConvTranspose2d(second, second, 2, stride=2),
                nn.Identity(),
                nn.Conv2d(last, last, 3, stride=2, padding=1),
            ]
        )
        self.enter = nn.ModuleList(
            nn.Conv2d(c, config.width, 3, padding=1, bias=False) for c in config.reassembly
        )
        self.fuse = nn.ModuleList(Fusion(config.width, lateral=i < 3) for i in range(4))
        narrow = config.output_width
        self.narrow = nn.Conv2d(config.width, narrow, 3, padding=1)
        self.output = nn.Sequential(
            nn.Conv2d(narrow + 2, narrow, 3, padding=1), nn.ReLU(), nn.Conv2d(narrow, outputs, 1)
        )
        self._initialise()

    def _initialise(self) -> None:
        """Initialise the weights so that differences between tokens persist.

        PyTorch's default shrinks a signal by 0.6 a layer; after ten layers tokens hardly differ,
        and points are learnt several times slower. Residual units start as the
        identity, and outputs near 0, which each task's activation maps to a plausible value.
        """
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="linear")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        for module in self.modules():
            if isinstance(module, ResidualUnit):
                nn.init.zeros_(module.second.weight)
        nn.init.normal_(self._output_layers()[1].weight, std=0.02)

    def forward(
        self, maps: list[Float[Tensor, "B C_in h w"]], size: tuple[int, int]
    ) -> Float[Tensor, "B C_out H W"]:
        """Decode the maps of four taps into raw values at `size` (height, width)."""
        if len(maps) != 4:
            raise ValueError(f"A DPT head reads 4 maps, found {len(maps)}.")
        levels = [
            enter(resize(reduce(x)))
            for x, reduce, resize, enter in zip(
                maps, self.reduce, self.resize, self.enter, strict=True
            )
        ]
        sizes = [tuple(level.shape[-2:]) for level in levels]
        x = self.fuse[3](levels[3], None, sizes[2])
        for i in (2, 1, 0):
            x = self.fuse[i](x, levels[i], sizes[max(i - 1, 0)])
        x = F.interpolate(self.narrow(x), size=size, mode="bilinear", align_corners=False)
        return self.last_layers(x)

    def last_layers(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C_out H W"]:
        """Apply `output` to x and the coordinates; the latter's part is computed for one view."""
        first, last = self._output_layers()
        of_x, of_coordinates = first.weight.split([x.shape[1], 2], dim=1)
        shared = F.conv2d(_coordinates(x), of_coordinates, first.bias, padding=1)
        return last(F.relu_(F.conv2d(x, of_x, padding=1) + shared))

    def _output_layers(self) -> tuple[nn.Conv2d, nn.Conv2d]:
        return cast(nn.Conv2d, self.output[0]), cast(nn.Conv2d, self.output[2])


def _coordinates(x: Float[Tensor, "B C H W"]) -> Float[Tensor, "1 2 H W"]:
    """Return pixel centres as (x, y) in [-1, 1], computed in float32 or finer, in x's type."""
    height, width = x.shape[-2:]
    dtype = torch.promote_types(x.dtype, torch.float32)
    rows, columns = (
        (torch.arange(side, device=x.device, dtype=dtype) * 2 + 1) / side - 1
        for side in (height, width)
    )
    grid = torch.stack([columns.expand(height, width), rows[:, None].expand(height, width)])
    return grid[None].to(x.dtype)
