"""One training step on shapes only: what it computes and holds, without time or memory.

Fake tensors (`torch.compiler_fake_tensor` in PyTorch's documentation) have shapes, dtypes and a
graph, but no values, so the model's own code is measured, whatever its family. Tensors that the
code looks into (tokens, grids) stay real: fake are weights, images and all that follows from them.
On the meta device no family's forward pass runs, since each looks into some tensor.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable
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

from spatialsv.model.spatialsv import SpatialSV
from spatialsv.optim.distributed import transformer_layers
from spatialsv.samples.batch import Batch
from spatialsv.train.arm import ArmConfig
from spatialsv.train.config import TrainConfig
from spatialsv.train.disk import STEP
from spatialsv.train.objective import arm_losses, gradient_norms, shared_parameters
from spatialsv.train.routing import GradientRouter, make_router

aten = torch.ops.aten
FLOAT = 4  # bytes: weights, gradients and AdamW's states are float32
ATTENTION = "_scaled_dot_product_flash_attention"  # PyTorch's list of FLOPs has a GPU's only
FLOPS = flop_registry | {
    getattr(aten, f"{ATTENTION}_for_cpu{end}"): flop_registry[getattr(aten, f"{ATTENTION}{end}")]
    for end in ("", "_backward")
}
WINDOWED = "windows_as_batch"  # an `attn_implementation` of transformers
INDEXED = (aten.index.Tensor, aten.index_put_.default, aten.index_put.default)


@dataclass(frozen=True, kw_only=True)
class StepEstimate:
    """What one step takes on one device; bytes, and floating point operations."""

    weights: int
    gradients: int
    optimizer: int  # AdamW's states
    kept_mllm: int  # for the backward pass, when the forward pass of the MLLM ends
    kept_heads: int  # ... of the heads, at their outputs' size
    kept_losses: int
    logits: int  # of kept_mllm
    peak: int  # of all that is held at any time of the step
    flops: int  # of one forward and backward pass, with what checkpointing computes twice


class MemoryTracker(TorchDispatchMode):
    """Counts the bytes of all tensors that are alive, and the operations that made them."""

    def __init__(self) -> None:
        super().__init__()
        self.live, self.peak, self.flops = 0, 0, 0  # bytes, bytes, operations
        self._held: set[int] = set()

    def hold(self, tensors: Iterable[Any]) -> None:
        """Count those of `tensors` that are not counted yet, until they are freed."""
        for tensor in tensors:
            if isinstance(tensor, Tensor):
                storage = tensor.untyped_storage()
                key, size = id(storage), storage.nbytes()
                if key not in self._held:
                    self._held.add(key)
                    self.live += size
                    weakref.finalize(storage, self._free, key, size)
        self.peak = max(self.peak, self.live)

    def _free(self, key: int, size: int) -> None:
        self._held.remove(key)
        self.live -= size

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if func in INDEXED:  # fake tensors cannot be indexed by a mask
            args = (args[0], [i for index in args[1] for i in _mask_to_indices(index)], *args[2:])
        out = func(*args, **kwargs)
        if count := FLOPS.get(func.overloadpacket):
            self.flops += count(*args, **kwargs, out_val=out)
        self.hold(tree_leaves(out))
        return out


def _mask_to_indices(index: Tensor | None) -> Iterable[Tensor | None]:
    if index is None or index.dtype != torch.bool:
        return [index]
    return index.nonzero().unbind(1)


def _attend_windows(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    cu_seq_lens_q: Tensor | None = None,
    **options: Any,
) -> tuple[Tensor, None]:
    """Attend within an encoder's windows, if any, as a batch of equal ones."""
    # The Qwens' encoders have hundreds of windows a layer, one after the other without flash
    # attention. A batch takes as much memory and as many operations, but seconds here, not minutes.
    if cu_seq_lens_q is None:
        return sdpa_attention_forward(module, query, key, value, attention_mask, **options)
    count, total = len(cu_seq_lens_q) - 1, query.shape[2]
    length = total // count
    windows = [
        states[:, :, : count * length].unflatten(2, (count, length))[0].transpose(0, 1)
        for states in (query, key, value)
    ]  # (windows, heads, length, channels)
    output = scaled_dot_product_attention(*windows).transpose(1, 2).flatten(0, 1)
    return torch.cat([output, output[: total - count * length]])[None], None


AttentionInterface.register(WINDOWED, _attend_windows)


def without_values(model: SpatialSV, batch: Batch) -> Batch:
    """Make what is on the meta device in `model` fake, and return `batch` with fake images."""
    fake, parameters = FakeTensorMode(allow_non_fake_inputs=True), {}

    def as_fake(tensor: Tensor) -> Tensor:
        with fake:
            return torch.empty(tensor.shape, dtype=tensor.dtype)

    for module in list(model.modules()):
        for name, buffer in list(module.named_buffers(recurse=False)):
            if buffer.is_meta:
                setattr(module, name, as_fake(buffer))
        for name, old in list(module.named_parameters(recurse=False)):
            if old not in parameters:  # tied ones are in several modules
                parameters[old] = nn.Parameter(as_fake(old), old.requires_grad)
            setattr(module, name, parameters[old])
    images = {k: as_fake(v) if v.is_floating_point() else v for k, v in batch.inputs.items()}
    return replace(batch, inputs=images)


def estimate_step(
    model: SpatialSV, batch: Batch, arm: ArmConfig, config: TrainConfig, on_accelerator: bool
) -> StepEstimate:
    """Return what the second step of a run takes on a device, when AdamW's states are there.

    Args:
        model: `without_values`; one with values gives the same. Of a sharded one, parts that are
            gathered for a while are computed from their sizes, in the dtype of `model`.
        batch: what `without_values` returned.
        arm: its losses.
        config: of the run. In bf16, autocast's list of operations is the CPU's, which keeps a
            little less of the heads in float32 than a GPU's.
        on_accelerator: AdamW updates all tensors at once, and holds as much again as all gradients
            meanwhile; else twice as much as the largest.
    """
    tracker, trained = MemoryTracker(), [p for p in model.train().parameters() if p.requires_grad]
    tensors, router = [*model.parameters(), *model.buffers()], make_router(model, arm)
    tracker.hold(tensors)
    sizes = [FLOAT * parameter.numel() for parameter in trained]
    parts = config.processes if config.sharded else 1
    weights = sum(FLOAT * tensor.numel() for tensor in tensors) // parts
    gradients = sum(sizes) // parts
    states = 2 * gradients + STEP * len(sizes)
    tracker.live = weights + states
    if config.processes > 1:  # parts of gradients, or the buckets in which DDP adds them up
        tracker.live += gradients + (_gathered(model) if config.sharded else 0)
    stepping = tracker.live + (0 if config.sharded else gradients)
    stepping += gradients if on_accelerator else 2 * max(sizes) // parts
    with tracker:
        for parameter in trained:
            accumulated = config.accumulation > 1 and not config.sharded
            parameter.grad = torch.zeros_like(parameter) if accumulated else None
        tracker.hold(tree_leaves([batch.input_ids, batch.inputs, batch.encoded]))
        start, marks = tracker.live, []
        hook = model.mllm.register_forward_hook(lambda *_: marks.append(tracker.live))
        with torch.autocast("cpu", torch.bfloat16, enabled=config.precision == "bf16"):
            output = model(batch)
            marks.append(tracker.live)
        hook.remove()
        marks.append(tracker.live)  # without the casts of weights that autograd has not kept
        logits = output.logits.nbytes
        losses = arm_losses(output, batch, arm, config, router=router)
        if config.weighting and config.weighting.by == "gradient_norm":
            gradient_norms(losses, shared_parameters(model))
        total = losses.pop("total")
        del losses
        marks.append(tracker.live)
        del output
        _backward(total, router)
    return StepEstimate(
        weights=weights,
        gradients=gradients,
        optimizer=states,
        kept_mllm=marks[0] - start - (marks[1] - marks[2]),
        kept_heads=marks[1] - marks[0],
        kept_losses=marks[3] - marks[2],
        logits=logits,
        peak=max(tracker.peak, stepping),
        flops=tracker.flops,
    )


def _backward(total: Tensor, router: GradientRouter | None) -> None:
    total.backward()
    if router:
        router.combine()


def _gathered(model: SpatialSV) -> int:
    """Return what FSDP2 holds in addition to the parts, bytes; layers' gradients go at once.

    Weights outside of layers stay gathered for the step; of layers, the one that computes and the
    next are, and one layer's gradients are full, in float32, while they are added up.
    """
    layers = [list(layer.parameters()) for layer in transformer_layers(model.mllm)]
    for parameter in (p for layer in layers for p in layer if p.requires_grad):
        parameter.register_post_accumulate_grad_hook(lambda p: setattr(p, "grad", None))
    inside = [sum(p.nbytes for p in layer) for layer in layers]
    numbers = max(sum(p.numel() for p in layer) for layer in layers)
    outside = sum(p.nbytes for p in model.parameters()) - sum(inside)
    return outside + 2 * max(inside) + FLOAT * numbers
