"""How long, how fast and on what all arms are trained."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from spatialsv.config import from_mapping
from spatialsv.losses.total import SpatialLossConfig
from spatialsv.losses.weighting import WeightingConfig
from spatialsv.model.heads import SpatialHeadsConfig
from spatialsv.samples.views import Kind
from spatialsv.train.arm import ARMS, ArmConfig
from spatialsv.train.lora import LoraSettings


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """How long, how fast and on how much at once; the same for every arm.

    A rate that is None, or taps that are, are those of the MLLM's family (Table 6 of the paper, for
    batches of 16). The shipped model of a few million parameters needs far higher ones, as in
    workflow/config/default.yaml.
    """

    steps: int | None = 400  # optimiser's steps; null where `epochs` is given
    epochs: float | None = None  # times through the questions
    batch_size: int = 24  # samples a forward pass, on each device
    accumulation: int = 1  # forward passes a step, on each device
    processes: int = 1  # one a device, started by torchrun
    sharded: bool = False  # weights and optimiser over the processes (FSDP2), not a copy each
    workers: int = 0  # further processes, beside each, that prepare its batches
    views_as: Kind | None = None  # images, or one video; None: as the base was, else images
    questions_per_sample: int = 1  # about one scene
    packed: bool = False  # each as if it were asked alone; else in turns of one chat
    spatial_share: float = 0.5  # of each batch, for arms with pseudo labels: images without text
    lr_llm: float | None = None  # None: the family's; so for all three
    lr_vl_projector: float | None = None
    lr_heads: float | None = None  # projectors and heads of the geometry, and of the distillation
    lora: LoraSettings | None = None  # None: the whole LLM is trained
    weight_decay: float = 0.01  # on matrices only
    warmup_ratio: float = 0.03  # of all steps
    schedule: Literal["cosine", "linear", "constant_with_warmup"] = "cosine"
    max_grad_norm: float = 1.0  # of the MLLM's gradient, and of the 3D parts', separately
    precision: Literal["fp32", "bf16"] = (
        "fp32"  # bf16: autocast, where the device has it; weights stay fp32
    )
    attention: Literal["sdpa", "eager", "flash_attention_2"] = "sdpa"
    gradient_checkpointing: bool = False  # less memory, a third more time
    save_steps: int = 100  # between two checkpoints to resume from
    log_steps: int = 20  # between two lines on the terminal; the log file has every step
    keep_gib: float = 2.0  # memory for prepared images, GiB, in each process and worker
    cache_vision: bool = False  # the frozen encoder sees views once; files keep what it gives
    text_reduction: Literal["mean", "sum"] = "mean"  # over a step's scored tokens
    label_stride: int = 1  # pixels; 2 teaches every second pixel of each row and column
    label_size: tuple[int, int] | None = None  # height, width of all labels; None: as images are
    spatial_weight: float = 1.0  # of all arms, times their own
    weighting: WeightingConfig | None = None  # None: the paper's, every signal weighs 1
    losses: SpatialLossConfig = field(default_factory=SpatialLossConfig)  # tasks: the arm's
    heads: SpatialHeadsConfig = field(default_factory=SpatialHeadsConfig)  # tasks: the arm's
    arms: dict[str, dict[str, Any]] = field(default_factory=dict)  # others, or in place of ARMS

    def __post_init__(self) -> None:
        if (self.steps is None) == (self.epochs is None):
            raise ValueError(
                f"train: steps {self.steps} and epochs {self.epochs}: give one, set the other null"
            )
        positive = ("batch_size", "accumulation", "processes", "save_steps", "log_steps")
        for name in (*positive, "label_stride"):
            if getattr(self, name) < 1:
                raise ValueError(f"train.{name}: expected 1 or more, found {getattr(self, name)}")
        if self.workers < 0:
            raise ValueError(f"train.workers: expected 0 or more, found {self.workers}")
        if self.sharded and self.processes == 1:
            raise ValueError("train.sharded: one process has none to share with; set processes")
        if self.sharded and self.weighting and self.weighting.by == "gradient_norm":
            raise ValueError(
                "train.weighting: gradient_norm needs whole gradients, which a sharded model never"
                " has; choose uncertainty"
            )
        if self.cache_vision and (self.sharded or self.workers):
            raise ValueError(
                "train.cache_vision: a sharded encoder is whole within a step alone, and workers"
                " cannot ask it; set sharded to false and workers to 0"
            )
        if self.steps is not None and self.steps < 1:
            raise ValueError(f"train.steps: expected 1 or more, found {self.steps}")
        if not 0 <= self.warmup_ratio < 1:
            raise ValueError(f"train.warmup_ratio: expected a part of 1, found {self.warmup_ratio}")
        if self.max_grad_norm <= 0:
            raise ValueError(
                f"train.max_grad_norm: expected more than 0, found {self.max_grad_norm}; a large"
                " one clips nothing"
            )
        if self.spatial_weight <= 0:
            raise ValueError(
                f"train.spatial_weight: expected more than 0, found {self.spatial_weight}; arms"
                " without distill and tasks learn from text alone"
            )
        if not 0 < self.spatial_share < 1:
            raise ValueError(f"train.spatial_share: expected 0 to 1, found {self.spatial_share}")

    @property
    def passes(self) -> int:
        """Forward passes a step, on all devices."""
        return self.accumulation * self.processes

    def arm(self, name: str) -> ArmConfig:
        """The arm `name` of `arms`, else of `ARMS`.

        Raises:
            ValueError: neither knows it, or its settings cannot be, as `ArmConfig.check` says.
        """
        if name in self.arms:
            arm = from_mapping(ArmConfig, self.arms[name], f"arms.{name}")
        elif name in ARMS:
            arm = ARMS[name]
        else:
            known = ", ".join(sorted(ARMS.keys() | self.arms.keys()))
            raise ValueError(f"arms: no arm {name!r}; known: {known}")
        arm.check(f"arms.{name}")
        return arm
