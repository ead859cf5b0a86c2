"""The model class that lmms-eval runs: its prompts, generated from as in `spatialsv evaluate`."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from lmms_eval.api.instance import Instance
from lmms_eval.api.model import lmms

from spatialsv.config import from_mapping
from spatialsv.evaluate.generate import Prompt, generate
from spatialsv.evaluate.prompter import prepare_images
from spatialsv.evaluate.shown import alter_images
from spatialsv.harness.messages import (
    Message,
    VisualInput,
    expand_media,
    max_new_tokens,
    read_visual,
    truncate,
    visual_input,
)
from spatialsv.model.checkpoint import resolve_model
from spatialsv.model.mllm import load_mllm
from spatialsv.progress import progress
from spatialsv.samples.chat import Chat
from spatialsv.samples.views import Kind, PreparedViews
from spatialsv.scenes.readers.video import read_frames


@dataclass(frozen=True, kw_only=True)
class HarnessConfig:
    """The settings in lmms-eval's `--model_args`."""

    pretrained: str  # a train manifest, a folder with mllm/ or of a checkpoint, a hub id, or `base`
    family: str | None = None  # a third-party adapter, MODULE:CLASS
    frames: int = 32  # of a video, evenly spaced, with the first and the last
    max_pixels: int | None = None  # of an image or a frame; larger ones are shrunk
    videos_as: Kind | None = None  # None: as the model was trained
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    attention: Literal["sdpa", "eager", "flash_attention_2"] = "sdpa"

    def __post_init__(self) -> None:
        if self.frames < 1:
            raise ValueError(f"--model_args: frames: expected 1 or more, found {self.frames}.")


class SpatialSVChat(lmms):
    """`--model spatialsv`: greedy responses in batches; equal images are prepared and run once.

    Args:
        batch_size: requests in one forward pass; in float32, responses do not depend on it.
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
            raise ValueError(f"--batch_size: expected 1 or more, found {batch_size}.")
        self.batch_size = int(batch_size)
        self.config = from_mapping(HarnessConfig, settings, "--model_args")
        reference = resolve_model(self.config.pretrained)
        self.blank = reference.uses_blank_images
        dtype = getattr(torch, self.config.dtype)
        model, self.adapter = load_mllm(
            reference.checkpoint, dtype, self.config.attention, self.config.family
        )
        device = device or _default_device()
        self.model = model.to(device)  # type: ignore[arg-type]  # wrapped without its signature
        self.chat = Chat(self.adapter)
        self._views: dict[tuple[str, ...], PreparedViews] = {}  # of the latest batch

    @property
    def device(self) -> torch.device:
        """Where lmms-eval gathers the responses of several processes."""
        return self.model.device

    def generate_until(self, requests: Sequence[Instance]) -> list[str]:
        """Return the response to each request, in their order."""
        by_length: dict[int, list[int]] = {}
        for number, request in enumerate(requests):
            _, _, settings, doc_id, task, _ = request.args
            longest = max_new_tokens(settings, f"{task} {doc_id}")
            by_length.setdefault(longest, []).append(number)
        responses = dict(progress(self._generate(requests, by_length), "lmms-eval", len(requests)))
        return [
            truncate(responses[number], request.args[2].get("until"))
            for number, request in enumerate(requests)
        ]

    def _generate(
        self, requests: Sequence[Instance], by_length: dict[int, list[int]]
    ) -> Iterator[tuple[int, str]]:
        """Yield the number of a request and its response; those of equal limits are batched."""
        for longest, numbers in by_length.items():
            for start in range(0, len(numbers), self.batch_size):
                batch = numbers[start : start + self.batch_size]
                prompts = self._prompts([requests[number] for number in batch])
                generated = generate(self.model, self.adapter, prompts, longest, self.batch_size)
                for index, response in generated:
                    yield batch[index], response

    def _prompts(self, requests: Sequence[Instance]) -> list[Prompt]:
        """Build the requests' prompts; equal images share views, also with the previous batch."""
        previous, self._views = self._views, {}
        prompts = []
        for request in requests:
            _, to_messages, _, doc_id, task, split = request.args
            messages: list[Message] = to_messages(self.task_dict[task][split][doc_id])
            visual = visual_input(messages, f"{task} {doc_id}")
            content = [part for message in messages for part in message["content"]]
            texts = [part["text"] for part in content if part["type"] == "text"]
            self.chat.check_texts(f"{task} {doc_id}", *texts)
            key = visual.key
            if key not in self._views:
                self._views[key] = previous.get(key) or self._prepare(visual)
            views = self._views[key]
            tokens = self.chat.from_messages(expand_media(messages, views), views)
            prompts.append(Prompt(tokens=tokens.input_ids, views=views))
        return prompts

    def _prepare(self, visual: VisualInput) -> PreparedViews:
        limit = self.config.max_pixels
        kind: Kind = "image"
        if visual.video is not None:
            kind = self.config.videos_as or self.adapter.views_as
            images, _ = read_frames(Path(visual.video), self.config.frames, limit)
        else:
            images = [read_visual(image, limit) for image in visual.images]
        pixels = alter_images(images, "grey" if self.blank else "all")
        return prepare_images(self.adapter, pixels, kind)

    def loglikelihood(self, requests: Sequence[Instance]) -> list[tuple[float, bool]]:
        """Refuse tasks that compare likelihoods."""
        raise NotImplementedError("spatialsv: tasks that compare likelihoods are not supported.")

    def generate_until_multi_round(self, requests: Sequence[Instance]) -> list[str]:
        """Refuse tasks of several rounds."""
        raise NotImplementedError("spatialsv: tasks of several rounds are not supported.")


def _default_device() -> str:
    """Return the GPU of this process among those that a launcher started, or the CPU."""
    return f"cuda:{os.environ.get('LOCAL_RANK', 0)}" if torch.cuda.is_available() else "cpu"
