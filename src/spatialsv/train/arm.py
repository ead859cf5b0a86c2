"""What an arm is taught: the text, the teacher's features, geometry, and of which scenes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from spatialsv.model.heads import Task


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

    def check(self, where: str) -> None:
        """Refuse what cannot be, or would not do what was meant.

        Raises:
            ValueError: the first such setting, which `where` leads to.
        """
        if not (self.text or self.geometry):
            raise ValueError(f"{where}: neither text, distill nor tasks to learn")
        if not 0 < self.text_share <= 1:
            raise ValueError(f"{where}.text_share: expected a part of 1, found {self.text_share}")
        if self.spatial_weight <= 0:
            raise ValueError(
                f"{where}.spatial_weight: expected more than 0, found"
                f" {self.spatial_weight}; an arm without tasks learns from text alone"
            )
        own = ("taps", "projectors", "teacher")
        if not self.geometry and (vain := [key for key in own if getattr(self, key) is not None]):
            raise ValueError(f"{where}.{vain[0]}: neither distill nor tasks to use it")
        if self.teacher and self.pseudo:
            raise ValueError(
                f"{where}.teacher: pseudo labels are by labels.teacher alone; set that, or"
                " pseudo to false"
            )
        if self.pseudo and not self.geometry:
            raise ValueError(f"{where}: pseudo labels, but neither distill nor tasks")
        if self.pseudo and not self.text and self.labelled:
            raise ValueError(
                f"{where}: without text, images are either labelled or pseudo-labelled; set"
                " labels_share to 0, pseudo to false, or text to true"
            )
        if not self.gated and not self.pseudo:
            raise ValueError(f"{where}.gated: only pseudo labels are; set pseudo: true")
        if not 0 <= self.labels_share <= 1:
            raise ValueError(f"{where}.labels_share: expected 0 to 1, found {self.labels_share}")
        if self.labels_share < 1 and not self.geometry:
            raise ValueError(f"{where}.labels_share: neither distill nor tasks learn from labels")
        if self.labels_share == 0 and not self.pseudo:
            raise ValueError(
                f"{where}.labels_share: at 0 no geometry is left to learn; set pseudo:"
                " true, or leave out distill and tasks: that is text alone"
            )
        if self.blank_images and self.geometry:
            raise ValueError(f"{where}: blank images have no geometry to learn")


# For training by hand. The DAG spells each arm out, since it must know what to make for it.
ARMS: dict[str, ArmConfig] = {
    "text": ArmConfig(),
    "distill": ArmConfig(distill=True),
    "spatialsv": ArmConfig(distill=True, tasks=("depth", "rays", "points")),
    "no_image": ArmConfig(blank_images=True),
    "semi": ArmConfig(distill=True, tasks=("depth", "rays", "points"), pseudo=True),
}
