"""How a model is asked a benchmark's items: what is shown once for all that it is asked about.

Questions about the same images or video are asked together; turns of a dialogue in their order.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import av
import numpy as np
from jaxtyping import UInt8
from PIL import Image

from spatialsv.benchmarks.benchmark import Scorer
from spatialsv.benchmarks.images import pictures as pictures_of
from spatialsv.benchmarks.item import Item
from spatialsv.evaluate.dialogue import messages, rounds
from spatialsv.evaluate.generate import Prompt, generate
from spatialsv.model.families.family import Family
from spatialsv.samples.chat import Chat
from spatialsv.samples.views import GREY, PreparedViews
from spatialsv.scenes.images import limit_pixels
from spatialsv.scenes.readers.video import read_frames

Shown = tuple[str, ...]  # images in order, or one video
Asked = tuple[Item, Prompt, dict[str, Any]]  # the last: what of the prompt its line tells


@dataclass(frozen=True, kw_only=True)
class AskConfig:
    """How a benchmark is asked."""

    scorer: str | None = None  # whose prompts and rules; None: the authors'
    frames: int = 32  # of a video, evenly spread, both ends among them
    max_pixels: int | None = None  # of an image or a frame; larger ones are made smaller
    max_new_tokens: int | None = None  # None: as many as the benchmark's replies take
    batch_size: int = 16  # questions
    videos_as: Literal["image", "video"] | None = None  # None: as the model was trained
    blank_images: bool = False  # grey in place of all that is shown: what the text gives away

    def __post_init__(self) -> None:
        for name in ("frames", "max_new_tokens", "batch_size"):
            if (number := getattr(self, name)) is not None and number < 1:
                raise ValueError(f"{name} {number}: expected 1 or more")


def shown_in(item: Item) -> Shown:
    """What is shown with a question."""
    return (item.video,) if item.video is not None else item.images


@dataclass(frozen=True)
class Asking:
    """Asks questions, those about the same images together."""

    model: Any
    adapter: Family
    rules: Scorer
    data: Path
    config: AskConfig
    blank: bool

    def __call__(
        self, items: Sequence[Item], known: Mapping[str, Mapping[str, Any]]
    ) -> Iterator[dict[str, Any]]:
        """A line for each item that is not in `known`, in the order in which replies come.

        Args:
            items: all of the benchmark's.
            known: lines of an earlier run, by id.
        """
        alone = [item for item in items if "turn" not in item.more and item.id not in known]
        yield from self._alone(alone)
        yield from self._in_turn([item for item in items if "turn" in item.more], known)

    def _alone(self, items: Sequence[Item]) -> Iterator[dict[str, Any]]:
        chat, groups = Chat(self.adapter), {}
        for item in items:
            groups.setdefault((item.video is not None, *shown_in(item)), []).append(item)
        waiting: list[Asked] = []
        for members in groups.values():
            views, seen = self._views(members[0])
            for item in members:
                text = self.rules.prompt(item)
                prompt = Prompt(tokens=chat.prompt(text, views).input_ids, views=views)
                waiting.append((item, prompt, {"prompt": text} | seen))
            if len(waiting) >= self.config.batch_size:
                yield from self._asked(waiting)
                waiting = []
        yield from self._asked(waiting)

    def _in_turn(
        self, items: Sequence[Item], known: Mapping[str, Mapping[str, Any]]
    ) -> Iterator[dict[str, Any]]:
        chat = Chat(self.adapter)
        replies = {item.id: known[item.id]["reply"] for item in items if item.id in known}
        shown: dict[str, list[Image.Image]] = {}  # of the dialogues that are going on
        for turns in rounds(items, replies, self.config.batch_size):
            open_ = [item for each in turns for item in each]
            shown = {item.id: shown.get(item.id) or self._pictures(item) for item in open_}
            for line in self._asked([self._turn(chat, each, replies, shown) for each in turns]):
                replies[line["id"]] = line["reply"]
                yield line

    def _turn(
        self,
        chat: Chat,
        turns: Sequence[Item],
        replies: Mapping[str, str],
        pictures: Mapping[str, list[Image.Image]],
    ) -> Asked:
        """The last of `turns`, after the others and their replies."""
        shown = [pictures[item.id] for item in turns]
        texts = [self.rules.prompt(item) for item in turns]
        said = [replies[item.id] for item in turns[:-1]]
        views = self.adapter.prepare(
            [pixels(picture, self.blank) for some in shown for picture in some], "image"
        )
        asked = messages(turns, texts, said, [len(some) for some in shown])
        tokens = chat.conversation(asked, views).input_ids
        return (
            turns[-1],
            Prompt(tokens=tokens, views=views),
            {
                "prompt": texts[-1],
                "shown": list(shown_in(turns[-1])),
                "sizes": [list(picture.size) for picture in shown[-1]],
            },
        )

    def _asked(self, waiting: Sequence[Asked]) -> Iterator[dict[str, Any]]:
        prompts = [prompt for _, prompt, _ in waiting]
        tokens, size = self.config.max_new_tokens, self.config.batch_size
        for index, reply in generate(self.model, self.adapter, prompts, tokens, size):
            item, _, seen = waiting[index]
            said = self.rules.read(item, reply)
            value = self.rules.score(item, said)
            line = {"id": item.id, "scene": item.scene, "task": item.task, "answer": item.answer}
            yield line | seen | {"reply": reply, "extracted": said, "score": value}

    def _views(self, item: Item) -> tuple[PreparedViews, dict[str, Any]]:
        """What is shown, prepared, and what of it is told."""
        seen: dict[str, Any] = {"shown": list(shown_in(item))}
        kind = "image"
        if item.video is not None:
            kind = self.config.videos_as or self.adapter.views_as
            pictures, seen["frames"] = read_frames(
                self.data / item.video, self.config.frames, self.config.max_pixels
            )
            seen["decoder"] = f"PyAV {av.__version__}"
        else:
            pictures = self._pictures(item)
        seen["sizes"] = [list(picture.size) for picture in pictures]
        images = [pixels(picture, self.blank) for picture in pictures]
        return self.adapter.prepare(images, kind), seen

    def _pictures(self, item: Item) -> list[Image.Image]:
        found = [picture for name in item.images for picture in pictures_of(self.data, name)]
        return [limit_pixels(picture, self.config.max_pixels) for picture in found]


def pixels(picture: Image.Image, blank: bool) -> UInt8[np.ndarray, "H W 3"]:
    """What a model is shown of a picture; grey if `blank`."""
    image = np.array(picture)
    return np.full_like(image, GREY) if blank else image
