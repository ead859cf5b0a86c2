"""How long, how fast and on what all arms are trained."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from spatialsv.config import from_mapping, to_mapping
from spatialsv.losses.total import SpatialLossConfig
from spatialsv.losses.weighting import WeightingConfig
from spatialsv.model.heads import SpatialHeadsConfig
from spatialsv.optim.schedule import Decay
from spatialsv.samples.views import Kind
from spatialsv.train.arm import ARMS, ArmConfig
from spatialsv.train.lora import LoraSettings

# Settings that may change before a killed run continues: they decide how, not what, it computes.
# The product of `accumulation` and `processes` must stay.
TECHNICAL = (
    *("accumulation", "processes", "sharded", "workers", "gradient_checkpointing"),
    *("save_steps", "log_steps", "cache_gib"),
)


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """How long, how fast and on how much at once; the same for every arm.

    Rates and taps that are None are those of the MLLM's family (Table 6 of the paper, for batches
    of 16). The shipped model of a few million parameters needs far higher rates, as in
    workflow/config/default.yaml.
    """

    steps: int | None = 400  # optimiser steps; null where `epochs` is given
    epochs: float | None = None  # passes through the questions
    batch_size: int = 24  # samples a forward pass, on each device
    accumulation: int = 1  # forward passes a step, on each device
    processes: int = 1  # one a device, started by torchrun
    sharded: bool = False  # shard weights and optimiser over the processes (FSDP2)
    workers: int = 0  # processes that prepare the batches of each training process
    views_as: Kind | None = None  # images, or one video; None: as the base was, else images
    questions_per_sample: int = 1  # about one scene
    packed: bool = False  # answer them independently; false: in turns of one chat
    spatial_share: float = 0.5  # fraction of images without text in batches with pseudo labels
    lr_llm: float | None = None  # learning rate of the LLM; None: the family's, as for the others
    lr_vl_projector: float | None = None  # learning rate of the vision-language projector
    lr_heads: float | None = None  # learning rate of projectors, heads and distillation
    lora: LoraSettings | None = None  # adapters; None: train all weights of the LLM
    #: muon: makes the updates of the LLM's matrices orthogonal; AdamW takes the rest. torch >= 2.9
    optimizer: Literal["adamw", "muon"] = "adamw"
    weight_decay: float = 0.01  # of matrices; vectors have none
    warmup_ratio: float = 0.03  # fraction of all steps
    schedule: Decay = "cosine"  # of the learning rates after the warm-up
    max_grad_norm: float = 1.0  # of the MLLM's gradient and of the heads', separately
    #: bf16: autocast, where the device supports it; weights stay fp32
    precision: Literal["fp32", "bf16"] = "fp32"
    attention: Literal["sdpa", "eager", "flash_attention_2"] = "sdpa"  # implementation
    gradient_checkpointing: bool = False  # less memory, a third more time
    save_steps: int = 100  # steps between two checkpoints to resume from
    log_steps: int = 20  # steps between two lines on the terminal; the log file has every step
    cache_gib: float = 2.0  # cache of prepared images, GiB, in each process and worker
    cache_vision: bool = False  # store the frozen encoder's outputs in files
    text_reduction: Literal["mean", "sum"] = "mean"  # over a step's scored tokens
    label_stride: int = 1  # pixels; 2 uses every second pixel of each row and column
    label_size: tuple[int, int] | None = None  # height, width of all labels; None: the images'
    spatial_weight: float = 1.0  # of all arms, times their own
    weighting: WeightingConfig | None = None  # adaptive weights; None: the paper's, all 1
    losses: SpatialLossConfig = field(default_factory=SpatialLossConfig)  # tasks: the arm's
    heads: SpatialHeadsConfig = field(default_factory=SpatialHeadsConfig)  # tasks: the arm's
    arms: dict[str, dict[str, Any]] = field(default_factory=dict)  # more, or in place of ARMS

    def __post_init__(self) -> None:
        if (self.steps is None) == (self.epochs is None):
            raise ValueError(
                f"train: found steps {self.steps} and epochs {self.epochs}. Give one, set the other"
                " to null."
            )
        counts = ("batch_size", "accumulation", "processes", "save_steps", "log_steps")
        for name in (*counts, "label_stride", *(["steps"] if self.steps is not None else [])):
            self._require(name, getattr(self, name) >= 1, "1 or more")
        self._require("workers", self.workers >= 0, "0 or more")
        self._require("warmup_ratio", 0 <= self.warmup_ratio < 1, "a fraction below 1")
        self._require(
            "max_grad_norm", self.max_grad_norm > 0, "more than 0", "A large value clips nothing."
        )
        self._require(
            "spatial_weight",
            self.spatial_weight > 0,
            "more than 0",
            "Arms without distill, relation and tasks learn only from text.",
        )
        self._require("spatial_share", 0 < self.spatial_share < 1, "0 to 1")
        if self.sharded and self.processes == 1:
            raise ValueError("train.sharded: one process cannot shard. Set train.processes.")
        if self.sharded and self.weighting and self.weighting.by == "gradient_norm":
            raise ValueError(
                "train.weighting: gradient_norm needs full gradients, which a sharded model never"
                " has. Choose uncertainty."
            )
        if self.sharded and self.optimizer == "muon":
            raise ValueError(
                "train.optimizer: muon needs full matrices, which a sharded model never has. Choose"
                " adamw."
            )
        if self.cache_vision and (self.sharded or self.workers):
            raise ValueError(
                "train.cache_vision: a sharded encoder is complete within a step only, and workers"
                " cannot call it. Set sharded to false and workers to 0."
            )

    def _require(self, name: str, is_valid: bool, expected: str, hint: str = "") -> None:
        if not is_valid:
            found = f"train.{name}: expected {expected}, found {getattr(self, name)}."
            raise ValueError(f"{found} {hint}".rstrip())

    @property
    def passes(self) -> int:
        """Return the forward passes a step, on all devices."""
        return self.accumulation * self.processes

    def deciding(self) -> dict[str, Any]:
        """Return the settings without `TECHNICAL` ones."""
        return {k: value for k, value in to_mapping(self).items() if k not in TECHNICAL}

    def arm(self, name: str) -> ArmConfig:
        """Return the arm `name` of `arms`, else of `ARMS`.

        Raises:
            ValueError: the arm is unknown, or its settings are refused by `ArmConfig.check`.
        """
        if name in self.arms:
            arm = from_mapping(ArmConfig, self.arms[name], f"arms.{name}")
        elif name in ARMS:
            arm = ARMS[name]
        else:
            known = ", ".join(sorted(ARMS.keys() | self.arms.keys()))
            raise ValueError(f"arms: unknown arm {name!r}. Known arms: {known}.")
        arm.check(f"arms.{name}")
        self._check_arm(f"arms.{name}", arm)
        return arm

    def _check_arm(self, where: str, arm: ArmConfig) -> None:
        """Refuse settings of `arm` that do not go with those of the run."""
        if self.sharded and arm.routes:
            raise ValueError(
                f"{where}: gradient: projector, gradient_layers and pcgrad need full gradients,"
                " which a sharded model never has. Set train.sharded to false."
            )
        augment = arm.augment
        if augment is None:
            return
        if self.cache_vision:
            raise ValueError(
                f"{where}.augment: images differ in each epoch, so the encoder's outputs cannot be"
                " cached. Set train.cache_vision to false."
            )
        if self.packed and augment.min_views:
            raise ValueError(
                f"{where}.augment.min_views: packed samples need equal numbers of views. Drop it,"
                " or set train.packed to false."
            )
        if self.losses.temporal and augment.shuffle_views:
            raise ValueError(
                f"{where}.augment.shuffle_views: train.losses.temporal compares neighbouring views."
                " Set one of both to false."
            )
