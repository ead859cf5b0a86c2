"""LLaVA-Video (arXiv 2410.02713): LLaVA-OneVision's images, and frames with their line ends.

The paper cites it for its "LLaVA-NeXT-Video"; Table 6's taps are spread over 28 layers, as it has.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jaxtyping import Float
from torch import Tensor

from spatialsv.model.families.llava_onevision import LlavaOneVision
from spatialsv.model.families.llava_qwen import LlavaQwenConfig, LlavaQwenForCausalLM, pooled_side
from spatialsv.samples.views import PreparedViews

IMAGE = "<image>"  # for images and videos alike; not in the tokenizer of a checkpoint as released
TEMPLATE = """\
{% if messages[0]['role'] != 'system' %}\
{{ '<|im_start|>system\\nYou are a helpful assistant.<|im_end|>\\n' }}{% endif %}\
{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' }}\
{% set shown = namespace(any=false) %}{% for content in message['content'] %}\
{% if content['type'] == 'text' %}{{ ('\\n' if shown.any else '') + content['text'] }}\
{% else %}{{ (' ' if shown.any else '') + '<image>' }}{% set shown.any = true %}{% endif %}\
{% endfor %}{{ '<|im_end|>\\n' }}{% endfor %}\
{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"""


class LlavaVideo(LlavaOneVision):
    """LLaVA-Video, and other checkpoints of the LLaVA-NeXT code before Qwen2."""

    model_class = LlavaQwenForCausalLM
    taps = {28: (4, 11, 18, 25)}  # noqa: RUF012
    lr_llm = 1e-5

    def __init__(self, tokenizer: Any, image_processor: Any, config: LlavaQwenConfig) -> None:
        """What a checkpoint lacks, since the package `llava` brings it, is made here.

        Raises:
            ValueError: a tokenizer that gives images another id than the config does.
        """
        tokenizer.add_tokens([IMAGE], special_tokens=True)
        if (found := tokenizer.convert_tokens_to_ids(IMAGE)) != config.image_token_id:
            raise ValueError(
                f"{tokenizer.name_or_path}: {IMAGE} is token {found}, but image_token_index in"
                f" config.json, or its default, is {config.image_token_id}"
            )
        tokenizer.chat_template = TEMPLATE
        super().__init__(tokenizer, image_processor, config)

    @classmethod
    def load_image_processor(cls, name: str, config: LlavaQwenConfig, local: bool) -> Any:
        """See `Family`: the config says it all."""
        side, half = config.vision_config.image_size, [0.5] * 3
        return cls.image_processor_class(
            size={"height": side, "width": side},
            image_grid_pinpoints=config.image_grid_pinpoints,
            image_mean=half,
            image_std=half,
        )

    def frames(self, tiles: Sequence[Float[Tensor, "1 _ C H W"]]) -> PreparedViews:
        """See `LlavaOneVision`."""
        lines = self.config.mm_newline_position == "grid"
        return self.as_video(tiles, pooled_side(self.config), ends=not lines, line_ends=lines)
