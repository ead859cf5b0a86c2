"""Several processes, one a device: how they meet, share values, and hold parts of a model.

torchrun starts them. Each has a copy of the model (DDP), or a part of it (FSDP2, by `shard`).
"""

from __future__ import annotations

import atexit
import os
import warnings
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor

T = TypeVar("T")


def join(processes: int) -> torch.device:
    """Meet the other processes of the run.

    Args:
        processes: how many there should be.

    Returns:
        This process's device: an accelerator where there is one, else the CPU.

    Raises:
        ValueError: there are more or fewer than `processes`; the message says how to start them.
    """
    started = int(os.environ.get("WORLD_SIZE", 1))
    if started != processes:
        raise ValueError(
            f"train.processes is {processes}, but {started} run: start them by"
            f" `torchrun --standalone --nproc-per-node {processes} -m spatialsv.cli train ...`"
        )
    device = accelerator()
    if processes > 1 and device.type != "cpu":
        device = torch.device(device.type, int(os.environ["LOCAL_RANK"]))
        torch.accelerator.set_device_index(device)
    if processes > 1 and not dist.is_initialized():
        dist.init_process_group(dist.get_default_backend_for_device(device))
        atexit.register(dist.destroy_process_group)
    return device


def accelerator() -> torch.device:
    """Return the GPU to train on, or the CPU where there is none."""
    return torch.accelerator.current_accelerator(check_available=True) or torch.device("cpu")


def rank() -> int:
    """Return this process's number; 0 is the one that writes files."""
    return dist.get_rank() if dist.is_initialized() else 0


def process_count() -> int:
    """Return the number of processes of the run."""
    return dist.get_world_size() if dist.is_initialized() else 1


def wait_for_all() -> None:
    """Return when all processes have come here."""
    if dist.is_initialized():
        dist.barrier()


def sum_over_processes(values: Tensor) -> Tensor:
    """Return the elementwise sum of all processes' `values`."""
    if dist.is_initialized():
        dist.all_reduce(values)
    return values


def gather(value: T) -> list[T]:
    """Return all processes' picklable values, in the order of their ranks."""
    if not dist.is_initialized():
        return [value]
    values: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(values, value)
    return values


def transformer_layers(model: nn.Module) -> list[nn.Module]:
    """Return the repeated layers of a model: the members of its outermost module lists."""
    layers: list[nn.Module] = []
    for child in model.children():
        layers += list(child) if isinstance(child, nn.ModuleList) else transformer_layers(child)
    return layers


def shard(model: nn.Module, layers: list[nn.Module], device: torch.device, bf16: bool) -> None:
    """Leave each process its part of every weight; a layer's are full only while it computes.

    With bf16 they are gathered in it, so that copies kept for the backward pass are half as large;
    parts, and sums of gradients, stay in fp32.
    """
    policy = MixedPrecisionPolicy(
        param_dtype=torch.bfloat16 if bf16 else None,
        reduce_dtype=torch.float32,
        cast_forward_inputs=False,  # autocast does, where it must
    )
    mesh = init_device_mesh(device.type, (process_count(),))
    for module in (*layers, model):
        fully_shard(module, mesh=mesh, mp_policy=policy)
    # The heads' outputs are views of one map each; no loss writes into them.
    warnings.filterwarnings("ignore", "FSDP2-wrapped module .* returned a view tensor")


def full_weights(model: nn.Module) -> dict[str, Tensor]:
    """Return all weights of a sharded model in the first process, and nothing in the others."""
    options = StateDictOptions(full_state_dict=True, cpu_offload=True)
    weights = get_model_state_dict(model, options=options)
    return {name: value for name, value in weights.items() if isinstance(value, Tensor)}


def full_tensor(tensor: Tensor) -> Tensor:
    """Return `tensor`, assembled if each process has a part of it."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor
