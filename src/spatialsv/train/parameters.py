"""Which parameters a run trains, how fast, and in which precision."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import nn

from spatialsv.model.families.family import Family
from spatialsv.model.mllm import has_bf16
from spatialsv.model.spatialsv import SpatialSV
from spatialsv.train.config import TrainConfig
from spatialsv.train.lora import ADAPTER


def precision_of(config: TrainConfig) -> Literal["fp32", "bf16"]:
    """Return the precision of forward passes: bf16 only where the device supports it."""
    device = torch.accelerator.current_accelerator()
    return config.precision if has_bf16(device.type if device else "cpu") else "fp32"


def freeze(model: SpatialSV, config: TrainConfig) -> None:
    """Exclude the vision encoder from training and, where adapters are trained, the LLM's own."""
    for name, parameter in model.mllm.named_parameters():
        component = model.family.component_of(name)
        has_adapter = config.lora is not None and component == "llm"
        parameter.requires_grad_(ADAPTER in name if has_adapter else component != "vision")


def rates_of(config: TrainConfig, family: Family) -> dict[str, float]:
    """Return each component's learning rate: the config's, or the family's where it has none."""
    given = {
        "llm": (config.lr_llm, family.lr_llm),
        "projector": (config.lr_vl_projector, family.lr_vl_projector),
        "heads": (config.lr_heads, family.lr_heads),
    }
    return {part: default if rate is None else rate for part, (rate, default) in given.items()}


def parameter_groups(model: SpatialSV, config: TrainConfig) -> list[dict[str, Any]]:
    """Return AdamW's groups: each component at its own rate, with weight decay on matrices only."""
    rates = rates_of(config, model.family)
    groups: dict[tuple[str, bool], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            key = model.component_of(name), parameter.ndim > 1
            groups.setdefault(key, []).append(parameter)
    return [
        {
            "name": f"{component}{'' if decay else ' (no decay)'}",
            "params": parameters,
            "lr": rates[component],
            "weight_decay": config.weight_decay if decay else 0.0,
        }
        for (component, decay), parameters in groups.items()
    ]


def make_optimizers(model: SpatialSV, config: TrainConfig) -> list[torch.optim.Optimizer]:
    """Return AdamW, and Muon for the LLM's matrices where the config says so.

    Muon's steps have the size of AdamW's at the same rate.

    Raises:
        RuntimeError: this torch has no Muon.
    """
    groups = parameter_groups(model, config)
    if config.optimizer == "adamw":
        return [torch.optim.AdamW(groups)]
    if not hasattr(torch.optim, "Muon"):
        raise RuntimeError(
            f"train.optimizer: torch {torch.__version__} has no Muon. Install torch 2.9 or newer,"
            " or choose adamw."
        )
    linear = {id(p.weight) for p in model.mllm.get_decoder().modules() if isinstance(p, nn.Linear)}
    matrices: list[nn.Parameter] = []
    for group in groups:
        if group["name"] == "llm":
            matrices += [p for p in group["params"] if id(p) in linear]
        group["params"] = [p for p in group["params"] if id(p) not in linear]
    muon = torch.optim.Muon(
        matrices,
        lr=rates_of(config, model.family)["llm"],
        weight_decay=config.weight_decay,
        adjust_lr_fn="match_rms_adamw",
    )
    return [torch.optim.AdamW([group for group in groups if group["params"]]), muon]


def clipped_parts(model: SpatialSV) -> dict[str, list[nn.Parameter]]:
    """Return the parts whose gradients are clipped separately: the MLLM, and the heads."""
    parts: dict[str, list[nn.Parameter]] = {"MLLM": [], "heads": []}
    for name, parameter in model.named_parameters():
        parts["MLLM" if name.startswith("mllm.") else "heads"].append(parameter)
    return parts
