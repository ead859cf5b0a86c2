"""The rooms teacher's network: a plain multi-view ViT in the style of Depth Anything 3.

Early layers attend within a view, later ones alternate between a view and all views. Two heads
predict depth and rays per pixel, each with a confidence. Unlike DA3 the network has an embedding of
the view's number: views of a rotating camera need not overlap, and then only their order indicates
their poses.

Shapes: B scenes, N views, M = B N, T tokens, H W pixels, h w patches, C width. Everything is in the
first view's camera frame, in units of the mean distance of points to that camera.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import gelu, scaled_dot_product_attention

from spatialsv.geometry.rays import RayMap, point_map

LOG_RANGE = 6.0  # bound on |log depth| and log confidence, against overflow early in training


@dataclass(frozen=True, kw_only=True)
class TeacherNetworkConfig:
    """Size of the network; about 2.3 M parameters by default.

    Raises:
        ValueError: Settings that contradict each other.
    """

    image_size: int = 64  # pixels, square; `RoomsTeacher` resizes other images
    patch_size: int = 8  # pixels; a power of two
    width: int = 144  # channels
    layers: int = 8  # of the encoder
    heads: int = 4  # attention heads
    global_layers: tuple[int, ...] = (3, 5, 7)  # attend over all views; the others within a view
    taps: tuple[int, ...] = (1, 3, 5, 7)  # layers whose outputs are the depth head's input
    head_width: int = 64  # channels of the depth head
    max_views: int = 8  # in a scene

    def __post_init__(self) -> None:
        if self.image_size % self.patch_size or self.patch_size & (self.patch_size - 1):
            raise ValueError(
                f"patch_size {self.patch_size} must be a power of two that divides image_size"
                f" {self.image_size}."
            )
        if self.width % self.heads:
            raise ValueError(f"width {self.width} is not a multiple of heads {self.heads}.")
        for name in ("global_layers", "taps"):
            if any(not 0 <= layer < self.layers for layer in getattr(self, name)):
                raise ValueError(
                    f"{name} {getattr(self, name)}: layers must be in 0..{self.layers - 1}."
                )

    @property
    def grid(self) -> int:
        """Patches per side."""
        return self.image_size // self.patch_size


@dataclass(frozen=True, eq=False)
class TeacherPrediction:
    """Geometry (points follow from depth and rays) and the last layer's features."""

    depth: Float[Tensor, "B N H W"]
    depth_confidence: Float[Tensor, "B N H W"]
    rays: RayMap
    ray_confidence: Float[Tensor, "B N H W"]
    points: Float[Tensor, "B N H W 3"]
    features: Float[Tensor, "B N h w C"]


class Block(nn.Module):
    """A pre-norm transformer layer with normalised queries and keys."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm_attention = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.norm_q = nn.RMSNorm(width // heads, eps=1e-6)
        self.norm_k = nn.RMSNorm(width // heads, eps=1e-6)
        self.out = nn.Linear(width, width)
        self.norm_mlp = nn.LayerNorm(width)
        self.mlp = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(approximate="tanh"), nn.Linear(4 * width, width)
        )

    def forward(self, tokens: Float[Tensor, "B T C"]) -> Float[Tensor, "B T C"]:
        """Return the layer's output."""
        qkv = self.qkv(self.norm_attention(tokens))
        q, k, v = rearrange(qkv, "b t (three m d) -> three b m t d", three=3, m=self.heads)
        mixed = scaled_dot_product_attention(self.norm_q(q), self.norm_k(k), v)
        tokens = tokens + self.out(rearrange(mixed, "b m t d -> b t (m d)"))
        output: Tensor = tokens + self.mlp(self.norm_mlp(tokens))
        return output


class DepthHead(nn.Module):
    """Convert tapped tokens to log depth and log confidence at image size.

    The patch grid is doubled by pixel shuffle up to half the image's size. There a convolution of
    the image is added, because patches blur the edges of objects.
    """

    def __init__(self, config: TeacherNetworkConfig) -> None:
        super().__init__()
        width = config.head_width
        self.taps = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(config.width), nn.Linear(config.width, width))
            for _ in config.taps
        )
        doublings = config.patch_size.bit_length() - 2  # up to half the image's size
        self.grow = nn.ModuleList()
        for _ in range(doublings):
            smaller = max(width // 2, 16)
            self.grow.append(nn.Sequential(nn.Conv2d(width, 4 * smaller, 1), nn.PixelShuffle(2)))
            self.grow.append(ResidualConv(smaller))
            width = smaller
        self.edges = nn.Conv2d(3, width, 4, stride=2, padding=1)
        self.mix = ResidualConv(width)
        self.out = nn.Sequential(
            nn.GELU(), nn.Conv2d(width, 2 * 4, 3, padding=1), nn.PixelShuffle(2)
        )

    def forward(
        self, tapped: list[Float[Tensor, "M h w C"]], image: Float[Tensor, "M 3 H W"]
    ) -> tuple[Float[Tensor, "M H W"], Float[Tensor, "M H W"]]:
        """Return log depth and log confidence."""
        maps = sum(project(tokens) for project, tokens in zip(self.taps, tapped, strict=True))
        maps = rearrange(maps, "m h w c -> m c h w")
        for layer in self.grow:
            maps = layer(maps)
        maps = self.mix(maps + self.edges(image))
        depth, confidence = self.out(maps).unbind(dim=1)
        return depth, confidence


class ResidualConv(nn.Module):
    """Two 3 x 3 convolutions with a skip connection."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, maps: Float[Tensor, "M C H W"]) -> Float[Tensor, "M C H W"]:
        """Return the block's output."""
        output: Tensor = maps + self.second(gelu(self.first(gelu(maps))))
        return output


class TeacherNetwork(nn.Module):
    """Predict depth, rays and features of any number of views, in the first view's frame."""

    def __init__(self, config: TeacherNetworkConfig) -> None:
        super().__init__()
        self.config = config
        width, patch = config.width, config.patch_size
        self.embed = nn.Linear(3 * patch * patch, width)
        self.position = nn.Parameter(torch.randn(config.grid, config.grid, width) * 0.02)
        self.view = nn.Parameter(torch.randn(config.max_views, width) * 0.02)
        self.blocks = nn.ModuleList(Block(width, config.heads) for _ in range(config.layers))
        self.norm = nn.LayerNorm(width)
        self.depth_head = DepthHead(config)
        self.ray_head = nn.Sequential(
            nn.Linear(width, width), nn.GELU(), nn.Linear(width, 7 * patch * patch)
        )

    def forward(self, images: Float[Tensor, "B N H W 3"]) -> TeacherPrediction:
        """Predict geometry.

        Args:
            images: RGB in [0, 1] with H = W = `config.image_size`.

        Returns:
            The prediction.

        Raises:
            ValueError: The images have another size, or there are too many views.
        """
        size, views = self.config.image_size, images.shape[1]
        if tuple(images.shape[2:]) != (size, size, 3):
            raise ValueError(
                f"images: expected shape (B, N, {size}, {size}, 3), found {tuple(images.shape)}."
            )
        if views > self.config.max_views:
            raise ValueError(f"Expected at most {self.config.max_views} views, found {views}.")
        pixels = rearrange(2 * images - 1, "b n h w c -> (b n) c h w")
        tapped, features = self._encode(pixels, views)
        depth, depth_confidence = self.depth_head(tapped, pixels)
        maps, ray_confidence = self._predict_rays(features)
        shape = (-1, views, size, size)
        depth = _bounded_exp(depth).view(shape)
        rays = RayMap(maps[..., :3].view(*shape, 3), maps[..., 3:].view(*shape, 3))
        return TeacherPrediction(
            depth=depth,
            depth_confidence=1 + _bounded_exp(depth_confidence).view(shape),
            rays=rays,
            ray_confidence=1 + _bounded_exp(ray_confidence).view(shape),
            points=point_map(depth, rays),
            features=rearrange(features, "(b n) h w c -> b n h w c", n=views),
        )

    def _encode(
        self, pixels: Float[Tensor, "M 3 H W"], views: int
    ) -> tuple[list[Float[Tensor, "M h w C"]], Float[Tensor, "M h w C"]]:
        """Return the tapped layers' tokens, and the last layer's after its norm."""
        patch, grid = self.config.patch_size, self.config.grid
        patches = rearrange(pixels, "m c (h p) (w q) -> m (h w) (c p q)", p=patch, q=patch)
        tokens = self.embed(patches) + self.position.flatten(0, 1)
        tokens = tokens + self.view[:views].repeat(len(tokens) // views, 1)[:, None]
        tapped = []
        for number, block in enumerate(self.blocks):
            if number in self.config.global_layers:
                joint = rearrange(tokens, "(b n) t c -> b (n t) c", n=views)
                tokens = rearrange(block(joint), "b (n t) c -> (b n) t c", n=views)
            else:
                tokens = block(tokens)
            if number in self.config.taps:
                tapped.append(rearrange(tokens, "m (h w) c -> m h w c", h=grid))
        return tapped, rearrange(self.norm(tokens), "m (h w) c -> m h w c", h=grid)

    def _predict_rays(
        self, features: Float[Tensor, "M h w C"]
    ) -> tuple[Float[Tensor, "M H W 6"], Float[Tensor, "M H W"]]:
        """Return origin and direction, in this order, and log(confidence - 1)."""
        patch = self.config.patch_size
        maps = rearrange(
            self.ray_head(features), "m h w (p q c) -> m (h p) (w q) c", p=patch, q=patch
        ).float()
        return maps[..., :6], maps[..., 6]


def _bounded_exp(x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Return exp of x, softly clamped to LOG_RANGE by tanh."""
    return (LOG_RANGE * torch.tanh(x / LOG_RANGE)).exp()
