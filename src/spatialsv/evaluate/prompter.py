"""Prompts an MLLM with a benchmark's items; images that items share are prepared and run once.

Items about the same images or video are generated together, turns of a dialogue in their order.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import av
from transformers import PreTrainedModel

from spatialsv.benchmarks.benchmark import Benchmark, Item, Protocol
from spatialsv.benchmarks.images import read_images
from spatialsv.benchmarks.responses import Response
from spatialsv.benchmarks.score import respond
from spatialsv.evaluate.config import EvaluateConfig, Shown
from spatialsv.evaluate.dialogue import dialogue_messages, interleaved_messages, rounds
from spatialsv.evaluate.generate import Prompt, generate
from spatialsv.evaluate.shown import Pixels, alter_images
from spatialsv.model.families.family import Family
from spatialsv.samples.chat import Chat
from spatialsv.samples.views import Kind, PreparedViews
from spatialsv.scenes.readers.video import read_frames


class ItemPrompt(NamedTuple):
    """An item, its prompt, and what `Response.inputs` records of the prompt's images."""

    item: Item
    prompt: Prompt
    inputs: dict[str, Any]


class Media(NamedTuple):
    """What is shown of the images, or the frames of a video, that an item is about."""

    images: list[Pixels]
    kind: Kind  # how the MLLM takes them
    inputs: dict[str, Any]


def prepare_images(adapter: Family, images: Sequence[Pixels], kind: Kind) -> PreparedViews:
    """Prepare images for an MLLM; without any, its prompt is only text."""
    if not images:
        return PreparedViews(kind=kind, inputs={}, placeholders=(), grids=())
    return adapter.prepare(images, kind)


@dataclass(frozen=True)
class Prompter:
    """Generates an MLLM's responses to the items of a benchmark.

    Attributes:
        model: in eval mode.
        adapter: the model's.
        benchmark: whose items are answered.
        protocol: its prompts, parser and scores.
        data: the folder of its files.
        config: `batch_size` and `max_new_tokens` are numbers.
        shown: what is shown of the images.
    """

    model: PreTrainedModel
    adapter: Family
    benchmark: Benchmark
    protocol: Protocol
    data: Path
    config: EvaluateConfig
    shown: Shown

    def respond(self, items: Sequence[Item], done: Mapping[str, Response]) -> Iterator[Response]:
        """Yield a response to each item that is not in `done`, in the order of generation.

        Args:
            items: all of the benchmark's: turns of a dialogue need those before them.
            done: responses by the items' ids.

        Raises:
            ValueError: a prompt contains a control token of the chat template.
        """
        chat = Chat(self.adapter)
        for item in items:
            texts = (*self._texts(item), str(item.more.get("system", "")))
            chat.check_texts(f"{self.data}: question {item.id!r}", *texts)
        single = [item for item in items if "turn" not in item.more and item.id not in done]
        for chunk in _chunks(single, self._batch_size):
            views: dict[tuple, tuple[PreparedViews, dict[str, Any]]] = {}
            yield from self._generate([self._item_prompt(chat, item, views) for item in chunk])
        yield from self._respond_in_turn(
            chat, [item for item in items if "turn" in item.more], done
        )

    @property
    def _batch_size(self) -> int:
        return self.config.batch_size or self.benchmark.batch_size

    def _item_prompt(
        self, chat: Chat, item: Item, cache: dict[tuple, tuple[PreparedViews, dict[str, Any]]]
    ) -> ItemPrompt:
        """Build the prompt of an item; `cache` holds views of the items before it."""
        key = (item.video is not None, *item.media)
        if key not in cache:
            media = self._load(item)
            sizes = tuple(image.shape for image in media.images)
            # Plain images of one size are equal, so that scenes can share them.
            is_plain = self.shown in ("grey", "black") and item.views
            shared = (self.shown, sizes, item.views) if is_plain else key
            views, _ = cache.get(shared) or (
                prepare_images(self.adapter, media.images, media.kind),
                None,
            )
            cache[shared] = cache[key] = (views, media.inputs)
        views, inputs = cache[key]
        text, mark = self.protocol.prompt(item), self.benchmark.image_mark
        if len(self._texts(item)) > 1:
            messages = interleaved_messages(text, mark, len(views.placeholders))
            tokens = chat.from_messages(messages, views).input_ids
        else:
            tokens = chat.prompt(text, views).input_ids
        return ItemPrompt(item, Prompt(tokens=tokens, views=views), inputs)

    def _texts(self, item: Item) -> list[str]:
        """Return the texts of a prompt, between which its images are shown."""
        text, mark = self.protocol.prompt(item), self.benchmark.image_mark
        return text.split(mark) if mark and item.video is None else [text]

    def _respond_in_turn(
        self, chat: Chat, items: Sequence[Item], done: Mapping[str, Response]
    ) -> Iterator[Response]:
        texts = {item.id: done[item.id].response for item in items if item.id in done}
        media: dict[str, Media] = {}  # of the dialogues in progress
        for dialogues in rounds(items, texts, self._batch_size):
            current = [item for turns in dialogues for item in turns]
            media = {item.id: media.get(item.id) or self._load(item) for item in current}
            prompts = [self._turn_prompt(chat, turns, texts, media) for turns in dialogues]
            for response in self._generate(prompts):
                texts[response.id] = response.response
                yield response

    def _turn_prompt(
        self,
        chat: Chat,
        turns: Sequence[Item],
        texts: Mapping[str, str],
        media: Mapping[str, Media],
    ) -> ItemPrompt:
        """Build the prompt of the last of `turns`, after the others and their responses."""
        shown = [media[item.id] for item in turns]
        images = [image for one in shown for image in one.images]
        views = prepare_images(self.adapter, images, "image")
        messages = dialogue_messages(
            turns,
            [self.protocol.prompt(item) for item in turns],
            [texts[item.id] for item in turns[:-1]],
            [len(one.images) for one in shown],
        )
        tokens = chat.from_messages(messages, views).input_ids
        return ItemPrompt(turns[-1], Prompt(tokens=tokens, views=views), shown[-1].inputs)

    def _generate(self, prompts: Sequence[ItemPrompt]) -> Iterator[Response]:
        tokens = self.config.max_new_tokens or self.benchmark.response_tokens
        generated = generate(
            self.model, self.adapter, [one.prompt for one in prompts], tokens, self._batch_size
        )
        for index, text in generated:
            yield respond(prompts[index].item, self.protocol, text, prompts[index].inputs)

    def _load(self, item: Item) -> Media:
        """Load what is shown of the images or the frames of an item.

        Returns:
            The images.

        Raises:
            ValueError: none of the files or cells that the item names holds an image.
        """
        inputs: dict[str, Any]
        kind: Kind = "image"
        if item.video is not None:
            kind = self.config.videos_as or self.adapter.views_as
            images, frames = read_frames(
                self.data / item.video, self.config.frames, self.config.max_pixels
            )
            inputs = {"video": item.video, "frames": frames, "decoder": f"PyAV {av.__version__}"}
        else:
            if self.benchmark.images_are_views:
                kind = self.adapter.views_as
            limit = self.config.max_pixels
            images = [
                image for name in item.images for image in read_images(self.data, name, limit)
            ]
            inputs = {"images": list(item.images)}
        if item.media and not images:
            raise ValueError(f"{self.data}: question {item.id!r} has no image in {item.media[0]}.")
        pixels = alter_images(images, self.shown)
        sizes = [[image.shape[1], image.shape[0]] for image in pixels]
        return Media(pixels, kind, inputs | {"sizes": sizes})


def _chunks(items: Sequence[Item], batch_size: int) -> Iterator[list[Item]]:
    """Yield items whose responses are generated together.

    Items with equal images are in one chunk. All items about the scenes of one store are a chunk,
    in their order; others are joined until there are `batch_size`.
    """
    groups: dict[tuple, list[Item]] = {}
    for item in items:
        store = (item.images[0].partition("#")[0],) if item.views else ()
        groups.setdefault(store or (item.video is not None, *item.media), []).append(item)
    chunk: list[Item] = []
    for members in groups.values():
        chunk += members
        if members[0].views or len(chunk) >= batch_size:
            yield chunk
            chunk = []
    if chunk:
        yield chunk
