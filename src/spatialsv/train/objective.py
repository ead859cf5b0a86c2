"""What an arm minimises: text and geometry added up, every weight 1 by default."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils.data import DataLoader

from spatialsv.geometry.maps import GeometryPrediction
from spatialsv.losses.text import count_scored, text_term
from spatialsv.losses.total import (
    Signal,
    SpatialLossConfig,
    count_terms,
    signal_of,
    spatial_terms,
    weighted_sum,
)
from spatialsv.losses.weighting import RULES, errors_of
from spatialsv.model.spatialsv import SpatialSV, SpatialSVOutput
from spatialsv.optim.distributed import gather, process_count, rank
from spatialsv.optim.loop import Counts, Objective
from spatialsv.samples.batch import Batch
from spatialsv.samples.collate import Collate
from spatialsv.samples.dataset import Pools
from spatialsv.samples.sampler import BatchSampler
from spatialsv.train.arm import ArmConfig
from spatialsv.train.config import TrainConfig
from spatialsv.train.routing import GradientRouter, make_router


class ArmObjective(Objective[Batch]):
    """The losses of one arm, on the batches of a sampler.

    Args:
        model: on its device; it gives the parameters whose gradients are measured or routed.
        arm: which losses it learns from.
        config: their weights, and sizes.
        pools: what `sampler` draws from.
        sampler: every batch of the run, of all processes.
        collate: samples to a batch.
        bf16: whether the forward pass runs in bf16 autocast.
    """

    def __init__(
        self,
        model: SpatialSV,
        arm: ArmConfig,
        config: TrainConfig,
        pools: Pools,
        sampler: BatchSampler,
        collate: Collate,
        bf16: bool,
    ) -> None:
        self.arm, self.config, self.bf16 = arm, config, bf16
        self.pools, self.sampler, self.collate = pools, sampler, collate
        self.device = next(model.parameters()).device
        own = config.weighting
        self.weighting = RULES[own.by](own) if own else None
        self._every = own.every if own and own.by == "gradient_norm" else 0
        self._shared = shared_parameters(model) if self._every else []
        self.router = make_router(model, arm)
        self._norms: dict[str, Tensor] = {}  # of the signals' gradients, in steps that measure them

    def batches(self, step: int) -> Iterator[Batch]:
        """Return this process's batches on its device; processes take turns."""
        first = step * self.config.passes + rank()
        loader = DataLoader(
            self.pools,
            batch_sampler=islice(self.sampler, first, None, process_count()),
            collate_fn=self.collate,
            num_workers=self.config.workers,
        )
        return (batch.to(self.device) for batch in loader)

    def losses(
        self, model: nn.Module, batch: Batch, counts: Counts | None, step: int
    ) -> dict[str, Tensor]:
        """Return the arm's losses; the first pass of some steps also measures gradients."""
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16):
            output = model(batch)
        weights = self.weighting.weights if self.weighting else {}
        values = arm_losses(output, batch, self.arm, self.config, weights, counts, self.router)
        if self._every and not self._norms and step % self._every == 0:
            self._norms = gradient_norms(values, self._shared)
        return values

    def counts(self, batch: Batch) -> Counts:
        """Return the numbers of scored tokens, visual tokens and pixels behind each mean."""
        return arm_counts(batch, self.arm, self.config)

    def sample_ids(self, batch: Batch) -> Sequence[str]:
        """Return the ids of the questions."""
        return batch.ids

    def finish_gradients(self) -> None:
        """Add geometry's gradient where the arm routes it."""
        if self.router:
            self.router.combine()

    def finish_step(self, values: Mapping[str, float]) -> dict[str, float]:
        """Set the next step's weights; return those of this step, and its gradients' cosine."""
        cosine = self.router.cosine if self.router else None
        own = {} if cosine is None else {"gradient_cosine": float(cosine)}
        return own | self._finish_weights(values)

    def _finish_weights(self, values: Mapping[str, float]) -> dict[str, float]:
        if self.weighting is None:
            return {}
        weights = sorted(self.weighting.weights.items())
        norms = gather({name: float(norm) for name, norm in self._norms.items()})
        names = dict.fromkeys(name for one in norms for name in one)
        means = {n: sum(one.get(n, 0.0) for one in norms) / len(norms) for n in names}
        self.weighting.update(errors_of(values), means)
        self._norms = {}
        return {f"weight/{signal}": weight for signal, weight in weights}

    def state(self) -> dict[str, Any]:
        """Return the state of adaptive weights."""
        return self.weighting.state if self.weighting else {}

    def load_state(self, state: dict[str, Any]) -> None:
        """Continue from the adaptive weights of a checkpoint."""
        if self.weighting:
            self.weighting.state = state


def arm_losses(
    output: SpatialSVOutput,
    batch: Batch,
    arm: ArmConfig,
    config: TrainConfig,
    weights: Mapping[str, float] | None = None,
    counts: Counts | None = None,
    router: GradientRouter | None = None,
) -> dict[str, Float[Tensor, ""]]:
    """Return every loss of `arm` by name, and "total".

    A batch in which no token is scored, or no sample has labels, leaves that part at 0. Outputs
    that no loss reads are in the total at no weight: each process must have a gradient for each
    parameter.

    Args:
        output: of the model for `batch`.
        batch: the targets.
        arm: which losses it learns from.
        config: of all arms.
        weights: by signal, in the total only; missing ones are 1.
        counts: those of the full step, if `batch` is not all of it.
        router: takes geometry's gradient, so that a backward pass of the total has the text's only.
    """
    assert output.logits is not None and output.targets is not None  # as batches have labels
    weights = weights or {}
    terms = {}
    if arm.text:
        terms["text"] = text_term(output.logits, output.targets, config.text_reduction)
    if arm.geometry and batch.geometry is not None:
        signals = losses_of(arm, config)
        terms |= spatial_terms(
            output.lifted, batch.geometry, signals, output.distilled, output.related
        )
    values = {name: term.mean(counts[name] if counts else None) for name, term in terms.items()}
    total = output.logits.new_zeros(()).float()
    if arm.text:
        total = total + weights.get("text", 1.0) * values["text"]
    else:
        total = total + _zero_of(output.logits)
    if arm.geometry:
        spatial = _spatial_total(output, values, arm, config, weights)
        total = total + (spatial if router is None else router.take(spatial))
    return values | {"total": total}


def _spatial_total(
    output: SpatialSVOutput,
    values: Mapping[str, Float[Tensor, ""]],
    arm: ArmConfig,
    config: TrainConfig,
    weights: Mapping[str, float],
) -> Float[Tensor, ""]:
    """Return geometry's part of the total."""
    spatial = {name: value for name, value in values.items() if name != "text"}
    if not spatial:  # the batch has no labels
        lifted = vars(output.lifted or GeometryPrediction()).values()
        return _zero_of(output.distilled, output.related, *lifted)
    weight = config.spatial_weight * arm.spatial_weight
    own = {s: weights.get(s, 1.0) * weight for s in map(signal_of, spatial)}
    start = torch.zeros((), device=next(iter(spatial.values())).device)
    return weighted_sum(spatial, own, start)


def arm_counts(batch: Batch, arm: ArmConfig, config: TrainConfig) -> Counts:
    """Return what each mean of `arm_losses` runs over, the same entries for every batch."""
    if batch.labels is None:
        raise ValueError("This batch has no labels. Collate samples with answers for training.")
    counts = {}
    if arm.text:  # the first token is not predicted
        counts["text"] = count_scored(batch.labels[:, 1:], config.text_reduction)[None]
    if arm.geometry:
        grid, device = batch.token_index.shape[2:], batch.labels.device
        counts |= count_terms(batch.geometry, losses_of(arm, config), grid, device)
    return counts


def losses_of(arm: ArmConfig, config: TrainConfig) -> SpatialLossConfig:
    """Return the run's spatial losses with the signals of `arm`."""
    from_features: list[Signal] = ["distill"] if arm.distill else []
    from_features += ["relation"] if arm.relation is not None else []
    return replace(config.losses, tasks=(*from_features, *arm.tasks))


def _zero_of(*outputs: Float[Tensor, "..."] | None) -> Float[Tensor, ""]:
    """Return 0, with a zero gradient to all these."""
    first, *others = [0 * output.sum() for output in outputs if output is not None]
    return sum(others, first)


def gradient_norms(
    losses: Mapping[str, Float[Tensor, ""]], parameters: Sequence[nn.Parameter]
) -> dict[str, Float[Tensor, ""]]:
    """Return the norm at `parameters` of each signal's unweighted gradient, by signal.

    Nothing is added to any `.grad`, and the graph is kept for the step's own backward pass.
    """
    sums: dict[str, Tensor] = {}
    for name, value in losses.items():
        if name != "total" and value.requires_grad:
            sums[signal_of(name)] = sums.get(signal_of(name), 0) + value
    norms = {}
    for signal, loss in sums.items():
        gradients = torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True)
        parts = [gradient.float().norm() for gradient in gradients if gradient is not None]
        norms[signal] = torch.stack(parts).norm() if parts else loss.detach() * 0
    return norms


def shared_parameters(model: SpatialSV) -> list[nn.Parameter]:
    """Return what is trained of the last LLM layer below every tap (GradNorm's choice of weights).

    Raises:
        ValueError: a tap reads the embeddings, below which the LLM has no layer.
    """
    lowest = min([*model.required_states(), model.last])
    if lowest == 0:
        raise ValueError(
            "train.weighting: gradient_norm needs a layer of the LLM below every tap, and a tap is"
            " 0, the embeddings; choose other heads.taps, or uncertainty"
        )
    layer = model.mllm.get_decoder().layers[lowest - 1]
    return [parameter for parameter in layer.parameters() if parameter.requires_grad]
