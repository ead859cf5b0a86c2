"""The 3D heads: four taps of visual states become depth, rays and points (Eq. 3 and 4).

Shapes: B samples, N views, h w visual tokens, H W output pixels, D the MLLM's width, C features.
"""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from jaxtyping import Float
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from spatialsv.config import from_mapping, to_mapping
from spatialsv.geometry.maps import GeometryPrediction
from spatialsv.model.dpt import DPTConfig, DPTHead
from spatialsv.model.projectors import (
    Projector,
    confidence,
    in_float32,
    inverse_log,
    make_projectors,
    positive,
)

Task = Literal["depth", "rays", "points"]
CHANNELS = {"depth": 1, "rays": 6, "points": 3}  # each head adds one for its confidence


@dataclass(frozen=True, kw_only=True)
class SpatialHeadsConfig:
    """Which states are read and what is built on them."""

    # As in HF hidden_states: 0 = embeddings. None is for training only: the family's own.
    taps: tuple[int, int, int, int] | None = None
    projectors: Literal["four", "shared"] = "four"
    projector_width: int = 64
    tasks: tuple[Task, ...] = ("depth", "rays", "points")
    output_size: tuple[int, int] = (32, 32)  # H, W of every map; best the labels' own
    dpt: DPTConfig = field(default_factory=DPTConfig)
    feature_channels: int | None = None  # a teacher's width; None: no distillation projector


class SpatialHeads(nn.Module):
    """Projectors shared by the tasks, and one DPT head a task, each with a confidence map.

    Raises:
        ValueError: tasks, and no taps to lift them from.
    """

    def __init__(self, config: SpatialHeadsConfig, hidden_size: int) -> None:
        super().__init__()
        if config.tasks and config.taps is None:
            raise ValueError("heads.taps: name four hidden states, such as family.default_taps()")
        self.config = config
        self.hidden_size = hidden_size
        width = config.projector_width
        shared = config.projectors == "shared"
        # Distillation alone needs neither taps nor heads: no parameter may go without a gradient.
        self.projectors = (
            make_projectors(4, hidden_size, width, shared) if config.tasks else nn.ModuleList()
        )
        self.heads = nn.ModuleDict(
            {task: DPTHead(width, CHANNELS[task] + 1, config.dpt) for task in config.tasks}
        )
        channels = config.feature_channels
        self.distill = None if channels is None else Projector(hidden_size, channels)

    def forward(self, states: list[Float[Tensor, "B N h w D"]]) -> GeometryPrediction:
        """Geometry from the visual states at the four taps, shallow first.

        Confidences are at least 1. Computed in the heads' dtype, delivered in float32 at least.
        """
        samples, views = states[0].shape[:2]
        dtype = next(self.parameters()).dtype
        maps = [
            project(state.to(dtype)).flatten(0, 1).permute(0, 3, 1, 2)  # (B N, C, h, w)
            for project, state in zip(self.projectors, states, strict=True)
        ]
        fields: dict[str, Tensor] = {}
        for task, head in self.heads.items():
            # Channel by channel in memory: activations and losses then run along whole maps.
            raw = in_float32(head(maps, self.config.output_size)).contiguous()
            fields |= READ[task](raw.unflatten(0, (samples, views)))
        return GeometryPrediction(**fields)

    def distilled(self, last: Float[Tensor, "B N h w D"]) -> Float[Tensor, "B N h w C"] | None:
        """The last layer's visual states in the teacher's width; None without distillation."""
        if self.distill is None:
            return None
        return in_float32(self.distill(last.to(next(self.parameters()).dtype)))


def _read_depth(raw: Float[Tensor, "B N 2 H W"]) -> dict[str, Tensor]:
    depth, sure = raw.unbind(2)
    return {"depth": positive(depth), "depth_confidence": confidence(sure)}


def _read_rays(raw: Float[Tensor, "B N 7 H W"]) -> dict[str, Tensor]:
    origins, directions, sure = raw.split([3, 3, 1], dim=2)
    return {
        "ray_origins": origins.movedim(2, -1),
        "ray_directions": directions.movedim(2, -1),
        "ray_confidence": confidence(sure[:, :, 0]),
    }


def _read_points(raw: Float[Tensor, "B N 4 H W"]) -> dict[str, Tensor]:
    points, sure = raw.split([3, 1], dim=2)
    return {
        "points": inverse_log(points).movedim(2, -1),
        "points_confidence": confidence(sure[:, :, 0]),
    }


READ = {"depth": _read_depth, "rays": _read_rays, "points": _read_points}


def save_heads(heads: SpatialHeads, folder: Path) -> None:
    """Write heads.safetensors and config.json into `folder`, replacing it whole."""
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    described = {"hidden_size": heads.hidden_size, "heads": to_mapping(heads.config)}
    (temporary / "config.json").write_text(json.dumps(described, indent=2) + "\n")
    save_file(_without_aliases(heads), temporary / "heads.safetensors")
    shutil.rmtree(folder, ignore_errors=True)
    temporary.replace(folder)


def load_heads(folder: Path) -> SpatialHeads:
    """The heads that `save_heads` wrote.

    Raises:
        FileNotFoundError: `folder` holds no heads; the model was trained without geometry.
    """
    if not (folder / "config.json").is_file():
        raise FileNotFoundError(
            f"{folder}: no config.json of 3D heads here; a model trained without geometry has none"
        )
    described = json.loads((folder / "config.json").read_text())
    config = from_mapping(SpatialHeadsConfig, described["heads"], f"{folder}/config.json: heads")
    heads = SpatialHeads(config, described["hidden_size"])
    missing, unexpected = heads.load_state_dict(
        load_file(folder / "heads.safetensors"), strict=False
    )
    absent = set(missing) - (heads.state_dict().keys() - _without_aliases(heads).keys())
    if absent or unexpected:
        raise ValueError(
            f"{folder}/heads.safetensors does not fit its config.json: missing {sorted(absent)},"
            f" unexpected {sorted(unexpected)}"
        )
    return heads


def _without_aliases(heads: SpatialHeads) -> dict[str, Tensor]:
    """Each tensor once: a shared projector stands four times in the state dict."""
    seen: set[int] = set()
    once = {}
    for name, tensor in heads.state_dict().items():
        if tensor.data_ptr() not in seen:
            seen.add(tensor.data_ptr())
            once[name] = tensor.contiguous()
    return once
