"""Qwen2.5-VL: loading, the names of its parts, and its visual states on their grids.

Shapes: B samples, T tokens, N views a sample, h w visual tokens a view, D the LLM's width.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers import AutoTokenizer, Qwen2_5_VLForConditionalGeneration
from transformers.models.qwen2_5_vl.processing_qwen2_5_vl import Qwen2_5_VLProcessor
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil
from transformers.processing_utils import ProcessorMixin

Part = Literal["vision", "projector", "llm"]


class ImageProcessorQwen(Qwen2_5_VLProcessor):
    """Qwen2.5-VL's processor for images and text, without its video processor.

    The stock one cannot be built without torchvision, which its video processor needs. Images go
    through the Pillow version everywhere, so that pixels do not depend on what is installed.
    """

    def __init__(self, image_processor=None, tokenizer=None, chat_template=None, **kwargs) -> None:
        self.image_token, self.video_token = "<|image_pad|>", "<|video_pad|>"
        self.image_token_id = tokenizer.convert_tokens_to_ids(self.image_token)
        self.video_token_id = tokenizer.convert_tokens_to_ids(self.video_token)
        template = chat_template or tokenizer.chat_template
        ProcessorMixin.__init__(self, image_processor, tokenizer, chat_template=template)

    def save_pretrained(self, save_directory, push_to_hub: bool = False, **kwargs) -> list[str]:
        """Save what any other tool's AutoProcessor reads: tokenizer, template, image settings."""
        self.tokenizer.save_pretrained(save_directory)
        return self.image_processor.save_pretrained(save_directory)


def load_mllm(
    path: str | os.PathLike[str],
    dtype: torch.dtype = torch.float32,
    attn: Literal["sdpa", "eager", "flash_attention_2"] = "sdpa",
) -> tuple[Qwen2_5_VLForConditionalGeneration, ImageProcessorQwen]:
    """The model, in eval mode, and its processor, from a local folder or a hub id.

    No code from the checkpoint is run.

    Raises:
        FileNotFoundError: a path that is neither a checkpoint's folder nor shaped like a hub id.
    """
    name = os.fspath(path)
    local = Path(name).is_dir()
    if local and not (Path(name) / "config.json").is_file():
        raise FileNotFoundError(f"{name}: no config.json here, so this is no checkpoint's folder")
    if not local and (isinstance(path, Path) or name.count("/") != 1 or name[0] in "./~"):
        raise FileNotFoundError(
            f"{name}: no such folder; give a checkpoint's folder or a hub id such as"
            " Qwen/Qwen2.5-VL-3B-Instruct"
        )
    options = {"local_files_only": local, "trust_remote_code": False}
    model = Qwen2_5_VLForConditionalGeneration.from_pretrained(
        name, dtype=dtype, attn_implementation=attn, **options
    )
    processor = ImageProcessorQwen(
        Qwen2VLImageProcessorPil.from_pretrained(name, local_files_only=local),
        AutoTokenizer.from_pretrained(name, **options),
    )
    return model.eval(), processor


def part_of(parameter: str) -> Part:
    """The part that the model's parameter of this name belongs to.

    "vision" is the encoder, "projector" what merges its patches into LLM tokens, "llm" the rest.
    """
    if parameter.startswith("model.visual.merger."):
        return "projector"
    return "vision" if parameter.startswith("model.visual.") else "llm"


def packed_positions(
    mllm: Qwen2_5_VLForConditionalGeneration,
    head: Int[Tensor, "B P"],
    image_grid_thw: Int[Tensor, "V 3"],
    steps: Int[Tensor, "B U"],
) -> Int[Tensor, "3 B P+U"]:
    """Time, row and column of packed chats' tokens: each goes on where the last image ends.

    Args:
        head: the tokens that a sample's chats share, up to the last visual one.
        steps: the place of each token behind it in its own chat, from 0.
    """
    ahead, _ = mllm.model.get_rope_index(
        head, (head == mllm.config.image_token_id).int(), image_grid_thw=image_grid_thw
    )
    behind = ahead.amax(dim=(0, 2))[:, None] + 1 + steps
    return torch.cat([ahead, behind.expand(3, -1, -1)], dim=-1)


def visual_states(
    hidden_states: list[Float[Tensor, "B T D"]],
    input_ids: Int[Tensor, "B T"],
    image_grid_thw: Int[Tensor, "V 3"],
    num_views: tuple[int, ...],
    image_token_id: int,
    merge_size: int,
) -> list[Float[Tensor, "B N h w D"]]:
    """Hidden states at the image tokens, laid out view by view in raster order.

    Raises:
        ValueError: samples with different numbers of views, views with different grids, or a
            number of image tokens that the grids do not account for.
    """
    views, rows, columns = common_grid(image_grid_thw, num_views, merge_size)
    is_image = input_ids == image_token_id  # (B, T)
    counts = is_image.sum(dim=1)
    if not bool((counts == views * rows * columns).all()):
        raise ValueError(
            f"image tokens a sample: {counts.tolist()}, but {views} views of {rows} x {columns}"
            f" tokens need {views * rows * columns}; were the tokens truncated?"
        )
    size = (len(input_ids), views, rows, columns, -1)
    # masked_select keeps the order of the tokens, and the model restores raster order within views
    return [state[is_image].reshape(size) for state in hidden_states]


def common_grid(
    image_grid_thw: Int[Tensor, "V 3"], num_views: tuple[int, ...], merge_size: int
) -> tuple[int, int, int]:
    """Views a sample, and rows and columns of visual tokens a view, equal across the batch.

    Raises:
        ValueError: they are not; geometry needs batches of one shape.
    """
    if len(set(num_views)) != 1 or num_views[0] == 0:
        raise ValueError(
            f"samples have {num_views} views: batch samples with equally many together"
        )
    grids = torch.unique(image_grid_thw, dim=0)
    if len(grids) != 1 or int(grids[0, 0]) != 1:
        raise ValueError(
            f"views have grids (time, height, width) {grids.tolist()}: batch images of one size"
        )
    _, height, width = grids[0].tolist()
    return num_views[0], height // merge_size, width // merge_size
