"""LLaVA-OneVision-1.5 (arXiv 2509.23661): a RICE encoder, a patch merger, and Qwen3.

transformers lacks the network, and its authors' code requires transformers 4, so it is built here
from transformers' parts. Parameters and settings keep the authors' names, so that both codes open a
checkpoint. RICE (arXiv 2507.20025) encodes images or frames at their own sizes, each preceded by a
class token that is dropped before 2 x 2 patches are merged. For one image this computes what the
authors' code does. From the second image on, that code takes each patch's state one token too early
per image; the code that they trained with does not, and neither does this.

Shapes: P patches of all images and frames, those to be merged next to each other, E the encoder's
width.
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

from spatialsv.model.families.family import Family
from spatialsv.model.families.qwen2_5_vl import Qwen25VL


@no_type_check  # accepts more arguments than its fields, as do the configs below
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
        """The ratio of MLP width to width, as Qwen2-VL's blocks read it."""
        return self.intermediate_size / self.embed_dim


@no_type_check
class RiceQwen3TextConfig(Qwen3Config):
    """Qwen3's settings, under the authors' name."""

    model_type = "LLaVAOneVision1_5_text"
    base_config_key = "text_config"

    def to_dict(self) -> dict[str, Any]:
        """Return the settings with `rope_theta` where the authors' code expects it."""
        settings = super().to_dict()
        return settings | {"rope_theta": settings["rope_parameters"]["rope_theta"]}


@no_type_check
class RiceQwen3Config(PreTrainedConfig):
    """The settings of encoder and LLM."""

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
    """Embed patches of pixels, channels first, as tokens."""

    def __init__(self, config: RiceConfig) -> None:
        super().__init__()
        side = config.patch_size
        self.proj = nn.Conv2d(config.in_channels, config.embed_dim, side, stride=side, bias=False)

    def forward(self, pixels: Float[Tensor, "P _"]) -> Float[Tensor, "P E"]:
        """Return the tokens of flattened patches."""
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
        """Encode patches.

        Args:
            pixels: the flattened pixels of each patch.
            grid_thw: time steps, rows and columns of patches of each image or video.

        Returns:
            `last_hidden_state`, the states (P, E), and `pooler_output`, the merged ones (P / 4, D).
        """
        bounds = get_vision_cu_seqlens(grid_thw)  # of images and frames
        lengths = bounds.diff().tolist()
        patches = self.patch_embed(pixels)
        states = self.pre_layernorm(_prepend(self.class_embedding[None], patches, lengths))
        angles = _prepend(self.class_pos_emb.float(), self._angles(grid_thw), lengths).repeat(1, 2)
        bounds = bounds + torch.arange(len(bounds), device=bounds.device, dtype=bounds.dtype)
        for block in self.blocks:
            states = block(
                states,
                cu_seqlens=bounds,
                max_seqlen=max(lengths) + 1,
                position_embeddings=(angles.cos(), angles.sin()),
            )
        states = torch.cat([run[1:] for run in states.split([length + 1 for length in lengths])])
        return BaseModelOutputWithPooling(
            last_hidden_state=states, pooler_output=self.merger(states)
        )

    def _angles(self, grid_thw: Int[Tensor, "_ 3"]) -> Float[Tensor, "P _"]:
        """Return the angles of the rotary positions: by row, then by column."""
        positions = get_vision_position_ids(grid_thw, self.spatial_merge_size)  # (P, 2)
        count = self.class_pos_emb.shape[1] // 2
        frequencies = 10_000.0 ** (-torch.arange(count, device=positions.device) / count)
        return (positions[..., None] * frequencies).flatten(1)


def _prepend(
    first: Float[Tensor, "1 W"], rows: Float[Tensor, "P W"], lengths: list[int]
) -> Float[Tensor, "_ W"]:
    """Return `rows` with `first` before each run of the given lengths."""
    return torch.cat([part for run in rows.split(lengths) for part in (first, run)])


class RiceQwen3Model(Qwen2VLModel):
    """Encoder and LLM."""

    config_class = RiceQwen3Config

    def __init__(self, config: RiceQwen3Config) -> None:
        Qwen2VLPreTrainedModel.__init__(self, config)
        self.visual = Rice(config.vision_config)
        self.language_model = Qwen3Model(config.text_config)
        self.post_init()

    def compute_3d_position_ids(self, *_: Any, **__: Any) -> None:
        """Return None: position ids are 0, 1, 2, ..."""


class LLaVAOneVision1_5_ForConditionalGeneration(Qwen2VLForConditionalGeneration):  # noqa: N801
    """LLaVA-OneVision-1.5, under the class name in its checkpoints."""

    config_class = RiceQwen3Config
    _prepare_position_ids_for_generation = GenerationMixin._prepare_position_ids_for_generation

    def __init__(self, config: RiceQwen3Config) -> None:
        Qwen2VLPreTrainedModel.__init__(self, config)
        text = config.text_config
        self.model = RiceQwen3Model(config)
        self.lm_head = nn.Linear(text.hidden_size, text.vocab_size, bias=False)
        self.post_init()


class LlavaOneVision15(Qwen25VL):
    """LLaVA-OneVision-1.5: images as in Qwen2.5-VL, and one slot for each frame of a video.

    Its processor's `temporal_patch_size` is 1, so no frames share a slot. Token types are not
    inputs, and positions have one dimension.
    """

    model_class = LLaVAOneVision1_5_ForConditionalGeneration
    taps = {36: (4, 12, 20, 28)}  # noqa: RUF012  both 4B and 8B
    batch_inputs = Family.batch_inputs
    prefix_positions = Family.prefix_positions


AutoConfig.register(RiceQwen3Config.model_type, RiceQwen3Config)
# As Qwen2-VL's, checkpoints may have the LLM's parameters under `model`, the encoder's at the top.
register_checkpoint_conversion_mapping(
    LLaVAOneVision1_5_ForConditionalGeneration.__name__,
    get_checkpoint_conversion_mapping(Qwen2VLForConditionalGeneration.__name__),
)
