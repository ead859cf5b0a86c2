"""An arm: one combination of text, the teacher's features and geometry to train on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from spatialsv.model.heads import Task
from spatialsv.samples.augment import AugmentConfig


@dataclass(frozen=True, kw_only=True)
class ArmConfig:
    """One way to fine-tune the base: which losses, on which data."""

    text: bool = True  # learn the answers (cross-entropy); false: no questions
    questions: tuple[str, ...] = ()  # tasks of the questions; none given: all
    distill: bool = False  # learn the teacher's features from the last layer's visual states
    # hidden state whose visual tokens learn to be as similar to each other as the teacher's
    # features are; -1: the last; None: no such loss
    relation: int | None = None
    tasks: tuple[Task, ...] = ()  # geometry to learn from the taps
    taps: tuple[int, int, int, int] | None = None  # hidden states; None: those of train.heads
    projectors: Literal["four", "shared"] | None = None  # None: as train.heads says
    spatial_weight: float = 1.0  # of distillation and geometry; the text's weight is 1
    teacher: str | None = None  # which labels; None: labels.teacher. For the DAG, like text_share
    blank_images: bool = False  # grey images: what can be guessed without images
    labels_share: float = 1.0  # fraction of labelled scenes with geometry; fractions are nested
    pseudo: bool = False  # add pseudo-labelled images, without text
    gated: bool = True  # use only the pseudo labels that passed the gate; false: all
    text_share: float = 1.0  # fraction of the training shards, from the first, with questions
    equal: Literal["steps", "epochs"] | None = None  # to an arm with all questions; None: as given
    augment: AugmentConfig | None = None  # random cameras and views; None: those of the data
    shuffle_labels: bool = False  # control: each scene's geometry is that of another one
    # where geometry's gradient ends: in the LLM, the vision-language projector and the heads; not
    # in the LLM; or, as a control, in the heads only
    gradient: Literal["llm", "projector", "heads"] = "llm"
    gradient_layers: tuple[int, int] | None = None  # first and last LLM layer for it, from 1
    pcgrad: bool = False  # project gradients of text and geometry that conflict (arXiv 2001.06782)

    @property
    def geometry(self) -> bool:
        """Whether this arm learns from labels, true ones or pseudo labels."""
        return self.features or bool(self.tasks)

    @property
    def features(self) -> bool:
        """Whether this arm learns from a teacher's features."""
        return self.distill or self.relation is not None

    @property
    def routes(self) -> bool:
        """Whether the MLLM's gradient is not simply the sum of the text's and geometry's."""
        restricted = self.gradient == "projector" or self.gradient_layers is not None
        return self.geometry and (restricted or self.pcgrad)

    @property
    def labelled(self) -> bool:
        """Whether this arm learns from labels of the scenes with questions."""
        return self.geometry and self.labels_share > 0

    def check(self, where: str) -> None:
        """Refuse settings that contradict each other or have no effect.

        Args:
            where: the path of these settings, for messages.

        Raises:
            ValueError: names the first such setting.
        """
        share, labels, weight = self.text_share, self.labels_share, self.spatial_weight
        own = {"taps": self.taps, "projectors": self.projectors, "teacher": self.teacher}
        unused = next((key for key, value in own.items() if value is not None), None)
        no_effect = "has no effect without distill, relation or tasks."
        text_only = not self.geometry
        rules = (
            (text_only and not self.text, "", "set text, distill, relation or tasks."),
            (not 0 < share <= 1, ".text_share", f"expected a fraction above 0, found {share}."),
            (
                weight <= 0,
                ".spatial_weight",
                f"expected more than 0, found {weight}. For text only, drop distill, relation and"
                " tasks.",
            ),
            (text_only and unused, f".{unused}", no_effect),
            (
                self.teacher and self.pseudo,
                ".teacher",
                "pseudo labels are by labels.teacher. Set that, or pseudo: false.",
            ),
            (self.pseudo and text_only, "", "pseudo labels need distill, relation or tasks."),
            (
                self.pseudo and not self.text and self.labelled,
                "",
                "without text, images are either labelled or pseudo-labelled. Set labels_share to"
                " 0, pseudo to false, or text to true.",
            ),
            (not (self.gated or self.pseudo), ".gated", "has no effect without pseudo: true."),
            (not self.text and self.questions, ".questions", "has no effect without text."),
            (text_only and self.shuffle_labels, ".shuffle_labels", no_effect),
            *self._gradient_rules(no_effect),
            (not 0 <= labels <= 1, ".labels_share", f"expected 0 to 1, found {labels}."),
            (labels < 1 and text_only, ".labels_share", no_effect),
            (
                labels == 0 and not self.pseudo,
                ".labels_share",
                "at 0 no geometry is left to learn. Set pseudo: true, or drop distill, relation and"
                " tasks.",
            ),
            (self.blank_images and self.geometry, "", "blank images have no geometry to learn."),
            (bool(self.blank_images and self.augment), ".augment", "blank images have no cameras."),
        )
        for is_wrong, key, message in rules:
            if is_wrong:
                raise ValueError(f"{where}{key}: {message}")

    def _gradient_rules(self, no_effect: str) -> list[tuple[bool, str, str]]:
        """Return what `check` refuses of the settings of geometry's gradient."""
        text_only, to_heads = not self.geometry, self.gradient == "heads"
        return [
            (text_only and self.gradient != "llm", ".gradient", no_effect),
            (
                to_heads and self.relation is not None,
                ".relation",
                "has no head to train with gradient: heads. Set gradient to llm or projector.",
            ),
            (
                self.gradient_layers is not None and (text_only or self.gradient != "llm"),
                ".gradient_layers",
                "has no effect without gradient: llm and distill, relation or tasks.",
            ),
            (
                self.pcgrad and (text_only or to_heads or not self.text),
                ".pcgrad",
                "needs text and geometry that change the same parameters: text: true; distill,"
                " relation or tasks; and gradient: llm or projector.",
            ),
        ]


# For training by hand. The settings of the DAG spell each arm out.
ARMS: dict[str, ArmConfig] = {
    "text": ArmConfig(),
    "distill": ArmConfig(distill=True),
    "spatialsv": ArmConfig(distill=True, tasks=("depth", "rays", "points")),
    "no_image": ArmConfig(blank_images=True),
    "semi": ArmConfig(distill=True, tasks=("depth", "rays", "points"), pseudo=True),
}
