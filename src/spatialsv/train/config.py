"""What an arm is taught, and how long and how fast all arms are trained."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from spatialsv.config import from_mapping
from spatialsv.losses.total import SpatialLossConfig
from spatialsv.losses.weighting import WeightingConfig
from spatialsv.model.heads import SpatialHeadsConfig, Task
from spatialsv.samples.views import Kind
from spatialsv.train.lora import LoraSettings


@dataclass(frozen=True, kw_only=True)
class ArmConfig:
    """One way to fine-tune the base: which losses, on what it sees."""

    text: bool = True  # the answers' cross-entropy; without it no question is asked
    distill: bool = False  # the teacher's features from the last layer's visual states
    tasks: tuple[Task, ...] = ()  # geometry lifted from the taps
    taps: tuple[int, int, int, int] | None = None  # None: those of TrainConfig.heads
    projectors: Literal["four", "shared"] | None = None  # None: as TrainConfig.heads says
    spatial_weight: float = 1.0  # of all that is taught beside the text, which weighs 1
    teacher: str | None = None  # whose labels; None: labels.teacher. For the DAG, as text_share
    blank_images: bool = False  # grey images: what the questions' text gives away
    labels_share: float = 1.0  # of the labelled scenes, whose geometry is taught; shares are nested
    pseudo: bool = False  # pseudo-labelled images beside the questions, without text
    gated: bool = True  # only what the gate kept of them; False: all that the teacher said
    text_share: float = 1.0  # of the training shards, the first ones: whose questions are asked
    equal: Literal["steps", "epochs"] | None = None  # to an arm's that is asked all; None: as given

    @property
    def geometry(self) -> bool:
        """Whether this arm learns from labels at all, be they pseudo labels."""
        return self.distill or bool(self.tasks)

    @property
    def labelled(self) -> bool:
        """Whether it learns from those of the scenes that it is asked about."""
        return self.geometry and self.labels_share > 0


# For training by hand. The DAG spells each arm out, since it must know what to make for it.
ARMS: dict[str, ArmConfig] = {
    "text": ArmConfig(),
    "distill": ArmConfig(distill=True),
    "spatialsv": ArmConfig(distill=True, tasks=("depth", "rays", "points")),
    "blind": ArmConfig(blank_images=True),
    "semi": ArmConfig(distill=True, tasks=("depth", "rays", "points"), pseudo=True),
}


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
            ValueError: neither knows it, or it teaches nothing.
        """
        if name not in ARMS and name not in self.arms:
            known = ", ".join(sorted(ARMS.keys() | self.arms.keys()))
            raise ValueError(f"arms: no arm {name!r}; known: {known}")
        if name in self.arms:
            arm = from_mapping(ArmConfig, self.arms[name], f"arms.{name}")
        else:
            arm = ARMS[name]
        if not (arm.text or arm.geometry):
            raise ValueError(f"arms.{name}: neither text, distill nor tasks to learn")
        if not 0 < arm.text_share <= 1:
            raise ValueError(
                f"arms.{name}.text_share: expected a part of 1, found {arm.text_share}"
            )
        if arm.spatial_weight <= 0:
            raise ValueError(
                f"arms.{name}.spatial_weight: expected more than 0, found"
                f" {arm.spatial_weight}; an arm without tasks learns from text alone"
            )
        own = ("taps", "projectors", "teacher")
        if not arm.geometry and (vain := [key for key in own if getattr(arm, key) is not None]):
            raise ValueError(f"arms.{name}.{vain[0]}: neither distill nor tasks to use it")
        if arm.teacher and arm.pseudo:
            raise ValueError(
                f"arms.{name}.teacher: pseudo labels are by labels.teacher alone; set that, or"
                " pseudo to false"
            )
        if arm.pseudo and not arm.geometry:
            raise ValueError(f"arms.{name}: pseudo labels, but neither distill nor tasks")
        if arm.pseudo and not arm.text and arm.labelled:
            raise ValueError(
                f"arms.{name}: without text, images are either labelled or pseudo-labelled; set"
                " labels_share to 0, pseudo to false, or text to true"
            )
        if not arm.gated and not arm.pseudo:
            raise ValueError(f"arms.{name}.gated: only pseudo labels are; set pseudo: true")
        if not 0 <= arm.labels_share <= 1:
            raise ValueError(f"arms.{name}.labels_share: expected 0 to 1, found {arm.labels_share}")
        if arm.labels_share < 1 and not arm.geometry:
            raise ValueError(
                f"arms.{name}.labels_share: neither distill nor tasks learn from labels"
            )
        if arm.labels_share == 0 and not arm.pseudo:
            raise ValueError(
                f"arms.{name}.labels_share: at 0 no geometry is left to learn; set pseudo:"
                " true, or leave out distill and tasks: that is text alone"
            )
        if arm.blank_images and arm.geometry:
            raise ValueError(f"arms.{name}: blank images have no geometry to learn")
        return arm
