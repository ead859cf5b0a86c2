"""What a task of lmms-eval asks, as our chats take it: messages, what they show, and settings.

A message is {"role": ..., "content": [item, ...]}, an item {"type": "text", "text": ...} or
{"type": "image" or "video", "url": ...}, images and words in any order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from PIL import Image

from spatialsv.io.digests import digest_bytes
from spatialsv.samples.views import PreparedViews

Message = Mapping[str, Any]
MOST_TOKENS = 128  # of a reply, where a task does not say; as lmms-eval's own adapters
FILLER = "\n\n"  # what lmms-eval ends replies by where a task does not say; its Qwens ignore it


@dataclass(frozen=True, kw_only=True)
class Shown:
    """What one question shows: images in order, or one video."""

    images: tuple[Image.Image | str, ...] = ()  # pictures, or files of them
    video: str | None = None  # a file

    @property
    def key(self) -> tuple[str, ...]:
        """Equal for equal pictures."""
        if self.video is not None:
            return ("video", self.video)
        return ("images", *map(_key, self.images))


def _key(image: Image.Image | str) -> str:
    if isinstance(image, str):
        return image
    return digest_bytes(f"{image.mode} {image.size}".encode(), image.tobytes())


def shown_in(messages: Sequence[Message], where: str) -> Shown:
    """What `messages` show.

    Args:
        where: the question, for errors.

    Raises:
        ValueError: nothing, sound, several videos, a part of one, or images beside one.
    """
    items = [item for message in messages for item in message["content"]]
    if unknown := {item["type"] for item in items} - {"text", "image", "video"}:
        raise ValueError(f"{where}: shows {unknown.pop()!r}, and images or one video can be shown")
    images = [item["url"] for item in items if item["type"] == "image"]
    videos = [item for item in items if item["type"] == "video"]
    if strange := [image for image in images if not isinstance(image, Image.Image | str)]:
        raise ValueError(f"{where}: an image is a {type(strange[0]).__name__}, no picture or file")
    if len(videos) > 1 or (videos and images) or not (videos or images):
        raise ValueError(
            f"{where}: shows {len(images)} images and {len(videos)} videos; expected images, or"
            " one video"
        )
    if not videos:
        return Shown(images=tuple(images))
    video, ends = videos[0]["url"], (videos[0].get("start_time"), videos[0].get("end_time"))
    if not isinstance(video, str) or ends != (None, None):
        raise ValueError(f"{where}: shows {video!r} from {ends[0]} to {ends[1]}; expected a file")
    return Shown(video=video)


def placed(messages: Sequence[Message], views: PreparedViews) -> list[dict[str, Any]]:
    """`messages` as a chat's template takes them, with an item for each placeholder of `views`.

    A video becomes as many items as it has placeholders: its frames, where it is shown as images.
    """
    shown = {"image": [{"type": views.kind}]}
    shown["video"] = shown["image"] * len(views.placeholders)
    return [
        {
            "role": message["role"],
            "content": [
                part for item in message["content"] for part in shown.get(item["type"], [item])
            ],
        }
        for message in messages
    ]


def most_tokens(settings: Mapping[str, Any], where: str) -> int:
    """The longest reply that a task's `generation_kwargs` allow, in tokens.

    Raises:
        ValueError: these want other replies than greedy ones.
    """
    sampled = settings.get("do_sample") is not False and (settings.get("temperature") or 0) > 0
    others = {"num_beams": 1, "repetition_penalty": 1}
    wanted = {name: settings.get(name) for name in others if settings.get(name) is not None}
    odd = [f"{name}={value}" for name, value in wanted.items() if value != others[name]]
    if sampled:
        odd.append(f"temperature={settings['temperature']}")
    if odd:
        raise ValueError(
            f"{where}: wants {', '.join(odd)}, and replies are greedy here; to ask it so, give"
            " lmms-eval --gen_kwargs temperature=0,num_beams=1,repetition_penalty=1"
        )
    return int(settings.get("max_new_tokens") or MOST_TOKENS)


def cut(reply: str, until: str | Sequence[str] | None) -> str:
    """`reply` up to the first of the strings that end it."""
    for end in [until] if isinstance(until, str) else until or ():
        if end and end != FILLER:
            reply = reply.partition(end)[0]
    return reply
