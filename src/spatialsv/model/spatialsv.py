"""`SpatialSV`: a multimodal LLM whose visual states are read, and taught, as geometry.

Without its heads it is the MLLM and nothing else. Shapes: B samples, T tokens, K scored positions.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from transformers import PreTrainedModel

from spatialsv.geometry.maps import GeometryPrediction
from spatialsv.model.checkpoint import HEADS, MLLM
from spatialsv.model.families.family import Component, Family
from spatialsv.model.heads import SpatialHeads, load_heads, save_heads
from spatialsv.model.mllm import load_mllm
from spatialsv.model.vision_cache import use_cached_states
from spatialsv.samples.batch import Batch
from spatialsv.samples.chat import IGNORED


@dataclass(frozen=True, kw_only=True, eq=False)
class SpatialSVOutput:
    """One forward pass. With labels in the batch, logits are made only where some are scored."""

    logits: Float[Tensor, "B K vocabulary"]
    targets: Int[Tensor, "B K"] | None  # the next token's id at each position, or -100
    lifted: GeometryPrediction | None
    distilled: Float[Tensor, "B N h w C"] | None


class SpatialSV(nn.Module):
    """The MLLM, and on the side the heads that lift its visual states.

    Args:
        mllm: any that `load_mllm` loads.
        family: its adapter.
        heads: None for the MLLM alone.

    Raises:
        ValueError: heads of another width than the MLLM's, or taps that it does not have.
    """

    def __init__(
        self, mllm: PreTrainedModel, family: Family, heads: SpatialHeads | None = None
    ) -> None:
        super().__init__()
        self.mllm = mllm
        self.family = family
        self.heads = heads
        text = mllm.config.get_text_config()
        self.last = text.num_hidden_layers  # the index of the final, normed hidden state
        if heads is None:
            return
        if heads.hidden_size != text.hidden_size:
            raise ValueError(
                f"heads read states of width {heads.hidden_size}, the MLLM's is {text.hidden_size}"
            )
        for tap in heads.config.taps or ():
            if not 0 <= tap <= self.last:
                raise ValueError(
                    f"tap {tap}: the MLLM has hidden states 0 (embeddings) to {self.last}"
                )

    def forward(self, batch: Batch) -> SpatialSVOutput:
        """Logits, and with heads the geometry, of one batch.

        The LLM reads packed batches with `enable_packed_attention`, and those only.
        """
        scored, targets = None, None
        if batch.labels is not None:
            scored, targets = scored_positions(batch.labels)
        wanted = self.required_states()
        with use_cached_states(self.mllm, self.family, batch.encoded):
            result = self.mllm(
                **self._inputs(batch),
                logits_to_keep=0 if scored is None else scored,
                output_hidden_states=wanted or False,
                use_cache=False,
            )
        lifted, distilled = self._lift(batch, result.hidden_states) if wanted else (None, None)
        return SpatialSVOutput(
            logits=result.logits, targets=targets, lifted=lifted, distilled=distilled
        )

    def visual_states(self, batch: Batch, indices: list[int]) -> list[Float[Tensor, "B N h w D"]]:
        """Visual states at these hidden states (0 = embeddings), without logits: for probes."""
        result = self.mllm.model(
            **self._inputs(batch), output_hidden_states=sorted(set(indices)), use_cache=False
        )
        return [batch.visual_states(result.hidden_states[i]) for i in indices]

    def _inputs(self, batch: Batch) -> dict[str, Any]:
        inputs, packing = batch.model_inputs(), batch.packing
        if packing is None:
            return inputs
        del inputs["attention_mask"]
        head = batch.input_ids[:, : packing.head]
        positions = self.family.packed_positions(self.mllm, head, batch.inputs, packing.steps)
        return inputs | {"position_ids": positions, "packing": packing}

    def component_of(self, parameter: str) -> Component | Literal["heads"]:
        """The part that the parameter of this name belongs to: one of the MLLM's, or the heads."""
        own = parameter.removeprefix(f"{MLLM}.")
        return self.family.component_of(own) if own != parameter else "heads"

    def required_states(self) -> list[int]:
        """The hidden states to keep: the others are freed as the layers go by."""
        if self.heads is None:
            return []
        taps = set(self.heads.config.taps) if self.heads.config.tasks else set()
        return sorted(taps | ({self.last} if self.heads.distill is not None else set()))

    def _lift(
        self, batch: Batch, hidden_states: tuple[Tensor | None, ...]
    ) -> tuple[GeometryPrediction | None, Tensor | None]:
        wanted = self.required_states()
        grids = {i: batch.visual_states(hidden_states[i]) for i in wanted}
        config = self.heads.config
        lifted = self.heads([grids[tap] for tap in config.taps]) if config.tasks else None
        distilled = None
        if self.heads.distill is not None:
            distilled = self.heads.distilled(grids[self.last])
        return lifted, distilled


def scored_positions(labels: Int[Tensor, "B T"]) -> tuple[Int[Tensor, " K"], Int[Tensor, "B K"]]:
    """Positions at which any sample's next token is scored, and those next tokens.

    Logits at all other positions would only be thrown away, and at a vocabulary of 150,000 they
    are most of the memory.
    """
    following = torch.full_like(labels, IGNORED)
    following[:, :-1] = labels[:, 1:]
    positions = (following != IGNORED).any(dim=0).nonzero().squeeze(1)
    return positions, following[:, positions]


def save_spatialsv(folder: Path, model: SpatialSV) -> None:
    """Write mllm/ (a plain checkpoint for any tool) and, where there are heads, heads/."""
    temporary = folder / f".mllm.{os.getpid()}"
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    model.mllm.save_pretrained(temporary)
    model.family.save_processor(temporary)
    copy_code(model.mllm, temporary)
    shutil.rmtree(folder / MLLM, ignore_errors=True)
    temporary.replace(folder / MLLM)
    shutil.rmtree(folder / HEADS, ignore_errors=True)
    if model.heads is not None:
        save_heads(model.heads, folder / HEADS)


def copy_code(mllm: PreTrainedModel, folder: Path) -> None:
    """Its authors' code, where config.json names some: other tools ask for it, none runs here."""
    base = Path(mllm.name_or_path)
    if getattr(mllm.config, "auto_map", None) and (base / "config.json").is_file():
        for code in base.glob("*.py"):
            shutil.copyfile(code, folder / code.name)


def load_spatialsv(
    folder: Path,
    dtype: torch.dtype = torch.float32,
    attn: Literal["sdpa", "eager", "flash_attention_2"] = "sdpa",
    family: type[Family] | str | None = None,
) -> SpatialSV:
    """The model in a folder of a training job, or in an exported one, in eval mode.

    Its heads, if any, stay in float32. `family` is for `load_mllm`.
    """
    plain = folder / MLLM if (folder / MLLM).is_dir() else folder
    mllm, family = load_mllm(plain, dtype=dtype, attn=attn, family=family)
    heads = load_heads(folder / HEADS) if (folder / HEADS).is_dir() else None
    return SpatialSV(mllm, family, heads).eval()
