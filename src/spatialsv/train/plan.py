"""What a run will take, before it starts: parameters, memory, disk and hours.

The plan reads the settings, the base's config.json and tokenizer, the questions, and the shapes of
stores; one step runs without values (`estimate`). Only the matrices that measure a device's speed
are put on it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import torch
from torch.nn.functional import linear
from torch.utils.benchmark import Timer

from spatialsv.config import to_mapping
from spatialsv.model.checkpoint import resolve_model
from spatialsv.model.mllm import load_mllm
from spatialsv.model.spatialsv import SpatialSV
from spatialsv.model.vision_cache import CachedVisionEncoder
from spatialsv.samples.batch import Batch
from spatialsv.samples.collate import Collate
from spatialsv.train.arm import ArmConfig
from spatialsv.train.config import TrainConfig
from spatialsv.train.data import TrainingData, load_data
from spatialsv.train.disk import GIB, DiskUse, disk_use, free_for
from spatialsv.train.estimate import (
    WINDOWED,
    MemoryTracker,
    StepEstimate,
    estimate_step,
    without_values,
)
from spatialsv.train.parameters import precision_of
from spatialsv.train.stage import make_model, steps_of

DRAWN = 8  # first batches of the run; the longest is estimated
# Training reaches this fraction of the speed of plain matrix products (ours). Llama 3 reached 38 to
# 43 % of its GPUs' nominal speed (arXiv 2407.21783, Table 4), of which products reach some 70 %;
# plain PyTorch fuses less. Small models, which wait for their kernels, reach less: perf/plan.py.
UTILISATION = 0.5
# Tensors cannot have this fraction of a GPU's memory (ours): CUDA's context, workspaces of its
# libraries, and the allocator's gaps.
RESERVED = 0.08


@dataclass(frozen=True, kw_only=True)
class Device:
    """Where the run will be."""

    name: str
    memory: int  # bytes
    flops: float  # a second, of matrix products in the run's precision
    accelerator: bool


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a run takes."""

    parameters: dict[str, int]  # by part
    trained: dict[str, int]  # ... of these
    steps: int
    tokens: float  # of a batch, on average, padding included
    memory: StepEstimate  # of the longest of some batches; bytes
    disk: DiskUse  # bytes
    disk_free: int  # bytes
    device: Device
    hours: float

    @property
    def problems(self) -> list[str]:
        """Return why the run would fail."""
        problems = []
        device, memory = self.device, self.device.memory
        if device.accelerator:
            memory = int(memory * (1 - RESERVED))
        if self.memory.peak > memory:
            problems.append(
                f"memory: {_gib(self.memory.peak)} GiB at the peak, but {device.name} has"
                f" {_gib(memory)} for tensors. Lower train.batch_size (and raise accumulation), set"
                " train.gradient_checkpointing, train adapters (train.lora), or shard the model"
                " over several GPUs (train.processes, train.sharded)"
            )
        if self.disk.most > self.disk_free:
            problems.append(
                f"disk: {_gib(self.disk.most)} GiB at most, but {_gib(self.disk_free)} are free."
                " Make room, or put --out on a larger disk"
            )
        return problems


def plan(
    arm: str,
    seed: int,
    scenes: Sequence[Path],
    labels: Sequence[Path],
    pseudo: Sequence[Path],
    config: TrainConfig,
    out: Path,
    base: str | Path = "rooms",
    family: str | None = None,
    tflops: float | None = None,
    gib: float | None = None,
) -> Plan:
    """Return what `train.stage.run` takes with the same arguments.

    Args:
        arm: name of the training arm.
        seed: seed of the sample order.
        scenes: manifests of the scenes with questions.
        labels: manifests of those scenes' labels.
        pseudo: manifests of pseudo-labelled scenes.
        config: settings of the run.
        out: manifest that the run would write.
        base: MLLM to fine-tune: `rooms`, the shipped one, or a checkpoint.
        family: MODULE:CLASS of an MLLM adapter outside this package; its code is executed.
        tflops: speed of matrix products in the run's precision, TFLOP/s; None: measured here.
        gib: memory of the GPU to plan for, GiB; None: of this machine's device.

    Raises:
        ValueError: whatever `run` would raise before it starts.
    """
    chosen = config.arm(arm)
    if gib is None:
        config = replace(config, precision=precision_of(config))
    model, data = _load(arm, chosen, config, seed, scenes, labels, pseudo, base, family)
    steps = steps_of(chosen, config, data)
    disk = disk_use(model, config, steps)
    _compute_as_configured(model, config)
    device = find_device(config, tflops, gib)
    longest, tokens = _batches(config, data, seed, model)
    batch = without_values(model, longest)
    if config.cache_vision:
        batch = _encode(model, batch, config)
        each = sum(states.nbytes for states in batch.encoded.values()) // len(batch.input_ids)
        disk = replace(disk, most=disk.most + each * data.view_sets)
    memory = estimate_step(model, batch, chosen, config, device.accelerator)
    share = tokens / longest.input_ids.numel()
    operations = memory.flops * share * config.accumulation * steps
    return Plan(
        parameters=_parameters(model, trained=False),
        trained=_parameters(model, trained=True),
        steps=steps,
        tokens=tokens,
        memory=memory,
        disk=disk,
        disk_free=free_for(out),
        device=device,
        hours=operations / (device.flops * UTILISATION) / 3600,
    )


def _load(
    name: str,
    arm: ArmConfig,
    config: TrainConfig,
    seed: int,
    scenes: Sequence[Path],
    labels: Sequence[Path],
    pseudo: Sequence[Path],
    base: str | Path,
    family: str | None,
) -> tuple[SpatialSV, TrainingData]:
    """Return what `arm` trains, without values, and its data."""
    attention: Literal["eager", "sdpa"]  # flash attention needs as much as sdpa
    attention = "eager" if config.attention == "eager" else "sdpa"
    mllm, adapter = load_mllm(
        resolve_model(base).checkpoint, attn=attention, family=family, weights=False
    )
    mllm.set_attn_implementation({"vision_config": WINDOWED})
    adapter.views_as = config.views_as or adapter.views_as
    grey = replace(arm, blank_images=True)  # contents do not matter; grey is prepared once
    data = load_data(name, grey, config, adapter, seed, scenes, labels, pseudo, check_values=False)
    with torch.device("meta"):
        model, _ = make_model(arm, config, data, mllm, adapter)
    return model, data


def _compute_as_configured(model: SpatialSV, config: TrainConfig) -> None:
    if config.sharded and config.precision == "bf16":
        model.to(torch.bfloat16)  # as layers are gathered
    if config.gradient_checkpointing:
        model.mllm.activation_checkpointing_enable()


def _batches(
    config: TrainConfig, data: TrainingData, seed: int, model: SpatialSV
) -> tuple[Batch, float]:
    """Return the longest of the run's first batches, and the tokens of one on average."""
    collate = Collate(processor=model.family, packed=config.packed)
    draws = data.sampler(config, DRAWN, seed)
    batches = [collate([data.pools[draw] for draw in batch]) for batch in draws]
    lengths = [batch.input_ids.numel() for batch in batches]
    longest = max(length for length in lengths)
    last = max(i for i, length in enumerate(lengths) if length == longest)
    return batches[last], sum(lengths) / len(lengths)


def _encode(model: SpatialSV, batch: Batch, config: TrainConfig) -> Batch:
    """Return `batch` with the outputs of the vision encoder, without values."""
    encode = CachedVisionEncoder(model.mllm, model.family, config.precision == "bf16")
    with MemoryTracker():
        return replace(batch, encoded=encode(batch.inputs))


def _parameters(model: SpatialSV, trained: bool) -> dict[str, int]:
    """Return how many parameters each component has; only `trained` ones, or all."""
    counts = {"vision": 0, "projector": 0, "llm": 0, "heads": 0}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad or not trained:
            counts[model.component_of(name)] += parameter.numel()
    return counts


def find_device(config: TrainConfig, tflops: float | None, gib: float | None) -> Device:
    """Return the device to plan for: a GPU with `gib` of memory, or this machine's own."""
    here = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    if gib is not None:
        name, memory = f"a GPU with {gib:g} GiB", int(gib * GIB)
    elif here is not None:
        name, memory = str(here), torch.accelerator.get_memory_info()[1]
    else:
        name, memory = "this machine", os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    dtype = torch.bfloat16 if config.precision == "bf16" else torch.float32
    flops = measured_flops(here or torch.device("cpu"), dtype) if tflops is None else tflops * 1e12
    return Device(
        name=name, memory=memory, flops=flops, accelerator=gib is not None or here is not None
    )


def measured_flops(device: torch.device, dtype: torch.dtype, seconds: float = 0.3) -> float:
    """Measure the floating point operations a second of square matrix products."""
    size = 1024 if device.type == "cpu" else 8192
    matrix = torch.rand(size, size, device=device).to(dtype)
    # By `linear`, as layers multiply; a CPU may be far slower by `@`.
    names = {"linear": linear, "matrix": matrix}
    threads = torch.get_num_threads()
    timer = Timer("linear(matrix, matrix)", globals=names, num_threads=threads)
    return 2 * size**3 / timer.blocked_autorange(min_run_time=seconds).mean


def format_plan(plan: Plan, as_json: bool = False) -> str:
    """Format the plan as a table in GiB, or as JSON in bytes."""
    if as_json:
        return json.dumps(to_mapping(plan) | {"problems": plan.problems}, indent=1)
    memory, disk, device = plan.memory, plan.disk, plan.device
    sizes = {
        "memory, GiB": None,
        "  weights": memory.weights,
        "  AdamW's states": memory.optimizer,
        "  activations, gradients": memory.peak - memory.weights - memory.optimizer,
        "  total": memory.peak,
        f"  {device.name} has": device.memory,
        "  kept from forward to backward pass": None,
        "    MLLM": memory.kept_mllm,
        "      its logits": memory.logits,
        "    heads": memory.kept_heads,
        "    losses": memory.kept_losses,
        "  all gradients": memory.gradients,
        "disk, GiB": None,
        "  a checkpoint to resume from": disk.weights + disk.optimizer,
        "  the trained model": disk.mllm + disk.heads,
        "  at most": disk.most,
        "  free": plan.disk_free,
    }
    return "\n".join(
        [
            f"{'parameters':<20}{'all':>16}{'trained':>16}",
            *(f"  {k:<18}{n:>16,}{plan.trained[k]:>16,}" for k, n in plan.parameters.items()),
            *(k if size is None else f"{k:<36}{_gib(size):>16}" for k, size in sizes.items()),
            "time",
            f"  {plan.steps} steps, a batch of {plan.tokens:.0f} tokens on average",
            f"  {plan.hours:.3g} hours, at {UTILISATION:.0%} of {device.flops / 1e12:.3g} TFLOP/s",
            f"train: planned {plan.steps} steps, {_gib(memory.peak)} GiB, {plan.hours:.3g} hours;"
            " nothing was written",
        ]
    )


def _gib(size: int) -> str:
    return f"{size / GIB:.3f}"
