"""LoRA on the LLM's matrices (arXiv 2106.09685), by peft: for an MLLM that does not fit otherwise.

The vision-language projector and the 3D parts are trained whole, as ever. When training ends the
adapters are merged, so that what is saved is a plain checkpoint.
"""

from __future__ import annotations

from dataclasses import dataclass

from peft import LoraConfig
from peft.tuners.lora import LoraModel
from transformers import PreTrainedModel

ADAPTER = "lora_"  # in the names of what is trained in the LLM


@dataclass(frozen=True, kw_only=True)
class LoraSettings:
    """Which matrices of the LLM get an adapter, and how large.

    The rates of full fine-tuning are low for adapters; 1e-4 is usual.
    """

    rank: int = 16
    alpha: float = 32.0
    dropout: float = 0.0
    matrices: tuple[str, ...] = (
        *("q_proj", "k_proj", "v_proj", "o_proj"),
        *("gate_proj", "up_proj", "down_proj"),
    )


def add_lora(mllm: PreTrainedModel, settings: LoraSettings) -> LoraModel:
    """Put adapters into the LLM of `mllm`; `merge_and_unload` of what is returned takes them out.

    Raises:
        ValueError: the LLM has no matrix of one of these names.
    """
    names = [name for name, _ in mllm.named_modules() if "language_model" in name]
    for matrix in settings.matrices:
        if not any(name.endswith(f".{matrix}") for name in names):
            raise ValueError(f"train.lora.matrices: the LLM has no {matrix!r}")
    # As a pattern, since encoders have matrices of the same names.
    pattern = rf".*language_model.*\.({'|'.join(settings.matrices)})"
    config = LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,
        lora_dropout=settings.dropout,
        target_modules=pattern,
    )
    return LoraModel(mllm, config, "default")
