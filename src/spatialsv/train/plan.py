"""What a run will take, before it takes it: parameters, memory, disk and hours.

Read are the settings, the base's config.json and tokenizer, the questions, and of stores the
shapes; one step is gone through without values (`rehearse`). Nothing is put on a device but the
matrices by which its speed is measured.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import linear

from spatialsv.config import to_mapping
from spatialsv.model.checkpoint import resolve_model
from spatialsv.model.mllm import load_mllm
from spatialsv.model.spatialsv import SpatialSV, SpatialSVOutput
from spatialsv.model.vision_cache import CachedVisionEncoder
from spatialsv.samples.batch import Batch
from spatialsv.samples.collate import Collate
from spatialsv.train.arm import ArmConfig
from spatialsv.train.config import TrainConfig
from spatialsv.train.data import TrainingData, load_data
from spatialsv.train.disk import GIB, DiskUse, disk_use, free_for
from spatialsv.train.objective import arm_losses, gradient_norms, shared_parameters
from spatialsv.train.parameters import precision_of
from spatialsv.train.rehearse import WINDOWS, Ledger, Rehearsal, rehearse, without_values
from spatialsv.train.stage import make_model, steps_of

DRAWN = 8  # batches of the run, of which the longest is gone through
# Of what plain matrix products reach, the part that training does (ours). Llama 3 was trained at 38
# to 43 % of its GPUs' nominal speed (arXiv 2407.21783, Table 4), of which products reach some 70 %;
# plain PyTorch fuses less. Small models, which wait for their kernels, reach less: perf/plan.py.
UTILISATION = 0.5
# Of a GPU's memory, what tensors cannot have (ours): CUDA's context, workspaces of its libraries,
# and the allocator's gaps.
RESERVED = 0.08


@dataclass(frozen=True, kw_only=True)
class Device:
    """Where the run is to be."""

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
    memory: Rehearsal  # of the longest of some batches; bytes
    disk: DiskUse  # bytes
    disk_free: int  # bytes
    device: Device
    hours: float

    @property
    def faults(self) -> list[str]:
        """Why the run would fail."""
        found = []
        device, room = self.device, self.device.memory
        if device.accelerator:
            room = int(room * (1 - RESERVED))
        if self.memory.peak > room:
            found.append(
                f"memory: {_gib(self.memory.peak)} GiB at the peak, and {device.name} has"
                f" {_gib(room)} for tensors; lower train.batch_size (and raise accumulation), set"
                " train.gradient_checkpointing, train adapters (train.lora), or share the model out"
                " over several GPUs (train.processes, train.sharded)"
            )
        if self.disk.most > self.disk_free:
            found.append(
                f"disk: {_gib(self.disk.most)} GiB at most, {_gib(self.disk_free)} free; make room,"
                " or put --out on a larger disk"
            )
        return found


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
    """What `train.stage.run` takes with the same arguments.

    Args:
        tflops: of matrix products in the run's precision, 1e12 a second; None: measured here.
        gib: memory of the GPU that is planned for, GiB; None: of this machine's device.

    Raises:
        ValueError: all that `run` would raise before it starts.
    """
    chosen = config.arm(arm)
    if gib is None:
        config = replace(config, precision=precision_of(config))
    attention = "eager" if config.attention == "eager" else "sdpa"  # flash needs as much
    mllm, adapter = load_mllm(
        resolve_model(base).checkpoint, attn=attention, family=family, weights=False
    )
    mllm.set_attn_implementation({"vision_config": WINDOWS})
    adapter.views_as = config.views_as or adapter.views_as
    grey = replace(chosen, blank_images=True)  # what is shown does not matter, and is prepared once
    data = load_data(arm, grey, config, adapter, seed, scenes, labels, pseudo, check_values=False)
    with torch.device("meta"):
        model, _ = make_model(chosen, config, data, mllm, adapter)
    disk = disk_use(model, config, steps_of(chosen, config, data))
    if config.sharded and config.precision == "bf16":
        model.to(torch.bfloat16)  # as layers are gathered
    if config.gradient_checkpointing:
        model.mllm.activation_checkpointing_enable()
    device = find_device(config, tflops, gib)
    longest, tokens = _batches(config, data, seed, model)
    batch = without_values(model, longest)
    if config.cache_vision:
        encode = CachedVisionEncoder(model.mllm, adapter, config.precision == "bf16")
        with Ledger():
            batch = replace(batch, encoded=encode(batch.inputs))
        each = sum(states.nbytes for states in batch.encoded.values()) // len(batch.input_ids)
        disk = replace(disk, most=disk.most + each * data.sets)
    memory = rehearse_arm(model, batch, chosen, config, device.accelerator)
    steps = steps_of(chosen, config, data)
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


def rehearse_arm(
    model: SpatialSV, batch: Batch, arm: ArmConfig, config: TrainConfig, accelerator: bool
) -> Rehearsal:
    """A step of `arm`, as `SpatialTrainer` does it."""

    def loss(output: SpatialSVOutput) -> Tensor:
        terms = arm_losses(output, batch, arm, config)
        if config.weighting and config.weighting.by == "gradient_norm":
            gradient_norms(terms, shared_parameters(model))
        return terms["total"]

    return rehearse(
        model.train(),
        batch,
        loss,
        half=config.precision == "bf16",
        accumulated=config.accumulation > 1,
        foreach=accelerator,
        processes=config.processes,
        sharded=config.sharded,
    )


def _batches(
    config: TrainConfig, data: TrainingData, seed: int, model: SpatialSV
) -> tuple[Batch, float]:
    """The longest of the run's first batches, and the tokens of one on average."""
    collate = Collate(processor=model.family, packed=config.packed)
    longest, lengths = None, []
    for draws in data.sampler(config, DRAWN, seed):
        batch = collate([data.pools[draw] for draw in draws])
        lengths.append(batch.input_ids.numel())
        if lengths[-1] == max(lengths):
            longest = batch
    return longest, sum(lengths) / len(lengths)


def _parameters(model: SpatialSV, trained: bool) -> dict[str, int]:
    """How many parameters each part has; only `trained` ones, or all."""
    counts = {"vision": 0, "projector": 0, "llm": 0, "heads": 0}
    for name, parameter in model.named_parameters():
        counts[model.component_of(name)] += (
            parameter.numel() if parameter.requires_grad or not trained else 0
        )
    return counts


def find_device(config: TrainConfig, tflops: float | None, gib: float | None) -> Device:
    """The device that is planned for: a GPU with `gib` of memory, or this machine's own."""
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
    """Floating point operations a second of square matrix products."""
    size = 1024 if device.type == "cpu" else 8192
    one = torch.rand(size, size, device=device).to(dtype)
    linear(one, one)  # the first is slow
    _wait(device)
    start, done = time.perf_counter(), 0
    while time.perf_counter() - start < seconds:
        linear(one, one)  # as layers multiply; a CPU may be far slower by `@`
        _wait(device)
        done += 1
    return done * 2 * size**3 / (time.perf_counter() - start)


def _wait(device: torch.device) -> None:
    if device.type != "cpu":
        torch.accelerator.synchronize()


def told(plan: Plan, as_json: bool = False) -> str:
    """The plan as a table of GiB, or as JSON of bytes."""
    if as_json:
        return json.dumps(to_mapping(plan) | {"faults": plan.faults}, indent=1)
    memory, disk, device = plan.memory, plan.disk, plan.device
    return "\n".join(
        [
            f"{'parameters':<20}{'all':>16}{'trained':>16}",
            *(f"  {k:<18}{n:>16,}{plan.trained[k]:>16,}" for k, n in plan.parameters.items()),
            f"{'memory, GiB':<36}{'at the peak':>16}",
            *_rows(
                ("weights", memory.weights),
                ("AdamW's states", memory.optimizer),
                ("activations, gradients", memory.peak - memory.weights - memory.optimizer),
                ("together", memory.peak),
                (f"{device.name} has", device.memory),
            ),
            "  kept from forward to backward pass",
            *_rows(
                ("  MLLM", memory.kept_mllm),
                ("    its logits", memory.logits),
                ("  heads", memory.kept_heads),
                ("  losses", memory.kept_losses),
                ("all gradients", memory.gradients),
            ),
            "disk, GiB",
            *_rows(
                ("a checkpoint to resume from", disk.weights + disk.optimizer),
                ("the trained model", disk.mllm + disk.heads),
                ("at most", disk.most),
                ("free", plan.disk_free),
            ),
            "time",
            f"  {plan.steps} steps, a batch of {plan.tokens:.0f} tokens on average",
            f"  {plan.hours:.3g} hours, at {UTILISATION:.0%} of {device.flops / 1e12:.3g} TFLOP/s",
        ]
    )


def _rows(*rows: tuple[str, int]) -> list[str]:
    return [f"  {name:<34}{_gib(size):>16}" for name, size in rows]


def _gib(size: int) -> str:
    return f"{size / GIB:.3f}"
