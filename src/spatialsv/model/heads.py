"""The 3D heads: from visual states at four taps to depth, rays and points (Eq. 3 and 4).

Shapes: B samples, N views, h w visual tokens, H W output pixels, D the MLLM's width, C features.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from jaxtyping import Float
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from spatialsv.config import from_mapping, to_mapping
from spatialsv.geometry.maps import GeometryPrediction
from spatialsv.io.atomic import atomic_directory
from spatialsv.io.manifest import check_listed
from spatialsv.io.text import load_json
from spatialsv.model.dpt import DPTConfig, DPTHead
from spatialsv.model.loading import checkpoint_errors
from spatialsv.model.projectors import (
    Projector,
    confidence,
    in_float32,
    inverse_log,
    make_projectors,
    positive,
)

Task = Literal["depth", "rays", "points"]
CHANNELS = {"depth": 1, "rays": 6, "points": 3}  # of each task, without its confidence


@dataclass(frozen=True, kw_only=True)
class SpatialHeadsConfig:
    """The hidden states that are read, and the heads on them."""

    #: As in HF hidden_states: 0 = embeddings. None, in training only: `Family.default_taps`.
    taps: tuple[int, int, int, int] | None = None
    projectors: Literal["four", "shared"] = "four"  # one per tap, or one for all
    projector_width: int = 64  # channels
    tasks: tuple[Task, ...] = ("depth", "rays", "points")  # maps to predict
    output_size: tuple[int, int] = (32, 32)  # H, W of all maps; best that of the labels
    dpt: DPTConfig = field(default_factory=DPTConfig)  # sizes of each head
    feature_channels: int | None = None  # a teacher's width; None: no distillation projector
    relation: int | None = None  # hidden state whose relations are distilled; None: no such loss
    detach: bool = False  # send the MLLM no gradient


class SpatialHeads(nn.Module):
    """Projectors shared by the tasks, and one DPT head for each task, with a confidence map.

    Args:
        config: the heads.
        hidden_size: D, the width of the states.

    Raises:
        ValueError: `config` has tasks but no taps.
    """

    def __init__(self, config: SpatialHeadsConfig, hidden_size: int) -> None:
        super().__init__()
        if config.tasks and config.taps is None:
            raise ValueError(
                "heads.taps is not set. Give four hidden states, such as family.default_taps()."
            )
        self.config = config
        self.hidden_size = hidden_size
        width = config.projector_width
        shared = config.projectors == "shared"
        # Projectors without tasks would be parameters without a gradient.
        self.projectors = (
            make_projectors(4, hidden_size, width, shared) if config.tasks else nn.ModuleList()
        )
        self.heads = nn.ModuleDict(
            {task: DPTHead(width, CHANNELS[task] + 1, config.dpt) for task in config.tasks}
        )
        channels = config.feature_channels
        self.distill = None if channels is None else Projector(hidden_size, channels)

    def forward(self, states: list[Float[Tensor, "B N h w D"]]) -> GeometryPrediction:
        """Predict geometry from the states at the four taps, shallow first, in float32 or finer."""
        samples, views = states[0].shape[:2]
        dtype = next(self.parameters()).dtype
        maps = [
            project(state.to(dtype)).flatten(0, 1).permute(0, 3, 1, 2)  # (B N, C, h, w)
            for project, state in zip(self.projectors, states, strict=True)
        ]
        fields: dict[str, Tensor] = {}
        for task, head in self.heads.items():
            # Contiguous by channel, so that activations and losses run along rows of a map.
            raw = in_float32(head(maps, self.config.output_size)).contiguous()
            fields |= ACTIVATE[task](raw.unflatten(0, (samples, views)))
        return GeometryPrediction(**fields)

    def distilled(self, last: Float[Tensor, "B N h w D"]) -> Float[Tensor, "B N h w C"] | None:
        """Project the last layer's visual states to the teacher's C; None without distillation."""
        if self.distill is None:
            return None
        return in_float32(self.distill(last.to(next(self.parameters()).dtype)))


def _activate_depth(raw: Float[Tensor, "B N 2 H W"]) -> dict[str, Tensor]:
    depth, raw_confidence = raw.unbind(2)
    return {"depth": positive(depth), "depth_confidence": confidence(raw_confidence)}


def _activate_rays(raw: Float[Tensor, "B N 7 H W"]) -> dict[str, Tensor]:
    origins, directions, raw_confidence = raw.split([3, 3, 1], dim=2)
    return {
        "ray_origins": origins.movedim(2, -1),
        "ray_directions": directions.movedim(2, -1),
        "ray_confidence": confidence(raw_confidence[:, :, 0]),
    }


def _activate_points(raw: Float[Tensor, "B N 4 H W"]) -> dict[str, Tensor]:
    points, raw_confidence = raw.split([3, 1], dim=2)
    return {
        "points": inverse_log(points).movedim(2, -1),
        "points_confidence": confidence(raw_confidence[:, :, 0]),
    }


ACTIVATE = {"depth": _activate_depth, "rays": _activate_rays, "points": _activate_points}


def save_heads(heads: SpatialHeads, folder: Path) -> None:
    """Write heads.safetensors and config.json into `folder`, replacing it atomically."""
    settings = {"hidden_size": heads.hidden_size, "heads": to_mapping(heads.config)}
    with atomic_directory(folder) as temporary:
        temporary.mkdir(parents=True)
        (temporary / "config.json").write_text(json.dumps(settings, indent=2) + "\n")
        save_file(_without_aliases(heads), temporary / "heads.safetensors")


def load_heads(folder: Path) -> SpatialHeads:
    """Load the heads that `save_heads` wrote, in float32 and training mode."""
    if not (folder / "config.json").is_file():
        raise FileNotFoundError(
            f"{folder}: no config.json of 3D heads. A model trained without geometry has no heads."
        )
    check_listed(folder)
    settings = load_json(folder / "config.json")
    with checkpoint_errors(folder):
        config = from_mapping(SpatialHeadsConfig, settings["heads"], f"{folder}/config.json: heads")
        heads = SpatialHeads(config, settings["hidden_size"])
        missing, unexpected = heads.load_state_dict(
            load_file(folder / "heads.safetensors"), strict=False
        )
    absent = set(missing) - (heads.state_dict().keys() - _without_aliases(heads).keys())
    if absent or unexpected:
        raise ValueError(
            f"{folder}/heads.safetensors does not match its config.json: missing {sorted(absent)},"
            f" unexpected {sorted(unexpected)}."
        )
    return heads


def _without_aliases(heads: SpatialHeads) -> dict[str, Tensor]:
    """Return each tensor once: a shared projector is four times in the state dict."""
    unique: dict[int, tuple[str, Tensor]] = {}
    for name, tensor in heads.state_dict().items():
        unique.setdefault(tensor.data_ptr(), (name, tensor.contiguous()))
    return dict(unique.values())
