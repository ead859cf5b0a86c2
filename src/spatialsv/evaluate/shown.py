"""What a model is shown in place of an item's images, to find out whether it looks at them.

Some alterations change images only, others items: which images they have, and the words of their
questions. All leave the correct answer where it is, unless the images no longer show it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from spatialsv.benchmarks.benchmark import Item
from spatialsv.evaluate.config import Shown
from spatialsv.samples.views import GREY

Pixels = UInt8[np.ndarray, "_ _ 3"]

SIDES = {"left": "right", "right": "left"}
SIDES |= {f"{prefix}clockwise": "clockwise" for prefix in ("counter-", "counter", "anti-", "anti")}
SIDES["clockwise"] = "counterclockwise"
# No letter before or after, but for the ends of these words: "Front_Left", "leftmost".
SIDE = re.compile(
    rf"(?<![A-Za-z])({'|'.join(SIDES)})(?=(?:most|wards?)?(?![A-Za-z]))", re.IGNORECASE
)
# Texts that a mirror changes otherwise, or in which "left" or "right" may not be a side.
UNCLEAR = re.compile(
    r"o'?\s?clock|\b(?:north|south|east|west)\w*|coordinate|pixel|[xy][- ]ax[ie]s|mirror|reflect"
    r"|\bflip|\bread(?:s|ing)?\b|written|spell|\btext\b|license plate"
    r"|\bright (?:angle|answer|option|choice|now|away|next|behind|before|after|above|below|in)\b"
    r"|\b(?:is|are|was|were|have|has|had|get|turns out) (?:right|left)[.?!,]|\ball right\b"
    r"|\bleft (?:over|the|in|at|on|unattended)\b",
    re.IGNORECASE,
)


def alter_items(items: Sequence[Item], shown: Shown, seed: int = 0) -> dict[str, Item]:
    """Return the items that `shown` can be applied to, altered, by id.

    Args:
        items: all of a benchmark.
        shown: what is shown.
        seed: of the choice of other images.

    Returns:
        id -> item. With `other`, items for which no other item has as many images are left out;
        with `mirrored`, those whose text a mirror changes by more than left and right.
    """
    if shown == "other":
        return _with_other_images(items, seed)
    if shown == "mirrored":
        return {item.id: mirror_item(item) for item in items if is_mirrorable(item)}
    return {item.id: item for item in items}


def alter_images(images: Sequence[Image.Image], shown: Shown) -> list[Pixels]:
    """Return what is shown of the images of one item; nothing with `none`."""
    return ALTERED[shown]([np.array(image) for image in images])


ALTERED: Mapping[Shown, Callable[[list[Pixels]], list[Pixels]]] = {
    "all": lambda images: images,
    "other": lambda images: images,  # the item names them
    "none": lambda images: [],
    "grey": lambda images: [np.full_like(image, GREY) for image in images],
    "black": lambda images: [np.zeros_like(image) for image in images],
    "reversed": lambda images: images[::-1],
    "first": lambda images: images[:1],
    "mirrored": lambda images: [np.ascontiguousarray(image[:, ::-1]) for image in images],
}


def is_mirrorable(item: Item) -> bool:
    """Return whether the correct answer is known when images and words are mirrored."""
    return not any(
        UNCLEAR.search(text) for text in _texts([item.question, *item.options, item.more])
    )


def mirror_item(item: Item) -> Item:
    """Return the item with left and right exchanged in all its texts; a letter stays correct."""
    return replace(
        item,
        question=swap_sides(item.question),
        options=tuple(map(swap_sides, item.options)),
        answer=swap_sides(item.answer),
        more=_map_texts(item.more),
    )


def swap_sides(text: str) -> str:
    """Return `text` with left and right, and the directions of turning, exchanged."""
    return SIDE.sub(lambda match: _in_case_of(match[1], SIDES[match[1].lower()]), text)


def _in_case_of(word: str, other: str) -> str:
    if word.isupper():
        return other.upper()
    return other.capitalize() if word[0].isupper() else other


def _texts(values: Any) -> list[str]:
    """Return all texts in nested lists and mappings."""
    if isinstance(values, str):
        return [values]
    if isinstance(values, Mapping):
        values = [*values.values()]
    inner = values if isinstance(values, list | tuple) else []
    return [text for value in inner for text in _texts(value)]


def _map_texts(value: Any) -> Any:
    """Exchange left and right in all texts in nested tuples, lists and mappings."""
    if isinstance(value, str):
        return swap_sides(value)
    if isinstance(value, Mapping):
        return {key: _map_texts(one) for key, one in value.items()}
    return type(value)(map(_map_texts, value)) if isinstance(value, list | tuple) else value


def _with_other_images(items: Sequence[Item], seed: int) -> dict[str, Item]:
    """Give each item the images of another scene, as many as it has itself."""
    groups: dict[tuple[bool, int], list[Item]] = {}
    for item in {item.media: item for item in items}.values():
        groups.setdefault((item.video is not None, len(item.images)), []).append(item)
    donors: dict[tuple[str, ...], Item] = {}
    generator = np.random.default_rng(seed)
    for group in groups.values():
        order = [group[number] for number in generator.permutation(len(group))]
        for number, item in enumerate(order):
            following = order[number + 1 :] + order[:number]
            if other := next((one for one in following if one.scene != item.scene), None):
                donors[item.media] = other
    return {
        item.id: replace(
            item, images=other.images, video=other.video, views=other.views, digest=other.digest
        )
        for item in items
        if (other := donors.get(item.media))
    }
