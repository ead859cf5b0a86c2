"""The model that lmms-eval runs: prompts by the task, all else as `spatialsv evaluate` does it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from lmms_eval.api.instance import Instance
from lmms_eval.api.model import lmms
from PIL import Image

from spatialsv.config import from_mapping
from spatialsv.evaluate.asking import pixels
from spatialsv.evaluate.generate import Prompt, generate
from spatialsv.harness.messages import Message, Shown, cut, most_tokens, placed, shown_in
from spatialsv.model.checkpoint import resolve_model
from spatialsv.model.mllm import load_mllm
from spatialsv.progress import progress
from spatialsv.samples.chat import Chat
from spatialsv.samples.views import Kind, PreparedViews
from spatialsv.scenes.images import limit_pixels, read_image
from spatialsv.scenes.readers.video import read_frames


@dataclass(frozen=True, kw_only=True)
class HarnessConfig:
    """What lmms-eval's `--model_args` say."""

    pretrained: str  # a train manifest, a folder with mllm/ or of a checkpoint, a hub id, or `base`
    family: str | None = None  # an adapter from outside
    frames: int = 32  # of a video, evenly spread, both ends among them
    max_pixels: int | None = None  # of an image or a frame; larger ones are made smaller
    videos_as: Kind | None = None  # None: as the model was trained
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    attention: Literal["sdpa", "eager", "flash_attention_2"] = "sdpa"

    def __post_init__(self) -> None:
        if self.frames < 1:
            raise ValueError(f"--model_args: frames {self.frames}: expected 1 or more")


class SpatialSVChat(lmms):
    """`--model spatialsv`: greedy replies, batched, equal images prepared and run once.

    Args:
        batch_size: questions in one forward pass; in float32, replies do not depend on it.
        device: None takes this process's GPU, or the CPU where there is none.
        settings: of `HarnessConfig`.

    Raises:
        ValueError: an unknown setting, or one out of range.
    """

    is_simple = False

    def __init__(
        self, batch_size: int | str = 1, device: str | None = None, **settings: Any
    ) -> None:
        super().__init__()
        settings.pop("max_batch_size", None)  # of `--batch_size auto`, which is refused
        if not str(batch_size).isdecimal() or int(batch_size) < 1:
            raise ValueError(f"--batch_size {batch_size}: expected 1 or more")
        self.batch_size = int(batch_size)
        self.config = from_mapping(HarnessConfig, settings, "--model_args")
        ref = resolve_model(self.config.pretrained)
        self.blank = ref.uses_blank_images
        dtype = getattr(torch, self.config.dtype)
        model, self.adapter = load_mllm(
            ref.checkpoint, dtype, self.config.attention, self.config.family
        )
        self.model = model.to(device or own_device())
        self.chat = Chat(self.adapter)
        self._kept: dict[tuple[str, ...], PreparedViews] = {}  # what the latest batch showed

    @property
    def device(self) -> torch.device:
        """For lmms-eval, which gathers the replies of several processes there."""
        return self.model.device

    def generate_until(self, requests: Sequence[Instance]) -> list[str]:
        """A reply to each request, in their order."""
        lengths: dict[int, list[int]] = {}
        for number, request in enumerate(requests):
            _, _, settings, doc_id, task, _ = request.args
            most = most_tokens(settings, f"{task} {doc_id}")
            lengths.setdefault(most, []).append(number)
        replies = dict(progress(self._replies(requests, lengths), "lmms-eval", len(requests)))
        return [
            cut(replies[number], request.args[2].get("until"))
            for number, request in enumerate(requests)
        ]

    def _replies(
        self, requests: Sequence[Instance], lengths: dict[int, list[int]]
    ) -> Iterator[tuple[int, str]]:
        """Numbers of requests, and what is replied; those of equal length together."""
        for most, numbers in lengths.items():
            for start in range(0, len(numbers), self.batch_size):
                batch = numbers[start : start + self.batch_size]
                prompts = self._prompts([requests[number] for number in batch])
                answers = generate(self.model, self.adapter, prompts, most, self.batch_size)
                for index, reply in answers:
                    yield batch[index], reply

    def _prompts(self, requests: Sequence[Instance]) -> list[Prompt]:
        """What the tasks ask; equal images share one object, also with the batch before."""
        asked, shown = [], []
        for request in requests:
            _, to_messages, _, doc_id, task, split = request.args
            messages: list[Message] = to_messages(self.task_dict[task][split][doc_id])
            asked.append(messages)
            shown.append(shown_in(messages, f"{task} {doc_id}"))
        kept, self._kept = self._kept, {}
        prompts = []
        for messages, what in zip(asked, shown, strict=True):
            key = what.key
            if key not in self._kept:
                self._kept[key] = kept.get(key) or self._views(what)
            views = self._kept[key]
            tokens = self.chat.conversation(placed(messages, views), views)
            prompts.append(Prompt(tokens=tokens.input_ids, views=views))
        return prompts

    def _views(self, shown: Shown) -> PreparedViews:
        limit, kind = self.config.max_pixels, "image"
        if shown.video is not None:
            kind = self.config.videos_as or self.adapter.views_as
            pictures, _ = read_frames(Path(shown.video), self.config.frames, limit)
        else:
            pictures = [limit_pixels(picture(image), limit) for image in shown.images]
        return self.adapter.prepare([pixels(one, self.blank) for one in pictures], kind)

    def loglikelihood(self, requests: Sequence[Instance]) -> list[tuple[float, bool]]:
        raise NotImplementedError("spatialsv: tasks that compare likelihoods are not supported")

    def generate_until_multi_round(self, requests: Sequence[Instance]) -> list[str]:
        raise NotImplementedError("spatialsv: tasks of several rounds are not supported")


def picture(image: Image.Image | str) -> Image.Image:
    """An image of a task, in RGB."""
    return read_image(Path(image)) if isinstance(image, str) else image.convert("RGB")


def own_device() -> str:
    """The GPU of this process among those that a launcher started, or the CPU."""
    return f"cuda:{os.environ.get('LOCAL_RANK', 0)}" if torch.cuda.is_available() else "cpu"
