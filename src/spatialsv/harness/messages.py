"""lmms-eval's requests in the form that this package generates from: messages, media, settings.

A message is {"role": ..., "content": [item, ...]}, an item {"type": "text", "text": ...} or
{"type": "image" or "video", "url": ...}, images and text in any order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from spatialsv.io.digests import digest_bytes
from spatialsv.samples.views import PreparedViews
from spatialsv.scenes.images import limit_pixels, read_image, to_rgb

Message = Mapping[str, Any]
MAX_NEW_TOKENS = 128  # where a task does not say; as lmms-eval's own adapters
DEFAULT_STOP = "\n\n"  # lmms-eval's where a task does not say; its Qwen adapters ignore it


@dataclass(frozen=True, kw_only=True)
class VisualInput:
    """The images in order, or the video, of one request."""

    images: tuple[Image.Image | str, ...] = ()  # images, or paths of image files
    video: str | None = None  # a path

    @property
    def key(self) -> tuple[str, ...]:
        """Equal for equal images."""
        if self.video is not None:
            return ("video", self.video)
        return ("images", *map(_key, self.images))


def _key(image: Image.Image | str) -> str:
    if isinstance(image, str):
        return image
    shown = to_rgb(image)  # equal indices of two palettes are not equal images
    return digest_bytes(f"{shown.size}".encode(), shown.tobytes())


def read_visual(image: Image.Image | str, max_pixels: int | None) -> Image.Image:
    """Return an image, or the content of a file, in RGB with at most `max_pixels` pixels."""
    if isinstance(image, str):
        return read_image(Path(image), max_pixels=max_pixels)
    return limit_pixels(to_rgb(image), max_pixels)


def visual_input(messages: Sequence[Message], where: str) -> VisualInput:
    """Return the images or the video in `messages`.

    Args:
        messages: of one request.
        where: the request, for errors.

    Returns:
        The images, in the order of the messages, or the video.

    Raises:
        ValueError: nothing visual, audio, several videos, a part of one, or images and a video.
    """
    items = [item for message in messages for item in message["content"]]
    if unknown := {item["type"] for item in items} - {"text", "image", "video"}:
        raise ValueError(
            f"{where}: unsupported content {unknown.pop()!r}; expected images or video."
        )
    images = [item["url"] for item in items if item["type"] == "image"]
    videos = [item for item in items if item["type"] == "video"]
    if invalid := [image for image in images if not isinstance(image, Image.Image | str)]:
        raise ValueError(
            f"{where}: an image is a {type(invalid[0]).__name__}; expected a PIL image or a path."
        )
    if len(videos) > 1 or (videos and images) or not (videos or images):
        raise ValueError(
            f"{where}: found {len(images)} images and {len(videos)} videos; expected images, or"
            " one video."
        )
    if not videos:
        return VisualInput(images=tuple(images))
    video, ends = videos[0]["url"], (videos[0].get("start_time"), videos[0].get("end_time"))
    if not isinstance(video, str) or ends != (None, None):
        raise ValueError(
            f"{where}: found video {video!r} from {ends[0]} to {ends[1]}; expected a file."
        )
    return VisualInput(video=video)


def expand_media(messages: Sequence[Message], views: PreparedViews) -> list[dict[str, Any]]:
    """Return `messages` as a chat template takes them: one item per placeholder of `views`.

    A video becomes as many items as it has placeholders: its frames, where they are sent as images.
    """
    media = {"image": [{"type": views.kind}]}
    media["video"] = media["image"] * len(views.placeholders)
    return [
        {
            "role": message["role"],
            "content": [
                part for item in message["content"] for part in media.get(item["type"], [item])
            ],
        }
        for message in messages
    ]


def max_new_tokens(settings: Mapping[str, Any], where: str) -> int:
    """Return the longest response that a task's `generation_kwargs` allow, in tokens.

    Args:
        settings: the task's `generation_kwargs`.
        where: the request, for errors.

    Returns:
        A number of tokens.

    Raises:
        ValueError: the settings are not those of greedy generation.
    """
    sampled = settings.get("do_sample") is not False and (settings.get("temperature") or 0) > 0
    greedy = {"num_beams": 1, "repetition_penalty": 1}
    given = {name: settings.get(name) for name in greedy if settings.get(name) is not None}
    unsupported = [f"{name}={value}" for name, value in given.items() if value != greedy[name]]
    if sampled:
        unsupported.append(f"temperature={settings['temperature']}")
    if unsupported:
        raise ValueError(
            f"{where}: unsupported {', '.join(unsupported)}: only greedy generation is implemented."
            " Give lmms-eval --gen_kwargs temperature=0,num_beams=1,repetition_penalty=1."
        )
    return int(settings.get("max_new_tokens") or MAX_NEW_TOKENS)


def truncate(response: str, until: str | Sequence[str] | None) -> str:
    """Return `response` up to the first of the stop strings `until`."""
    for stop in [until] if isinstance(until, str) else until or ():
        if stop and stop != DEFAULT_STOP:
            response = response.partition(stop)[0]
    return response
