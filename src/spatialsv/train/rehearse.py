"""One training step on shapes alone: what it computes and what it holds, in no time or memory.

PyTorch's fake tensors have shapes, dtypes and a graph, but no values, so the model's own code
tells, whatever its family. Tensors that the code looks into (tokens, places, grids) stay real: fake
are weights, images and all that follows from them.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn.functional import scaled_dot_product_attention
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from spatialsv.model.spatialsv import SpatialSV, SpatialSVOutput
from spatialsv.samples.batch import Batch
from spatialsv.train.disk import STEP

aten = torch.ops.aten
FLOAT = 4  # bytes: weights, gradients and AdamW's states are float32
FLOPS = flop_registry | {  # PyTorch's list has attention on GPUs only
    aten._scaled_dot_product_flash_attention_for_cpu: flop_registry[
        aten._scaled_dot_product_flash_attention
    ],
    aten._scaled_dot_product_flash_attention_for_cpu_backward: flop_registry[
        aten._scaled_dot_product_flash_attention_backward
    ],
}
WINDOWS = "windows_as_flash"  # as transformers' attn_implementation, which goes by the last word
INDEXED = (aten.index.Tensor, aten.index_put_.default, aten.index_put.default)


@dataclass(frozen=True, kw_only=True)
class Rehearsal:
    """What one step takes on one device; bytes, and floating point operations."""

    weights: int
    gradients: int
    optimizer: int  # AdamW's states
    kept_mllm: int  # for the backward pass, when the forward pass of the MLLM ends
    kept_heads: int  # ... of the 3D parts, at their outputs' size
    kept_losses: int
    logits: int  # of kept_mllm
    peak: int  # of all that is held at any time of the step
    flops: int  # of one forward and backward pass, with what checkpointing computes twice


class Ledger(TorchDispatchMode):
    """Counts the bytes of all tensors that are alive, and the operations that made them."""

    def __init__(self) -> None:
        super().__init__()
        self.live, self.peak, self.flops = 0, 0, 0  # bytes, bytes, operations
        self._held: dict[int, int] = {}

    def hold(self, tensors: Iterable[Any]) -> None:
        """Count those of `tensors` that are not counted yet, until they are freed."""
        for tensor in tensors:
            if not isinstance(tensor, Tensor):
                continue
            storage = tensor.untyped_storage()
            key = storage._cdata
            if key not in self._held:
                self._held[key] = storage.nbytes()
                self.live += storage.nbytes()
                weakref.finalize(storage, self._free, key)
        self.peak = max(self.peak, self.live)

    def _free(self, key: int) -> None:
        self.live -= self._held.pop(key)

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if func in INDEXED:  # fake tensors cannot be chosen from by a mask
            args = (args[0], [place for index in args[1] for place in places(index)], *args[2:])
        out = func(*args, **kwargs)
        if count := FLOPS.get(func.overloadpacket):
            self.flops += count(*args, **kwargs, out_val=out)
        self.hold(tree_leaves(out))
        return out


def attend_windows(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    cu_seq_lens_q: Tensor | None = None,
    **options: Any,
) -> tuple[Tensor, None]:
    """An encoder's attention; its windows, if any, as a batch of equal ones.

    Encoders of the Qwens do hundreds of windows in a layer, one after the other where there is no
    flash attention. That takes no more memory or operations, but its rehearsal takes minutes.
    """
    if cu_seq_lens_q is None:
        return sdpa_attention_forward(module, query, key, value, attention_mask, **options)
    count, total = len(cu_seq_lens_q) - 1, query.shape[2]
    length = total // count
    windows = [
        states[:, :, : count * length].unflatten(2, (count, length))[0].transpose(0, 1)
        for states in (query, key, value)
    ]  # (windows, heads, length, channels)
    found = scaled_dot_product_attention(*windows).transpose(1, 2).flatten(0, 1)
    return torch.cat([found, found[: total - count * length]])[None], None


AttentionInterface.register(WINDOWS, attend_windows)


def places(index: Tensor | None) -> Sequence[Tensor | None]:
    """`index`, or what a mask means by it."""
    if index is None or index.dtype != torch.bool:
        return [index]
    return index.nonzero().unbind(1)


def without_values(model: SpatialSV, batch: Batch) -> Batch:
    """Make what is on the meta device in `model` fake, and return `batch` with fake images."""
    fake, made = FakeTensorMode(allow_non_fake_inputs=True), {}

    def as_fake(tensor: Tensor) -> Tensor:
        with fake:
            return torch.empty(tensor.shape, dtype=tensor.dtype)

    for module in model.modules():
        for name, buffer in module._buffers.items():
            if buffer is not None and buffer.is_meta:
                module._buffers[name] = as_fake(buffer)
        for name, old in module._parameters.items():
            if old is not None and id(old) not in made:  # tied ones stand in several modules
                made[id(old)] = old, nn.Parameter(as_fake(old), old.requires_grad)
            if old is not None:
                module._parameters[name] = made[id(old)][1]
    images = {k: as_fake(v) if v.is_floating_point() else v for k, v in batch.inputs.items()}
    return replace(batch, inputs=images)


def rehearse(
    model: SpatialSV,
    batch: Batch,
    loss: Callable[[SpatialSVOutput], Tensor],
    *,
    half: bool,
    accumulated: bool,
    foreach: bool,
    processes: int = 1,
    sharded: bool = False,
) -> Rehearsal:
    """The second step of a run on one of its devices, when AdamW's states are there.

    Args:
        model: `without_values`; one with values goes through the same.
        batch: what `without_values` returned.
        loss: of the model's output.
        half: autocast to bfloat16. Its list of operations is the CPU's, which keeps a little less
            of the 3D heads in float32 than a GPU's: there they take some more memory.
        accumulated: gradients of forward passes before this one are there.
        foreach: AdamW treats all tensors at once, as it does on a GPU, and holds as much again as
            all gradients meanwhile; else twice as much as the largest.
        processes: each with a copy of all (DDP).
        sharded: ... or with a part of all (FSDP2). Of weights that are whole for a while, the
            sizes are reckoned and not rehearsed; `model` is then in the type they are gathered in.
    """
    ledger, trained = Ledger(), [p for p in model.parameters() if p.requires_grad]
    ledger.hold([*model.parameters(), *model.buffers()])
    sizes = [FLOAT * parameter.numel() for parameter in trained]
    parts = processes if sharded else 1
    weights = sum(FLOAT * t.numel() for t in [*model.parameters(), *model.buffers()]) // parts
    gradients = sum(sizes) // parts
    states = 2 * gradients + STEP * len(sizes)
    ledger.live = weights + states
    if sharded:
        ledger.live += gradients + whole_for_a_while(model)
    elif processes > 1:
        ledger.live += gradients  # the buckets in which DDP adds them up
    stepping = ledger.live + (0 if sharded else gradients)
    stepping += gradients if foreach else 2 * max(sizes) // parts
    with ledger:
        for parameter in trained:
            own = accumulated and not sharded
            parameter.grad = torch.zeros_like(parameter) if own else None
        ledger.hold(tree_leaves([batch.input_ids, batch.inputs, batch.encoded]))
        start, marks = ledger.live, []
        hook = model.mllm.register_forward_hook(lambda *_: marks.append(ledger.live))
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            output = model(batch)
            marks.append(ledger.live)
        hook.remove()
        marks.append(ledger.live)  # without the casts of weights that autograd has not kept
        logits = output.logits.nbytes
        total = loss(output)
        marks.append(ledger.live)
        del output
        total.backward()
    return Rehearsal(
        weights=weights,
        gradients=gradients,
        optimizer=states,
        kept_mllm=marks[0] - start - (marks[1] - marks[2]),
        kept_heads=marks[1] - marks[0],
        kept_losses=marks[3] - marks[2],
        logits=logits,
        peak=max(ledger.peak, stepping),
        flops=ledger.flops,
    )


def whole_for_a_while(model: SpatialSV) -> int:
    """What FSDP2 has of whole weights beside the parts, bytes; the gradients of layers go at once.

    Weights outside of layers stay whole for the step; of layers, the one that computes and the next
    are, and one layer's gradients are whole, in float32, while they are added up.
    """
    kinds = set(model.mllm._no_split_modules)
    layers = [module for module in model.mllm.modules() if type(module).__name__ in kinds]
    inside = [parameter for layer in layers for parameter in layer.parameters()]
    for parameter in inside:
        if parameter.requires_grad:
            parameter.register_post_accumulate_grad_hook(_drop)
    outside = sum(p.nbytes for p in model.parameters()) - sum(p.nbytes for p in inside)
    largest = max((list(layer.parameters()) for layer in layers), key=_numbers)
    return outside + 2 * sum(p.nbytes for p in largest) + FLOAT * _numbers(largest)


def _drop(parameter: nn.Parameter) -> None:
    parameter.grad = None


def _numbers(parameters: Iterable[nn.Parameter]) -> int:
    return sum(parameter.numel() for parameter in parameters)
