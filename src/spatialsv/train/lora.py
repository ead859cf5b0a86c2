"""LoRA on the LLM's matrices (arXiv 2106.09685), by peft: for an MLLM that does not fit otherwise.

All weights of the vision-language projector and the heads are trained. After training the adapters
are merged, so that a plain checkpoint is saved.
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

    rank: int = 16  # of each adapter
    alpha: float = 32.0  # the update's scale is alpha / rank
    dropout: float = 0.0  # probability, on the adapters' inputs
    #: names of linear layers
    matrices: tuple[str, ...] = (
        *("q_proj", "k_proj", "v_proj", "o_proj"),
        *("gate_proj", "up_proj", "down_proj"),
    )


def add_lora(mllm: PreTrainedModel, settings: LoraSettings) -> LoraModel:
    """Add adapters to the LLM of `mllm`.

    Args:
        mllm: is changed.
        settings: which matrices, and how large.

    Returns:
        The adapters' owner; its `merge_and_unload` merges and removes them.

    Raises:
        ValueError: the LLM has no matrix of one of these names.
    """
    names = [name for name, _ in mllm.named_modules() if "language_model" in name]
    for matrix in settings.matrices:
        if not any(name.endswith(f".{matrix}") for name in names):
            raise ValueError(f"train.lora.matrices: the LLM has no {matrix!r}.")
    # As a pattern, since encoders have matrices of the same names.
    pattern = rf".*language_model.*\.({'|'.join(settings.matrices)})"
    config = LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,  # type: ignore[arg-type]  # peft only multiplies by it
        lora_dropout=settings.dropout,
        target_modules=pattern,
    )
    return LoraModel(mllm, config, "default")
