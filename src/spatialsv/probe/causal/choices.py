"""The option that a model prefers, read from the logits where its answer begins.

Shapes: B questions with two lettered options each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from spatialsv.model.spatialsv import SpatialSV
from spatialsv.samples.batch import Batch
from spatialsv.samples.chat import IGNORED
from spatialsv.samples.collate import Collate
from spatialsv.samples.dataset import Sample, SceneDataset
from spatialsv.scenes.question import Question
from spatialsv.scenes.scene import Scenes

LETTERS = ("A", "B")


@dataclass(frozen=True, kw_only=True, eq=False)
class Choices:
    """Questions as one batch."""

    batch: Batch
    position: Int[Tensor, " B"]  # whose logits predict the letter
    letters: Int[Tensor, "B 2"]  # token of each option's letter


class ChoiceReader:
    """Reads a model's choices.

    Args:
        model: the model, frozen.
        scenes: with images.
    """

    def __init__(self, model: SpatialSV, scenes: Scenes) -> None:
        self.model = model
        self._data = SceneDataset(scenes, [], model.family)
        self._row = {name: row for row, name in enumerate(scenes.ids)}

    def collate(self, questions: Sequence[Question]) -> Choices:
        """Return questions as a batch.

        Raises:
            ValueError: a question does not have two options, or their letters are one token.
        """
        samples, positions, letters = [], [], []
        for question in questions:
            if len(question.options) != len(LETTERS):
                raise ValueError(f"Question {question.id!r}: expected two options.")
            views = self._data.views(self._row[question.scene], question.views)
            firsts = []
            for letter in LETTERS:
                answered = replace(question, id=f"{question.id}={letter}", answer=letter)
                tokens = self._data.chat.with_answers([answered], views)
                at = int((tokens.labels != IGNORED).nonzero()[0])
                firsts.append(int(tokens.labels[at]))
            if len(set(firsts)) < len(LETTERS):
                raise ValueError("The tokenizer writes the options' letters as the same token.")
            samples.append(Sample(ids=(question.id,), tokens=tokens, views=views, target=None))
            positions.append(at - 1)
            letters.append(firsts)
        device = self.model.mllm.device
        return Choices(
            batch=Collate(processor=self.model.family)(samples).to(device),
            position=torch.tensor(positions, device=device),
            letters=torch.tensor(letters, device=device),
        )

    @torch.inference_mode()
    def margins(self, choices: Choices) -> Float[Tensor, " B"]:
        """Return the logit of the first letter minus that of the second one."""
        kept, index = choices.position.unique(return_inverse=True)
        output = self.model.mllm(
            **choices.batch.model_inputs(), logits_to_keep=kept, use_cache=False
        )
        rows = torch.arange(len(index), device=index.device)
        logits = output.logits[rows, index].gather(1, choices.letters)
        return logits[:, 0] - logits[:, 1]
