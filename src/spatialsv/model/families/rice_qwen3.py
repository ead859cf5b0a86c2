"""LLaVA-OneVision-1.5's network (arXiv 2509.23661): a RICE encoder, a merger, and Qwen3.

transformers lacks it, and its authors' code runs on transformers 4 alone; so it is put together
here from transformers' own parts. Parameters and settings keep the authors' names, so checkpoints
open on either side. RICE (arXiv 2507.20025) sees whole images or frames at their own sizes, each
with a class token ahead, which is dropped before 2 x 2 patches are merged. For one image this
computes what the authors' code does. Of further images that code takes each patch's state from one
place too early an image; the code that they trained with does not, nor does this.

Shapes: P patches of all images and frames, those to be merged next to each other, M = P / 4, E the
encoder's width, D the LLM's.
"""

from __future__ import annotations

from typing import Any, ClassVar, no_type_check

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from transformers import AutoConfig, GenerationMixin, PreTrainedConfig
from transformers.conversion_mapping import (
    get_checkpoint_conversion_mapping,
    register_checkpoint_conversion_mapping,
)
from transformers.modeling_outputs import BaseModelOutputWithPooling
from transformers.models.qwen2_vl.modeling_qwen2_vl import (
    PatchMerger,
    Qwen2VLForConditionalGeneration,
    Qwen2VLModel,
    Qwen2VLPreTrainedModel,
    Qwen2VLVisionBlock,
)
from transformers.models.qwen3 import Qwen3Config, Qwen3Model
from transformers.vision_utils import get_vision_cu_seqlens, get_vision_position_ids


@no_type_check  # it takes more than its fields; so do those below
class RiceConfig(PreTrainedConfig):
    """The encoder's sizes, under the authors' names."""

    model_type = "rice_vit"
    base_config_key = "vision_config"
    depth: int = 24
    embed_dim: int = 1024
    hidden_size: int = 1024  # the same
    hidden_act: str = "gelu"
    intermediate_size: int = 4096
    num_heads: int = 16
    in_channels: int = 3
    patch_size: int = 14  # pixels
    spatial_merge_size: int = 2
    temporal_patch_size: int = 1
    layer_norm_eps: float = 1e-5
    initializer_range: float = 0.02
    text_hidden_size: int = 2560

    @property
    def mlp_ratio(self) -> float:
        """As Qwen2-VL's blocks ask for it."""
        return self.intermediate_size / self.embed_dim


@no_type_check
class RiceQwen3TextConfig(Qwen3Config):
    """Qwen3's own settings under the authors' name."""

    model_type = "LLaVAOneVision1_5_text"
    base_config_key = "text_config"

    def to_dict(self) -> dict[str, Any]:
        """With `rope_theta` where the authors' code looks for it."""
        found = super().to_dict()
        return found | {"rope_theta": found["rope_parameters"]["rope_theta"]}


@no_type_check
class RiceQwen3Config(PreTrainedConfig):
    """The whole network's settings."""

    model_type = "llavaonevision1_5"
    sub_configs: ClassVar = {"vision_config": RiceConfig, "text_config": RiceQwen3TextConfig}
    vision_config: Any = None
    text_config: Any = None
    image_token_id: int = 151655
    video_token_id: int = 151656

    def __post_init__(self, **kwargs: Any) -> None:
        for name, kind in self.sub_configs.items():
            given = getattr(self, name)
            if not isinstance(given, PreTrainedConfig):
                setattr(self, name, kind(**(given or {})))
        super().__post_init__(**kwargs)


class PatchEmbed(nn.Module):
    """Pixels of patches, channels first, to tokens."""

    def __init__(self, config: RiceConfig) -> None:
        super().__init__()
        side = config.patch_size
        self.proj = nn.Conv2d(config.in_channels, config.embed_dim, side, stride=side, bias=False)

    def forward(self, pixels: Float[Tensor, "P _"]) -> Float[Tensor, "P E"]:
        _, channels, *side = self.proj.weight.shape
        return self.proj(pixels.view(-1, channels, *side).to(self.proj.weight)).flatten(1)


class Rice(Qwen2VLPreTrainedModel):
    """The encoder and its merger."""

    config_class = RiceConfig

    def __init__(self, config: RiceConfig) -> None:
        super().__init__(config)
        width = config.embed_dim
        self.spatial_merge_size = config.spatial_merge_size
        self.patch_embed = PatchEmbed(config)
        self.class_embedding = nn.Parameter(torch.randn(width) / width**0.5)
        self.class_pos_emb = nn.Parameter(torch.randn(1, width // config.num_heads // 2))  # angles
        self.pre_layernorm = nn.LayerNorm(width)
        self.blocks = nn.ModuleList(Qwen2VLVisionBlock(config) for _ in range(config.depth))
        self.merger = PatchMerger(config.text_hidden_size, width, config.spatial_merge_size)
        for module in self.modules():
            if isinstance(module, nn.LayerNorm):
                module.eps = config.layer_norm_eps
        self.post_init()

    def forward(
        self, pixels: Float[Tensor, "P _"], grid_thw: Int[Tensor, "_ 3"], **_: Any
    ) -> BaseModelOutputWithPooling:
        """Merged states (M, D) as `pooler_output`, those before as `last_hidden_state` (P, E)."""
        bounds = get_vision_cu_seqlens(grid_thw)  # of images and frames
        lengths = bounds.diff().tolist()
        patches = self.patch_embed(pixels)
        states = self.pre_layernorm(_ahead(self.class_embedding[None], patches, lengths))
        angles = _ahead(self.class_pos_emb.float(), self._angles(grid_thw), lengths).repeat(1, 2)
        bounds = bounds + torch.arange(len(bounds), device=bounds.device, dtype=bounds.dtype)
        for block in self.blocks:
            states = block(
                states,
                cu_seqlens=bounds,
                max_seqlen=max(lengths) + 1,
                position_embeddings=(angles.cos(), angles.sin()),
            )
        seen = torch.cat([run[1:] for run in states.split([length + 1 for length in lengths])])
        return BaseModelOutputWithPooling(last_hidden_state=seen, pooler_output=self.merger(seen))

    def _angles(self, grid_thw: Int[Tensor, "_ 3"]) -> Float[Tensor, "P _"]:
        """Of the rotary positions: by row, then by column."""
        places = get_vision_position_ids(grid_thw, self.spatial_merge_size)  # (P, 2)
        count = self.class_pos_emb.shape[1] // 2
        speeds = 10_000.0 ** (-torch.arange(count, device=places.device) / count)
        return (places[..., None] * speeds).flatten(1)


def _ahead(
    first: Float[Tensor, "1 W"], rows: Float[Tensor, "P W"], lengths: list[int]
) -> Float[Tensor, "_ W"]:
    """`first` before each run of `rows`."""
    return torch.cat([part for run in rows.split(lengths) for part in (first, run)])


class RiceQwen3Model(Qwen2VLModel):
    """Encoder and LLM."""

    config_class = RiceQwen3Config

    def __init__(self, config: RiceQwen3Config) -> None:
        Qwen2VLPreTrainedModel.__init__(self, config)
        self.visual = Rice(config.vision_config)
        self.language_model = Qwen3Model(config.text_config)
        self.post_init()

    def compute_3d_position_ids(self, **_: Any) -> None:
        """None: positions are 0, 1, 2, ..."""


class LLaVAOneVision1_5_ForConditionalGeneration(Qwen2VLForConditionalGeneration):  # noqa: N801
    """LLaVA-OneVision-1.5, under the name that its checkpoints tell."""

    config_class = RiceQwen3Config
    _prepare_position_ids_for_generation = GenerationMixin._prepare_position_ids_for_generation

    def __init__(self, config: RiceQwen3Config) -> None:
        Qwen2VLPreTrainedModel.__init__(self, config)
        text = config.text_config
        self.model = RiceQwen3Model(config)
        self.lm_head = nn.Linear(text.hidden_size, text.vocab_size, bias=False)
        self.post_init()


AutoConfig.register(RiceQwen3Config.model_type, RiceQwen3Config)
# As Qwen2-VL's, checkpoints may have the LLM's parameters under `model`, the encoder's at the top.
register_checkpoint_conversion_mapping(
    LLaVAOneVision1_5_ForConditionalGeneration.__name__,
    get_checkpoint_conversion_mapping(Qwen2VLForConditionalGeneration.__name__),
)
