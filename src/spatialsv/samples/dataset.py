"""Scenes and questions as samples, ready to collate.

Scenes that are still in their stores (`open_store`) are read when a sample shows them.

What a sample holds follows from the seed, the epoch and its number: nothing else is random.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from torch.utils.data import Dataset

from spatialsv.samples.chat import Chat, Tokens
from spatialsv.samples.sampler import SPATIAL, Draw
from spatialsv.samples.targets import Target, Targets
from spatialsv.samples.views import Encode, PreparedViews, SceneViews, ViewProcessor
from spatialsv.scenes.question import Question
from spatialsv.scenes.scene import SceneSet
from spatialsv.scenes.scene_list import SceneList


@dataclass(frozen=True, kw_only=True)
class SamplesConfig:
    """What a sample shows and asks."""

    questions_per_sample: int = 1  # about the same views
    packed: bool = False  # each as if it were asked alone; else in turns of one chat
    blank_images: bool = False  # plain grey instead of images: what text alone gives away
    label_stride: int = 1  # pixels; 2 teaches every second pixel of each row and column
    label_size: tuple[int, int] | None = None  # height, width that labels are then brought to
    keep_gib: float = 2.0  # memory for prepared images, GiB
    gated: bool = True  # of pseudo labels, what the gate kept; False: all that the teacher said
    features: bool = True  # of labels, the teacher's features as well


@dataclass(frozen=True, kw_only=True, eq=False)
class Sample:
    """One chat, its N images, and their geometry where it is known."""

    ids: tuple[str, ...]  # of its questions; without any, of its scene
    tokens: Tokens
    views: PreparedViews
    target: Target | None


class SceneDataset(Dataset[Sample]):
    """Samples with questions, in packs; every epoch asks each question once.

    Args:
        scenes: with images; a stack, or groups of several shapes, whose rows are counted through.
        questions: about these scenes; none where only `images_only` is wanted.
        processor: the MLLM's.
        labels: those of the same scenes, a stack or groups; None teaches no geometry.
        config: what samples show and ask.
        seed: of which questions stand together.
        encode: see `SceneViews`.
        unlabelled: ids of scenes whose labels are ignored.

    Raises:
        ValueError: scenes without images, questions about other scenes or views or with special
            tokens in their words, or labels that do not belong to the scenes.
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
        if bare := [one.source for one in self.scenes if not one.has_image]:
            raise ValueError(f"The {bare[0]} scenes have no images. Force the scenes stage.")
        self.config = config or SamplesConfig()
        if self.config.questions_per_sample < 1:
            raise ValueError("questions_per_sample: expected 1 or more")
        self.seed = seed
        self.chat = Chat(processor)
        self.chat.check(questions)
        self.shown = SceneViews(
            self.scenes,
            processor,
            blank=self.config.blank_images,
            keep_gib=self.config.keep_gib,
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
                unlabelled=unlabelled,
            )
        self._rows = {name: row for row, name in enumerate(self.scenes.ids)}
        self._groups = self._group(questions)
        pack = self.config.questions_per_sample
        self._packs = [  # (group, first question)
            (group, first)
            for group, (_, _, asked) in enumerate(self._groups)
            for first in range(0, len(asked), pack)
        ]

    def __len__(self) -> int:
        return len(self._packs)

    @property
    def sets(self) -> int:
        """Of views that questions show, which are prepared once each."""
        return len(self._groups)

    def get(self, epoch: int, index: int) -> Sample:
        """Pack `index` of `epoch`: the questions of one scene, shuffled anew each epoch."""
        group, first = self._packs[index]
        row, views, asked = self._groups[group]
        order = np.random.default_rng([self.seed, epoch, group]).permutation(len(asked))
        chosen = order[first : first + self.config.questions_per_sample]
        return self._sample(row, views, [asked[i] for i in chosen])

    def __getitem__(self, index: int) -> Sample:
        if not 0 <= index < len(self):
            raise IndexError(index)
        return self.get(0, index)

    def prompt(self, question: Question) -> Sample:
        """`question` without its answer: for generation."""
        row = self._row(question)
        views = self.shown(row, question.views)
        target = self.targets and self.targets(row, question.views)
        tokens = self.chat.prompt(question.text, views)
        return Sample(ids=(question.id,), tokens=tokens, views=views, target=target)

    def images_only(self, row: int) -> Sample:
        """All views of the scene at `row`, and no text."""
        return self._sample(row, tuple(range(self.scenes.group(row).shape[0])), [])

    def _sample(self, row: int, chosen: tuple[int, ...], questions: list[Question]) -> Sample:
        views = self.shown(row, chosen)
        return Sample(
            ids=tuple(question.id for question in questions) or self.scenes[row].ids,
            tokens=self._tokens(questions, views),
            views=views,
            target=self.targets and self.targets(row, chosen),
        )

    def _tokens(self, questions: list[Question], views: PreparedViews) -> Tokens:
        if not questions:
            return self.chat.images_only(views)
        ask = self.chat.packed if self.config.packed else self.chat.answered
        return ask(questions, views)

    def _group(
        self, questions: Sequence[Question]
    ) -> list[tuple[int, tuple[int, ...], list[Question]]]:
        """Questions that can be turns of one chat: those about the same views of a scene."""
        groups: dict[tuple[int, tuple[int, ...]], list[Question]] = {}
        for question in questions:
            groups.setdefault((self._row(question), question.views), []).append(question)
        return [(row, views, asked) for (row, views), asked in groups.items()]

    def _row(self, question: Question) -> int:
        if question.scene not in self._rows:
            raise ValueError(
                f"question {question.id!r} asks about scene {question.scene!r}, which is in none"
                " of the stores; pass the questions beside their own store"
            )
        row = self._rows[question.scene]
        views = self.scenes.group(row).shape[0]
        if not question.views or not all(0 <= view < views for view in question.views):
            raise ValueError(
                f"question {question.id!r} shows views {question.views} of a scene of {views}"
            )
        return row


class Pools(Dataset[Sample]):
    """The two pools of a `BatchSampler`: packs of questions, and scenes without any."""

    def __init__(self, text: SceneDataset | None, spatial: SceneDataset | None = None) -> None:
        self.text, self.spatial = text, spatial

    def __getitem__(self, draw: Draw) -> Sample:
        if draw.pool == SPATIAL:
            return self.spatial.images_only(draw.index)
        return self.text.get(draw.epoch, draw.index)
