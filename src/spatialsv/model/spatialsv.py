"""`SpatialSV`: a multimodal LLM with heads that predict geometry from its visual states.

Without heads it computes exactly what the MLLM does. Shapes: B samples, T tokens, K scored
positions, N views, h w visual tokens, H W pixels of the maps, D the MLLM's width.
"""

from __future__ import annotations

import math
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from jaxtyping import Float, Int
from safetensors import safe_open
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.utils import ModelOutput

from spatialsv.geometry.maps import GeometryPrediction
from spatialsv.io.atomic import atomic_directory, delete
from spatialsv.losses.text import text_loss
from spatialsv.losses.total import SpatialLossConfig, spatial_losses
from spatialsv.model.checkpoint import HEADS, MLLM
from spatialsv.model.families.family import Component, Family
from spatialsv.model.finite import check_finite
from spatialsv.model.heads import SpatialHeads, load_heads, save_heads
from spatialsv.model.mllm import load_mllm
from spatialsv.model.vision_cache import use_cached_states
from spatialsv.samples.batch import Batch
from spatialsv.samples.chat import IGNORED


@dataclass(kw_only=True, eq=False)
class SpatialSVOutput(ModelOutput):
    """The result of one forward pass.

    If the batch has labels, logits are computed only at the K positions where a sample's next token
    is scored.
    """

    loss: Float[Tensor, ""] | None = None  # if the model has `losses` and the batch has labels
    logits: Float[Tensor, "B K vocabulary"] | None = None  # always there
    targets: Int[Tensor, "B K"] | None = None  # the next token's id at each position, or -100
    lifted: GeometryPrediction | None = None  # the heads' geometry
    distilled: Float[Tensor, "B N h w C"] | None = None  # in the teacher's width
    related: Float[Tensor, "B N h w D"] | None = None  # visual states for relational distillation


class SpatialSV(nn.Module):
    """An MLLM and the heads on its visual states.

    Args:
        mllm: a model that `load_mllm` loads.
        family: its adapter.
        heads: the 3D heads; None for the MLLM only.
        losses: if given, `forward` returns a loss, as transformers' Trainer and others expect: the
            text's plus these signals', all at weight 1. The stage `train` computes losses itself.

    Raises:
        ValueError: the heads have another width than the MLLM, or taps that it does not have.
    """

    def __init__(
        self,
        mllm: PreTrainedModel,
        family: Family,
        heads: SpatialHeads | None = None,
        losses: SpatialLossConfig | None = None,
    ) -> None:
        super().__init__()
        self.mllm = mllm
        self.family = family
        self.heads = heads
        self.losses = losses
        text = mllm.config.get_text_config()
        self.last = text.num_hidden_layers  # the index of the final, normed hidden state
        if heads is None:
            return
        if heads.hidden_size != text.hidden_size:
            raise ValueError(
                f"The heads read states of width {heads.hidden_size}, but the MLLM's width is"
                f" {text.hidden_size}."
            )
        relation = [] if heads.config.relation is None else [heads.config.relation]
        for tap in [*(heads.config.taps or ()), *relation]:
            if not 0 <= tap <= self.last:
                raise ValueError(
                    f"Tap {tap} does not exist: the MLLM has hidden states 0 (embeddings) to"
                    f" {self.last}."
                )

    def forward(self, batch: Batch) -> SpatialSVOutput:
        """Compute logits and, with heads, geometry of one batch.

        Args:
            batch: packed if and only if the LLM has `enable_packed_attention`.

        Returns:
            The output.
        """
        scored, targets = None, None
        if batch.labels is not None:
            scored, targets = scored_positions(batch.labels)
        required = self.required_states()
        with use_cached_states(self.mllm, self.family, batch.encoded):
            result = self.mllm(
                **self._inputs(batch),
                logits_to_keep=0 if scored is None else scored,
                output_hidden_states=required or False,
                use_cache=False,
            )
        lifted = distilled = related = None
        if self.heads is not None:
            states = {i: batch.visual_states(result.hidden_states[i]) for i in required}
            if self.heads.config.detach:
                states = {i: state.detach() for i, state in states.items()}
            lifted, distilled = self._lift(self.heads, states)
            relation = self.heads.config.relation
            related = None if relation is None else states[relation]
        loss = None
        if self.losses is not None and targets is not None:
            loss = text_loss(result.logits, targets)
            if batch.geometry is not None:  # Eq. 6
                spatial = spatial_losses(
                    lifted, batch.geometry, self.losses, distilled, related=related
                )
                loss = loss + spatial["total"]
        return SpatialSVOutput(
            loss=loss,
            logits=result.logits,
            targets=targets,
            lifted=lifted,
            distilled=distilled,
            related=related,
        )

    def visual_states(self, batch: Batch, indices: list[int]) -> list[Float[Tensor, "B N h w D"]]:
        """Return the visual states at these hidden states (0 = embeddings), without logits.

        Raises:
            ValueError: states that are not finite.
        """
        result = self.mllm.model(
            **self._inputs(batch), output_hidden_states=sorted(set(indices)), use_cache=False
        )
        states = [batch.visual_states(result.hidden_states[i]) for i in indices]
        for index, values in zip(indices, states, strict=True):
            check_finite(values, self.mllm, f"hidden states of layer {index}")
        return states

    def _inputs(self, batch: Batch) -> dict[str, Any]:
        inputs, packing = batch.model_inputs(), batch.packing
        if packing is None:
            return inputs
        del inputs["attention_mask"]
        prefix = batch.input_ids[:, : packing.head]
        positions = self.family.packed_positions(self.mllm, prefix, batch.inputs, packing.steps)
        return inputs | {"position_ids": positions, "packing": packing}

    def component_of(self, parameter: str) -> Component | Literal["heads"]:
        """Return the component to which the parameter of this name belongs."""
        name = parameter.removeprefix(f"{MLLM}.")
        return self.family.component_of(name) if name != parameter else "heads"

    def required_states(self) -> list[int]:
        """Return the hidden states that the heads read; others are freed after their layer."""
        if self.heads is None:
            return []
        config = self.heads.config
        states = set(config.taps or ()) if config.tasks else set()
        if self.heads.distill is not None:
            states.add(self.last)
        if config.relation is not None:
            states.add(config.relation)
        return sorted(states)

    def _lift(
        self, heads: SpatialHeads, states: dict[int, Tensor]
    ) -> tuple[GeometryPrediction | None, Tensor | None]:
        taps = (heads.config.taps or ()) if heads.config.tasks else ()
        lifted = heads([states[tap] for tap in taps]) if taps else None
        return lifted, None if heads.distill is None else heads.distilled(states[self.last])


def scored_positions(labels: Int[Tensor, "B T"]) -> tuple[Int[Tensor, " K"], Int[Tensor, "B K"]]:
    """Return the positions at which any sample's next token is scored, and these next tokens.

    Logits at the other positions would be discarded, and with a vocabulary of 150,000 they are most
    of the memory.
    """
    following = torch.full_like(labels, IGNORED)
    following[:, :-1] = labels[:, 1:]
    positions = (following != IGNORED).any(dim=0).nonzero().squeeze(1)
    return positions, following[:, positions]


def save_spatialsv(folder: Path, model: SpatialSV) -> None:
    """Save mllm/, a plain checkpoint for any tool, and heads/ if the model has heads.

    Raises:
        ValueError: transformers saved fewer values than the MLLM has, such as only an adapter.
    """
    with atomic_directory(folder / MLLM) as temporary:
        temporary.mkdir(parents=True)
        model.mllm.save_pretrained(temporary)
        _check_complete(model.mllm, temporary)
        model.family.save_processor(temporary)
        _copy_code(model.mllm, temporary)
    if model.heads is None:
        delete(folder / HEADS)
    else:
        save_heads(model.heads, folder / HEADS)


def _check_complete(mllm: PreTrainedModel, folder: Path) -> None:
    """Compare the number of values in the files of `folder` with those of `mllm`."""
    stored = 0
    for path in folder.glob("*.safetensors"):
        with safe_open(path, framework="pt") as file:
            names = file.keys()
            stored += sum(math.prod(file.get_slice(name).get_shape()) for name in names)
    unique = {value.data_ptr(): value.numel() for value in mllm.state_dict().values()}
    if stored < (expected := sum(unique.values())):
        raise ValueError(
            f"Only {stored} of the MLLM's {expected} values would be saved. Merge its adapters"
            " before saving it."
        )


def _copy_code(mllm: PreTrainedModel, folder: Path) -> None:
    """Copy the authors' code that config.json names; other tools need it, none of it runs here."""
    base = Path(mllm.name_or_path or "")
    if getattr(mllm.config, "auto_map", None) and (base / "config.json").is_file():
        for code in base.glob("*.py"):
            shutil.copyfile(code, folder / code.name)


def load_spatialsv(
    folder: Path,
    dtype: torch.dtype = torch.float32,
    attn: Literal["sdpa", "eager", "flash_attention_2"] = "sdpa",
    family: type[Family] | str | None = None,
) -> SpatialSV:
    """Load a model in eval mode.

    Args:
        folder: of a training job, or of an exported model.
        dtype: of the MLLM's weights; heads stay in float32.
        attn: as for `load_mllm`.
        family: as for `load_mllm`.

    Returns:
        The model, with heads if there are any.
    """
    checkpoint = folder / MLLM if (folder / MLLM).is_dir() else folder
    mllm, adapter = load_mllm(checkpoint, dtype=dtype, attn=attn, family=family)
    heads = load_heads(folder / HEADS) if (folder / HEADS).is_dir() else None
    return SpatialSV(mllm, adapter, heads).eval()
