"""Scenes and questions as samples, ready to collate.

The content of a sample follows from the seed, the epoch and its number; nothing else is random.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from torch.utils.data import Dataset

from spatialsv.samples.augment import Augmentation, AugmentConfig, draw_augmentation
from spatialsv.samples.chat import Chat, Tokens
from spatialsv.samples.crop import Crop
from spatialsv.samples.sampler import SPATIAL, Draw
from spatialsv.samples.targets import Target, Targets
from spatialsv.samples.views import Encode, PreparedViews, SceneViews, ViewProcessor
from spatialsv.scenes.question import Question
from spatialsv.scenes.scene import SceneSet
from spatialsv.scenes.scene_list import SceneList


@dataclass(frozen=True, kw_only=True)
class SamplesConfig:
    """Views, questions and targets of a sample."""

    questions_per_sample: int = 1  # about the same views
    packed: bool = False  # questions do not see each other; else they are turns of one chat
    blank_images: bool = False  # plain grey instead of images: the no-image baseline
    label_stride: int = 1  # pixels; 2 takes every second pixel of each row and column
    label_size: tuple[int, int] | None = None  # height, width that labels are then resampled to
    cache_gib: float = 2.0  # memory for prepared images, GiB
    gated: bool = True  # False includes the pixels that a gate dropped from pseudo labels
    features: bool = True  # include the teacher's features
    confidence: bool = False  # include the teacher's confidence
    shuffle_labels: bool = False  # control: each scene's labels are those of another one
    augment: AugmentConfig | None = None  # random cameras and views; None: those of the data


@dataclass(frozen=True, kw_only=True, eq=False)
class Sample:
    """One chat, its N images, and their geometry if they have labels."""

    ids: tuple[str, ...]  # ids of its questions; of its scene if it has none
    tokens: Tokens
    views: PreparedViews
    target: Target | None


class SceneDataset(Dataset[Sample]):
    """Samples with questions; every epoch uses each question once.

    Scenes that are references to a store (`open_store`) are loaded when a sample needs them.

    Args:
        scenes: scenes with images: one stack, or groups of several shapes.
        questions: questions about these scenes; may be empty if only `images_only` is used.
        processor: the MLLM's.
        labels: labels of the same scenes, one stack or groups; None for samples without targets.
        config: views, questions and targets of a sample.
        seed: of the choice of questions that share a sample.
        encode: see `SceneViews`.
        unlabelled: ids of scenes whose labels are ignored.

    Raises:
        ValueError: scenes without images, questions about other scenes or views or with special
            tokens in their text, or labels that do not belong to the scenes.
    """

    def __init__(
        self,
        scenes: Iterable[SceneSet],
        questions: Sequence[Question],
        processor: ViewProcessor,
        labels: Iterable[SceneSet] | None = None,
        config: SamplesConfig | None = None,
        seed: int = 0,
        encode: Encode | None = None,
        unlabelled: Collection[str] = (),
    ) -> None:
        self.scenes = SceneList(scenes)
        if sources := [scene.source for scene in self.scenes if not scene.has_image]:
            raise ValueError(f"The {sources[0]} scenes have no images. Force the scenes stage.")
        self.config = config or SamplesConfig()
        if self.config.questions_per_sample < 1:
            raise ValueError("questions_per_sample: expected 1 or more.")
        self.seed = seed
        self.chat = Chat(processor)
        self.chat.check(questions)
        self.views = SceneViews(
            self.scenes,
            processor,
            blank=self.config.blank_images,
            cache_gib=self.config.cache_gib,
            encode=encode,
        )
        self.targets = None
        if labels is not None:
            self.targets = Targets(
                self.scenes,
                labels,
                stride=self.config.label_stride,
                size=self.config.label_size,
                gated=self.config.gated,
                features=self.config.features,
                confidence=self.config.confidence,
                unlabelled=unlabelled,
                shuffle=self.config.shuffle_labels,
            )
        self._rows = {name: row for row, name in enumerate(self.scenes.ids)}
        self._groups = self._group(questions)
        size = self.config.questions_per_sample
        self._samples = [  # (group, first question)
            (number, first)
            for number, (_, _, group) in enumerate(self._groups)
            for first in range(0, len(group), size)
        ]

    def __len__(self) -> int:
        return len(self._samples)

    @property
    def view_sets(self) -> int:
        """Number of distinct sets of views, each of which is prepared once."""
        return len(self._groups)

    def get(self, epoch: int, index: int) -> Sample:
        """Return sample `index` of `epoch`; a scene's questions are shuffled in each epoch."""
        number, first = self._samples[index]
        row, views, group = self._groups[number]
        order = np.random.default_rng([self.seed, epoch, number]).permutation(len(group))
        chosen = order[first : first + self.config.questions_per_sample]
        return self._sample(row, views, [group[i] for i in chosen], (epoch, index))

    def __getitem__(self, index: int) -> Sample:
        if not 0 <= index < len(self):
            raise IndexError(index)
        return self.get(0, index)

    def prompt(self, question: Question) -> Sample:
        """Return the sample of `question` without its answer, for generation."""
        row = self._row(question)
        views = self.views(row, question.views)
        return Sample(
            ids=(question.id,),
            tokens=self.chat.prompt(question.text, views),
            views=views,
            target=self._target(row, question.views),
        )

    def images_only(self, row: int, epoch: int = 0) -> Sample:
        """Return the sample of all views of the scene at `row` in `epoch`, without text."""
        return self._sample(row, tuple(range(self.scenes.group(row).shape[0])), [], (epoch, row))

    def _sample(
        self,
        row: int,
        chosen: tuple[int, ...],
        questions: list[Question],
        number: tuple[int, int],
    ) -> Sample:
        """Return a sample; `number` is its epoch and its number, for random cameras."""
        augmented = Augmentation(chosen)
        if self.config.augment is not None:
            rng = np.random.default_rng([self.seed, int(bool(questions)), *number])
            size = self.scenes.group(row).shape[1:]
            augmented = draw_augmentation(self.config.augment, rng, chosen, size, questions)
        views = self.views(row, *augmented)
        return Sample(
            ids=tuple(question.id for question in questions) or self.scenes[row].ids,
            tokens=self._tokens(questions, views),
            views=views,
            target=self._target(row, *augmented),
        )

    def _target(
        self, row: int, views: tuple[int, ...], crops: tuple[Crop, ...] | None = None
    ) -> Target | None:
        return self.targets(row, views, crops) if self.targets is not None else None

    def _tokens(self, questions: list[Question], views: PreparedViews) -> Tokens:
        if not questions:
            return self.chat.images_only(views)
        tokenize = self.chat.packed if self.config.packed else self.chat.with_answers
        return tokenize(questions, views)

    def _group(
        self, questions: Sequence[Question]
    ) -> list[tuple[int, tuple[int, ...], list[Question]]]:
        """Group the questions about the same views of a scene, which may share a sample.

        Returns:
            For each group the scene's row, the views and the questions.
        """
        groups: dict[tuple[int, tuple[int, ...]], list[Question]] = {}
        for question in questions:
            groups.setdefault((self._row(question), question.views), []).append(question)
        return [(row, views, group) for (row, views), group in groups.items()]

    def _row(self, question: Question) -> int:
        """Return the row of the question's scene.

        Raises:
            ValueError: the scene or a view does not exist.
        """
        if question.scene not in self._rows:
            raise ValueError(
                f"Question {question.id!r} is about scene {question.scene!r}, which is in none of"
                " the stores. Pass the questions together with their store."
            )
        row = self._rows[question.scene]
        views = self.scenes.group(row).shape[0]
        if not question.views or not all(0 <= view < views for view in question.views):
            raise ValueError(
                f"Question {question.id!r} shows views {question.views} of a scene of {views}."
            )
        return row


class Pools(Dataset[Sample]):
    """The two pools of a `BatchSampler`: samples with questions, and scenes without any."""

    def __init__(self, text: SceneDataset | None, spatial: SceneDataset | None = None) -> None:
        self.text, self.spatial = text, spatial

    def __getitem__(self, draw: Draw) -> Sample:
        """Return a sample of either pool."""
        if draw.pool == SPATIAL and self.spatial is not None:
            return self.spatial.images_only(draw.item, draw.epoch)
        if draw.pool != SPATIAL and self.text is not None:
            return self.text.get(draw.epoch, draw.item)
        raise IndexError(f"Pool {draw.pool} has no samples.")
