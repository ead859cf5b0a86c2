"""Lessons as tokens: one prompt of images, and behind it each question as if it alone followed.

All questions of a room are packed behind its images (`samples/packing.py`), so that no answer gives
another one away.

Shapes: B lessons, T tokens, P tokens of the shared prompt.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Int
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from spatialsv.base.lessons import Asked
from spatialsv.samples.chat import IGNORED
from spatialsv.samples.packing import Packing, pack

BEGIN, NEXT, END = "<|im_start|>user\n", "<|im_end|>\n<|im_start|>assistant\n", "<|im_end|>"
IMAGE = "<|vision_start|><|image_pad|><|vision_end|>"


class LessonEncoder:
    """Lessons to padded token tensors. Pieces of text recur, so each is tokenized once.

    Args:
        views: how many images open each lesson; 0 for lessons without images.
        side: an image's visual tokens, in rows and in columns.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerFast, views: int, side: int) -> None:
        pad = "<|image_pad|>"
        self.pad_id = tokenizer.pad_token_id
        self.image_id = tokenizer.convert_tokens_to_ids(pad)

        @lru_cache(maxsize=400_000)
        def piece(text: str) -> tuple[int, ...]:
            return tuple(tokenizer(text, add_special_tokens=False)["input_ids"])

        self._piece = piece
        begin = piece(BEGIN)
        image = piece(IMAGE.replace(pad, pad * side**2))
        self.prompt = np.array([*begin, *(image * views)])
        self.view_of = np.array([-1] * len(begin) + [v for v in range(views) for _ in image])
        self.positions = _prompt_positions(len(begin), views, side)

    def ask(self, question: str) -> Int[Tensor, " T"]:
        """The tokens of the prompt and `question`, up to where the answer begins."""
        return torch.tensor([*self.prompt, *self._piece(question), *self._piece(NEXT)])

    def encode(self, asked: Asked) -> tuple[list[int], list[int]]:
        """Token ids and labels of what follows the prompt; the answer and its end are scored.

        What is meant is scored at the end of the question's first line, by its first token.
        """
        question = [*self._piece(asked.question), *self._piece(NEXT)]
        answer = [*self._piece(asked.answer), *self._piece(END)]
        labels = [IGNORED] * len(question) + answer
        if asked.meant is not None:
            first_line = self._piece(asked.question.split("\n")[0] + "\n")
            labels[len(first_line)] = self._piece(asked.meant)[0]
        return question + answer, labels

    def batch(self, lessons: Sequence[Sequence[Asked]]) -> dict[str, Any]:
        """Padded tensors, as the model's forward takes them, and the answers' labels and weights.

        `position_ids` are (3, B, T): time, row and column. An answer of n tokens weighs sqrt(n): a
        letter would be lost among long lists if each token weighed the same.
        """
        encoded = [[self.encode(asked) for asked in lesson] for lesson in lessons]
        start = len(self.prompt)
        packing = pack(start, [[len(ids) for ids, _ in lesson] for lesson in encoded])
        shape = (len(lessons), start + packing.places.shape[1])
        input_ids = np.full(shape, self.pad_id)
        input_ids[:, :start] = self.prompt
        labels = np.full(shape, IGNORED)
        weights = np.zeros(shape, np.float32)
        for row, lesson in enumerate(encoded):
            at = start
            for ids, scored in lesson:
                here = slice(at, at + len(ids))
                input_ids[row, here], labels[row, here] = ids, scored
                answer = np.array(scored) != IGNORED
                weights[row, here] = answer * answer.sum() ** -0.5
                at += len(ids)
        follows = int(self.positions.max()) + 1
        ahead = torch.from_numpy(self.positions)[:, None].expand(-1, len(lessons), -1)
        behind = (follows + packing.steps).expand(3, -1, -1)
        return {
            "input_ids": torch.from_numpy(input_ids),
            "labels": torch.from_numpy(labels),
            "weights": torch.from_numpy(weights),
            "position_ids": torch.cat([ahead, behind], dim=-1),
            "packing": replace(packing, sees=self._sees(lessons, packing)),
        }

    def _sees(self, lessons: Sequence[Sequence[Asked]], packing: Packing) -> Bool[Tensor, "B Q P"]:
        """What of the prompt each question sees: all of it, or what is in no other view."""
        sees = packing.sees.clone()
        for row, lesson in enumerate(lessons):
            for number, asked in enumerate(lesson):
                if asked.view is not None:
                    own = (self.view_of < 0) | (self.view_of == asked.view)
                    sees[row, number] = torch.from_numpy(own)
        return sees


def _prompt_positions(begin: int, views: int, side: int) -> Int[np.ndarray, "3 P"]:
    """M-RoPE's time, row and column of the prompt's tokens, as Qwen2.5-VL numbers them.

    Text counts on in all three. An image stays at one time, and what follows it counts on from its
    farthest row or column.
    """
    rows, columns = np.divmod(np.arange(side**2), side)
    image = np.stack([np.zeros_like(rows), rows, columns])
    parts, at = [np.tile(np.arange(begin), (3, 1))], begin
    for _ in range(views):
        parts += [np.full((3, 1), at), image + at + 1, np.full((3, 1), at + 1 + side)]
        at += side + 2
    return np.concatenate(parts, axis=1)
