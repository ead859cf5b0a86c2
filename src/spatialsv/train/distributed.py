"""Several processes, one a device: how they meet, share a model out and put it together again.

torchrun starts them. Each has a copy of the model (DDP, by accelerate), or a part of it (FSDP2, by
`shard`: accelerate's needs GPUs, and in bf16 rounds the heads' outputs and the sums of gradients).
"""

from __future__ import annotations

import atexit
import warnings
from pathlib import Path
from typing import Any, Literal

import torch
from accelerate import PartialState
from torch import Tensor
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor

from spatialsv.model.spatialsv import SpatialSV


def join(processes: int) -> PartialState:
    """Meet the other processes of the run.

    Raises:
        ValueError: there are more or fewer than `processes`; the message says how to start them.
    """
    state = PartialState(cpu=not torch.accelerator.is_available())
    if state.num_processes != processes:
        raise ValueError(
            f"train.processes is {processes}, but {state.num_processes} run: start them by"
            f" `torchrun --standalone --nproc-per-node {processes} -m spatialsv.cli train ...`"
        )
    atexit.register(state.destroy_process_group)
    return state


def shard(model: SpatialSV, precision: Literal["fp32", "bf16"]) -> None:
    """Leave each process its part of every weight; a layer's are whole only while it computes.

    With "bf16" they are gathered in it, so that copies kept for the backward pass are half as
    large; parts, and sums of gradients, stay in fp32.
    """
    state = PartialState()
    policy = MixedPrecisionPolicy(
        param_dtype=torch.bfloat16 if precision == "bf16" else None,
        reduce_dtype=torch.float32,
        cast_forward_inputs=False,  # autocast does, where it must
    )
    options = {
        "mesh": init_device_mesh(state.device.type, (state.num_processes,)),
        "mp_policy": policy,
    }
    for module in list(model.mllm.modules()):
        if type(module).__name__ in model.mllm._no_split_modules:
            fully_shard(module, **options)
    fully_shard(model, **options)
    # What the heads give are views of one map each; no loss writes into them.
    warnings.filterwarnings("ignore", "FSDP2-wrapped module .* returned a view tensor")


def whole_weights(model: SpatialSV) -> dict[str, Tensor]:
    """All weights of a sharded model, in the first process's memory; in the others', nothing."""
    options = StateDictOptions(full_state_dict=True, cpu_offload=True)
    return get_model_state_dict(model, options=options)


def whole(tensor: Tensor) -> Tensor:
    """`tensor`, put together if each process has a part of it."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def save_part(checkpoint: str | Path, parts: dict[str, Any]) -> None:
    """Write this process's part of a sharded model, of its optimiser, and what else `parts` has."""
    Path(checkpoint).mkdir(parents=True, exist_ok=True)
    torch.save({name: part.state_dict() for name, part in parts.items()}, _part(checkpoint))


def load_part(checkpoint: str | Path, parts: dict[str, Any]) -> None:
    """Read what `save_part` wrote in a run of as many processes."""
    saved = torch.load(_part(checkpoint), weights_only=True)
    for name, part in parts.items():
        part.load_state_dict(saved[name])


def _part(checkpoint: str | Path) -> Path:
    return Path(checkpoint) / f"part-{PartialState().process_index}.pt"
